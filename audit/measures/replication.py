"""Samples of trained models under every criterion of replication, beside the training images under the same."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from audit.measures.lpips_neighbours import LpipsNeighbours
from audit.measures.rules import COPY_CORRELATION
from core.dedup.search import near_duplicates
from core.metrics.neighbours import Neighbours, nearest, nearest_groups, nearest_l2, twin_groups, without_self
from core.metrics.replication import CARLINI_COUNT, GAP, carlini_ratio, flagged_share, gap_ratio

BACKGROUND = 512  # training images whose nearest other training image is looked for
FALSE_ALARMS = 0.01


def replication_rows(
    samples: Tensor, train: Tensor, label: Mapping[str, Any], lpips: LpipsNeighbours | None = None
) -> list[dict[str, Any]]:
    """Share of samples (n, c, h, w) in [0, 1] called copies of the training images, one row a criterion.

    Beside it the background: the share of training images that the criterion calls copies of another one. A small
    training set has fewer than fifty neighbours to average over; the row says how many. LPIPS has no published
    threshold: nearer than all but one in a hundred held-out images.
    """
    count = min(CARLINI_COUNT, len(train) - 1)
    some = train[:BACKGROUND]
    own = np.arange(len(some))
    l2 = nearest_l2(samples, train, count), without_self(nearest_l2(some, train, count + 1), own)
    r = nearest(samples, train, 1), without_self(nearest(some, train, 2), own)
    joined = _joined(samples, some, train)
    flagged = {
        "gap ratio below 1/3": [gap_ratio(x) < GAP for x in l2],
        "gap ratio below 1/3, near-duplicates joined": [gap_ratio(x) < GAP for x in joined],
        f"L2 below half the mean of the {count} nearest": [carlini_ratio(x, count=count) < 1 for x in l2],
        f"correlation above {COPY_CORRELATION:g}": [(x.value[:, 0] > COPY_CORRELATION).numpy() for x in r],
    }
    if lpips is not None:
        held_out = np.sort(lpips.held_out.value[:, 0].numpy())
        threshold = held_out[int(FALSE_ALARMS * len(held_out))]
        flagged["LPIPS (VGG) below 99 % of held-out images"] = [
            (x.value[:, 0] < threshold).numpy() for x in (lpips.samples, lpips.background)
        ]
    return [{**label, "criterion": name, **_shares(*pair)} for name, pair in flagged.items()]


def _joined(samples: Tensor, some: Tensor, train: Tensor) -> tuple[Neighbours, Neighbours]:
    """The two groups of near-duplicates nearest to each sample, and to each training image besides its own."""
    pairs = near_duplicates(train)
    groups = twin_groups(np.stack([pairs.i, pairs.j], axis=1), len(train))
    background = nearest_groups(lambda k: nearest_l2(some, train, k), groups, 3)  # first their own group, at distance 0
    others = Neighbours(background.index[:, 1:], background.value[:, 1:])
    return nearest_groups(lambda k: nearest_l2(samples, train, k), groups, 2), others


def _shares(samples: np.ndarray, background: np.ndarray) -> dict[str, Any]:
    (value, interval), (beside, around) = flagged_share(samples), flagged_share(background)
    return {
        "samples called copies": value,
        "from": interval.low,
        "to": interval.high,
        "n": len(samples),
        "training images called copies of another": beside,
        "background from": around.low,
        "background to": around.high,
        "background n": len(background),
    }
