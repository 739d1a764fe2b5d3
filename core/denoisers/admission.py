"""Whether a denoiser is what it is said to be, before anything is sampled from it.

A wrong prediction type or range gives plausible nonsense. It shows in the error on training images: a network that
learned them does not do worse than the best linear filter (Wiener's) of such images. Where it does, the readings under
which it would not are named.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from core.denoisers.oracles import Gaussian
from core.denoisers.protocol import Adapter, InRange, Range, SigmaDenoiser, full_like_batch, in_range, readings_of
from core.errors import InputError
from core.seeds import generator

LEVELS = 8
TESTED, FITTED = 64, 1000  # images that are denoised, and others that Wiener's filter is fitted to
HIGHEST = 4.0  # of the images' standard deviation; above, a network of the noise is judged by its last digits
# Of Wiener's error. It was 1.25 of the squared error, 1.118 of the error, until 2026-11-28. Two UNet2DModels of
# diffusers, trained for a minute each, then came to 1.11, too near to it, and 1.2 was chosen after that was seen.
# Networks of other images err by 1.60 to 2.05 times Wiener's at their worst level (sigma 0.1), but by as little as 1.18
# at others: it is the worst of all levels that tells them apart.
MARGIN = 1.2
FLOOR = 0.03  # of the range; a network that predicts the image errs by so much at any low level
RANGES: tuple[Range, ...] = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


@dataclass(frozen=True)
class Level:
    """One noise level, in units of the range of the images.

    Attributes:
        sigma: the level.
        error: root mean square error of the denoiser, a pixel.
        wiener: that of Wiener's filter fitted to other training images, or of no denoising where that is less.
        change: root mean square of output minus input.
        allowed: the largest error with which it passes.
    """

    sigma: float
    error: float
    wiener: float
    change: float
    allowed: float


@dataclass(frozen=True)
class Admission:
    """What the test saw: its levels, why it failed (nothing where it passed), and under which readings it would not."""

    levels: tuple[Level, ...]
    reasons: tuple[str, ...]
    fits: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the denoiser is admitted."""
        return not self.reasons

    def require(self, source: str) -> None:
        """Raises InputError that names `source`, the first reason and what would fit, unless it passed."""
        if self.reasons:
            would = f"; it {' and '.join(self.fits)}" if self.fits else "; no other reading that was tried fits either"
            raise InputError(f"{source}: {self.reasons[0]}{would}")


