"""Share of known copies that the gap ratio of Bonnaire et al. (2025) finds, with and without near-duplicates."""

import numpy as np
import torch
from torch import Tensor

from audit.measures.calibration import record_desk_calibration
from audit.measures.record import record
from audit.plots.dynamics import plot_shares
from core.metrics.lpips import Embedding
from core.metrics.neighbours import Neighbours, nearest_groups, nearest_l2, twin_groups
from core.metrics.replication import GAP, flagged_share, gap_ratio
from core.stats import Interval
from core.theory.mixtures import draw_mixture
from core.training.config import DynamicsConfig
from fixtures.experiments.desk import TrainedExperiment
from reports.record import ClaimRecord

COPIER_SAMPLES = 100
INEXACT = 0.05  # how far a copier's copies are from their original, in the points' own deviation
TWIN_DISTANCE = 0.1  # how far a near-duplicate is from its original: a correlation of 0.995


def found_share(neighbours: Neighbours) -> tuple[float, Interval]:
    """Share of samples that the criterion calls memorised, and its exact interval."""
    return flagged_share(gap_ratio(neighbours) < GAP)


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


def record_copiers(evidence: ClaimRecord, desk: TrainedExperiment, lpips: Embedding | None) -> None:
    """Shares of known copies that the gap ratio finds, and of fresh points (B-memorised-fraction)."""
    record_desk_calibration(evidence, desk, lpips)
    points = draw_mixture(DynamicsConfig(), 500, 0).train
    found, joined = copier_measures(points)
    found["share found, inexact copies, near-duplicates counted once"] = joined
    figures = [evidence.figure("shares", plot_shares({n.removeprefix("share found, "): v for n, v in found.items()}))]
    record(evidence, found, kind="property", n=COPIER_SAMPLES, varies="copy", figures=figures)
    fresh = draw_mixture(DynamicsConfig(), 500, 0).oracle.sample(500, torch.Generator().manual_seed(1)).float()
    alarms, interval = found_share(nearest_l2(fresh, points, 2, value_range=None))
    evidence.add("share of fresh points called memorised", alarms, kind="property", interval=interval, n=500)
