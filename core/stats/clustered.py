"""Means and shares of values that are not independent: several to a cluster (a seed, an original, a person).

Treating them as independent makes intervals too narrow: four perturbations of one image, or the samples of A and B from
one seed, succeed and fail together.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import InputError
from core.stats import UNBOUNDED, Interval, bootstrap_statistic, clopper_pearson


def clustered_mean(
    values: ArrayLike,
    clusters: ArrayLike,
    *,
    seed: int,
    over: str,
    possible: tuple[float, float] = UNBOUNDED,
) -> tuple[float, Interval]:
    """Mean of all values (n,) and its bootstrap interval; whole clusters, `clusters` (n,) names them, are resampled.

    Fewer than six clusters give Student's interval, as its method says. It ends where the values do, whose least and
    most are `possible`.
    """
    total, count = _by_cluster(values, clusters)
    interval = bootstrap_statistic([total, count], _ratio, seed=seed, paired=True, over=over)
    return float(total.sum() / count.sum()), interval.within(possible)


def clustered_share(flagged: ArrayLike, clusters: ArrayLike, *, level: float = 0.95) -> tuple[float, Interval]:
    """Share of flagged (n,) and its exact binomial interval at the effective sample size (Korn and Graubard 1998).

    The effective size is the number of independent values whose share would vary as this one does over clusters, less
    what few clusters cost (Student's t), never more than n. Where all are flagged, or none, the variation cannot be
    seen and the number of clusters is taken: as if each cluster were one value. Clusters of one value each give
    Clopper and Pearson's interval.
    """
    total, count = _by_cluster(flagged, clusters)
    n, size, share = float(count.sum()), len(count), float(total.sum() / count.sum())
    if size == n:
        return share, clopper_pearson(int(total.sum()), size, level=level)
    effective = float(size)
    if 0 < share < 1:
        variance = size / (size - 1) * float(((total - share * count) ** 2).sum()) / n**2
        tail = (1 + level) / 2
        few = (stats.t.ppf(tail, n - 1) / stats.t.ppf(tail, size - 1)) ** 2
        effective = min(n, share * (1 - share) / variance * few) if variance > 0 else n
    hits, misses = share * effective, (1 - share) * effective
    low = stats.beta.ppf((1 - level) / 2, hits, misses + 1) if hits > 0 else 0.0
    high = stats.beta.ppf((1 + level) / 2, hits + 1, misses) if misses > 0 else 1.0
    return share, Interval(
        float(low), float(high), f"Korn-Graubard, {size} clusters, effective size {effective:.0f}", level
    )


def _by_cluster(values: ArrayLike, clusters: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values of each cluster."""
    x, names = np.asarray(values, dtype=np.float64), np.asarray(clusters)
    if x.ndim != 1 or x.shape != names.shape:
        raise InputError(f"clusters: found values {x.shape} in clusters {names.shape}, expected equal vectors")
    if not np.isfinite(x).all():
        raise InputError("values: found missing or infinite ones, expected none")
    label = np.unique(names, return_inverse=True)[1]
    count = np.bincount(label)
    if len(count) < 2:
        raise InputError(f"clusters: found {len(count)}, expected at least 2")
    return np.bincount(label, x), count.astype(np.float64)


def _ratio(total: np.ndarray, count: np.ndarray, axis: int = -1) -> np.ndarray:
    return total.sum(axis=axis) / count.sum(axis=axis)
