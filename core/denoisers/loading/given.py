"""What a file with a network does not say of it, and has to be told: shape, range, noise levels, what it predicts."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from core.denoisers.conversions import PREDICTIONS, Discrete, Flow
from core.denoisers.protocol import Blind, Range, Shape, SigmaDenoiser, Told
from core.errors import InputError
from core.tensors import read_json

FORMS = ("denoised", *PREDICTIONS, "flow")


@dataclass(frozen=True)
class Given:
    """What was said of a model; None where nothing was.

    Attributes:
        shape: (channels, height, width).
        data_range: values of black and white.
        sigma_min, sigma_max: the noise levels it was trained for, in units of `data_range`.
        prediction: what a network gives: `denoised` of (x, sigma), or of x alone; `epsilon`, `sample` or `v` of (scaled
            x, timestep) with `alphas_cumprod`; `flow` of (point, time).
        alphas_cumprod: of the discrete schedule, one value a timestep.
        time_scale: of flow matching, what the network calls the end of the line.
    """

    shape: Shape | None = None
    data_range: Range | None = None
    sigma_min: float | None = None
    sigma_max: float | None = None
    prediction: str | None = None
    alphas_cumprod: tuple[float, ...] | None = None
    time_scale: float | None = None

    def only(self, *names: str, source: str) -> None:
        """Raises InputError if something was said that a model of this kind says itself or has no use for."""
        for field in dataclasses.fields(self):
            if getattr(self, field.name) is not None and field.name not in names:
                raise InputError(f"{field.name}: was given, but {source} does not take it; expected {_listed(names)}")

    def or_else(self, other: "Given") -> "Given":
        """What was said here, and else what the other says."""
        values = dataclasses.asdict(other) | {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return Given(**values)

    @classmethod
    def beside(cls, path: Path) -> Self:
        """What `FILE.json` beside a file says; nothing where there is none.

        Raises:
            InputError: naming the JSON file, for an unknown entry or a value of another type.
        """
        note = path.with_name(path.name + ".json")
        if not note.exists():
            return cls()
        values = read_json(note)
        known = [field.name for field in dataclasses.fields(cls)]
        for name, value in values.items():
            if name not in known:
                raise InputError(f"{note}: unknown entry {name!r}, expected {_listed(known)}")
            if not _fits(name, value):
                raise InputError(f"{note}: {name} is {str(value)[:60]}, expected {_EXPECTED[name]}")
        said: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**said)


_EXPECTED = {
    "shape": "three whole numbers [channels, height, width]",
    "data_range": "two numbers [low, high]",
    "sigma_min": "a number",
    "sigma_max": "a number",
    "prediction": f"one of {', '.join(FORMS)}",
    "alphas_cumprod": "numbers, one a timestep",
    "time_scale": "a number",
}
_LENGTHS = {"shape": 3, "data_range": 2}


def _fits(name: str, value: Any) -> bool:
    def number(item: Any) -> bool:
        return type(item) is int or (type(item) is float and name != "shape")

    if name == "prediction":
        return value in FORMS
    if name in ("shape", "data_range", "alphas_cumprod"):
        return isinstance(value, list) and len(value) == _LENGTHS.get(name, len(value)) and all(map(number, value))
    return number(value)


def _listed(names: Any) -> str:
    return "only " + ", ".join(names) if names else "nothing"


def as_denoiser(network: Callable[..., Tensor], inputs: int, given: Given, *, source: str) -> SigmaDenoiser:
    """A network of one or two inputs, read as was said.

    Args:
        network: a function of x (b, c, h, w), or of x and a level or time (b,).
        inputs: how many it takes.
        given: shape and range are needed, and what `prediction` needs.
        source: for messages.

    Raises:
        InputError: naming what is not known and where to say it.
    """
    form = given.prediction or "denoised"
    if inputs not in (1, 2) or (inputs == 1 and form != "denoised"):
        raise InputError(f"{source}: takes {inputs} inputs, expected images alone, or images and a level or time")
    if form not in FORMS:
        raise InputError(f"prediction: got {form!r}, expected one of {', '.join(FORMS)}")
    own = {"flow": ("time_scale",)}.get(
        form, ("alphas_cumprod",) if form in PREDICTIONS else ("sigma_min", "sigma_max")
    )
    given.only("shape", "data_range", "prediction", *own, source=f"{source} with prediction {form}")
    needed = ["shape", "data_range", *own]
    if missing := [name for name in needed if getattr(given, name) is None]:
        raise InputError(
            f"{source}: does not say {', '.join(missing)}; write {Path(source).name}.json beside it, such as "
            '{"shape": [3, 32, 32], "data_range": [-1, 1], "sigma_min": 0.002, "sigma_max": 80}, or pass them to load()'
        )
    common: dict[str, Any] = {"shape": given.shape, "data_range": given.data_range}
    if form == "flow":
        return Flow(network, time_scale=float(given.time_scale or 1), **common)
    if form in PREDICTIONS:
        return Discrete(network, torch.tensor(given.alphas_cumprod, dtype=torch.float64), prediction=form, **common)
    levels: dict[str, Any] = {"sigma_min": given.sigma_min, "sigma_max": given.sigma_max}
    return Blind(network, **common, **levels) if inputs == 1 else Told(network, **common, **levels)
