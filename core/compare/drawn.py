"""Samples of every denoiser from the same noise, after each was found to be what it is said to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from core.compare.options import Options
from core.compare.training_sets import TrainingSets
from core.copies.options import StageProgress
from core.dedup.on_disk.options import stage
from core.denoisers.admission import FITTED, TESTED, Admission, admit
from core.denoisers.oracles import Gaussian
from core.denoisers.protocol import SigmaDenoiser, Told, in_range
from core.denoisers.samplers import generate
from core.denoisers.sampling import falling_levels
from core.errors import InputError

UNIT = (0.0, 1.0)
TRAINED_ON = {"A": "A", "B": "B", "ceiling": "A"}  # denoiser -> the training set that is its own
MIDDLE = 0.5
HIGHEST = 80.0  # of the range; from there on an image adds nothing to the noise that a sampler starts from
BEYOND = 0.05  # of the range; pixels that far outside were not drawn as an image
WIDE, FEW, MANY = 4096, 1000, 10_000  # values of an image above which a Gaussian is fitted to few images, else to many


@dataclass(frozen=True, eq=False)
class Drawn:
    """Samples (seeds, c, h, w) in [0, 1], not clipped, of the denoisers and of linear ones, from the same noise.

    Attributes:
        samples: of `A`, `B` and, where there is one, `ceiling`.
        wiener: of the best linear denoisers of the images of `A`, of `B` and of `both`.
        sigmas: the noise levels, in units of [0, 1].
        fitted: images that each linear denoiser of one set was fitted to.
    """

    samples: Mapping[str, Tensor]
    wiener: Mapping[str, Tensor]
    sigmas: tuple[float, ...]
    fitted: Mapping[str, int]

    def outside(self, name: str) -> float:
        """Share of one denoiser's pixels that lie beyond black or white by a twentieth of the range."""
        low, high = UNIT[0] - BEYOND, UNIT[1] + BEYOND
        samples = self.samples[name]
        return float(((samples < low) | (samples > high)).double().mean())


def check_alike(denoisers: Mapping[str, SigmaDenoiser]) -> None:
    """InputError unless all draw images of one shape and know noise levels in common."""
    first = denoisers["A"]
    for name, other in denoisers.items():
        if tuple(other.shape) != tuple(first.shape):
            one, two = ("x".join(map(str, one.shape)) for one in (first, other))
            raise InputError(
                f"{name}: draws images of {two} (channels, height, width), A of {one}; expected one shape, as the same "
                "noise is what they are compared from"
            )
    levels_of(denoisers, 2)


def admitted(denoisers: Mapping[str, SigmaDenoiser], sets: TrainingSets, *, seed: int) -> dict[str, Admission]:
    """Whether each denoiser is what it is said to be, on the images that it was trained on."""
    return {
        name: admit(denoiser, _within(sets.drawn(TRAINED_ON[name], TESTED + FITTED, seed=seed)), seed=seed)
        for name, denoiser in denoisers.items()
    }


def levels_of(denoisers: Mapping[str, SigmaDenoiser], count: int) -> tuple[float, ...]:
    """Noise levels that all denoisers know, in units of [0, 1], falling from at most `HIGHEST`.

    Raises:
        InputError: if there is none.
    """
    seen = [in_range(one, UNIT) for one in denoisers.values()]
    highest = min(HIGHEST, *(one.sigma_max for one in seen))
    lowest = max(one.sigma_min for one in seen)
    if lowest >= highest:
        known = ", ".join(
            f"{name} {one.sigma_min:g} to {one.sigma_max:g}" for name, one in zip(denoisers, seen, strict=True)
        )
        raise InputError(f"A, B: know no noise level in common (in units of [0, 1]: {known})")
    return falling_levels(highest, lowest, count)


def draw(
    denoisers: Mapping[str, SigmaDenoiser], sets: TrainingSets, options: Options, progress: StageProgress
) -> Drawn:
    """Sample all from the same noise, at the same levels.

    Raises:
        InputError: naming the denoiser whose samples are not finite or are constant.
    """
    sigmas, seed = levels_of(denoisers, options.levels), options.copies.seed
    how: dict[str, Any] = {"sampler": options.sampler, "sigmas": sigmas, "centre": MIDDLE, "batch": options.batch}
    seeds, samples = range(options.seeds), {}
    for name, denoiser in denoisers.items():
        told = stage(progress, f"sampling {name}")
        samples[name] = generate(in_range(denoiser, UNIT), seeds, device=options.device, progress=told, **how)
        _check(samples[name], name)
    _check_apart(samples)
    values = samples["A"][0].numel()
    images = {group: sets.drawn(group, FEW if values > WIDE else MANY, seed=seed) for group in ("A", "B")}
    wiener = {}
    for done, (name, fitted) in enumerate({**images, "both": torch.cat(list(images.values()))}.items(), 1):
        wiener[name] = generate(_linear(fitted, sigmas), seeds, **how)
        progress("sampling linear denoisers", done, 3)
    return Drawn(samples, wiener, sigmas, {group: len(fitted) for group, fitted in images.items()})


def _within(images: Tensor) -> Tensor:
    return images.clamp(*UNIT)  # the rounding of a declared range


def _linear(images: Tensor, sigmas: tuple[float, ...]) -> SigmaDenoiser:
    """The best linear denoiser of images, in the form that samplers take."""
    gaussian, shape = Gaussian.from_images(images), tuple(images.shape[1:])
    return Told(
        lambda x, sigma: gaussian.denoise(x, float(sigma[0])).to(x.dtype),
        shape=(shape[0], shape[1], shape[2]),
        data_range=UNIT,
        sigma_min=sigmas[-1],
        sigma_max=sigmas[0],
    )


def _check(samples: Tensor, name: str) -> None:
    flat = samples.flatten(1)
    bad = ~torch.isfinite(flat).all(dim=1)
    if bad.any():
        raise InputError(
            f"{name}: {int(bad.sum())} of {len(flat)} samples hold values that are not finite, the first of seed "
            f"{int(bad.nonzero()[0, 0])}; expected images"
        )
    blank = (flat == flat[:, :1]).all(dim=1)
    if blank.any():
        raise InputError(
            f"{name}: {int(blank.sum())} of {len(flat)} samples are of one value, the first of seed "
            f"{int(blank.nonzero()[0, 0])}: nothing correlates with them"
        )


def _check_apart(samples: Mapping[str, Tensor]) -> None:
    """InputError if two denoisers are one: it would agree with itself, whatever it does."""
    for (one, first), (other, second) in combinations(samples.items(), 2):
        if torch.equal(first, second):
            raise InputError(
                f"{other}: draws the very same images as {one}, bit for bit; expected two networks, not one named twice"
            )
