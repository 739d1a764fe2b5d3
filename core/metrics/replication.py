"""Is a sample a copy of a training image? Four criteria, their intervals, their known failure and its correction.

Gap ratio (Yoon et al. 2023; Gu et al. 2023; Bonnaire et al. 2025): L2 distance to the nearest below a third of that
to the second nearest. Carlini et al. (2023): L2 distance to the nearest below half the mean over the 50 nearest.
Correlation with, or LPIPS to, the nearest: beyond a threshold. The first two compare a sample with its neighbourhood,
so a twin of the copied image inside the training set hides the copy; `join` counts neighbours after joining twins.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch.nn import functional

from core.errors import InputError
from core.metrics.correlation import TILE, Neighbours, Progress, check_range, check_search, merge_top
from core.stats import Interval, clopper_pearson

GAP = 1 / 3
CARLINI_ALPHA = 0.5
CARLINI_COUNT = 50
COPY_CORRELATION = 0.95  # "returns its training images" of the ledger's decision rules


# --- distances -------------------------------------------------------------------------------------------


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


def groups_of(pairs: ArrayLike, n: int) -> np.ndarray:
    """Group number of each of n images when the images of each near-duplicate pair (m, 2) are joined, (n,) int."""
    ij = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    if len(ij) and not (ij.min() >= 0 and ij.max() < n):
        raise InputError(f"pairs: found indices from {ij.min()} to {ij.max()}, expected 0 to {n - 1}")
    graph = coo_array((np.ones(len(ij)), (ij[:, 0], ij[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def join(search: Callable[[int], Neighbours], groups: np.ndarray, k: int) -> Neighbours:
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


# --- criteria --------------------------------------------------------------------------------------------


def gap_ratio(neighbours: Neighbours) -> np.ndarray:
    """Distance to the nearest over that to the second nearest, (q,); 1 where both are 0 (a copied twin)."""
    nearest, second = _distances(neighbours, 2)[:, :2].T
    return np.divide(nearest, second, out=np.ones_like(nearest), where=second > 0)


def carlini_ratio(neighbours: Neighbours, *, alpha: float = CARLINI_ALPHA, count: int = CARLINI_COUNT) -> np.ndarray:
    """Distance to the nearest over alpha times the mean over the `count` nearest, (q,); a copy is below 1.

    1 / alpha where all distances are 0. A training set with fewer images needs its own `count`, and says so by it.
    """
    distances = _distances(neighbours, max(2, count))[:, :count]
    mean = distances.mean(axis=1)
    return np.divide(distances[:, 0], mean, out=np.ones_like(mean), where=mean > 0) / alpha


def _distances(neighbours: Neighbours, least: int) -> np.ndarray:
    value = neighbours.value.cpu().numpy()
    if value.shape[1] < least:
        raise InputError(f"neighbours: found {value.shape[1]} of each query, expected at least {least}")
    if not (np.isfinite(value).all() and (value >= 0).all() and (np.diff(value, axis=1) >= 0).all()):
        raise InputError("neighbours: found distances that are missing, negative or out of order, expected ascending")
    return value


def share(flagged: ArrayLike) -> tuple[float, Interval]:
    """Share of samples flagged and its exact binomial interval."""
    mask = np.asarray(flagged)
    if mask.dtype != bool or mask.ndim != 1:
        raise InputError(f"flagged: found {mask.dtype} of shape {mask.shape}, expected a vector of bool")
    return float(mask.mean()), clopper_pearson(int(mask.sum()), len(mask))


# --- known copies ----------------------------------------------------------------------------------------


def perturb(
    images: Tensor, kind: Literal["noise", "shift", "crop", "brightness"], amount: float, *, seed: int
) -> Tensor:
    """Known copies of (n, c, h, w) images in [0, 1]: noisy, shifted, cropped or brighter, clipped to [0, 1].

    `amount`: standard deviation of the noise; whole pixels of a shift in a random diagonal direction (borders
    repeated); share of the side cut away, at a random place, before enlarging back; brightness added or subtracted
    at random.

    Raises:
        InputError: for images of another shape or range, or an unknown kind.
    """
    if images.ndim != 4 or len(images) == 0:
        raise InputError(f"images: found shape {tuple(images.shape)}, expected (n, c, h, w) with n >= 1")
    check_range(images, (0.0, 1.0), "images")
    rng = np.random.default_rng(seed)
    n, h, w = len(images), *images.shape[-2:]
    signs = rng.choice([-1, 1], size=(n, 2))
    if kind == "noise":
        result = images + amount * torch.from_numpy(rng.standard_normal(images.shape)).to(images.dtype)
    elif kind == "brightness":
        result = images + torch.from_numpy(amount * signs[:, 0]).to(images.dtype)[:, None, None, None]
    elif kind == "shift":
        p = int(amount)
        padded = functional.pad(images, (p, p, p, p), mode="replicate")
        corners = p + p * signs
        result = torch.stack([x[:, r : r + h, c : c + w] for x, (r, c) in zip(padded, corners, strict=True)])
    elif kind == "crop":
        side_h, side_w = round(h * (1 - amount)), round(w * (1 - amount))
        rows, columns = rng.integers(0, h - side_h + 1, n), rng.integers(0, w - side_w + 1, n)
        places = zip(images, rows, columns, strict=True)
        cut = torch.stack([x[:, r : r + side_h, c : c + side_w] for x, r, c in places])
        result = functional.interpolate(cut, (h, w), mode="bilinear", align_corners=False)
    else:
        raise InputError(f"kind: found {kind!r}, expected noise, shift, crop or brightness")
    return result.clamp(0, 1)


def check_held_out(queries: Tensor, train: Tensor) -> None:
    """Refuse 'held-out' images that stand, bit for bit, in the training set: they are copies."""
    known = {image.numpy().tobytes(): i for i, image in enumerate(train.cpu().float().contiguous())}
    for number, image in enumerate(queries.cpu().float().contiguous()):
        if (at := known.get(image.numpy().tobytes())) is not None:
            raise InputError(f"queries: image {number} is training image {at}, expected images held out")
