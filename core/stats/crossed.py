"""Intervals of a mean over several things that vary at once: training seeds of each side and sampling seeds.

Every pair of networks is sampled from every sampling seed, so that the values of a table are not independent: those of
one network share its training, those of one sampling seed share its noise. Each of these factors is jackknifed on its
own: the estimate is made again without each of its levels (Efron and Stein 1981). The variances of the factors add up,
and their degrees of freedom are combined as Satterthwaite (1946) does, which is what makes three training seeds as
uncertain as they are: a bootstrap of three values takes a third of their variance away and has no tail.

What a network adds from one noise only varies with both, and is counted with the factor of more levels (the sampling
seeds). What only a pair of networks has is counted once for each of the two, and up to four times in the pairs of three
trainings: where that is all that varies, the interval is up to twice as wide as it need be.

`COVERAGE` holds the simulated coverage at a nominal 95 %, under a two-way random effects model of 3, 4 or 6 training
seeds and 16 to 64 sampling seeds, whose effects are normal or (sampling seeds) exponential.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import InputError
from core.stats.intervals import RESAMPLES, UNBOUNDED, Interval, resampled_interval
from core.stats.significance import Equivalence

COVERAGE = {"mean": (0.905, 0.995), "gap": (0.97, 0.995)}  # least and most over the laws of the tests
SIDE_A, SIDE_B, SAMPLING = "training seeds of A", "training seeds of B", "sampling seeds"
Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Crossed:
    """An estimate and how much of its variance comes from each of the things that vary.

    Attributes:
        estimate: the estimate from all values.
        sizes: number of levels of each factor, by name.
        variances: what each factor contributes to the estimate's variance, at least 0; what a level has only together
            with one of the largest factor is counted there.
        degrees: Satterthwaite's degrees of freedom, of the factors with what they have together in each.
        possible: least and most that the quantity can be by its definition; intervals end there.
    """

    estimate: float
    sizes: Mapping[str, int]
    variances: Mapping[str, float]
    degrees: float
    possible: tuple[float, float] = UNBOUNDED

    @property
    def error(self) -> float:
        """Standard error of the estimate."""
        return sqrt(sum(self.variances.values()))

    @property
    def over(self) -> str:
        """What varies, in words, with how many of each."""
        named = [f"{size} {name}" for name, size in self.sizes.items()]
        return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)

    def interval(self, *, level: float = 0.95) -> Interval:
        """Student's interval of the estimate over all factors; of no width where nothing varies."""
        if self.error == 0:
            exact = Interval(self.estimate, self.estimate, f"no variation over {self.over}", level)
            return exact.within(self.possible)
        half = float(stats.t.ppf((1 + level) / 2, self.degrees)) * self.error
        method = f"jackknife over {self.over}, Satterthwaite's t of {self.degrees:.1f} degrees of freedom"
        return Interval(self.estimate - half, self.estimate + half, method, level).within(self.possible)

    def equivalence(self, margin: float, *, alpha: float = 0.05) -> Equivalence:
        """Two one-sided tests (Schuirmann 1987) that the quantity lies within +-`margin`.

        They reject at `alpha` exactly where the interval of level 1 - 2 alpha lies inside the margin.
        """
        if not (isfinite(margin) and margin > 0):
            raise InputError(f"margin: found {margin}, expected a positive number")
        found = self.interval(level=1 - 2 * alpha)
        away = margin - abs(self.estimate)  # of the nearer end, to which the larger of the two p-values belongs
        p = float(stats.t.sf(away / self.error, self.degrees)) if self.error > 0 else float(away <= 0)
        told = f"two one-sided tests within {margin:g}, at {alpha:.0%}: interval of {found.level:.0%}, {found.method}"
        interval = Interval(found.low, found.high, told, found.level)
        return Equivalence(self.estimate, margin, p, interval, p < alpha)


def crossed(
    sizes: Mapping[str, int],
    statistic: Callable[[Weights], np.ndarray],
    *,
    least: int = 2,
    together: Collection[frozenset[str]] | None = None,
) -> Crossed:
    """The jackknife of `statistic` over every factor of `sizes` in turn.

    `statistic` gets, by factor, how much each level counts, (m, levels) with rows that add up to 1, and returns the m
    estimates, (m,). It should be a mean or a difference of means; each factor needs at least `least` levels.
    `together` are the pairs of factors that one of these means is taken over; means that share no value have nothing
    in common that varies with both. By default it is all pairs.
    """
    for name, size in sizes.items():
        if size < least:
            raise InputError(f"{name}: found {size}, expected at least {least}: how much they vary is not known")
    equal = {name: np.full((1, size), 1 / size) for name, size in sizes.items()}
    without = {name: (1 - np.eye(size)) / (size - 1) for name, size in sizes.items()}
    estimate, most = float(statistic(equal)[0]), max(sizes, key=lambda name: sizes[name])

    def variance(*names: str) -> float:
        """Jackknife variance of one factor, or of what two have only together."""
        shape = tuple(sizes[name] for name in names)
        rows = np.indices(shape).reshape(len(names), -1)
        count = rows.shape[1]
        weights = {name: np.broadcast_to(row, (count, row.shape[1])) for name, row in equal.items()}
        found = statistic({**weights, **{name: without[name][row] for name, row in zip(names, rows, strict=True)}})
        found = found.reshape(shape)
        for axis in range(len(names)):
            found = found - found.mean(axis=axis, keepdims=True)
        return float((found**2).sum() * np.prod([(size - 1) / size for size in shape]))

    rounding = (1e-13 * estimate) ** 2  # of equal values
    whole = {name: variance(name) for name in sizes}
    alone = [name for name in sizes if name == most or (together is not None and {name, most} not in together)]
    own = {name: v if name in alone else v - variance(name, most) for name, v in whole.items()}
    squares = sum(v**2 / (sizes[name] - 1) for name, v in whole.items())
    degrees = sum(whole.values()) ** 2 / squares if squares > 0 else float("inf")
    return Crossed(estimate, dict(sizes), {name: v if v > rounding else 0.0 for name, v in own.items()}, degrees)


