"""When curves over training cross a level, and how that time grows with the size of the training set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from core.errors import InputError
from core.stats import Interval


def crossing_time(steps: Tensor, curve: Tensor, level: float, *, falling: bool = False, log: bool = False) -> Tensor:
    """First time at which each row of (r, e) passes `level`, linear in log time between looks; inf if never.

    Rising by default; a look at step 0 counts as half a step. `log` interpolates the logarithm of the curve, for one
    that falls by factors (at least a thousandth of the level); NaN, after a training ended, passes no level.

    Raises:
        InputError: if the curve does not have one column a step, or the steps do not rise.
    """
    if curve.ndim != 2 or curve.shape[1] != len(steps) or not bool((steps.double().diff() > 0).all()):
        raise InputError(
            f"steps: found {len(steps)} for curves of shape {tuple(curve.shape)}; expected one a column, rising"
        )
    time, rows = steps.double().clamp_min(0.5).log(), curve.double()
    if log:
        rows, level = rows.clamp_min(level * 1e-3).log(), math.log(level)
    past = rows <= level if falling else rows >= level
    found = torch.full((len(rows),), math.inf, dtype=torch.float64)
    for r, (row, flags) in enumerate(zip(rows, past, strict=True)):
        if bool(flags.any()):
            k = int(flags.double().argmax())
            part = 0.0 if k == 0 else float((level - row[k - 1]) / (row[k] - row[k - 1]))
            found[r] = (time[max(k - 1, 0)] + part * (time[k] - time[max(k - 1, 0)])).exp()
    return found


@dataclass(frozen=True)
class Exponent:
    """Slope of log time on log N, and its interval; both None where some training never crossed the level.

    Attributes:
        censored: trainings that ended before they crossed. Leaving them out would bias the slope, so that one of them
            leaves it undecided.
        trainings: all of them.
    """

    value: float | None
    interval: Interval | None
    censored: int
    trainings: int


def time_exponent(sizes: Sequence[int], times: np.ndarray, thinned: Sequence[np.ndarray] = ()) -> Exponent:
    """Fit log time = a + b log N over single trainings, times (sizes, seeds), with the t interval of b.

    The scatter about the line holds both the seeds' spread and what a power law fails to fit; resampling a few seeds
    would see less than either. `thinned` holds the same times read off fewer looks each: the interval grows on both
    sides by the most that one of them moves the slope, which is what the spacing of the looks leaves open.

    Raises:
        InputError: for sizes that do not match the times, or too few of either for a slope.
    """
    times = np.asarray(times, dtype=float)
    if times.ndim != 2 or len(times) != len(sizes) or len(set(sizes)) < 2 or times.size < 3:
        raise InputError(
            f"times: found shape {times.shape} for sizes {tuple(sizes)}; expected a row a size, at least two sizes "
            "and three trainings"
        )
    if not (np.asarray(sizes) > 0).all() or np.isnan(times).any() or (times <= 0).any():
        raise InputError("times: found sizes or times that are not positive; expected positive ones, inf for never")
    readings = [times, *(np.asarray(t, dtype=float) for t in thinned)]
    if censored := max(int(np.isinf(reading).sum()) for reading in readings):
        return Exponent(None, None, censored, times.size)
    x = np.repeat(np.log(np.asarray(sizes, dtype=float)), times.shape[1])
    fit, *others = [stats.linregress(x, np.log(reading).reshape(-1)) for reading in readings]
    half = float(stats.t.ppf(0.975, len(x) - 2) * fit.stderr)
    method = "t interval of the slope over trainings"
    if others:
        moved = max(abs(float(other.slope - fit.slope)) for other in others)
        half += moved
        method += f", and {moved:.2g} on either side for the spacing of the looks"
    slope = float(fit.slope)
    return Exponent(slope, Interval(slope - half, slope + half, method), 0, times.size)


def least_exponent(
    sizes: Sequence[int], times: np.ndarray, ends: Sequence[float], thinned: Sequence[np.ndarray] = ()
) -> Exponent:
    """`exponent` where some trainings never crossed, counted as if they had at their end: a bound from below.

    Their true times are later, which raises the slope as long as all of them are on sets of at least the geometric mean
    size; otherwise nothing can be said, and value and interval are None. `ends` has the last look of each size.
    """
    found = time_exponent(sizes, times, thinned)
    missed, logs = np.isinf([times, *thinned]).any(axis=(0, 2)), np.log(np.asarray(sizes, dtype=float))
    if not found.censored or (missed & (logs < logs.mean() - 1e-9)).any():
        return found
    late = np.asarray(ends, dtype=float)[:, None]
    readings = [np.where(np.isinf(reading), late, reading) for reading in (times, *thinned)]
    return replace(time_exponent(sizes, readings[0], readings[1:]), censored=found.censored)


def every_second(looks: int) -> tuple[list[int], list[int]]:
    """Two ways to keep every second of the looks, first and last always: columns for `exponent`'s thinned times."""
    even, odd = ({0, looks - 1, *range(start, looks, 2)} for start in (0, 1))
    return sorted(even), sorted(odd)
