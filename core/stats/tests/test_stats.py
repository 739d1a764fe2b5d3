"""Statistics against closed forms, scipy's own functions, exact enumeration, and simulated coverage."""

import itertools
import math
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from core.errors import InputError
from core.stats import (
    CORRELATION,
    SHARE,
    Interval,
    bootstrap_difference,
    bootstrap_mean,
    bootstrap_statistic,
    clopper_pearson,
    holm,
    kendall,
    lowest_decile_difference,
    permutation_test,
    row_kendall,
    row_spearman,
    spearman,
    spearman_trend,
    tost,
    widened,
    wilson,
)


def test_interval() -> None:
    interval = Interval(0.25, 0.75, "by hand")
    assert interval.contains(0.25) and interval.contains(0.75) and not interval.contains(0.76)
    assert interval.width == 0.5 and interval.level == 0.95


def test_an_interval_ends_where_its_quantity_does() -> None:
    reaching = Interval(-0.2, 1.03, "by hand", 0.9)
    assert reaching.within(SHARE) == Interval(0.0, 1.0, "by hand", 0.9)
    assert reaching.within(CORRELATION) == Interval(-0.2, 1.0, "by hand", 0.9)
    assert Interval(1 + 1e-9, 1 + 1e-9, "rounded").within(SHARE) == Interval(1.0, 1.0, "rounded")
    with pytest.raises(InputError, match=r"interval: found \[1.5, 2\], expected values from 0 to 1"):
        Interval(1.5, 2.0, "of something else").within(SHARE)


# --- proportions


@pytest.mark.parametrize(("k", "n"), [(0, 20), (1, 20), (20, 20), (7, 64), (500, 1000)])
def test_proportions_follow_their_closed_forms(k: int, n: int) -> None:
    exact = clopper_pearson(k, n)
    assert exact.low == pytest.approx(stats.beta.ppf(0.025, k, n - k + 1) if k else 0.0, abs=1e-10)
    assert exact.high == pytest.approx(stats.beta.ppf(0.975, k + 1, n - k) if k < n else 1.0, abs=1e-10)
    z, p = stats.norm.ppf(0.975), k / n
    centre, half = p + z**2 / (2 * n), z * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    score = wilson(k, n)
    assert score.low == pytest.approx((centre - half) / (1 + z**2 / n), abs=1e-10)
    assert score.high == pytest.approx((centre + half) / (1 + z**2 / n), abs=1e-10)


def test_coverage_of_proportions_is_computed_exactly() -> None:
    n, shares = 64, np.linspace(0.05, 0.95, 91)
    k = np.arange(n + 1)
    chance = stats.binom.pmf(k[:, None], n, shares)
    for method, least, mean in ((clopper_pearson, 0.95, (0.95, 0.98)), (wilson, 0.92, (0.94, 0.96))):
        found = [method(int(i), n) for i in k]
        low, high = np.array([i.low for i in found])[:, None], np.array([i.high for i in found])[:, None]
        coverage = (chance * ((low <= shares) & (shares <= high))).sum(axis=0)
        assert coverage.min() >= least
        assert mean[0] <= coverage.mean() <= mean[1]


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 5), (0, 0)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(InputError, match=f"found {k} of {n}"):
        clopper_pearson(k, n)


# --- bootstrap


def test_bootstrap_mean_of_many_values_is_the_normal_interval() -> None:
    x = np.random.default_rng(0).normal(size=4000)
    found, half = bootstrap_mean(x, seed=1), 1.96 * x.std(ddof=1) / sqrt(len(x))
    assert found.low == pytest.approx(x.mean() - half, abs=0.05 * half)
    assert found.high == pytest.approx(x.mean() + half, abs=0.05 * half)
    assert "BCa" in found.method and found == bootstrap_mean(x, seed=1) != bootstrap_mean(x, seed=2)


def test_pairing_removes_what_the_seeds_share() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=64)
    x, y = shared + 0.1 * rng.normal(size=64) + 0.2, shared + 0.1 * rng.normal(size=64)
    paired = bootstrap_difference(x, y, seed=0, paired=True)
    assert paired.low > 0
    assert bootstrap_difference(x, y, seed=0, paired=False).width > 3 * paired.width


