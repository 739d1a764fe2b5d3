"""Structural similarity of images (Wang et al. 2004): local means, variances and covariance, in an even window."""

import numpy as np
from scipy.ndimage import uniform_filter
from torch import Tensor

from core.errors import InputError
from core.metrics.neighbours import check_range

C1, C2 = 0.01**2, 0.03**2  # of images in [0, 1]


def ssim(samples: Tensor, candidates: Tensor, window: int = 7) -> np.ndarray:
    """SSIM of each sample (n, 1, h, w) with its own candidates (n, k, 1, h, w), all in [0, 1]: (n, k) float64.

    The mean over all places where the window fits.

    Raises:
        InputError: for other shapes, images outside [0, 1], or a window that does not fit or has no middle.
    """
    if samples.ndim != 4 or samples.shape[1] != 1 or candidates[:, :1].shape != samples[:, None].shape:
        raise InputError(
            f"ssim: found samples {tuple(samples.shape)} and candidates {tuple(candidates.shape)}, "
            "expected (n, 1, h, w) and (n, k, 1, h, w)"
        )
    if window % 2 == 0 or not 1 <= window <= min(samples.shape[-2:]):
        raise InputError(f"window: found {window}, expected an odd number up to {min(samples.shape[-2:])}")
    check_range(samples, (0.0, 1.0), "samples")
    check_range(candidates, (0.0, 1.0), "candidates")
    y = candidates[:, :, 0].numpy().astype(np.float64)
    x = np.broadcast_to(samples[:, None, 0].numpy().astype(np.float64), y.shape)

    def mean(z: np.ndarray) -> np.ndarray:
        return uniform_filter(z, (0, 0, window, window))

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    score = (2 * mx * my + C1) * (2 * cov + C2) / ((mx**2 + my**2 + C1) * (vx + vy + C2))
    h, w = score.shape[-2:]
    edge = window // 2
    return score[..., edge : h - edge, edge : w - edge].mean(axis=(-1, -2))
