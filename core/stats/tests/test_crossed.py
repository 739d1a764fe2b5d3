"""Intervals over training seeds and sampling seeds at once: by hand, and how often they cover.

The law of the simulations is the two-way random effects model: a value is the sum of what each network, the sampling
seed, each network at this sampling seed, the pair of networks and the pair at this sampling seed add, all normal, the
sampling seed also skewed. The stated coverage was found with 2000 repetitions. The 200 of these tests measure it with a
standard error of 1.5 points: two of them to either side are allowed. Every draw is fixed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from core.errors import InputError
from core.stats import CORRELATION, t_interval
from core.stats.crossed import (
    COVERAGE,
    SAMPLING,
    SIDE_A,
    SIDE_B,
    Crossed,
    Weights,
    ceiling_gap,
    crossed,
    crossed_difference,
    crossed_mean,
    crossed_pairs_mean,
    crossed_trend,
    lowest_tenth,
    weighted_mean,
)

REPETITIONS, TOLERANCE = 200, 0.03
FACTORS = (SIDE_A, SIDE_B, SAMPLING)
SIZES = [(3, 16), (3, 64), (4, 32), (6, 16)]  # training seeds a side, sampling seeds


@dataclass(frozen=True)
class Law:
    """Deviations of what adds up to a value, each of mean 0."""

    network: float = 0.0
    sampling: float = 0.0
    network_and_sampling: float = 0.0
    pair: float = 0.0
    rest: float = 0.0
    skewed: bool = False


LAWS = {
    "all": Law(1, 3, 1, 0.5, 1),
    "networks": Law(1, 0.1, 0.1, 0, 0.1),
    "sampling seeds": Law(0, 1, 0, 0, 0.3),
    "nothing in common": Law(rest=1),
    "networks at each seed": Law(0.2, 0.3, 1, 0, 0.3),
    "skewed sampling seeds": Law(0.2, 1, 0.2, 0, 0.3, skewed=True),
}


def draw(rng: np.random.Generator, law: Law, r: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Agreement within A (r, r, n), within B (r, r, n) and across (r, r, n), all of expectation 0."""
    noise = rng.exponential(law.sampling, n) - law.sampling if law.skewed else rng.normal(0, law.sampling, n)
    a, b = (
        rng.normal(0, law.network, (r, 1)) + rng.normal(0, law.network_and_sampling, (r, n)) for _ in ("A", "B")
    )  # fmt: skip

    def table(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        pairs = rng.normal(0, law.pair, (r, r, 1)) + rng.normal(0, law.rest, (r, r, n))
        return x[:, None] + y[None] + noise + pairs

    def alike(x: np.ndarray) -> np.ndarray:
        upper = np.triu(np.ones((r, r)), 1)[..., None] * table(x, x)
        return upper + upper.swapaxes(0, 1)

    return alike(a), alike(b), table(a, b)


def across(tables: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Crossed:
    return crossed_mean(tables[2], FACTORS)


def within(tables: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Crossed:
    return crossed_pairs_mean(tables[0])


def gap(tables: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Crossed:
    return ceiling_gap(*tables)


def coverage(make: Callable[..., Crossed], law: Law, r: int, n: int, level: float = 0.95) -> float:
    found = [make(draw(np.random.default_rng([7, i]), law, r, n)) for i in range(REPETITIONS)]
    return float(np.mean([one.interval(level=level).contains(0) for one in found]))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("make", [across, within])
def test_a_mean_covers_at_least_what_it_says(make: Callable[..., Crossed], law: str) -> None:
    found = [coverage(make, LAWS[law], r, n) for r, n in SIZES]
    assert COVERAGE["mean"][0] - TOLERANCE <= min(found) and max(found) <= COVERAGE["mean"][1] + TOLERANCE


@pytest.mark.parametrize("law", ["all", "skewed sampling seeds"])
def test_the_gap_covers_at_least_what_it_says(law: str) -> None:
    assert min(coverage(gap, LAWS[law], r, n) for r, n in SIZES[:2]) >= COVERAGE["gap"][0] - TOLERANCE


def test_three_trainings_alone_are_student_s() -> None:
    """One side, sampling seeds that hardly matter: the interval is that of three values."""
    rng = np.random.default_rng(3)
    values = rng.normal(0, 1, (3, 1)) + rng.normal(0, 1e-9, (3, 16))
    wanted = t_interval(values.mean(1))
    found = crossed_mean(values, ("training seeds", SAMPLING)).interval()
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), rel=1e-6)
    assert found.method == (
        "jackknife over 3 training seeds and 16 sampling seeds, Satterthwaite's t of 2.0 degrees of freedom"
    )


def test_intervals_of_correlations_end_at_one_and_cover_as_often() -> None:
    """Three trainings that agree by nearly 1: Student's t reaches beyond, where no correlation is."""
    rng, factors, truth = np.random.default_rng(7), ("training seeds", SAMPLING), 0.98
    reached, covered = 0, {True: 0, False: 0}
    for _ in range(200):
        values = np.tanh(2.5 + rng.normal(0, 0.4, (3, 1)) + rng.normal(0, 0.3, (3, 16)))
        cut = crossed_mean(values, factors, possible=CORRELATION).interval()
        free = crossed_mean(values, factors).interval()
        assert (cut.low, cut.high, cut.method) == (free.low, min(free.high, 1.0), free.method)
        reached += free.high > 1
        for interval, ended in ((cut, True), (free, False)):
            covered[ended] += interval.contains(truth)
    assert reached > 20 and covered[True] == covered[False]
    worse = np.array([0.0, 0.0, 0.3])  # the third training
    pairs = np.full((3, 3, 4), 0.99) - worse[:, None, None] - worse[:, None]
    assert crossed_pairs_mean(pairs).interval().high > 1
    assert crossed_pairs_mean(pairs, possible=CORRELATION).interval().high == 1


def test_variances_by_hand() -> None:
    """Of a table of rows and columns, the analysis of variance: mean squares of rows, columns and what is left."""
    values = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 8.0]])
    found = crossed_mean(values, ("rows", "columns"))
    rows, columns = values.mean(1), values.mean(0)
    left = values - rows[:, None] - columns + values.mean()
    assert found.estimate == pytest.approx(values.mean())
    of_rows, of_columns, of_both = rows.var(ddof=1) / 2, columns.var(ddof=1) / 3, (left**2).sum() / 2 / 6
    assert found.variances == pytest.approx({"rows": of_rows - of_both, "columns": of_columns})
    assert found.degrees == pytest.approx((of_rows + of_columns) ** 2 / (of_rows**2 / 1 + of_columns**2 / 2))