def test_a_statistic_of_several_samples() -> None:
    def ratio(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        return x.mean(axis=axis) / y.mean(axis=axis)

    rng = np.random.default_rng(3)
    interval = bootstrap_statistic([rng.gamma(9, 2, 80), rng.gamma(9, 1, 50)], ratio, seed=0)
    assert 1.5 < interval.low < 2 < interval.high < 2.5


def test_no_variation_gives_no_width_and_says_so() -> None:
    assert bootstrap_mean(np.ones(5), seed=0) == Interval(1.0, 1.0, "no variation over values, all 5 are alike", 0.95)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, np.nan, 2.0], [1.0, np.inf], [[1.0, 2.0]]])
def test_missing_or_too_few_values_are_refused(values: list) -> None:
    with pytest.raises(InputError, match="expected"):
        bootstrap_mean(values, seed=0)


# --- tests


def test_permutation_of_small_samples_is_exact() -> None:
    assert permutation_test([1, 2, 3], [4, 5, 6], seed=0, paired=False).pvalue == pytest.approx(2 / 20)
    assert permutation_test([2, 3, 4, 5, 6], [1, 1, 1, 1, 1], seed=0, paired=True).pvalue == pytest.approx(2 / 2**5)


def test_permutation_of_large_samples_agrees_with_t() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(0.25, 1, 100), rng.normal(0, 1, 100)
    assert permutation_test(x, y, seed=0, paired=False).pvalue == pytest.approx(stats.ttest_ind(x, y).pvalue, abs=0.01)


def test_tost_by_hand() -> None:
    d = np.array([0.1, -0.2, 0.05, 0.15, -0.1, 0.0])
    found = tost(d, margin=0.25)
    error = d.std(ddof=1) / sqrt(len(d))
    assert found.pvalue == pytest.approx(stats.t.sf((0.25 - abs(d.mean())) / error, len(d) - 1))
    half = stats.t.ppf(0.95, len(d) - 1) * error
    assert (found.interval.low, found.interval.high) == pytest.approx((d.mean() - half, d.mean() + half))
    assert found.equivalent and not tost(d + 0.3, margin=0.25).equivalent


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.float64, st.integers(3, 20), elements=st.floats(-1, 1, width=16)),
    arrays(np.float64, st.integers(3, 20), elements=st.floats(-1, 1, width=16)),
)
def test_tost_rejects_exactly_when_the_interval_is_inside(x: np.ndarray, y: np.ndarray) -> None:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return
    found = tost(x, y, margin=0.2)
    assert found.equivalent == (found.interval.low > -0.2 and found.interval.high < 0.2)


def test_tost_does_not_mistake_few_data_for_equivalence() -> None:
    x, y = [0.0, 1.0, -1.0], [0.1, 1.2, -0.9]
    assert stats.ttest_ind(x, y).pvalue > 0.8  # "no significant difference"
    assert not tost(x, y, margin=0.25).equivalent


def test_tost_of_constant_differences() -> None:
    assert tost([0.1, 0.1], margin=0.25).equivalent and not tost([0.3, 0.3], margin=0.25).equivalent


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.9]) == pytest.approx([1.0, 1.0])
    with pytest.raises(InputError, match=r"in \[0, 1\]"):
        holm([1.1])


# --- ranks

_rows = arrays(np.float64, (3, 8), elements=st.integers(0, 4).map(float), fill=st.nothing())


@settings(max_examples=60, deadline=None)
@given(_rows, _rows)
def test_rank_correlations_with_ties_equal_scipy(x: np.ndarray, y: np.ndarray) -> None:
    tau, rho = row_kendall(x, y), row_spearman(x, y)
    for i in range(len(x)):
        if np.ptp(x[i]) == 0 or np.ptp(y[i]) == 0:
            assert np.isnan(tau[i]) and np.isnan(rho[i])
        else:
            assert tau[i] == pytest.approx(stats.kendalltau(x[i], y[i]).statistic, abs=1e-12)
            assert rho[i] == pytest.approx(stats.spearmanr(x[i], y[i]).statistic, abs=1e-12)


