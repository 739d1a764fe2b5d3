"""The Gaussian-mixture experiment of Verkhovensky (2025): its stated settings, and its distances in closed form."""

from typing import Any

import numpy as np
import torch

from audit.measures.record import Measures, record
from audit.plots.dynamics import plot_dynamics, plot_settings
from core.stats import bootstrap_mean, clopper_pearson
from core.theory.gaussian_distances import expected_to_centre, expected_to_nearest
from core.theory.mixtures import MixtureData, draw_mixture
from core.training.config import DynamicsConfig
from core.training.presets import Mixtures
from fixtures.experiments.curves import published_curves
from fixtures.experiments.desk import TrainedExperiment
from reports.record import ClaimRecord

README = {"training points": 5000, "dimensions": 128}
SCRIPT = {"training points": 1000, "dimensions": 128}  # CONFIG of train.py as first published (commit 4b84cd1b)
STATED = (SCRIPT["training points"], README["training points"])
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


def distance_gap_measures(to_centre: np.ndarray, to_train: np.ndarray) -> Measures:
    """What V-gap is judged by: distances of single samples, in the standardised units of the published script."""
    gap = to_train - to_centre
    return {
        name: (float(x.mean()), bootstrap_mean(x, seed=0, over="samples"))
        for name, x in ((CENTRE, to_centre), (POINT, to_train), ("gap between the two", gap))
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
    """Distances at the end of training, at both stated sizes (V-gap)."""
    scale = desk.preset.mixtures
    for n, found in published_curves(desk.crew, scale).items():
        epoch = -(-n // scale.published.batch)
        epochs = int(found.steps[-1]) // epoch
        whole = epochs == scale.epochs
        size = f", N = {n}" if whole else f", N = {n} after {epochs:,} of {scale.epochs:,} epochs"
        suffix = "" if n == SCRIPT["training points"] else size
        levels = expected_distances(draw_mixture(scale.published, n, 0), scale.published)
        figures = [evidence.figure(f"dynamics-{n}", plot_dynamics(found, epoch, levels, size[2:]))]
        about: dict[str, Any] = {
            "kind": "synthetic",
            "n": found.to_train[:, -1].numel(),
            "seeds": f"0:{len(found.to_train)}",
            "varies": "generated sample",
            "note": None if whole else "the whole training: --scale desk-long",
        }
        for name, (value, interval) in distance_gap_measures(
            found.to_centre[:, -1].reshape(-1).numpy(), found.to_train[:, -1].reshape(-1).numpy()
        ).items():
            evidence.add(name + suffix, value, interval=interval, figures=figures, **about)
        for name, level in levels.items():
            evidence.add(f"{name}, fresh points in closed form, N = {n}", level, kind="synthetic")
        looks = len(found.steps) // 2
        smallest = (found.to_train - found.to_centre).mean(dim=(0, 2))[-looks:].min()
        evidence.add(f"smallest mean gap of the last {looks} looks{size}", smallest, kind="synthetic")
        memorised = float(found.memorised[:, -1].mean())
        exact = clopper_pearson(round(memorised * about["n"]), about["n"])
        evidence.add(f"memorised at the end{size}", memorised, interval=exact, **about)