@pytest.mark.parametrize("apart", [True, False])
def test_means_that_share_no_value_need_not_be_looked_at_together(apart: bool) -> None:
    """A difference of two tables is the same with and without their factors looked at in pairs; one table is not."""
    a, b = (np.random.default_rng(k).normal(size=size) for k, size in enumerate(((3, 40), (4, 9))))
    names = (("networks of a", "images of a"), ("networks of b", "images of b"))
    sizes = {
        name: n for pair, table in zip(names, (a, b), strict=True) for name, n in zip(pair, table.shape, strict=True)
    }

    def difference(weights: Weights) -> np.ndarray:
        return np.asarray(
            sum(sign * ((weights[i] @ table) * weights[j]).sum(axis=1)
                for sign, table, (i, j) in zip((1, -1), (a, b), names, strict=True))
        )  # fmt: skip

    together = [frozenset(pair) for pair in names[: 2 if apart else 0]]
    every, some = crossed(sizes, difference), crossed(sizes, difference, together=together)
    assert some.degrees == every.degrees
    same = {name: some.variances[name] == pytest.approx(every.variances[name], rel=1e-9) for name in sizes}
    assert same == dict.fromkeys(sizes, True) | {"networks of a": apart}


def test_what_each_network_adds_to_both_sides_cancels_in_the_gap() -> None:
    found = gap(draw(np.random.default_rng(5), Law(1, 3, 1, 0, 0), 3, 16))
    assert abs(found.estimate) < 1e-12 and found.error < 1e-12
    rest = gap(draw(np.random.default_rng(5), Law(1, 3, 1, 0, 0.1), 3, 16))
    assert rest.error < 0.05 < across(draw(np.random.default_rng(5), Law(1, 3, 1, 0, 0.1), 3, 16)).error