def test_kendall_interval_is_that_of_resampled_pairs() -> None:
    """Against scipy's tau on every one of the 6^6 resamples of six pairs; those of one pair alone have none."""
    x, y = np.arange(6.0), np.array([1.0, 0.0, 3.0, 2.0, 4.0, 5.0])
    taus, weights = [], []
    for i in itertools.combinations_with_replacement(range(6), 6):
        if len(set(i)) > 1:
            taus.append(stats.kendalltau(x[list(i)], y[list(i)]).statistic)
            weights.append(math.factorial(6) // math.prod(math.factorial(i.count(k)) for k in range(6)))
    tail = (1 - widened(0.95, 6)) / 2
    exact = np.quantile(np.repeat(taus, weights), [tail, 1 - tail])
    tau, interval = kendall(x, y, seed=0, resamples=20000)
    assert tau == pytest.approx(stats.kendalltau(x, y).statistic)
    assert "percentile" in interval.method
    assert (interval.low, interval.high) == pytest.approx(tuple(exact), abs=0.03)


def test_constant_vectors_have_no_rank_correlation() -> None:
    with pytest.raises(InputError, match="constant"):
        spearman([1, 1, 1, 1], [1, 2, 3, 4], seed=0)


@pytest.mark.parametrize("of", ["means", "values"])
def test_trend(of: str) -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(0, 0.05, 64)
    sizes = [4, 16, 64, 256]
    rising = [base + 0.2 * j + rng.normal(0, 0.05, 64) for j in range(4)]
    rho, interval = spearman_trend(sizes, rising, seed=0, of=of)  # type: ignore[arg-type]
    assert rho > 0.9 and interval.low > 0.8
    rho, interval = spearman_trend(sizes, rising[::-1], seed=0, of=of)  # type: ignore[arg-type]
    assert rho < -0.9 and interval.high < -0.8
    flat = [rng.normal(0, 1, 64) for _ in sizes]
    assert spearman_trend(sizes, flat, seed=0, of=of, shared=False)[1].contains(0)  # type: ignore[arg-type]


def test_trend_wants_one_sample_a_level() -> None:
    with pytest.raises(InputError, match="2 samples for 3 levels"):
        spearman_trend([1, 2, 3], [[0, 1], [1, 2]], seed=0)
    with pytest.raises(InputError, match="shared seeds"):
        spearman_trend([1, 2], [[0, 1], [1, 2, 3]], seed=0)


def test_too_few_values_for_ranks_or_a_lowest_tenth_are_refused() -> None:
    five = [0.1, 0.5, 0.2, 0.9, 0.3]
    for build in (kendall, spearman):
        with pytest.raises(InputError, match="rank correlation: found 5 values to resample, expected at least 6"):
            build(five, five, seed=0)
    with pytest.raises(InputError, match="trend: found 5 values to resample"):
        spearman_trend([1, 2], [five, five[::-1]], seed=0)
    with pytest.raises(InputError, match="at least 6 values"):
        lowest_decile_difference(five, five[::-1], seed=0)


def test_an_interval_of_no_width_says_why() -> None:
    """Seeds never change the order of set sizes so far apart: the trend is -1 in every resample, and not certain."""
    rng = np.random.default_rng(0)
    falling = [rng.normal(level, 0.1, 12) for level in (3, 2, 1)]
    value, found = spearman_trend([4, 32, 512], falling, seed=0)
    assert value == found.low == found.high == -1
    assert found.method.endswith("of no width, as all of the resamples of 3 levels give this value")
    value, found = spearman_trend([4, 32, 512], [rng.normal(level, 1.0, 12) for level in (3, 2.5, 1)], seed=0)
    assert found.width > 0 and "of no width" not in found.method
    rows = np.r_[np.zeros(200), 1.0]
    found = bootstrap_statistic([rows], np.median, seed=0)
    assert found.method.endswith("of no width, as all of the resamples of 201 values give this value")


def test_few_values_give_students_interval_and_say_so() -> None:
    x, y = np.array([0.3, 0.9, 0.4]), np.array([0.1, 0.2, 0.7, 0.4, 0.6, 0.35, 0.3])
    found = bootstrap_mean(x, seed=0, over="seeds")
    exact = stats.ttest_1samp(x, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    assert found.method == "Student's t over seeds, leaving one out, as 3 are too few to resample"
    found = bootstrap_difference(x, y, seed=0, paired=False)
    exact = stats.ttest_ind(x, y, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    assert bootstrap_mean(np.repeat(x, 2), seed=0).method.startswith("BCa bootstrap"), "six values are resampled"


def test_few_values_that_say_nothing_of_the_error_are_refused() -> None:
    """The middle value of four, two of them equal, stays whichever is left out."""
    with pytest.raises(InputError, match="found 4 values, expected at least 6 for this statistic"):
        bootstrap_statistic([[0.0, 1.0, 1.0, 2.0]], np.median, seed=0)
