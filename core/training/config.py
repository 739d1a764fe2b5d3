"""Options of a training, of a sampler and of the dynamics: frozen, checked, and the key of what they make."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from core.errors import InputError

CHOICES = {
    "noise": ("uniform", "quadratic"),
    "repetition": ("whole", "exact"),
    "precision": ("32", "tf32", "bf16"),
    "definition": ("ends", "consecutive"),
    "start": ("group", "shared", "none"),
    "noise_draws": ("independent", "stratified"),
    "schedule": ("halved", "cooled"),
}

# options that TrainConfig gained after models had been stored, with the value that leaves a training as it was
ADDED = {"noise_draws": "independent", "schedule": "halved", "cooldown": 0.3, "beta1": 0.9, "beta2": 0.999}


class _Config:
    """Shared by the frozen dataclasses below: unknown keys fail, JSON there and back."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a mapping.

        Raises:
            InputError: for a key that does not exist or a value outside its choices or range.
        """
        known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        for key in values:
            if key not in known:
                raise InputError(f"{cls.__name__}: unknown option {key!r}, expected one of {', '.join(sorted(known))}")
        return cls(**values)

    def replace(self, **changes: Any) -> Self:
        """A copy with some options changed; unknown ones fail."""
        return self.from_dict({**self.to_dict(), **changes})

    def to_dict(self) -> dict[str, Any]:
        """Options by name, ready for JSON."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, so that equal configurations give equal text."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        return cls.from_dict(json.loads(text))

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            choices = CHOICES.get(f.name)
            if choices and value not in choices:
                raise InputError(f"{f.name}: got {value!r}, expected one of {', '.join(choices)}")
            if f.type is int and (type(value) is not int or value < 1):
                raise InputError(f"{f.name}: got {value!r}, expected a positive whole number")
            if f.type is float and not (isinstance(value, int | float) and 0 < value < float("inf")):
                raise InputError(f"{f.name}: got {value!r}, expected a positive number")
            if f.type is bool and type(value) is not bool:
                raise InputError(f"{f.name}: got {value!r}, expected true or false")
            if f.type == tuple[int, ...] and not (value and all(type(step) is int and step >= 0 for step in value)):
                raise InputError(f"{f.name}: got {value!r}, expected at least one step, none below 0")


@dataclass(frozen=True)
class TrainConfig(_Config):
    """Everything but data and seed that determines a model; the defaults are Topeza (2025), section 4.

    Attributes:
        exposures: images shown per epoch, whatever the set size.
        halve_every: epochs between two halvings of the learning rate.
        noise: law of the noise level on [0, 1]: `uniform`, or `quadratic` (the square of a uniform one).
        repetition: `whole` repeats the set by a whole factor (at least once), so that some set sizes see fewer
            than `exposures` images an epoch; `exact` shows exactly `exposures`.
        precision: `32`, `tf32` or `bf16` (mixed).
        accumulate: parts a batch is computed in; gradients add up, each part has its own deviations.
        compile: use torch.compile where it is available (a GPU with Triton).
        noise_draws: noise levels of images that pass the network together are `independent`, or `stratified`: one from
            each of as many equally likely parts of [0, 1]. The loss is the same either way, its gradient steadier.
        schedule: the learning rate is `halved` every `halve_every` epochs, or `cooled`: constant, then linear to zero
            over the last share `cooldown` of the steps (`halve_every` then says nothing).
        beta1, beta2: weights of the past in Adam's running means of the gradient and of its square.
    """

    image_size: int = 40
    in_channels: int = 1
    base_channels: int = 64
    blocks: int = 3
    exposures: int = 100_000
    epochs: int = 1000
    batch: int = 512
    learning_rate: float = 1e-3
    halve_every: int = 100
    noise: str = "uniform"
    repetition: str = "whole"
    precision: str = "32"
    accumulate: int = 1
    channels_last: bool = True
    compile: bool = False
    noise_draws: str = "independent"
    schedule: str = "halved"
    cooldown: float = 0.3
    beta1: float = 0.9
    beta2: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_size % 2**self.blocks:
            raise InputError(
                f"image_size: got {self.image_size}, expected a multiple of {2**self.blocks} (2 ** blocks)"
            )
        if self.accumulate > self.batch:
            raise InputError(f"accumulate: got {self.accumulate}, expected at most the batch of {self.batch}")
        if self.cooldown > 1:
            raise InputError(f"cooldown: got {self.cooldown}, expected a share of the steps, at most 1")
        for name in ("beta1", "beta2"):
            if getattr(self, name) >= 1:
                raise InputError(f"{name}: got {getattr(self, name)}, expected a number below 1")

    def determining(self) -> dict[str, Any]:
        """The options that enter the key of a training: `to_dict` without those of `ADDED` at their defaults.

        An option that came later leaves the keys of trainings that do without it as they were.
        """
        return {k: v for k, v in self.to_dict().items() if k not in ADDED or v != ADDED[k]}


@dataclass(frozen=True)
class SampleConfig(_Config):
    """Constants of the stochastic ascent; the defaults are those of the published notebooks."""

    h0: float = 0.01
    beta: float = 0.1
    sigma_0: float = 1.0
    sigma_end: float = 0.1
    max_steps: int = 2000


@dataclass(frozen=True)
class HeunConfig(_Config):
    """Noise levels of the sampler without noise of its own (Karras et al. 2022): first, last, number and curvature."""

    sigma_0: float = 1.0
    sigma_end: float = 0.02
    levels: int = 40
    rho: float = 7.0


@dataclass(frozen=True)
class DynamicsConfig(_Config):
    """A training on a Gaussian mixture; the defaults are those of Verkhovensky's published script.

    Attributes:
        radius: of the sphere on which the clusters' centres lie, in raw units as `sigma`, their deviation.
        timesteps: of DDPM, with betas linear from `beta_first` to `beta_last`.
        samples: points generated at each of the `evaluations`, which are optimiser steps.
    """

    dimensions: int = 128
    clusters: int = 5
    radius: float = 5.0
    sigma: float = 2.0
    hidden: int = 256
    timesteps: int = 1000
    beta_first: float = 1e-4
    beta_last: float = 0.02
    batch: int = 128
    learning_rate: float = 2e-4
    samples: int = 100
    evaluations: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden % 2:
            raise InputError(f"hidden: got {self.hidden}, expected an even number: sines and cosines of the time")


@dataclass(frozen=True)
class ImageDynamicsConfig(_Config):
    """A UNet trained at a constant rate on a few images, by default a small one; noise levels uniform on [0, 1].

    Attributes:
        samples: images generated at each of the `evaluations`, which are optimiser steps.
        average: share of the steps so far over which the weights that are looked at are averaged.
        levels, sigma_end: of the probability flow that generates them, from 1 down by a constant factor.
    """

    image_size: int = 12
    base_channels: int = 16
    blocks: int = 2
    batch: int = 16
    learning_rate: float = 4e-3
    average: float = 0.1
    samples: int = 64
    levels: int = 20
    sigma_end: float = 0.05
    evaluations: tuple[int, ...] = (0,)