def test_pairs_of_trainings_are_not_independent() -> None:
    """Three trainings make three pairs; with twelve there are 66, and still only twelve trainings."""
    table = draw(np.random.default_rng(6), Law(network=1), 12, 16)[0]
    first, second = np.triu_indices(12, 1)
    naive = t_interval(table[first, second].mean(1))
    assert crossed_pairs_mean(table).interval().width > 1.5 * naive.width


@pytest.mark.parametrize("planted", ["sampling seeds only", "bootstrap of three"])
def test_the_coverage_test_sees_an_interval_that_is_too_narrow(planted: str) -> None:
    hits = 0
    for i in range(REPETITIONS):
        rng = np.random.default_rng([7, i])
        values = rng.normal(0, 1, (3, 1)) + rng.normal(0, 1, (3, 16))
        if planted == "sampling seeds only":
            low, high = (getattr(t_interval(values.mean(0)), end) for end in ("low", "high"))
        else:
            rows, columns = rng.integers(3, size=(300, 3)), rng.integers(16, size=(300, 16))
            means = values[rows[:, :, None], columns[:, None, :]].mean((1, 2))
            low, high = np.quantile(means, [0.025, 0.975])
        hits += bool(low <= 0 <= high)
    assert hits / REPETITIONS < 0.85


def test_equivalence_is_declared_where_the_interval_lies_inside() -> None:
    seen = set()
    for i in range(60):
        found = across(draw(np.random.default_rng([8, i]), LAWS["all"], 3, 16))
        for margin in (0.5, 2.0, 6.0):
            test = found.equivalence(margin)
            inside = -margin < test.interval.low and test.interval.high < margin
            assert test.equivalent == inside == (test.pvalue < 0.05)
            assert test.interval.level == pytest.approx(0.9) and test.difference == found.estimate
            seen.add(inside)
    assert seen == {True, False}
    edge = found.interval(level=0.9)
    on_it = found.equivalence(max(abs(edge.low), abs(edge.high)))
    assert on_it.pvalue == pytest.approx(0.05)


def test_equivalence_is_declared_wrongly_in_at_most_one_case_in_twenty() -> None:
    shifted = [across(draw(np.random.default_rng([9, i]), LAWS["all"], 3, 16)) for i in range(REPETITIONS)]
    margin = 4.0
    wrong = [replace(c, estimate=c.estimate + margin).equivalence(margin).equivalent for c in shifted]
    assert np.mean(wrong) <= 0.07


def test_nothing_varies() -> None:
    found = crossed_mean(np.full((3, 4), 0.9), ("training seeds", SAMPLING))
    assert found.interval().method == "no variation over 3 training seeds and 4 sampling seeds"
    assert (found.interval().low, found.interval().width) == (pytest.approx(0.9), 0)
    assert not found.equivalence(0.5).equivalent and found.equivalence(1.0).equivalent
    assert crossed_mean(np.full((2, 2), 0.1) + 1e-17, ("a", "b")).error == 0


SQUARE = np.zeros((3, 3, 4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: crossed_mean(np.zeros((1, 4)), ("training seeds", SAMPLING)), "training seeds: found 1, expected at"),
        (lambda: crossed_mean(np.zeros(4), ("training seeds", SAMPLING)), "expected 2 axes"),
        (lambda: crossed_mean(np.full((3, 4), np.nan), ("a", "b")), "12 of 12 values are missing"),
        (lambda: crossed_mean(np.zeros((3, 4)), ("a", "a")), "expected different names"),
        (lambda: crossed_pairs_mean(np.zeros((2, 2, 4))), "training seeds: found 2, expected at least 3"),
        (lambda: crossed_pairs_mean(np.zeros((3, 2, 4))), r"expected \(trainings, trainings, sampling seeds\)"),
        (lambda: crossed_pairs_mean(np.arange(36.0).reshape(3, 3, 4)), r"other values for \(i, j\)"),
        (lambda: ceiling_gap(SQUARE, SQUARE, np.zeros((3, 4, 4))), r"across: found \(3, 4, 4\)"),
        (lambda: ceiling_gap(SQUARE, np.zeros((3, 3, 5)), SQUARE), "the same sampling seeds in all three"),
        (lambda: crossed_mean(np.eye(3), ("a", "b")).equivalence(0.0), "margin: found 0.0"),
    ],
)
def test_bad_input_is_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_the_diagonal_of_pairs_is_not_looked_at() -> None:
    table = draw(np.random.default_rng(5), LAWS["all"], 4, 8)[0]
    wanted = crossed_pairs_mean(table)
    table[np.diag_indices(4)] = np.nan
    assert crossed_pairs_mean(table) == wanted