def crossed_mean(values: ArrayLike, factors: Sequence[str], *, possible: tuple[float, float] = UNBOUNDED) -> Crossed:
    """Mean of a table of values with one axis for each of `factors`, all of which vary.

    For agreement across halves: values (A's training seeds, B's training seeds, sampling seeds), every A_i with every
    B_j. For several trainings of one network: (training seeds, sampling seeds). A_i and B_i must be separate trainings,
    from different seeds; where they share one, what they share is seen on neither side. `possible` is the least and
    the most that a value can be by its definition.
    """
    table = _table(values, "values", len(factors))
    if len(set(factors)) != len(factors):
        raise InputError(f"factors: found {list(factors)}, expected different names")
    sizes = dict(zip(factors, table.shape, strict=True))
    found = crossed(sizes, lambda weights: _mean(table, *(weights[name] for name in factors)))
    return replace(found, possible=possible)


def crossed_pairs_mean(
    values: ArrayLike,
    *,
    trainings: str = "training seeds",
    sampling: str = SAMPLING,
    possible: tuple[float, float] = UNBOUNDED,
) -> Crossed:
    """Mean over the pairs of different trainings of one set, and what it varies by.

    `values` (r, r, n) holds the agreement of trainings i and j from sampling seed k, alike for (i, j) and (j, i); those
    with i = j are not looked at. Pairs share trainings: the trainings are what is left out, not the pairs. `possible`
    as for `crossed_mean`.
    """
    table = _pairs(values, "values")
    sizes = {trainings: len(table), sampling: table.shape[2]}
    found = crossed(sizes, lambda weights: _mean_of_pairs(table, weights[trainings], weights[sampling]), least=3)
    return replace(found, possible=possible)


def ceiling_gap(within_a: ArrayLike, within_b: ArrayLike, across: ArrayLike) -> Crossed:
    """Agreement of two trainings on the same images minus that across halves, from the same networks and noise.

    `within_a` (r, r, n) and `within_b` (s, s, n) as for `crossed_pairs_mean`, `across` (r, s, n) is A_i with B_j. The
    ceiling is the mean of both halves' means. A network or a sampling seed that is left out leaves both sides of the
    difference, so that what it adds to both cancels.
    """
    a, b, between = _pairs(within_a, "within_a"), _pairs(within_b, "within_b"), _table(across, "across", 3)
    wanted = (len(a), len(b), a.shape[2])
    if between.shape != wanted or b.shape[2] != wanted[2]:
        raise InputError(
            f"across: found {between.shape} beside {a.shape} within A and {b.shape} within B, expected (trainings of "
            "A, trainings of B, sampling seeds), the same sampling seeds in all three"
        )

    def gap(weights: Weights) -> np.ndarray:
        i, j, k = weights[SIDE_A], weights[SIDE_B], weights[SAMPLING]
        return (_mean_of_pairs(a, i, k) + _mean_of_pairs(b, j, k)) / 2 - _mean(between, i, j, k)

    return crossed(dict(zip((SIDE_A, SIDE_B, SAMPLING), wanted, strict=True)), gap, least=3)


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means (m,) of values (m, n) under weights (m, n)."""
    return (values * weights).sum(axis=1)


def crossed_difference(
    first: ArrayLike,
    second: ArrayLike,
    *,
    names: tuple[str, str],
    sides: Sequence[str] = (SIDE_A, SIDE_B),
    over: str = SAMPLING,
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray] = weighted_mean,
) -> Crossed:
    """A statistic of one table minus that of another, of other networks on the same seeds or images.

    Args:
        first, second: (trainings, ..., n), one axis for each of `sides` and then the one that both have in common.
        names: of the two, to tell their trainings apart: these vary on their own.
        sides: what the axes of trainings are.
        over: what the common axis is; what is left out of it leaves both.
        statistic: of values (m, n), the means over trainings, and weights (m, n) of the common axis; smooth in both.
    """
    a, b = _table(first, "first", len(sides) + 1), _table(second, "second", len(sides) + 1)
    if a.shape[-1] != b.shape[-1] or names[0] == names[1]:
        raise InputError(
            f"crossed: found {a.shape} ({names[0]}) and {b.shape} ({names[1]}), expected equal sampling seeds "
            "and names that differ"
        )
    own = [[f"{side} ({name})" for side in sides] for name in names]
    levels = zip(own[0] + own[1], (*a.shape[:-1], *b.shape[:-1]), strict=True)

    def difference(weights: Weights) -> np.ndarray:
        parts = [
            statistic(_over_trainings(table, [weights[side] for side in mine]), weights[over])
            for table, mine in ((a, own[0]), (b, own[1]))
        ]
        return parts[0] - parts[1]

    return crossed({**dict(levels), over: a.shape[-1]}, difference)


def lowest_tenth(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means (m,) of the lowest tenth of values (m, n) by their weights (m, n)."""
    order = np.argsort(values, axis=1)
    ranked, mass = np.take_along_axis(values, order, 1), np.take_along_axis(weights, order, 1)
    kept = np.clip(0.1 - (mass.cumsum(axis=1) - mass), 0, mass)
    return (ranked * kept).sum(axis=1) / kept.sum(axis=1)


