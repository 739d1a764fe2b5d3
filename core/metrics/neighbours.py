"""Exact nearest neighbours among training images, by correlation or pixel L2, with twins of the set joined."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from core.errors import InputError
from core.metrics.correlation import normalise
from core.progress import Progress

TILE = 2048


@dataclass(frozen=True)
class Neighbours:
    """The k best of a training set for each query, best first; equal values stand in the order of the set."""

    index: Tensor  # (q, k) int64
    value: Tensor  # (q, k) float64


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


class Sized(Protocol):
    """Images (n, ...) of which the number and the shape are known."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Images first."""

    def __len__(self) -> int: ...


def check_search(queries: Tensor, train: Sized, k: int) -> None:
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


def nearest_l2(
    queries: Tensor,
    train: Tensor,
    k: int,
    *,
    value_range: tuple[float, float] | None = (0.0, 1.0),
    tile: int = TILE,
    progress: Progress | None = None,
) -> Neighbours:
    """The k training images nearest to each query by pixel L2 distance, exactly: (q, ...), (n, ...).

    Screened in float64 by |a|^2 + |b|^2 - 2 ab, then measured by direct difference: a copy has distance 0.
    `value_range` declares the range of both and is checked, for a distance between images in two ranges means
    nothing; None is for points that have none.
    """
    check_search(queries, train, k)
    if value_range is not None:
        check_range(queries, value_range, "queries")
        check_range(train, value_range, "train")
    rows, best = _finite(queries, "queries"), None
    own = rows.square().sum(1, keepdim=True)
    for start in range(0, len(train), tile):
        columns = _finite(train[start : start + tile], f"train[{start}:]")
        rough = (own + columns.square().sum(1) - 2 * rows @ columns.T).clamp_(min=0).round(decimals=10)
        best = merge_top(best, rough, start, k, largest=False)
        if progress is not None:
            progress(min(start + tile, len(train)), len(train))
    assert best is not None
    exact = torch.stack(
        [(train[i].reshape(k, -1).double() - row).norm(dim=1) for i, row in zip(best.index, rows, strict=True)]
    )
    order = torch.argsort(exact, dim=1, stable=True)
    return Neighbours(best.index.gather(1, order), exact.gather(1, order))


def _finite(images: Tensor, what: str) -> Tensor:
    rows = images.reshape(len(images), -1).double()
    if not torch.isfinite(rows.sum(1)).all():
        raise InputError(f"{what}: found missing or infinite values, expected none")
    return rows


def without_self(neighbours: Neighbours, own: ArrayLike) -> Neighbours:
    """Neighbours of training images in their own set, (n, k + 1), less each image itself: (n, k).

    `own` holds the index of each query in the training set. The train-train background of every criterion.
    """
    index = neighbours.index.cpu().numpy()
    keep = index != np.asarray(own)[:, None]
    extra = keep.all(axis=1)  # more than k twins stand before the image itself: drop the last instead
    keep[extra, -1] = False
    if neighbours.index.shape[1] < 2:
        raise InputError("neighbours: found 1 of each query, expected at least 2 (the first is the query itself)")
    mask, shape = torch.from_numpy(keep), (len(index), index.shape[1] - 1)
    return Neighbours(neighbours.index[mask].reshape(shape), neighbours.value[mask].reshape(shape))


def twin_groups(pairs: ArrayLike, n: int) -> np.ndarray:
    """Group number of each of n images when the images of each near-duplicate pair (m, 2) are joined, (n,) int."""
    ij = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    if len(ij) and not (ij.min() >= 0 and ij.max() < n):
        raise InputError(f"pairs: found indices from {ij.min()} to {ij.max()}, expected 0 to {n - 1}")
    graph = coo_array((np.ones(len(ij)), (ij[:, 0], ij[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def nearest_groups(search: Callable[[int], Neighbours], groups: np.ndarray, k: int) -> Neighbours:
    """The nearest of each of the k nearest groups: twins count once.

    `search(m)` returns the m nearest, best first; it is asked for more until every query has k groups.

    Raises:
        InputError: if the training set has fewer than k groups.
    """
    n, wanted = len(groups), k
    if len(np.unique(groups)) < k:
        raise InputError(f"groups: found {len(np.unique(groups))}, expected at least k = {k}")
    while True:
        found = search(min(wanted, n))
        label = groups[found.index.cpu().numpy()]
        first = np.zeros(label.shape, dtype=bool)
        for row, labels in enumerate(label):
            first[row, np.unique(labels, return_index=True)[1]] = True
        if (first.sum(axis=1) >= k).all():
            place = torch.from_numpy(np.stack([np.flatnonzero(row)[:k] for row in first]))
            return Neighbours(found.index.gather(1, place), found.value.gather(1, place))
        wanted = 2 * min(wanted, n)
