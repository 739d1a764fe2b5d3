"""The Gaussian-mixture experiment of Verkhovensky (2025): its stated settings, and its distances in closed form."""

from typing import Any

import numpy as np
import torch

from audit.measures.published_curves import published_levels
from audit.measures.record import Measures, record
from audit.plots.dynamics import plot_dynamics, plot_settings
from core.stats import bootstrap_mean, clopper_pearson
from core.theory.gaussian_distances import expected_to_centre, expected_to_nearest
from core.theory.mixtures import Curves, MixtureData, draw_mixture
from core.training.config import DynamicsConfig
from core.training.presets import Mixtures
from fixtures.experiments.curves import published_curves
from fixtures.experiments.desk import TrainedExperiment
from reports.record import ClaimRecord

README = {"training points": 5000, "dimensions": 128}
SCRIPT = {"training points": 1000, "dimensions": 128}  # CONFIG of train.py as first published (commit 4b84cd1b)
STATED = (SCRIPT["training points"], README["training points"])
GAP_AT_THE_END = "gap between the two"
SMALLEST_GAP = "smallest mean gap of the second half of training"
CENTRE, POINT = "distance to the nearest centre", "distance to the nearest training point"


def setting_differences(readme: dict[str, int], script: dict[str, int]) -> dict[str, int]:
    """What the script sets less what the README says, by setting."""
    return {f"{name}, script minus README": script[name] - readme[name] for name in readme}


def unit_length(data: MixtureData) -> float:
    """Standardised length of a raw unit length in a random direction: the root mean square of one over the deviations.

    The coordinates are divided by deviations that differ a little, so that every closed form is exact to about 0.3 %.
    """
    return float(data.deviation.pow(-2).mean().sqrt())


def expected_distances(data: MixtureData, config: DynamicsConfig) -> dict[str, float]:
    """Standardised distances of a fresh point of the mixture, in closed form."""
    unit, n = unit_length(data), len(data.train)
    raw = data.centres.double() * data.deviation
    apart = float(torch.pdist(raw).square().mean().sqrt())
    nearest = expected_to_nearest(
        config.dimensions, config.sigma, n / config.clusters, clusters=config.clusters, apart=apart
    )
    return {CENTRE: unit * expected_to_centre(config.dimensions, config.sigma), POINT: unit * nearest}


def at_the_end(found: Curves) -> tuple[np.ndarray, np.ndarray]:
    """Distances of single samples at the last look, to the nearest centre and to the nearest training point."""
    return found.to_centre[:, -1].reshape(-1).numpy(), found.to_train[:, -1].reshape(-1).numpy()


def level_measures(found: Curves) -> Measures:
    """What V-levels is judged by: both distances at the end, in the standardised units of the published script."""
    return {
        name: (float(x.mean()), bootstrap_mean(x, seed=0, over="samples"))
        for name, x in zip((CENTRE, POINT), at_the_end(found), strict=True)
    }


def gap_measures(found: Curves) -> Measures:
    """What V-gap is judged by: the second distance minus the first at the end, and over the second half of training."""
    to_centre, to_train = at_the_end(found)
    gap = to_train - to_centre
    by_look = (found.to_train - found.to_centre).mean(dim=(0, 2))
    return {
        GAP_AT_THE_END: (float(gap.mean()), bootstrap_mean(gap, seed=0, over="samples")),
        SMALLEST_GAP: float(by_look[len(by_look) // 2 :].min()),
    }


def record_settings_stated(evidence: ClaimRecord) -> None:
    """Settings of the README against those of the script (V-setup)."""
    settings = {"README": dict(README), "script": dict(SCRIPT)}
    for where, setting in settings.items():
        setting["optimiser steps"] = -(-setting["training points"] // DynamicsConfig().batch) * Mixtures().epochs
        evidence.add(f"optimiser steps in 2,000 epochs, {where}", setting["optimiser steps"], kind="arithmetic")
    figures = [evidence.figure("settings", plot_settings(settings))]
    record(evidence, setting_differences(README, SCRIPT), kind="arithmetic", figures=figures)


def record_gaps(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """The gap at the end of training and over its second half, at both stated sizes (V-gap)."""
    scale = desk.preset.mixtures
    for n, found in published_curves(desk.crew, scale).items():
        epoch = -(-n // scale.published.batch)
        epochs = int(found.steps[-1]) // epoch
        whole = epochs == scale.epochs
        size = f", N = {n}" if whole else f", N = {n} after {epochs:,} of {scale.epochs:,} epochs"
        suffix = "" if n == SCRIPT["training points"] else size
        levels = expected_distances(draw_mixture(scale.published, n, 0), scale.published)
        about: dict[str, Any] = {
            "kind": "synthetic",
            "n": found.to_train[:, -1].numel(),
            "seeds": f"0:{len(found.to_train)}",
            "varies": "generated sample",
            "note": None if whole else "the whole training: --scale desk-long",
            "figures": [evidence.figure(f"dynamics-{n}", plot_dynamics(found, epoch, levels, size[2:]))],
        }
        measures = gap_measures(found) | ({} if n == SCRIPT["training points"] else level_measures(found))
        record(evidence, {name + suffix: item for name, item in measures.items()}, **about)
        memorised = float(found.memorised[:, -1].mean())
        exact = clopper_pearson(round(memorised * about["n"]), about["n"])
        evidence.add(f"memorised at the end{size}", memorised, interval=exact, **about)


def record_levels(evidence: ClaimRecord, desk: TrainedExperiment, png: bytes | None) -> None:
    """Where the project's run ends, and where the curves of the README's figure do (V-levels)."""
    scale = desk.preset.mixtures
    n = SCRIPT["training points"]
    found = published_curves(desk.crew, scale)[n]
    expected = expected_distances(draw_mixture(scale.published, n, 0), scale.published)
    picture = plot_dynamics(found, -(-n // scale.published.batch), expected, f"N = {n}")
    about: dict[str, Any] = {
        "kind": "synthetic",
        "n": found.to_train[:, -1].numel(),
        "varies": "generated sample",
        "figures": [evidence.figure("run", picture)],
    }
    record(evidence, level_measures(found), **about)
    for name, level in expected.items():
        evidence.add(f"{name}, fresh points in closed form, N = {n}", level, kind="synthetic")
    if png is not None:
        record(evidence, published_levels(png), kind="published")