# --- differences between two sets of trainings

NAMES = ("random halves", "this split")


def two_tables(rng: np.random.Generator, law: Law, r: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Agreement across halves of two sets of trainings from the same sampling seeds."""
    noise = rng.normal(0, law.sampling, n)
    quiet = replace(law, sampling=0.0)
    return draw(rng, quiet, r, n)[2] + noise, draw(rng, quiet, r, n)[2] + noise


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("statistic", [weighted_mean, lowest_tenth])
def test_a_difference_covers_at_least_what_it_says(statistic: Callable[..., np.ndarray], law: str) -> None:
    """Both tables follow one law, so that the true difference is 0, of means and of the lowest tenth."""
    hits = []
    for repetition in range(REPETITIONS):
        rng = np.random.default_rng([11, repetition])
        found = crossed_difference(*two_tables(rng, LAWS[law], 3, 64), names=NAMES, statistic=statistic)
        hits.append(found.interval().contains(0))
    assert np.mean(hits) >= 0.93 - TOLERANCE


def test_a_difference_by_hand() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(3, 2, 20)), rng.normal(size=(2, 4, 20))
    found = crossed_difference(first, second, names=NAMES)
    assert found.estimate == pytest.approx(first.mean() - second.mean())
    assert found.sizes == {
        "training seeds of A (random halves)": 3,
        "training seeds of B (random halves)": 2,
        "training seeds of A (this split)": 2,
        "training seeds of B (this split)": 4,
        SAMPLING: 20,
    }
    lowest = crossed_difference(first, second, names=NAMES, statistic=lowest_tenth)
    assert lowest.estimate == pytest.approx(
        np.sort(first.mean(axis=(0, 1)))[:2].mean() - np.sort(second.mean(axis=(0, 1)))[:2].mean()
    )
    images = crossed_difference(first[:, 0], second[:, 0], names=NAMES, sides=("training seeds",), over="images")
    assert images.estimate == pytest.approx(first[:, 0].mean() - second[:, 0].mean())
    shifted = crossed_difference(first + 1, first, names=NAMES)
    assert shifted.variances[SAMPLING] == pytest.approx(0, abs=1e-12), "what a seed adds to both cancels"
    with pytest.raises(InputError, match="expected equal sampling seeds"):
        crossed_difference(first, second[..., :5], names=NAMES)
    with pytest.raises(InputError, match="names that differ"):
        crossed_difference(first, second, names=("a", "a"))


def test_a_trend_is_resampled_over_trainings_and_seeds() -> None:
    rng = np.random.default_rng(0)
    flat = [rng.normal(size=(3, 3, 16)) for _ in range(4)]
    value, interval = crossed_trend((4, 32, 512, 4096), [table + 9 * k for k, table in enumerate(flat)], seed=0)
    assert (value, interval.low, interval.high) == (pytest.approx(1), pytest.approx(1), pytest.approx(1))
    _, interval = crossed_trend((4, 32, 512, 4096), flat, seed=0)
    assert interval.low < 0 < interval.high
    one = [table + np.array([0, 0, k])[:, None, None] * 3 for k, table in enumerate(flat)]
    assert crossed_trend((4, 32, 512, 4096), one, seed=0)[1].low < 1, "one training that rises is one of three"
