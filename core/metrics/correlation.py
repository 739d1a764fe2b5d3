"""Mean-removed normalised correlation of images.

The similarity of Kadkhodaie et al. (2024), section 2: <x - mean(x), y - mean(y)> / (|x - mean(x)| |y - mean(y)|).
Everything is computed in float64; a constant or missing image has no correlation and is refused.
"""

import torch
from torch import Tensor

from core.errors import InputError


def normalise(images: Tensor, *, what: str = "images") -> Tensor:
    """Rows of mean 0 and norm 1: (n, ...) -> (n, d) float64, so that a product of two rows is their correlation.

    Raises:
        InputError: if an image holds missing or infinite values or is constant.
    """
    rows = images.reshape(len(images), -1).to(torch.float64)
    mean, size = rows.mean(dim=1, keepdim=True), rows.norm(dim=1)
    missing = ~torch.isfinite(mean[:, 0])  # one such value makes the mean one
    if missing.any():
        bad = missing.nonzero()[:, 0].tolist()
        raise InputError(f"{what}: image {bad[0]} holds missing or infinite values ({len(bad)} of {len(rows)} do)")
    rows = rows - mean
    norm = rows.norm(dim=1)
    flat = norm <= 1e-12 * size  # the rounding of a constant image's mean
    if flat.any():
        bad = flat.nonzero()[:, 0].tolist()
        raise InputError(f"{what}: image {bad[0]} is constant, its correlation is undefined ({len(bad)} are)")
    return rows.div_(norm[:, None])


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of image i of `a` with image i of `b`: (n, ...), (n, ...) -> (n,) float64."""
    if a.shape != b.shape:
        raise InputError(f"correlation: found shapes {tuple(a.shape)} and {tuple(b.shape)}, expected equal ones")
    return (normalise(a, what="a") * normalise(b, what="b")).sum(dim=1).clamp(-1, 1)


def correlation_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of every image of `a` with every image of `b`: (n, ...), (m, ...) -> (n, m) float64."""
    return (normalise(a, what="a") @ normalise(b, what="b").T).clamp(-1, 1)


def remove_mean(images: Tensor, mean: Tensor | None = None) -> Tensor:
    """Images minus a group's mean image (their own mean when not given): what is left is not the average face."""
    return images - (images.mean(dim=0) if mean is None else mean)


def band(images: Tensor, low: float, high: float) -> Tensor:
    """The part of (n, c, h, w) images between two spatial frequencies, in cycles an image: low <= f < high.

    By the orthonormal cosine transform, whose borders are mirrored: no wrap-around. Bands that partition [0, inf)
    add up to the images.
    """
    if not 0 <= low < high:
        raise InputError(f"band: found low = {low} and high = {high}, expected 0 <= low < high")
    h, w = images.shape[-2:]
    rows, columns = _cosines(h).to(images.device), _cosines(w).to(images.device)
    frequency = torch.hypot(torch.arange(h)[:, None] / 2, torch.arange(w)[None] / 2)
    mask = ((frequency >= low) & (frequency < high)).to(images.device, torch.float64)
    spectrum = rows @ images.to(torch.float64) @ columns.T
    return (rows.T @ (spectrum * mask) @ columns).to(images.dtype)


def _cosines(n: int) -> Tensor:
    """Orthonormal DCT-II matrix (n, n): row u holds cos(pi u (x + 1/2) / n)."""
    x, u = torch.arange(n, dtype=torch.float64) + 0.5, torch.arange(n, dtype=torch.float64)
    matrix = torch.cos(torch.pi / n * u[:, None] * x) * (2 / n) ** 0.5
    matrix[0] /= 2**0.5
    return matrix
