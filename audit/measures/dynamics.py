"""The Gaussian-mixture experiment of Verkhovensky (2025): its stated settings, and its distances in closed form."""

import numpy as np
import torch

from audit.measures.record import Measures
from core.stats import bootstrap_mean
from core.theory.gaussian_distances import expected_to_centre, expected_to_nearest
from core.theory.mixtures import MixtureData
from core.training.config import DynamicsConfig

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
