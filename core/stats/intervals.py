"""Confidence intervals: bootstrap and binomial proportions, one vocabulary on top of scipy."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import InputError

RESAMPLES = 9999
ROUNDING = 1e-6  # of a correlation in float32: so far beyond 1 it may lie
CORRELATION, SHARE = (-1.0, 1.0), (0.0, 1.0)  # what a mean of these can be
UNBOUNDED = (-math.inf, math.inf)
FEWEST = 6  # values that are resampled: of two to five there are too few resamples, however far they are widened


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

    def within(self, possible: tuple[float, float]) -> "Interval":
        """The interval cut to what the quantity can be by its definition: Student's t does not know where that ends.

        It covers the truth as often as before, as no truth is cut away.

        Raises:
            InputError: if the interval holds nothing that is possible: then it is another quantity's.
        """
        least, most = possible
        if self.low > most + ROUNDING or self.high < least - ROUNDING:
            raise InputError(
                f"interval: found [{self.low:g}, {self.high:g}], expected values from {least:g} to {most:g}"
            )
        low, high = (min(max(end, least), most) for end in (self.low, self.high))
        return replace(self, low=low, high=high)


def sample_of(values: ArrayLike, name: str, least: int = 2) -> np.ndarray:
    """A vector of at least `least` finite float64 values."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < least:
        raise InputError(f"{name}: expected a vector of at least {least} values, found shape {x.shape}")
    if not np.isfinite(x).all():
        raise InputError(f"{name}: {(~np.isfinite(x)).sum()} of {len(x)} values are missing or infinite, expected none")
    return x


def pair_of(x: ArrayLike, y: ArrayLike, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Two such vectors of one length."""
    a, b = sample_of(x, "x", least), sample_of(y, "y", least)
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

    Where a sample has fewer than `FEWEST` values, nothing is resampled: the interval is Student's t about the statistic
    (`student`), and its method says so.

    Resampling n values understates their spread by (n - 1) / n and takes the spread for known. The quantiles are moved
    out by what that costs the mean of normal values, so that the interval is as wide as Student's (Hesterberg 2015,
    section 4.2); n is the smallest sample's.
    """
    data = tuple(sample_of(s, f"sample {i}") for i, s in enumerate(samples))
    many = " and ".join(str(len(x)) for x in data[: 1 if paired else None])
    if all(np.ptp(x) == 0 for x in data):
        point = float(np.asarray(statistic(*data, axis=-1)))
        return Interval(point, point, f"no variation over {over}, all {many} are alike", level)
    if min(len(x) for x in data) < FEWEST:
        return student(data, statistic, paired=paired, level=level, over=over)
    wider = widened(level, min(len(x) for x in data))
    low, high, resampled = (
        np.asarray(x) for x in resampled_bounds(data, statistic, seed, paired, resamples, wider, method)
    )
    if np.isnan(low) or np.isnan(high):
        # BCa has no value when every resample lies on one side of the point, or where a resample has no statistic
        defined = resampled[np.isfinite(resampled)]
        if len(defined) < 0.9 * resamples:
            raise InputError(f"bootstrap: the statistic is defined on {len(defined)} of {resamples} resamples only")
        low, high = np.quantile(defined, [(1 - wider) / 2, (1 + wider) / 2])
        method = "percentile"
    told = f"{method} bootstrap over {over}, widened as Student's t"
    return resampled_interval(float(low), float(high), told, level, resampled, f"{many} values")


def resampled_interval(low: float, high: float, method: str, level: float, drawn: np.ndarray, what: str) -> Interval:
    """The interval of statistics drawn (m,) by resampling `what`; where it has no width, its method says why."""
    if low < high:
        return Interval(low, high, method, level)
    same = np.isclose(drawn, low, rtol=1e-12, atol=1e-12)
    share = "all" if same.all() else f"{same.mean():.1%}"
    return Interval(low, high, f"{method}; of no width, as {share} of the resamples of {what} give this value", level)


def student(
    samples: Sequence[np.ndarray], statistic: Callable[..., ArrayLike], *, paired: bool, level: float, over: str
) -> Interval:
    """Student's t interval of a smooth statistic of few values, its error from leaving one out (Tukey 1958).

    Of a mean it is the textbook interval, and of the difference of two means Welch's (1947), whose degrees of freedom
    serve independent samples here too.

    Raises:
        InputError: if the statistic has no value where one is left out, or the same whichever is left out although the
            values differ: then they say nothing about its error.
    """
    point = float(np.asarray(statistic(*samples, axis=-1)))
    variances, freedoms = [], []
    for j in [slice(None)] if paired else [slice(j, j + 1) for j in range(len(samples))]:
        n = len(samples[j][0])
        without = np.empty(n)
        for k in range(n):
            parts = list(samples)
            parts[j] = [np.delete(x, k) for x in samples[j]]
            without[k] = float(np.asarray(statistic(*parts, axis=-1)))
        variances.append((n - 1) ** 2 / n * without.var(ddof=1))
        freedoms.append(n - 1)
    few = min(len(x) for x in samples)
    if not np.isfinite(variances).all() or sum(variances) == 0:
        raise InputError(f"interval over {over}: found {few} values, expected at least {FEWEST} for this statistic")
    v = np.array(variances)
    half = stats.t.ppf((1 + level) / 2, v.sum() ** 2 / (v**2 / freedoms).sum()) * math.sqrt(v.sum())
    method = f"Student's t over {over}, leaving one out, as {few} are too few to resample"
    return Interval(point - half, point + half, method, level)


def widened(level: float, n: int) -> float:
    """The level at which a bootstrap interval of n values is as wide as Student's t interval of `level`."""
    tail = stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf((1 - level) / 2, n - 1))
    return float(1 - 2 * tail)


