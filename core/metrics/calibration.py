"""How well a score tells known copies from known non-copies: ROC, its area, detection at few false alarms."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from core.errors import InputError
from core.metrics.replication import flagged_share
from core.stats import Interval, bootstrap_statistic, clopper_pearson
from core.stats.clustered import clustered_share


@dataclass(frozen=True)
class Calibration:
    """How well a score (larger: more like a copy) tells known copies from known non-copies."""

    false_alarm_rate: np.ndarray  # ROC, ascending from 0 to 1
    detection_rate: np.ndarray
    area: float
    area_interval: Interval
    threshold: float  # flagged: score above it
    false_alarms: float  # share of non-copies above the threshold
    false_alarms_interval: Interval
    detected: float  # share of copies above the threshold
    detected_interval: Interval  # given the threshold
    originals: int  # that the copies are copies of


def calibrate(
    copies: ArrayLike,
    others: ArrayLike,
    *,
    seed: int,
    originals: ArrayLike | None = None,
    false_alarms: float = 0.01,
) -> Calibration:
    """ROC, its area, and the detection rate at the lowest threshold with at most `false_alarms` false alarms.

    `originals` names what each copy is a copy of, where several are of one: those are found or missed together, so
    that intervals take each original, not each copy, for independent.

    Raises:
        InputError: for missing scores, or too few non-copies to see a rate of `false_alarms` (1 / it are needed).
    """
    hit, miss = (np.asarray(x, dtype=np.float64) for x in (copies, others))
    if not (np.isfinite(hit).all() and np.isfinite(miss).all()):
        raise InputError("scores: found missing or infinite ones, expected none")
    allowed = int(np.floor(false_alarms * len(miss) + 1e-9))
    if allowed < 1 or len(hit) < 2:
        raise InputError(
            f"scores: found {len(hit)} copies and {len(miss)} others, expected at least 2 and {1 / false_alarms:.0f}"
        )
    threshold = float(np.sort(miss)[::-1][allowed])
    cuts = np.r_[np.inf, np.unique(np.r_[hit, miss])[::-1]]
    alarm_rates, detection_rates = _at_least(miss, cuts), _at_least(hit, cuts)
    who = np.arange(len(hit)) if originals is None else np.asarray(originals)
    area, area_interval = _area(hit, miss, who, seed)
    alarm, found = miss > threshold, hit > threshold
    return Calibration(
        alarm_rates,
        detection_rates,
        area,
        area_interval,
        threshold,
        *flagged_share(alarm),
        *clustered_share(found, who),
        len(np.unique(who)),
    )


def _at_least(scores: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    return 1 - np.searchsorted(np.sort(scores), cuts, side="left") / len(scores)


def _area(hit: np.ndarray, miss: np.ndarray, who: np.ndarray, seed: int) -> tuple[float, Interval]:
    """Area under the ROC and its interval over originals and others.

    The area is the chance that a copy scores above a non-copy, ties half (Mann and Whitney 1947).
    """
    label = np.unique(who, return_inverse=True)[1]
    ordered = np.sort(miss)
    below, up_to = (np.searchsorted(ordered, hit, side=side) for side in ("left", "right"))  # type: ignore[call-overload]
    # wins[i, j]: by how much the copies of original i beat other j; others in ascending order
    place = np.arange(len(miss))
    won = (place < below[:, None]) + 0.5 * ((place >= below[:, None]) & (place < up_to[:, None]))
    wins = np.stack([np.bincount(label, column) for column in won.T], axis=1)
    copies = np.bincount(label)

    def area(i: np.ndarray, j: np.ndarray, axis: int = -1) -> np.ndarray:
        a, b = _weights(i, len(copies)), _weights(j, len(miss))
        return ((a @ wins) * b).sum(-1) / ((a @ copies) * b.sum(-1))

    originals, others = np.arange(len(copies)), np.arange(len(miss))
    value = float(area(originals, others))
    if value in (0.0, 1.0):  # every resample would say the same
        return value, _apart(value, min(len(copies), len(miss)))
    over = "copies and others" if len(copies) == len(hit) else "originals and others"
    interval = bootstrap_statistic([originals, others], area, seed=seed, resamples=1999, over=over)
    return value, interval


def _apart(area: float, pairs: int) -> Interval:
    """The exact interval of an area of 0 or 1, which a bootstrap would take for certain.

    Of `pairs` originals, each with another non-copy, the pairs are independent and all ordered alike: so many successes
    of so many, whose chance is the area.
    """
    found = clopper_pearson(pairs if area == 1 else 0, pairs)
    told = f"{found.method} of {pairs} separate pairs, all ordered alike: every resample would give {area:g}"
    return Interval(found.low, found.high, told, found.level)


def _weights(index: np.ndarray, n: int) -> np.ndarray:
    """How often each of 0..n-1 occurs in the last axis: (..., k) -> (..., n)."""
    rows = index.reshape(-1, index.shape[-1]).astype(np.intp)
    cells = np.bincount((rows + n * np.arange(len(rows))[:, None]).ravel(), minlength=n * len(rows))
    return cells.reshape(*index.shape[:-1], n).astype(np.float64)