def _over_trainings(table: np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
    """Means (m, n) over the trainings of a table (trainings, ..., n), the weights of each axis (m, size)."""
    found = np.broadcast_to(table, (len(weights[0]), *table.shape))
    for rows in weights:
        found = (rows.reshape(*rows.shape, *[1] * (found.ndim - 2)) * found).sum(axis=1)
    return found


def crossed_trend(sizes: Sequence[int], tables: Sequence[ArrayLike], *, seed: int) -> tuple[float, Interval]:
    """Spearman's correlation of set sizes with mean agreement, and its bootstrap interval over all that varies.

    `tables` hold one (r, s, n) a size: trainings are resampled at each size, sampling seeds at all sizes together, as
    all networks are sampled from them. Three trainings resampled vary by a third less than three new ones would.
    """
    values = [_table(table, "tables", 3) for table in tables]
    rng = np.random.default_rng(seed)
    means = np.empty((RESAMPLES, len(values)))
    for k in range(RESAMPLES):
        drawn = rng.integers(values[0].shape[2], size=values[0].shape[2])
        for at, table in enumerate(values):
            i, j = (rng.integers(side, size=side) for side in table.shape[:2])
            means[k, at] = table[i][:, j][:, :, drawn].mean()
    ranks, counts = np.unique(np.argsort(np.argsort(means, axis=1), axis=1), axis=0, return_counts=True)
    found = np.repeat([stats.spearmanr(sizes, row).statistic for row in ranks], counts)
    low, high = np.quantile(found, [0.025, 0.975])
    value = float(stats.spearmanr(sizes, [table.mean() for table in values]).statistic)
    method = f"percentile bootstrap, {RESAMPLES} resamples over trainings and sampling seeds"
    return value, resampled_interval(float(low), float(high), method, 0.95, found, f"{len(sizes)} set sizes")


def _mean(table: np.ndarray, *weights: np.ndarray) -> np.ndarray:
    """Weighted means (m,) of a table, the weights of each axis (m, size)."""
    found = weights[0] @ table.reshape(len(table), -1)
    for rows in weights[1:]:
        found = (rows[:, None, :] @ found.reshape(*rows.shape, -1))[:, 0]
    return found[:, 0]


def _mean_of_pairs(table: np.ndarray, trainings: np.ndarray, sampling: np.ndarray) -> np.ndarray:
    """Weighted means (m,) over pairs of different trainings, of a table whose diagonal is 0."""
    return _mean(table, trainings, trainings, sampling) / (1 - (trainings**2).sum(axis=1))


def _pairs(values: ArrayLike, name: str) -> np.ndarray:
    """A table (r, r, n) alike in its first two axes, its diagonal set to zero: nothing there is looked at."""
    table = np.array(values, dtype=np.float64)
    if table.ndim != 3 or table.shape[0] != table.shape[1]:
        raise InputError(f"{name}: found shape {table.shape}, expected (trainings, trainings, sampling seeds)")
    table[np.diag_indices(len(table))] = 0
    table = _table(table, name, 3)
    if not np.allclose(table, table.swapaxes(0, 1), rtol=0, atol=1e-6 * np.abs(table).max(initial=1)):
        raise InputError(f"{name}: found other values for (i, j) than for (j, i), expected the same")
    return table


def _table(values: ArrayLike, name: str, axes: int) -> np.ndarray:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != axes:
        raise InputError(f"{name}: found shape {table.shape}, expected {axes} axes, one for each factor")
    if not np.isfinite(table).all():
        raise InputError(f"{name}: {(~np.isfinite(table)).sum()} of {table.size} values are missing or infinite")
    return table
