"""Intervals, tests and rank statistics: scipy where scipy has it, one vocabulary on top.

Every interval carries its level and how it was made; every resampling takes a seed. Missing or infinite values are
refused, never dropped: a lost sample changes a denominator.
"""

from core.stats.intervals import (
    CORRELATION,
    FEWEST,
    LOWEST_DECILE_COVERAGE,
    RESAMPLES,
    SHARE,
    SKEWED_MEAN_COVERAGE,
    UNBOUNDED,
    Interval,
    bootstrap_difference,
    bootstrap_mean,
    bootstrap_statistic,
    clopper_pearson,
    lowest_decile,
    lowest_decile_difference,
    resampled_bounds,
    t_interval,
    widened,
    wilson,
)
from core.stats.ranks import kendall, row_kendall, row_spearman, spearman, spearman_trend
from core.stats.significance import Equivalence, SignificanceTest, holm, permutation_test, tost

__all__ = [
    "CORRELATION",
    "FEWEST",
    "LOWEST_DECILE_COVERAGE",
    "RESAMPLES",
    "SHARE",
    "SKEWED_MEAN_COVERAGE",
    "UNBOUNDED",
    "Equivalence",
    "Interval",
    "SignificanceTest",
    "bootstrap_difference",
    "bootstrap_mean",
    "bootstrap_statistic",
    "clopper_pearson",
    "holm",
    "kendall",
    "lowest_decile",
    "lowest_decile_difference",
    "permutation_test",
    "resampled_bounds",
    "row_kendall",
    "row_spearman",
    "spearman",
    "spearman_trend",
    "t_interval",
    "tost",
    "widened",
    "wilson",
]
