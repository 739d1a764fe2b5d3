"""A divergence beside the integral of the excess error that bounds it (Kadkhodaie et al. 2024, section 2.1)."""

from functools import partial
from typing import Any

from audit.measures.divergence import NETWORKS, kl_measures, kl_sides, line
from audit.measures.gaussian_divergence import SIMULATED, high_measures
from audit.plots.divergence import draw_sides
from core.stats import Interval
from fixtures.experiments.desk import TrainedExperiment
from reports.record import ClaimRecord


def record_kl_bound(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Divergence and integral of every denoiser, on the line and in many dimensions (K-kl-bound)."""
    found = kl_sides(desk.root, line())
    note = partial(evidence.add, kind="property")
    bounds = "change from the quadrature of twice the step, and from that of a coarser grid"
    for name, s in found.items():
        for side, value, error in (
            ("divergence", s.divergence, s.divergence_error),
            ("integral", s.integral, s.integral_error),
        ):
            ends = Interval(value - error, value + error, bounds, level=1.0)
            note(f"{side}, {name}", value, unit="nats", interval=ends)
    figures = [evidence.figure("sides", draw_sides(found))]
    for name, value in (kl_measures(found) | high_measures()).items():
        value, interval = value if isinstance(value, tuple) else (value, None)
        about: dict[str, Any] = {"n": len(found), "varies": "denoiser", "figures": figures}
        if name.startswith("16 dimensions"):
            about = {"n": SIMULATED if interval else None, "varies": "noisy point" if interval else None}
        elif "networks" in name:
            about = {"n": NETWORKS, "varies": "seed of the network", "seeds": f"0:{NETWORKS}"}
        note(name, value, interval=interval, **about)
