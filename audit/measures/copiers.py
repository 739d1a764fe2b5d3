"""Share of known copies that the gap ratio of Bonnaire et al. (2025) finds, with and without near-duplicates."""

from typing import Any

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


FOUND = "share found, "
RATIOS = (1 / 4, GAP, 1 / 2)  # the paper's own, 1/3, and those to which it says that nothing it claims is sensitive
FINDING = "finding: what near-duplicates in the training set do to the criterion"

Share = tuple[float, Interval]


def found_share(neighbours: Neighbours, ratio: float = GAP) -> Share:
    """Share of samples that the criterion calls memorised, and its exact interval."""
    return flagged_share(gap_ratio(neighbours) < ratio)


def criterion_measures(points: Tensor, fresh: Tensor, *, inexact: float = INEXACT) -> dict[str, Any]:
    """What B-memorised-fraction is judged by: samples whose answer is known, against training points without twins.

    Args:
        points: training points, (n, d).
        fresh: others of the same density, (m, d).
        inexact: how far inexact copies are from their original in every coordinate, in the points' own deviation.
    """
    blur = torch.randn(points.shape, dtype=points.dtype, generator=torch.Generator().manual_seed(4))
    samples = {
        "exact copies": points[:COPIER_SAMPLES],
        "inexact copies": (points + inexact * blur)[:COPIER_SAMPLES],
        "fresh points": fresh,
    }
    near = {name: nearest_l2(x, points, 2, value_range=None) for name, x in samples.items()}
    shares = {name: [found_share(neighbours, ratio)[0] for ratio in RATIOS] for name, neighbours in near.items()}
    moved = max(max(values) - min(values) for values in shares.values())
    wrong = max(share if name == "fresh points" else 1 - share for name, values in shares.items() for share in values)
    return {
        **{f"share called memorised, {name}": found_share(neighbours) for name, neighbours in near.items()},
        "largest change of a share for a ratio of 1/4 or 1/2": moved,
        "largest share called wrongly, at a ratio of 1/4, 1/3 or 1/2": wrong,
    }


def twin_measures(points: Tensor, *, inexact: float = INEXACT) -> dict[str, Share]:
    """Shares of known copies that the criterion finds where every training point has a near-duplicate, or a repeat.

    With near-duplicates counted once, inexact copies are found again.
    """
    source = torch.Generator().manual_seed(4)
    noise, blur = (torch.randn(points.shape, dtype=points.dtype, generator=source) for _ in range(2))
    twins, repeated = torch.cat([points, points + TWIN_DISTANCE * noise]), torch.cat([points, points])
    exact, near = points[:COPIER_SAMPLES], (points + inexact * blur)[:COPIER_SAMPLES]
    found = {
        f"{FOUND}{name}": found_share(nearest_l2(copies, train, 2, value_range=None))
        for name, copies, train in (
            ("exact copies, set with near-duplicates", exact, twins),
            ("inexact copies, set with near-duplicates", near, twins),
            ("exact copies, set with repeated points", exact, repeated),
        )
    }
    pairs = np.stack([np.arange(len(points)), np.arange(len(points)) + len(points)], axis=1)
    joined = nearest_groups(lambda k: nearest_l2(near, twins, k, value_range=None), twin_groups(pairs, len(twins)), 2)
    return {**found, f"{FOUND}inexact copies, near-duplicates counted once": found_share(joined)}


def known_points(seed: int = 0) -> tuple[Tensor, Tensor]:
    """500 training points of the mixture, and 500 fresh ones."""
    data = draw_mixture(DynamicsConfig(), 500, seed)
    return data.train, data.oracle.sample(500, torch.Generator().manual_seed(1)).float()


def record_copiers(evidence: ClaimRecord, desk: TrainedExperiment, lpips: Embedding | None) -> None:
    """What the criterion says of known copies and of fresh points, and of sets with twins (B-memorised-fraction)."""
    record_desk_calibration(evidence, desk, lpips)
    points, fresh = known_points()
    judged, twins = criterion_measures(points, fresh), twin_measures(points)
    shares = {n.removeprefix("share called memorised, "): v for n, v in judged.items() if isinstance(v, tuple)}
    shares |= {n.removeprefix(FOUND): v for n, v in twins.items()}
    about: dict[str, Any] = {"kind": "property", "varies": "sample"}
    about["figures"] = [evidence.figure("shares", plot_shares(shares))]
    record(evidence, judged, n=COPIER_SAMPLES, **about)
    record(evidence, twins, n=COPIER_SAMPLES, section=FINDING, note="not judged: the paper says nothing of it", **about)
