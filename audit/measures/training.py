"""The noise law and the optimiser of Topeza (2025), sections 4.1 and 4.2."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from audit.measures.networks import CURVE_IMAGES, output_psnr, psnr_differences
from audit.measures.record import SEED
from core.training.config import TrainConfig
from core.training.train import build_model, train
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


def on_a_small_network(config: TrainConfig) -> TrainConfig:
    """These options on a network and a set so small that training takes milliseconds."""
    return config.replace(image_size=4, base_channels=4, blocks=1, exposures=1)


def first_step(config: TrainConfig) -> float:
    """Median change of a weight in the first step of a training with these options."""
    images = torch.rand((1, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    before = build_model(on_a_small_network(config), SEED).state_dict()
    after = train(images, on_a_small_network(config).replace(epochs=1), seed=SEED).model.state_dict()
    return float(torch.cat([(after[k] - before[k]).abs().flatten() for k in before if k.endswith("weight")]).median())


def optimiser_figures(rates: list[float], batch: int, step: float) -> dict[str, float]:
    """The figures of T 4.2, from the learning rate of every epoch, the batch and the first step."""
    expected = [0.001 * 0.5 ** (epoch // 100) for epoch in range(len(rates))]
    return {
        "learning_rate": rates[0],
        "epochs": len(rates),
        "batch": batch,
        "epochs_at_another_rate": sum(a != b for a, b in zip(rates, expected, strict=True)),
        "first_step": step,
    }


def published_rates(rate: float = 1e-3, every: int = 100, epochs: int = 1000) -> list[float]:
    """The loop of the published trainer, which halves in place."""
    rates = []
    for epoch in range(epochs):
        if epoch >= every and epoch % every == 0:
            rate = rate / 2
        rates.append(rate)
    return rates


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
