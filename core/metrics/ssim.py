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
    _check(samples, window, "samples")
    check_range(candidates, (0.0, 1.0), "candidates")
    y = candidates[:, :, 0].numpy().astype(np.float64)
    x = samples[:, None, 0].numpy().astype(np.float64)
    return _score(_moments(x, window), _moments(y, window), window)


def ssim_matrix(images: Tensor, window: int = 7) -> np.ndarray:
    """SSIM of every image (n, 1, h, w) in [0, 1] with every other, as `ssim` computes it: (n, n) float64, symmetric.

    Raises:
        InputError: as `ssim`.
    """
    _check(images, window, "images")
    own = _moments(images[:, 0].numpy().astype(np.float64), window)
    found = np.empty((len(images), len(images)))
    for k in range(len(images)):  # a row at a time: all pairs at once would not fit
        row = _score(tuple(part[k][None] for part in own), tuple(part[k:] for part in own), window)
        found[k, k:] = found[k:, k] = row
    return found


def _check(images: Tensor, window: int, name: str) -> None:
    if images.ndim != 4 or images.shape[1] != 1:
        raise InputError(f"ssim: found {name} {tuple(images.shape)}, expected (n, 1, h, w)")
    if window % 2 == 0 or not 1 <= window <= min(images.shape[-2:]):
        raise InputError(f"window: found {window}, expected an odd number up to {min(images.shape[-2:])}")
    check_range(images, (0.0, 1.0), name)


Moments = tuple[np.ndarray, ...]  # images (..., h, w) as they are, their local means and variances


def _moments(x: np.ndarray, window: int) -> Moments:
    mean = _mean(x, window)
    return x, mean, _mean(x * x, window) - mean**2


def _mean(z: np.ndarray, window: int) -> np.ndarray:
    return uniform_filter(z, (*[0] * (z.ndim - 2), window, window))


def _score(first: Moments, second: Moments, window: int) -> np.ndarray:
    """Mean over all places where the window fits, of images whose leading axes broadcast."""
    (x, mx, vx), (y, my, vy) = first, second
    cov = _mean(x * y, window) - mx * my
    score = (2 * mx * my + C1) * (2 * cov + C2) / ((mx**2 + my**2 + C1) * (vx + vy + C2))
    h, w = score.shape[-2:]
    edge = window // 2
    return np.asarray(score[..., edge : h - edge, edge : w - edge].mean(axis=(-1, -2)))
