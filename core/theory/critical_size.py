"""Where memorisation gives way to generalisation as the training set grows (Kadkhodaie et al. 2024, section 2.2).

The critical size is where a curve over set sizes passes a level, linear in log N between the sizes tried. How the curve
runs between them is not known: a crossing carries the two sizes that bracket it, and one that no two sizes bracket is
an inequality, never a number.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from core.errors import InputError
from core.metrics.replication import COPY_CORRELATION
from core.stats import Interval

RESAMPLES = 9999
MARGIN = 0.02  # rules.nearly_same of the ledger: agreement may lie this much below
HALF = 0.5  # share of copies at which memorisation has given way
UNRESOLVED = "inconclusive: the sizes tried do not tell the crossings apart"


@dataclass(frozen=True)
class Crossing:
    """The size beyond which a curve stays at or above zero.

    Attributes:
        value: 0 where it is there at the smallest size tried already, infinite where it is not at the largest.
        interval: over resampled seeds; its ends may be 0 and infinite, too.
        between: the neighbouring sizes tried that bracket it: (0, smallest) and (largest, infinity) at the ends.
    """

    value: float
    interval: Interval
    between: tuple[float, float]

    @property
    def bracketed(self) -> bool:
        """Whether the sizes tried hold the crossing, by its whole interval."""
        return self.interval.low > 0 and self.interval.high < math.inf and 0 < self.value < math.inf

    def __str__(self) -> str:
        low, high = self.between
        if low == 0:
            return f"below N = {high:,.0f}, the smallest tried"
        if high == math.inf:
            return f"above N = {low:,.0f}, the largest tried"
        return f"between N = {low:,.0f} and N = {high:,.0f}, linear in log N"


def critical_size(
    sizes: Sequence[int], agreement_by_seed: ArrayLike, to_training_by_seed: ArrayLike, seed: int
) -> dict[str, Crossing]:
    """The set size beyond which two denoisers no longer return their own training images, by three criteria.

    Args:
        sizes: rising numbers of training images.
        agreement_by_seed: (sizes, seeds), correlation of A's and B's samples from the same noise.
        to_training_by_seed: (sizes, groups, seeds), correlation of each sample with its nearest training image.
        seed: of the bootstrap over sampling seeds, which all sizes and groups share.

    Returns:
        By criterion: where mean agreement overtakes mean correlation with the nearest training image, where it comes
        within the ledger's margin of it, and where the share of copies (correlation above 0.95) has fallen to one half.

    Raises:
        InputError: for sizes that do not rise, shapes that do not fit, or values outside [-1, 1].
    """
    agreement, near = np.asarray(agreement_by_seed, float), np.asarray(to_training_by_seed, float)
    if near.ndim != 3 or agreement.shape != near[:, 0].shape:
        raise InputError(
            f"critical_size: found agreement {agreement.shape} and correlations with training images {near.shape}; "
            "expected (sizes, seeds) and (sizes, groups, seeds)"
        )
    for name, values in (("agreement_by_seed", agreement), ("to_training_by_seed", near)):
        if not (np.abs(values) <= 1 + 1e-9).all():
            raise InputError(f"{name}: found missing values or values outside [-1, 1], expected correlations")
    ahead = agreement - near.mean(axis=1)
    return {
        "agreement overtakes correlation with the nearest training image": crossing(sizes, ahead, seed=seed),
        f"agreement at most {MARGIN:g} below it": crossing(sizes, ahead + MARGIN, seed=seed),
        "copies fall to one half": crossing(sizes, HALF - (near > COPY_CORRELATION).mean(axis=1), seed=seed),
    }


def crossing(sizes: Sequence[int], curves: ArrayLike, *, seed: int, resamples: int = RESAMPLES) -> Crossing:
    """Where the mean over seeds of (sizes, seeds) values rises to zero for good; percentile bootstrap over seeds.

    Raises:
        InputError: for fewer than two sizes, sizes that do not rise, or values that are missing.
    """
    values = _checked(sizes, curves)
    found = np.exp(_log_crossing(np.log(sizes), _resampled_means(values, seed, resamples)))
    with np.errstate(invalid="ignore"):
        # 'higher' and 'lower' take a value that was drawn: between a number and infinity there is no mean
        low = np.quantile(found, 0.025, method="lower")
        high = np.quantile(found, 0.975, method="higher")
    value = float(np.exp(_log_crossing(np.log(sizes), values.mean(axis=1)[None])[0]))
    above = int((np.asarray(sizes) < value).sum())
    grid = [0.0, *map(float, sizes), math.inf]
    return Crossing(
        value,
        Interval(float(low), float(high), "percentile bootstrap over seeds of the crossing"),
        (grid[above], grid[above + 1]),
    )


def size_exponent(
    levels: Sequence[float], sizes: Sequence[int], curves: Sequence[ArrayLike], *, seed: int, resamples: int = RESAMPLES
) -> tuple[float, Interval, str]:
    """How the crossing moves with a level (network width, image side): its slope in log-log, and the reading in words.

    `curves` holds (sizes, seeds) values for each level; seeds are shared and resampled together. A crossing beyond the
    sizes tried counts as lying at their end, which between two levels can only bring the slope nearer to zero.

    Raises:
        InputError: as `crossing` does, and for fewer than two distinct levels or not one curve a level.
    """
    if len(levels) < 2 or len(levels) != len(curves) or len(set(levels)) != len(levels) or min(levels) <= 0:
        raise InputError(f"levels: found {list(levels)} and {len(curves)} curves; expected two or more, one curve each")
    checked = [_checked(sizes, c) for c in curves]
    if len({c.shape for c in checked}) > 1:
        raise InputError(f"curves: found shapes {[c.shape for c in checked]}; expected equal ones, as seeds are shared")
    x, grid = np.log(np.asarray(levels, float)), np.log(np.asarray(sizes, float))
    x = x - x.mean()

    def slope(means: Sequence[np.ndarray]) -> np.ndarray:
        y = np.stack([_log_crossing(grid, m).clip(grid[0], grid[-1]) for m in means])
        return x @ y / (x @ x)

    point = float(slope([c.mean(axis=1)[None] for c in checked])[0])
    drawn = slope([_resampled_means(c, seed, resamples) for c in checked])
    low, high = np.quantile(drawn, [0.025, 0.975])
    interval = Interval(float(low), float(high), "percentile bootstrap over seeds, joint over levels")
    brackets = {int((grid < _log_crossing(grid, c.mean(axis=1)[None])[0]).sum()) for c in checked}
    if len(brackets) == 1:
        words = UNRESOLVED
    elif interval.low > 0:
        words = "the critical size grows"
    elif interval.high < 0:
        words = "the critical size falls"
    else:
        words = "inconclusive: the interval holds zero"
    return point, interval, words


def _checked(sizes: Sequence[int], curves: ArrayLike) -> np.ndarray:
    values = np.asarray(curves, dtype=float)
    if len(sizes) < 2 or any(b <= a for a, b in itertools.pairwise(sizes)) or sizes[0] <= 0:
        raise InputError(f"sizes: found {list(sizes)}; expected at least two, rising")
    if values.ndim != 2 or len(values) != len(sizes) or values.shape[1] < 2:
        raise InputError(f"curves: found shape {values.shape}; expected ({len(sizes)}, at least 2 seeds)")
    if not np.isfinite(values).all():
        raise InputError("curves: found missing or infinite values, expected none")
    return values


def _resampled_means(values: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Means (resamples, sizes) of (sizes, seeds) values; the same seeds of a draw at every size."""
    count = values.shape[1]
    weight = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    return weight @ values.T / count


def _log_crossing(log_sizes: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Log of the size beyond which each row of (r, sizes) stays at or above zero; -inf or inf beyond the sizes."""
    below = means < 0
    last = np.where(below.any(axis=1), means.shape[1] - 1 - below[:, ::-1].argmax(axis=1), -1)
    found = np.where(last < 0, -np.inf, np.inf)
    rows = np.flatnonzero((last >= 0) & (last < means.shape[1] - 1))
    at = last[rows]
    under, over = means[rows, at], means[rows, at + 1]
    found[rows] = log_sizes[at] + (log_sizes[at + 1] - log_sizes[at]) * (-under / (over - under))
    return found
