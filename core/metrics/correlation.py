"""Mean-removed normalised correlation of images, and exact nearest neighbours by it.

The similarity of Kadkhodaie et al. (2024), section 2: <x - mean(x), y - mean(y)> / (|x - mean(x)| |y - mean(y)|).
Everything is computed in float64; a constant or missing image has no correlation and is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.errors import InputError

TILE = 2048
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Neighbours:
    """The k best of a training set for each query, best first; equal values stand in the order of the set."""

    index: Tensor  # (q, k) int64
    value: Tensor  # (q, k) float64


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


def merge_top(best: Neighbours | None, value: Tensor, offset: int, k: int, *, largest: bool = True) -> Neighbours:
    """Merge a tile's values (q, t), for set members offset..offset+t, into the k best so far.

    Ties go to the smaller index, so that the result does not depend on the tiling.
    """
    index = torch.arange(offset, offset + value.shape[1], device=value.device).expand_as(value)
    if best is not None:
        value, index = torch.cat([best.value, value], 1), torch.cat([best.index, index], 1)
    if value.shape[1] > k:
        threshold = torch.topk(value, k, dim=1, largest=largest).values[:, -1:]
        kept = value >= threshold if largest else value <= threshold
        width = int(kept.sum(dim=1).max())  # above k where the k-th value is tied
        position = torch.topk(kept.to(torch.uint8), width, dim=1).indices
        value, index = value.gather(1, position), index.gather(1, position)
    order = torch.argsort(index, dim=1, stable=True)
    value, index = value.gather(1, order), index.gather(1, order)
    order = torch.argsort(value, dim=1, descending=largest, stable=True)[:, :k]
    return Neighbours(index.gather(1, order), value.gather(1, order))


def nearest(
    queries: Tensor,
    train: Tensor,
    k: int,
    *,
    absolute: bool = False,
    value_range: tuple[float, float] | None = None,
    tile: int = TILE,
    progress: Progress | None = None,
) -> Neighbours:
    """The k training images that correlate most with each query, exactly, by tiles of the training set.

    Shapes (q, ...) and (n, ...), on one device. Values are rounded to 12 decimals, so that exact copies tie whatever
    the tile. `absolute` ranks by magnitude. Correlation does not depend on the images' range; where one is declared
    by `value_range`, it is checked. Memory: about tile * (d + q) * 8 bytes.

    Raises:
        InputError: if k is not in 1..n, the images' shapes differ, or values lie outside the declared range.
    """
    check_search(queries, train, k)
    if value_range is not None:
        check_range(queries, value_range, "queries")
        check_range(train, value_range, "train")
    rows, best = normalise(queries, what="queries"), None
    for start in range(0, len(train), tile):
        value = rows @ normalise(train[start : start + tile], what=f"train[{start}:]").T
        value = (value.abs() if absolute else value).round(decimals=12)
        best = merge_top(best, value, start, k)
        if progress is not None:
            progress(min(start + tile, len(train)), len(train))
    assert best is not None
    return best


def check_range(images: Tensor, value_range: tuple[float, float], what: str) -> None:
    """Refuse images outside the declared range, or with missing values."""
    low, high = float(images.min()), float(images.max())
    if not (value_range[0] <= low and high <= value_range[1]):  # false for NaN too
        found = "missing values" if np.isnan(low) else f"values from {low:g} to {high:g}"
        raise InputError(f"{what}: found {found}, expected [{value_range[0]:g}, {value_range[1]:g}] as declared")


def check_search(queries: Tensor, train: Tensor | np.ndarray, k: int) -> None:
    """Refuse a neighbour search that cannot be answered: k outside 1..n, no query, or images of other shapes."""
    if len(queries) == 0 or not 1 <= k <= len(train):
        raise InputError(
            f"neighbours: found k = {k}, {len(queries)} queries, {len(train)} training images; "
            "expected at least one query and 1 <= k <= training images"
        )
    if queries.shape[1:] != train.shape[1:]:
        raise InputError(
            f"neighbours: found queries {tuple(queries.shape[1:])} and training images "
            f"{tuple(train.shape[1:])}, expected one shape"
        )


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
