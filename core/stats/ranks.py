"""Rank correlations and trends, with intervals."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import InputError
from core.stats.intervals import (
    FEWEST,
    RESAMPLES,
    Interval,
    bootstrap_statistic,
    pair_of,
    resampled_interval,
    sample_of,
    widened,
)


def kendall(
    x: ArrayLike, y: ArrayLike, *, seed: int, resamples: int = RESAMPLES, over: str = "pairs"
) -> tuple[float, Interval]:
    """Kendall's tau-b (ties corrected) and its BCa interval by resampling the pairs (x_i, y_i).

    tau-b leaves out pairs tied in both, so that the copies which resampling makes do not pull it down.
    """
    a, b = pair_of(x, y, least=4)
    sx, sy = np.sign(a[:, None] - a), np.sign(b[:, None] - b)
    forms = np.stack([sx * sy, np.abs(sx), np.abs(sy)])

    def tau(index: np.ndarray, axis: int = -1) -> np.ndarray:
        rows = np.atleast_2d(index).astype(np.intp)
        cells = np.bincount((rows + len(a) * np.arange(len(rows))[:, None]).ravel(), minlength=len(rows) * len(a))
        weight = cells.reshape(len(rows), len(a)).astype(np.float64)  # how often each pair was drawn
        concordance, untied_x, untied_y = (np.einsum("ri,ri->r", weight @ form, weight) for form in forms)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (concordance / np.sqrt(untied_x * untied_y)).reshape(index.shape[:-1])

    return _rank_interval(a, b, tau, seed, resamples, over)


def spearman(
    x: ArrayLike, y: ArrayLike, *, seed: int, resamples: int = RESAMPLES, over: str = "pairs"
) -> tuple[float, Interval]:
    """Spearman's rho (mean ranks for ties) and its BCa interval by resampling the pairs (x_i, y_i)."""
    a, b = pair_of(x, y, least=4)

    def rho(index: np.ndarray, axis: int = -1) -> np.ndarray:
        i = index.astype(np.intp)
        return row_spearman(a[i], b[i])

    return _rank_interval(a, b, rho, seed, resamples, over)


def _rank_interval(
    a: np.ndarray,
    b: np.ndarray,
    statistic: Callable[..., np.ndarray],
    seed: int,
    resamples: int,
    over: str,
) -> tuple[float, Interval]:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        raise InputError("rank correlation: found a constant vector, expected at least two distinct values")
    _enough(len(a), "rank correlation")
    index = np.arange(len(a))
    point = float(statistic(index))
    return point, bootstrap_statistic([index], statistic, seed=seed, resamples=resamples, over=over)


def _enough(n: int, what: str) -> None:
    """Ranks are no smooth statistic, so that few values have no Student's interval to fall back on."""
    if n < FEWEST:
        raise InputError(f"{what}: found {n} values to resample, expected at least {FEWEST}")


def row_spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rho of each row of x with that of y, (..., k) -> (...); NaN where a row is constant."""
    a, b = (stats.rankdata(v, axis=-1) for v in (x, y))
    a, b = (v - v.mean(axis=-1, keepdims=True) for v in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(-1) / np.sqrt((a**2).sum(-1) * (b**2).sum(-1))


def row_kendall(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of each row of x with that of y, (..., k) -> (...); NaN where a row is constant."""
    sx, sy = (np.sign(v[..., :, None] - v[..., None, :]) for v in (np.asarray(x), np.asarray(y)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sx * sy).sum((-2, -1)) / np.sqrt((sx**2).sum((-2, -1)) * (sy**2).sum((-2, -1)))


def spearman_trend(
    levels: ArrayLike,
    values: Sequence[ArrayLike],
    *,
    seed: int,
    shared: bool = True,
    of: Literal["means", "values"] = "means",
    resamples: int = RESAMPLES,
) -> tuple[float, Interval]:
    """Spearman's rho between levels (set sizes) and values, with a percentile interval over resampled seeds.

    `values[j]` holds the seeds' values at level j. `of="means"` ranks the levels' means, `of="values"` all values.
    With `shared` seeds the same draw of seeds is used at every level. (BCa does not apply: rho of a few means
    takes few values.)
    """
    x = sample_of(levels, "levels")
    if len(x) != len(values):
        raise InputError(f"values: found {len(values)} samples for {len(x)} levels, expected one a level")
    data = [sample_of(v, f"values[{j}]") for j, v in enumerate(values)]
    if shared and len({len(v) for v in data}) > 1:
        raise InputError(f"values: shared seeds, but found lengths {[len(v) for v in data]}, expected equal ones")
    if np.ptp(x) == 0:
        raise InputError(f"levels: found only {x[0]}, expected at least two distinct ones")
    _enough(min(len(v) for v in data), "trend")
    rng = np.random.default_rng(seed)

    def draw(v: np.ndarray) -> np.ndarray:
        return rng.integers(0, len(v), (resamples, len(v)))

    first = draw(data[0])
    rows = [v[None] for v in data]
    resampled = [v[first if shared else draw(v)] for v in data]

    def rho(parts: list[np.ndarray]) -> np.ndarray:
        if of == "means":
            y = np.stack([p.mean(axis=1) for p in parts], axis=1)
            return row_spearman(np.broadcast_to(x, y.shape), y)
        y = np.concatenate(parts, axis=1)
        return row_spearman(np.broadcast_to(np.repeat(x, [p.shape[1] for p in parts]), y.shape), y)

    point, distribution = float(rho(rows)[0]), rho(resampled)
    if not np.isfinite(point):
        raise InputError("values: constant over all levels, their trend is undefined")
    wider = widened(0.95, min(len(v) for v in data))
    drawn = np.nan_to_num(distribution)
    low, high = np.quantile(drawn, [(1 - wider) / 2, (1 + wider) / 2])
    method = f"percentile bootstrap over seeds of rho of {of}, widened as Student's t"
    return point, resampled_interval(float(low), float(high), method, 0.95, drawn, f"{len(x)} levels")
