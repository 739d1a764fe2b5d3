"""Share of known copies that the gap ratio of Bonnaire et al. (2025) finds, with and without near-duplicates."""

import numpy as np
import torch
from torch import Tensor

from core.metrics.neighbours import Neighbours, nearest_groups, nearest_l2, twin_groups
from core.metrics.replication import GAP, gap_ratio, share
from core.stats import Interval

COPIER_SAMPLES = 100


INEXACT = 0.05  # how far a copier's copies are from their original, in the points' own deviation


TWIN_DISTANCE = 0.1  # how far a near-duplicate is from its original: a correlation of 0.995


def found_share(neighbours: Neighbours) -> tuple[float, Interval]:
    """Share of samples that the criterion calls memorised, and its exact interval."""
    return share(gap_ratio(neighbours) < GAP)


def copier_measures(
    points: Tensor, *, inexact: float = INEXACT
) -> tuple[dict[str, tuple[float, Interval]], tuple[float, Interval]]:
    """Shares of a copier's samples that the criterion finds, by training set; and the last after twins are joined.

    Inexact copies are `inexact` away from their original in every coordinate, in the points' own deviation.
    """
    source = torch.Generator().manual_seed(4)
    noise, blur = (torch.randn(points.shape, dtype=points.dtype, generator=source) for _ in range(2))
    twins, repeated = torch.cat([points, points + TWIN_DISTANCE * noise]), torch.cat([points, points])
    exact, near = points[:COPIER_SAMPLES], (points + inexact * blur)[:COPIER_SAMPLES]
    found = {
        name: found_share(nearest_l2(copies, train, 2, value_range=None))
        for name, copies, train in (
            ("share found, exact copies, distinct points", exact, points),
            ("share found, inexact copies, distinct points", near, points),
            ("share found, exact copies, set with near-duplicates", exact, twins),
            ("share found, inexact copies, set with near-duplicates", near, twins),
            ("share found, exact copies, set with repeated points", exact, repeated),
        )
    }
    pairs = np.stack([np.arange(len(points)), np.arange(len(points)) + len(points)], axis=1)
    joined = nearest_groups(lambda k: nearest_l2(near, twins, k, value_range=None), twin_groups(pairs, len(twins)), 2)
    return found, found_share(joined)
