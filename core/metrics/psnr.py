"""PSNR of a denoiser by noise level, on noise that is the same for every model.

Peak 1: PSNR = -10 log10(mean squared error), images in [0, 1], nothing clipped and nothing rescaled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.errors import InputError
from core.metrics.neighbours import check_range
from core.stats import Interval, bootstrap_mean, bootstrap_statistic

NOISE = 0x504E  # separates these streams from others that use the same seed


@dataclass(frozen=True)
class PSNRCurve:
    """Input and output PSNR in dB of every image (column) at every noise level (row)."""

    sigmas: tuple[float, ...]
    input: np.ndarray  # (s, n) float64
    output: np.ndarray  # (s, n) float64

    def mean(self, *, seed: int) -> list[tuple[float, Interval]]:
        """Mean output PSNR and its interval over images, by noise level."""
        return [(float(row.mean()), bootstrap_mean(row, seed=seed, over="images")) for row in self.output]

    def level(self, k: int) -> "PSNRCurve":
        """The curve at noise level number k alone."""
        return PSNRCurve(self.sigmas[k : k + 1], self.input[k : k + 1], self.output[k : k + 1])


def psnr(clean: Tensor, estimate: Tensor) -> Tensor:
    """PSNR in dB of each image, (n, ...) twice -> (n,) float64; infinite where they are equal.

    The clean images lie in [0, 1], which the peak of 1 stands for; an estimate may leave it.
    """
    if clean.shape != estimate.shape:
        raise InputError(f"psnr: found shapes {tuple(clean.shape)} and {tuple(estimate.shape)}, expected equal ones")
    check_range(clean, (0.0, 1.0), "clean")
    if not torch.isfinite(estimate).all():
        raise InputError("estimate: found missing or infinite values, expected none")
    error = (estimate.to(torch.float64) - clean.to(torch.float64)).reshape(len(clean), -1)
    return -10 * torch.log10(error.square().mean(dim=1))


def psnr_of_errors(errors: Tensor, pixels: int) -> Tensor:
    """PSNR in dB for a peak of 1, of squared errors summed over `pixels` values, in their own precision."""
    return -10 * torch.log10(errors / pixels)


def unit_noise(shape: Sequence[int], index: Sequence[int] | range, seed: int) -> Tensor:
    """Standard normal noise of images number `index`, (len(index), *shape) float32.

    Image i has its own stream, so that its noise does not depend on the batch nor on the other images.
    """
    drawn = [
        np.random.default_rng([NOISE, seed, int(i)]).standard_normal(tuple(shape), dtype=np.float32) for i in index
    ]
    return torch.from_numpy(np.stack(drawn))


@torch.no_grad()
def denoiser_psnr(
    denoiser: Callable[[Tensor], Tensor],
    images: Tensor,
    sigmas: Sequence[float],
    *,
    seed: int,
    batch: int = 256,
    device: torch.device | str = "cpu",
) -> PSNRCurve:
    """PSNR of `denoiser(image + sigma * noise)` for (n, c, h, w) images in [0, 1] at every sigma.

    The noise depends on (seed, position of the image, shape) alone: two models, and all noise levels, see the same.

    Raises:
        InputError: for images outside [0, 1], sigmas that are not positive, or a denoiser that returns NaN.
    """
    if images.ndim != 4 or len(images) == 0:
        raise InputError(f"images: found shape {tuple(images.shape)}, expected (n, c, h, w) with n >= 1")
    check_range(images, (0.0, 1.0), "images")
    if len(sigmas) == 0 or not all(np.isfinite(s) and s > 0 for s in sigmas):
        raise InputError(f"sigmas: found {list(sigmas)}, expected positive numbers")
    before, after = np.empty((2, len(sigmas), len(images)))
    for start in range(0, len(images), batch):
        part = slice(start, min(start + batch, len(images)))
        clean = images[part].to(device)
        noise = unit_noise(images.shape[1:], range(part.start, part.stop), seed).to(device)
        for row, sigma in enumerate(sigmas):
            noisy = clean + sigma * noise
            denoised = denoiser(noisy)
            if not torch.isfinite(denoised).all():
                raise InputError(f"denoiser: missing or infinite values at sigma = {sigma}, expected none")
            before[row, part] = psnr(clean, noisy).cpu().numpy()
            after[row, part] = psnr(clean, denoised).cpu().numpy()
    return PSNRCurve(tuple(float(s) for s in sigmas), before, after)


def gap(train: PSNRCurve, test: PSNRCurve, *, seed: int) -> list[tuple[float, Interval]]:
    """Mean output PSNR on training images minus that on test images, with its interval over images, by sigma."""
    _same_levels(train, test)
    return [
        (
            float(a.mean() - b.mean()),
            bootstrap_statistic([a, b], train_test_gap, seed=seed, over="images"),
        )
        for a, b in zip(train.output, test.output, strict=True)
    ]


def train_test_gap(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean of `a` minus mean of `b` over images."""
    return a.mean(axis=axis) - b.mean(axis=axis)


def _same_levels(a: PSNRCurve, b: PSNRCurve) -> None:
    if a.sigmas != b.sigmas:
        raise InputError(f"curves at different noise levels: {a.sigmas} and {b.sigmas}, expected the same")