def resampled_bounds(
    samples: Sequence[np.ndarray],
    statistic: Callable[..., ArrayLike],
    seed: int,
    paired: bool,
    resamples: int,
    level: float,
    method: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds (...) of the bootstrap at `level` and the resampled statistics (..., resamples) for samples (..., n)."""
    batch = max(1, int(4e6) // max(x.size for x in samples))
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            tuple(samples),
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
    return found.confidence_interval.low, found.confidence_interval.high, found.bootstrap_distribution


# Where one value in ten lies far off, twenty values often hold none of those. Simulated coverage at a nominal 95 %:
SKEWED_MEAN_COVERAGE = (0.85, 0.88)
FEW, SKEWED = 40, 1.5  # fewer values than this with a skewness beyond that are such data


def _mean(x: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.mean(x, axis=axis)


def mean_difference(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    """mean(x) - mean(y) along an axis."""
    return np.mean(x, axis=axis) - np.mean(y, axis=axis)


def bootstrap_mean(
    x: ArrayLike, *, seed: int, resamples: int = RESAMPLES, level: float = 0.95, over: str = "values"
) -> Interval:
    """BCa interval of a mean, Student's of fewer than `FEWEST` values, as its method says.

    Where few values are too skewed for it to cover what it says, the method says that too.
    """
    found = bootstrap_statistic([x], _mean, seed=seed, resamples=resamples, level=level, over=over)
    values = np.asarray(x, dtype=np.float64)
    off = values - values.mean()
    if len(values) >= FEW or abs((off**3).mean()) <= SKEWED * (off**2).mean() ** 1.5:
        return found
    least, most = SKEWED_MEAN_COVERAGE
    told = f"{found.method}; skewed, simulated coverage {least:.0%} to {most:.0%} at n = 20"
    return Interval(found.low, found.high, told, level)


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
        a, b = pair_of(x, y)
        return bootstrap_mean(a - b, seed=seed, resamples=resamples, level=level, over=f"paired {over}")
    return bootstrap_statistic([x, y], mean_difference, seed=seed, resamples=resamples, level=level, over=over)


# --- the lowest tenth ------------------------------------------------------------------------------------

# Simulated coverage of the interval below at a nominal 95 %, by n: the least and the most over values drawn like ours
LOWEST_DECILE_COVERAGE = {20: (0.76, 0.90), 64: (0.91, 0.92)}


def lowest_decile(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean of the lowest tenth (at least one value) along an axis."""
    count = max(1, values.shape[axis] // 10)
    return np.sort(values, axis=axis).take(range(count), axis=axis).mean(axis=axis)


def lowest_decile_difference(x: ArrayLike, y: ArrayLike, *, seed: int, over: str = "values") -> tuple[float, Interval]:
    """Mean of the lowest tenth of x minus that of y, each its own values, resampled jointly by index.

    The percentile interval: BCa and the studentised bootstrap cover less here. It still covers less than it says where
    the tenth is a few values, and then its method says how much.
    """
    a, b = pair_of(x, y, least=FEWEST)  # of a lowest value alone there is no Student interval

    def difference(p: np.ndarray, q: np.ndarray, axis: int = -1) -> np.ndarray:
        return lowest_decile(p, axis) - lowest_decile(q, axis)

    found = bootstrap_statistic([a, b], difference, seed=seed, paired=True, method="percentile", over=over)
    n = min(LOWEST_DECILE_COVERAGE, key=lambda known: abs(known - len(a)))
    least, most = LOWEST_DECILE_COVERAGE[n]
    told = f"{found.method}; simulated coverage {least:.0%} to {most:.0%} at n = {n}"
    return float(difference(a, b)), Interval(found.low, found.high, told, found.level)


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


def t_interval(values: np.ndarray, *, level: float = 0.95, over: str = "values") -> Interval:
    """Student's interval of a mean: exact for normal values, and for thousands of others what resampling gives."""
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return Interval(float(values.mean()) - half, float(values.mean()) + half, f"Student's t over {over}", level)
