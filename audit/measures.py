"""Measures that more than one claim takes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from core.metrics.correlation import nearest
from core.metrics.psnr import denoiser_psnr
from core.stats import bootstrap_difference

LEVELS = (28.0, 24.0, 20.0, 16.0, 12.0, 8.0, 4.0, 0.0)  # input PSNR in dB: noise levels from 0.04 to 1


def nearest_training(samples: Tensor, train: Tensor) -> np.ndarray:
    """Correlation of each sample with its nearest training image, (n,)."""
    return nearest(samples, train, 1).value[:, 0].numpy()


def output_psnr(denoiser: Callable[[Tensor], Tensor], images: Tensor, *, seed: int) -> np.ndarray:
    """Output PSNR at every one of `LEVELS`, (levels, images)."""
    return denoiser_psnr(denoiser, images, [10 ** (-level / 20) for level in LEVELS], seed=seed).output


def psnr_differences(what: str, first: np.ndarray, second: np.ndarray, *, seed: int) -> dict[str, Any]:
    """Output PSNR of the second minus that of the first, by input PSNR, paired over images: value and interval."""
    return {
        f"PSNR, {what}, at {level:g} dB": (
            float((b - a).mean()),
            bootstrap_difference(b, a, seed=seed, paired=True, over="images"),
        )
        for level, a, b in zip(LEVELS, first, second, strict=True)
    }
