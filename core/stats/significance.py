"""Significance, equivalence, and how many tests were made."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import InputError
from core.stats.intervals import RESAMPLES, Interval, mean_difference, pair_of, sample_of


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


def permutation_test(
    x: ArrayLike, y: ArrayLike, *, seed: int, paired: bool, resamples: int = RESAMPLES
) -> SignificanceTest:
    """Two-sided permutation test of equal means; `paired` flips the signs of the differences."""
    a, b = pair_of(x, y) if paired else (sample_of(x, "x"), sample_of(y, "y"))
    found = stats.permutation_test(
        (a, b),
        mean_difference,
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
        d = sample_of(x, "x") if y is None else np.subtract(*pair_of(x, y))
        difference, name = float(d.mean()), "paired t" if paired else "one-sample t"
        if np.ptp(d) == 0:
            inside = abs(difference) < margin
            exact = Interval(difference, difference, "no variation", level)
            return Equivalence(difference, margin, 0.0 if inside else 1.0, exact, inside)
        lower = stats.ttest_1samp(d, -margin, alternative="greater").pvalue
        upper = stats.ttest_1samp(d, margin, alternative="less").pvalue
        ci = stats.ttest_1samp(d, 0.0).confidence_interval(level)
    else:
        a, b = sample_of(x, "x"), sample_of(y, "y")
        difference, name = float(a.mean() - b.mean()), "Welch t"
        lower = stats.ttest_ind(a + margin, b, equal_var=False, alternative="greater").pvalue
        upper = stats.ttest_ind(a - margin, b, equal_var=False, alternative="less").pvalue
        ci = stats.ttest_ind(a, b, equal_var=False).confidence_interval(level)
    p = float(max(lower, upper))
    return Equivalence(
        difference,
        margin,
        p,
        Interval(
            float(ci.low),
            float(ci.high),
            f"two one-sided tests ({name}) within {margin:g}, at {alpha:.0%}: interval of {level:.0%}",
            level,
        ),
        p < alpha,
    )


def holm(pvalues: ArrayLike) -> np.ndarray:
    """Adjusted p-values of Holm (1979): rejecting those below alpha keeps the family-wise error at alpha."""
    p = sample_of(pvalues, "pvalues", least=1)
    if ((p < 0) | (p > 1)).any():
        raise InputError(f"pvalues: found values from {p.min()} to {p.max()}, expected values in [0, 1]")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