def admit(denoiser: SigmaDenoiser, images: Tensor, *, images_range: Range = (0.0, 1.0), seed: int = 0) -> Admission:
    """Tests a denoiser on images that it was trained on.

    Args:
        denoiser: in whatever range is its own.
        images: training images (n, c, h, w) float, at least two that differ; more than 1,064 are not looked at.
        images_range: values of black and white in `images`.
        seed: of the noise, and of which images are taken.

    Raises:
        InputError: if the images are of another shape than the denoiser's, or have values that do not fit their range.
    """
    _check_images(images, denoiser, images_range)
    order = torch.randperm(len(images), generator=generator("cpu", seed, "admission, images"))
    tested = images[order[: max(1, min(TESTED, len(images) // 2))]]
    wiener = Gaussian.from_images(_others(images, order, len(tested)))
    trial = _Trial(tested, wiener, images_range, seed)
    levels, reasons = trial.of(denoiser)
    fits: tuple[str, ...] = ()
    if reasons:
        fits = next((names for names, other in _readings(denoiser) if not trial.of(other)[1]), ())
    return Admission(levels, reasons, fits)


@dataclass(frozen=True)
class _Trial:
    """The images, the filter and the noise that every reading of one denoiser is tried with."""

    images: Tensor
    wiener: Gaussian
    images_range: Range
    seed: int

    def of(self, denoiser: SigmaDenoiser) -> tuple[tuple[Level, ...], tuple[str, ...]]:
        """Its levels, and why it fails."""
        seen = in_range(denoiser, self.images_range)
        levels, reasons = [], []
        if seen.sigma_max < self._spread:
            reasons.append(
                f"is said to know noise up to {seen.sigma_max:.3g} only, less than the spread of the images, "
                f"{self._spread:.3g}: no image comes of that"
            )
        for sigma in self._sigmas(seen):
            level = self._level(seen, sigma)
            levels.append(level)
            if not math.isfinite(level.error):
                reasons.append(f"gives values that are not finite at sigma {sigma:.3g}")
            elif len(levels) == 1 and level.change > 2 * sigma + self._floor:
                reasons.append(
                    f"changes its input by {level.change:.3g} at sigma {sigma:.3g}, expected hardly more than the noise"
                )
            elif level.error > level.allowed:
                reasons.append(
                    f"errs by {level.error:.3g} a pixel on training images at sigma {sigma:.3g}, where a linear filter "
                    f"errs by {level.wiener:.3g}"
                )
        return tuple(levels), tuple(reasons)

    @property
    def _spread(self) -> float:
        return float(self.images.std()) if self.images.numel() > 1 else 0.0

    @property
    def _floor(self) -> float:
        return FLOOR * (self.images_range[1] - self.images_range[0])

    def _sigmas(self, seen: SigmaDenoiser) -> list[float]:
        highest = min(seen.sigma_max, max(HIGHEST * self._spread, 2 * seen.sigma_min))
        return [seen.sigma_min * (highest / seen.sigma_min) ** (k / (LEVELS - 1)) for k in range(LEVELS)]

    @torch.no_grad()
    def _level(self, seen: SigmaDenoiser, sigma: float) -> Level:
        noise = torch.randn(self.images.shape, generator=generator("cpu", self.seed, "admission, noise"))
        noisy = self.images + sigma * noise
        denoised = seen(noisy, full_like_batch(noisy, sigma))
        linear = min(_rms(self.wiener.denoise(noisy, sigma) - self.images), _rms(noisy - self.images))
        allowed = max(MARGIN * linear, self._floor)
        return Level(sigma, _rms(denoised - self.images), linear, _rms(denoised - noisy), allowed)


class _Claimed(Adapter):
    """A denoiser that is said to be of another range than it says."""

    def __init__(self, denoiser: SigmaDenoiser, data_range: Range) -> None:
        super().__init__(denoiser.shape, data_range, denoiser.sigma_min, denoiser.sigma_max)
        self.denoiser = denoiser

    def _denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.denoiser(x, sigma)


def _readings(denoiser: SigmaDenoiser) -> Iterator[tuple[tuple[str, ...], SigmaDenoiser]]:
    """What else it may be, the simplest first: another output, another range, both."""
    own = denoiser.denoiser if isinstance(denoiser, InRange) else denoiser
    outputs = {f"reads as {name}": other for name, other in readings_of(own).items()}
    ranges = [data_range for data_range in RANGES if data_range != tuple(own.data_range)]
    yield from (((name,), other) for name, other in outputs.items())
    for names, read in (((), own), *(((name,), other) for name, other in outputs.items())):
        for low, high in ranges:
            yield (*names, f"range looks like [{low:g}, {high:g}]"), _Claimed(read, (low, high))


def _others(images: Tensor, order: Tensor, tested: int) -> Tensor:
    """Images that are not tested, for the filter; all of them where none would be left to differ."""
    rest = order[tested : tested + FITTED]
    return images[rest if len(rest) > 1 else order]


def _check_images(images: Tensor, denoiser: SigmaDenoiser, images_range: Range) -> None:
    if images.ndim != 4 or not images.is_floating_point() or len(images) < 2:
        raise InputError(
            f"images: got {tuple(images.shape)} {images.dtype}, expected at least two as floats (n, c, h, w)"
        )
    if tuple(images.shape[1:]) != tuple(denoiser.shape):
        raise InputError(
            f"images: are of shape {tuple(images.shape[1:])}, but the denoiser takes {tuple(denoiser.shape)} "
            "(channels, height, width)"
        )
    low, high = (float(value) for value in torch.aminmax(images))
    black, white = images_range
    if not (low >= black and high <= white) or high - low < (white - black) / 100:
        fits = [f"[{a:g}, {b:g}]" for a, b in sorted(RANGES, key=lambda r: r[1] - r[0]) if a <= low and high <= b]
        looks = f"; their range looks like {fits[0]}" if fits else ""
        raise InputError(f"images: values from {low:g} to {high:g}, expected [{black:g}, {white:g}]{looks}")


def _rms(values: Tensor) -> float:
    return float(values.to(torch.float64).square().mean().sqrt())
