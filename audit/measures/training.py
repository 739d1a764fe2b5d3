"""The noise law of Topeza (2025), section 4.1."""

from collections.abc import Callable
from typing import Any

import numpy as np

from audit.measures.networks import CURVE_IMAGES, output_psnr, psnr_differences
from audit.measures.record import SEED
from fixtures.experiments.desk import RANDOM, Cell, ModelJob, TrainedExperiment
from reports.record import ClaimRecord


def published_noise_law(u: np.ndarray) -> np.ndarray:
    """Noise levels of the training code's default, `quadratic_noise`: a uniform root, squared, on the scale of 255."""
    low, high = 0.0, 255.0
    return (u * (high**0.5 - low**0.5) + low**0.5) ** 2 / 255


def distance_from_uniform(law: Callable[[np.ndarray], np.ndarray]) -> float:
    """Largest distance between the distribution functions of law(uniform) and of the uniform law.

    The law rises, so its distribution function at law(u) is u. Taken on a grid of 2^16 intervals.
    """
    u = np.linspace(0, 1, 2**16 + 1)
    return float(np.abs(u - law(u)).max())


def noise_differences(uniform: np.ndarray, quadratic: np.ndarray) -> dict[str, Any]:
    """Output PSNR of the second model minus that of the first, by input PSNR, over the same images."""
    return psnr_differences("quadratic minus uniform", uniform, quadratic, seed=SEED)


def quadratic_job(desk: TrainedExperiment) -> ModelJob:
    """The largest random half of A with the code's noise law."""
    return desk.variant_job(Cell(RANDOM, desk.sizes[-1], "A"), noise="quadratic")


def record_noise_law(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """The distance of two noise laws, and the PSNR of models trained with them (T-noise-uniform)."""
    note = "the code of Kadkhodaie et al. sets quadratic_noise by default: the level is the square of a uniform number"
    evidence.add(
        "distance_of_distribution_functions", distance_from_uniform(published_noise_law), kind="arithmetic", note=note
    )
    uniform, (quadratic,) = desk.model(Cell(RANDOM, desk.sizes[-1], "A")), desk.trained([quadratic_job(desk)])
    images = desk.held_out.images[:CURVE_IMAGES]
    curves = [output_psnr(desk.as_denoiser(result), images, seed=SEED) for result in (uniform, quadratic)]
    for name, (value, interval) in noise_differences(*curves).items():
        evidence.add(name, value, kind="synthetic", n=len(images), interval=interval, unit="dB", varies="image")
