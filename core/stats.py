"""Intervals, tests and rank statistics: scipy where scipy has it, one vocabulary on top.

Every interval carries its level and how it was made; every resampling takes a seed. Missing or infinite values are
refused, never dropped: a lost sample changes a denominator.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import InputError

RESAMPLES = 9999


@dataclass(frozen=True)
class Interval:
    """A two-sided interval [low, high] for one quantity."""

    low: float
    high: float
    method: str
    level: float = 0.95

    def contains(self, value: float) -> bool:
        """Whether `value` lies in the closed interval."""
        return self.low <= value <= self.high

    @property
    def width(self) -> float:
        """Length of the interval."""
        return self.high - self.low


@dataclass(frozen=True)
class SignificanceTest:
    """Outcome of a significance test."""

    statistic: float
    pvalue: float
    method: str


@dataclass(frozen=True)
class Equivalence:
    """Outcome of two one-sided tests: `equivalent` when both reject.

    That is when `interval`, of level 1 - 2 alpha, lies inside the margin (Schuirmann 1987).
    """

    difference: float
    margin: float
    pvalue: float
    interval: Interval
    equivalent: bool


def _sample(values: ArrayLike, name: str, least: int = 2) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < least:
        raise InputError(f"{name}: expected a vector of at least {least} values, found shape {x.shape}")
    if not np.isfinite(x).all():
        raise InputError(f"{name}: {(~np.isfinite(x)).sum()} of {len(x)} values are missing or infinite, expected none")
    return x


def _pair(x: ArrayLike, y: ArrayLike, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    a, b = _sample(x, "x", least), _sample(y, "y", least)
    if len(a) != len(b):
        raise InputError(f"paired samples differ in length: {len(a)} and {len(b)} values, expected the same")
    return a, b


# --- bootstrap -------------------------------------------------------------------------------------------


def bootstrap_statistic(
    samples: Sequence[ArrayLike],
    statistic: Callable[..., ArrayLike],
    *,
    seed: int,
    paired: bool = False,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    method: Literal["BCa", "percentile"] = "BCa",
    over: str = "values",
) -> Interval:
    """Bootstrap interval of `statistic(*samples, axis)`, which must work along `axis`; BCa is Efron (1987).

    Samples are resampled independently of each other, or jointly by index when `paired`. `over` names in the
    interval's method what was resampled. Constant samples give an interval of no width.
    """
    data = tuple(_sample(s, f"sample {i}") for i, s in enumerate(samples))
    if all(np.ptp(x) == 0 for x in data):
        point = float(np.asarray(statistic(*data, axis=-1)))
        return Interval(point, point, f"no variation over {over}", level)
    batch = max(1, int(4e6) // max(len(x) for x in data))
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            data,
            statistic,
            n_resamples=resamples,
            batch=batch,
            vectorized=True,
            paired=paired,
            axis=-1,
            confidence_level=level,
            method=method,
            rng=np.random.default_rng(seed),
        )
    low, high = float(found.confidence_interval.low), float(found.confidence_interval.high)
    if np.isnan(low) or np.isnan(high):
        # BCa has no value when every resample lies on one side of the point, or where a resample has no statistic
        defined = found.bootstrap_distribution[np.isfinite(found.bootstrap_distribution)]
        if len(defined) < 0.9 * resamples:
            raise InputError(f"bootstrap: the statistic is defined on {len(defined)} of {resamples} resamples only")
        low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()
        method = "percentile"
    return Interval(low, high, f"{method} bootstrap over {over}", level)


def _mean(x: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.mean(x, axis=axis)


def _mean_difference(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.mean(x, axis=axis) - np.mean(y, axis=axis)


def bootstrap_mean(
    x: ArrayLike, *, seed: int, resamples: int = RESAMPLES, level: float = 0.95, over: str = "values"
) -> Interval:
    """BCa interval of a mean."""
    return bootstrap_statistic([x], _mean, seed=seed, resamples=resamples, level=level, over=over)


def bootstrap_difference(
    x: ArrayLike,
    y: ArrayLike,
    *,
    seed: int,
    paired: bool,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    over: str = "values",
) -> Interval:
    """BCa interval of mean(x) - mean(y); `paired` when value i of both shares a seed or an image."""
    if paired:
        a, b = _pair(x, y)
        return bootstrap_mean(a - b, seed=seed, resamples=resamples, level=level, over=f"paired {over}")
    return bootstrap_statistic([x, y], _mean_difference, seed=seed, resamples=resamples, level=level, over=over)


# --- proportions -----------------------------------------------------------------------------------------


def _proportion(k: int, n: int, method: Literal["exact", "wilson"], name: str, level: float) -> Interval:
    if not (0 <= k <= n and n >= 1):
        raise InputError(f"proportion: found {k} of {n}, expected 0 <= k <= n and n >= 1")
    # testing k / n against itself spares the p-value, which takes far longer than the interval
    found = stats.binomtest(int(k), int(n), k / n).proportion_ci(confidence_level=level, method=method)
    return Interval(float(found.low), float(found.high), name, level)


def clopper_pearson(k: int, n: int, *, level: float = 0.95) -> Interval:
    """Exact binomial interval (Clopper and Pearson 1934): covers at least `level` whatever the proportion."""
    return _proportion(k, n, "exact", "Clopper-Pearson", level)


def wilson(k: int, n: int, *, level: float = 0.95) -> Interval:
    """Score interval (Wilson 1927): covers `level` on average over proportions."""
    return _proportion(k, n, "wilson", "Wilson", level)


# --- tests -----------------------------------------------------------------------------------------------


def permutation_test(
    x: ArrayLike, y: ArrayLike, *, seed: int, paired: bool, resamples: int = RESAMPLES
) -> SignificanceTest:
    """Two-sided permutation test of equal means; `paired` flips the signs of the differences."""
    a, b = _pair(x, y) if paired else (_sample(x, "x"), _sample(y, "y"))
    found = stats.permutation_test(
        (a, b),
        _mean_difference,
        permutation_type="samples" if paired else "independent",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, int(4e6) // (len(a) + len(b))),
        rng=np.random.default_rng(seed),
    )
    kind = "paired" if paired else "independent"
    return SignificanceTest(float(found.statistic), float(found.pvalue), f"{kind} permutation test of means")


def tost(
    x: ArrayLike, y: ArrayLike | None = None, *, margin: float, paired: bool = False, alpha: float = 0.05
) -> Equivalence:
    """Two one-sided t tests (Schuirmann 1987): is |mean(x) - mean(y)| below `margin`?

    One sample when `y` is None (x holds differences), paired, or Welch's unequal variances.
    """
    if not (np.isfinite(margin) and margin > 0):
        raise InputError(f"margin: found {margin}, expected a positive number")
    level = 1 - 2 * alpha
    if y is None or paired:
        d = _sample(x, "x") if y is None else np.subtract(*_pair(x, y))
        difference, name = float(d.mean()), "paired t" if paired else "one-sample t"
        if np.ptp(d) == 0:
            inside = abs(difference) < margin
            exact = Interval(difference, difference, "no variation", level)
            return Equivalence(difference, margin, 0.0 if inside else 1.0, exact, inside)
        lower = stats.ttest_1samp(d, -margin, alternative="greater").pvalue
        upper = stats.ttest_1samp(d, margin, alternative="less").pvalue
        ci = stats.ttest_1samp(d, 0.0).confidence_interval(level)
    else:
        a, b = _sample(x, "x"), _sample(y, "y")
        difference, name = float(a.mean() - b.mean()), "Welch t"
        lower = stats.ttest_ind(a + margin, b, equal_var=False, alternative="greater").pvalue
        upper = stats.ttest_ind(a - margin, b, equal_var=False, alternative="less").pvalue
        ci = stats.ttest_ind(a, b, equal_var=False).confidence_interval(level)
    p = float(max(lower, upper))
    return Equivalence(
        difference,
        margin,
        p,
        Interval(float(ci.low), float(ci.high), f"{name} interval, {level:.0%}", level),
        p < alpha,
    )


def holm(pvalues: ArrayLike) -> np.ndarray:
    """Adjusted p-values of Holm (1979): rejecting those below alpha keeps the family-wise error at alpha."""
    p = _sample(pvalues, "pvalues", least=1)
    if ((p < 0) | (p > 1)).any():
        raise InputError(f"pvalues: found values from {p.min()} to {p.max()}, expected values in [0, 1]")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


# --- ranks -----------------------------------------------------------------------------------------------


def kendall(
    x: ArrayLike, y: ArrayLike, *, seed: int, resamples: int = RESAMPLES, over: str = "pairs"
) -> tuple[float, Interval]:
    """Kendall's tau-b (ties corrected) and its BCa interval by resampling the pairs (x_i, y_i).

    tau-b leaves out pairs tied in both, so that the copies which resampling makes do not pull it down.
    """
    a, b = _pair(x, y, least=4)
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
    a, b = _pair(x, y, least=4)

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
    index = np.arange(len(a))
    point = float(statistic(index))
    return point, bootstrap_statistic([index], statistic, seed=seed, resamples=resamples, over=over)


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
    x = _sample(levels, "levels")
    if len(x) != len(values):
        raise InputError(f"values: found {len(values)} samples for {len(x)} levels, expected one a level")
    data = [_sample(v, f"values[{j}]") for j, v in enumerate(values)]
    if shared and len({len(v) for v in data}) > 1:
        raise InputError(f"values: shared seeds, but found lengths {[len(v) for v in data]}, expected equal ones")
    if np.ptp(x) == 0:
        raise InputError(f"levels: found only {x[0]}, expected at least two distinct ones")
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
    low, high = np.quantile(np.nan_to_num(distribution), [0.025, 0.975])
    return point, Interval(float(low), float(high), f"percentile bootstrap over seeds of rho of {of}")
