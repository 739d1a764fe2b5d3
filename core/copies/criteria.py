"""The criteria by which a sample is called a copy, each with its published threshold and what it cannot see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.copies.search import Nearest
from core.errors import InputError
from core.metrics.calibration import Calibration, calibrate
from core.metrics.replication import (
    CARLINI_ALPHA,
    CARLINI_COUNT,
    COPY_CORRELATION,
    GAP,
    carlini_ratio,
    flagged_share,
    gap_ratio,
)

FALSE_ALARMS = 0.01  # of images that are no copies, at the threshold that calibration gives
SEEN = 0.8  # share of planted copies from which a criterion sees a kind of copy
SSCD_SIMILARITY = 0.5
Scores = Mapping[str, np.ndarray]  # criterion -> (n,): larger is more alike


@dataclass(frozen=True)
class Criterion:
    """A rule by which an image is called a copy: its score above a threshold.

    Attributes:
        name: how sentences call it.
        rule: what it asks for, in words.
        source: who proposed it.
        published: threshold on the score; None where nobody published one.
        unit: what the score is multiplied by to give the figure that people know; negative of a ratio or a distance.
        judges: whether it decides which samples are called copies.
    """

    name: str
    rule: str
    source: str
    published: float | None
    unit: float = 1.0
    judges: bool = True


def criteria(count: int) -> dict[str, Criterion]:
    """Every criterion by its key; `count` is the number of neighbours that Carlini's averages over."""
    return {
        "gap": Criterion(
            "gap ratio",
            f"distance to the nearest below {GAP:.3g} of that to the second nearest",
            "Yoon et al. 2023; Bonnaire et al. 2025",
            -GAP,
            -1.0,
        ),
        "carlini": Criterion(
            "Carlini",
            f"distance to the nearest below {CARLINI_ALPHA:g} of the mean over the {count} nearest",
            "Carlini et al. 2023",
            -1.0,
            -CARLINI_ALPHA,
        ),
        "correlation": Criterion(
            "correlation", f"correlation with the nearest above {COPY_CORRELATION:g}", "after Somepalli et al. 2023",
            COPY_CORRELATION,
        ),
        "sscd": Criterion(
            "SSCD",
            f"similarity of copy-detection vectors above {SSCD_SIMILARITY:g}",
            "Somepalli et al. 2023; Pizzi et al. 2022",
            SSCD_SIMILARITY,
        ),
        "lpips": Criterion(
            "LPIPS",
            "nearer than all but one in a hundred held-out images",
            "Zhang et al. 2018",
            None,
            -1.0,
            judges=False,
        ),
    }  # fmt: skip


def carlini_count(groups: int) -> int:
    """How many nearest Carlini's criterion averages over, in a training set of so many groups of twins.

    Raises:
        InputError: if there are too few for any criterion that compares a sample with its neighbourhood.
    """
    if groups < 3:
        raise InputError(
            f"training images: found {groups} that are no near-duplicates of each other, expected at least 3"
        )
    return min(CARLINI_COUNT, groups - 1)


def pixel_scores(found: Nearest, count: int) -> dict[str, np.ndarray]:
    """How much each query looks like a copy by the criteria on pixels, (q,) each; larger is more alike."""
    return {
        "gap": -gap_ratio(found.groups),
        "carlini": -carlini_ratio(found.groups, count=count),
        "correlation": found.like.value[:, 0].numpy(),
    }


@dataclass(frozen=True, eq=False)
class Threshold:
    """Where a criterion draws the line on these images.

    Attributes:
        used: above it a score is a copy: the published one, or the calibrated one where that was asked for or the
            published one calls too many images copies that are none.
        calibrated: the lowest with at most `FALSE_ALARMS`; None where there are too few images to tell.
        published: as published, or None.
        calibration: at the calibrated one, planted copies of every kind together.
    """

    used: float
    calibrated: float | None
    published: float | None
    calibration: Calibration | None = field(repr=False)


def threshold(
    published: float | None,
    planted: np.ndarray,
    originals: np.ndarray,
    others: np.ndarray,
    *,
    seed: int,
    calibrated: bool,
) -> Threshold | None:
    """The threshold that follows from planted copies and from images that are none; None where nothing gives one.

    Args:
        published: threshold, if there is one.
        planted: (p,) scores of planted copies of all kinds.
        originals: (p,) what each is a copy of.
        others: (m,) scores of images that are no copies.
        seed: of the interval of the area.
        calibrated: whether the calibrated threshold is used even where the published one is fit for use.
    """
    if len(others) * FALSE_ALARMS < 1:
        return None if published is None else Threshold(published, None, published, None)
    found = calibrate(planted, others, seed=seed, originals=originals, false_alarms=FALSE_ALARMS)
    used = found.threshold
    if published is not None and not calibrated and (others > published).mean() <= FALSE_ALARMS:
        used = published
    return Threshold(used, found.threshold, published, found)


def sees(flagged: np.ndarray, *, every: bool) -> bool:
    """Whether a criterion can be said to see a kind of copy, from which planted ones it found, (n,) bool.

    Where `every` training image was planted the share is what it is; else the low end of its interval decides.
    """
    share, interval = flagged_share(flagged)
    return (share if every else interval.low) >= SEEN
