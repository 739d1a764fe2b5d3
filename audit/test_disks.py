"""Above the optimum on a manifold of few dimensions: images of one disk (Kadkhodaie et al. 2024, section 3.2)."""

import numpy as np
import pytest
import torch
from torch import Tensor

from audit.measures.denoising import denoiser_jobs
from audit.measures.disks import SMALL_SIGMAS, fitted_disks, low_dimensional_measures, record_disks
from audit.measures.networks import full_elsewhere
from audit.measures.record import SEED
from core.metrics.psnr import unit_noise
from fixtures.experiments.desk import TrainedExperiment
from fixtures.experiments.geometric import disk_parameters, draw_disks
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("K-low-dimensional-suboptimal")
@pytest.mark.trains(jobs=denoiser_jobs)
def test_the_network_stays_above_the_optimum_on_disks(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    full_elsewhere(evidence, desk, "test_disks.py")
    record_disks(evidence, desk)


@pytest.mark.control("K-low-dimensional-suboptimal", "positive")
def test_a_shallower_and_larger_error_is_recognised(judge: Judge) -> None:
    rng, sigmas = np.random.default_rng(0), np.asarray(SMALL_SIGMAS)[:, None]
    spread = rng.lognormal(0, 0.2, (1, 100))
    found = low_dimensional_measures(0.2 * sigmas**1.5 * spread, 0.0125 * sigmas**2 * spread)
    assert judge("K-low-dimensional-suboptimal", found, "synthetic") == "reproduced"


@pytest.mark.control("K-low-dimensional-suboptimal", "positive")
@pytest.mark.parametrize("sigma", [0.01, 0.0316])
def test_the_fit_errs_by_five_dimensions_wherever_it_starts_near_the_truth(sigma: float) -> None:
    """By chi^2 with 5 degrees of freedom: 64 disks average 5 with deviation 0.4; contrast above ten times the noise."""
    truth = disk_parameters(400, seed=3)
    truth = truth[(truth[:, 3] - truth[:, 4]).abs() > 0.32][:64]
    images = draw_disks(truth, 20)
    noisy = images + sigma * unit_noise(images.shape[1:], range(len(images)), SEED)
    source = torch.Generator().manual_seed(SEED)
    beside = truth + torch.tensor([0.01, 0.01, 0.01, 0.03, 0.03]) * torch.randn(truth.shape, generator=source)

    def dimensions(x: Tensor) -> float:
        return float((x - images).double().square().mean() * 400 / sigma**2)

    fitted = dimensions(fitted_disks(noisy, truth))
    assert fitted == pytest.approx(5, abs=1.2)
    assert dimensions(fitted_disks(noisy, beside)) == pytest.approx(fitted, rel=0.05)
    assert dimensions(fitted_disks(noisy, beside, steps=0)) > 100, "the start alone is no fit"


@pytest.mark.control("K-low-dimensional-suboptimal", "negative")
def test_an_optimal_denoiser_is_caught(judge: Judge) -> None:
    rng, sigmas = np.random.default_rng(0), np.asarray(SMALL_SIGMAS)[:, None]
    fitted = 0.0125 * sigmas**2 * rng.lognormal(0, 0.2, (1, 100))
    jitter = rng.normal(1, 0.02, fitted.shape)
    found = low_dimensional_measures(fitted * jitter, fitted)
    assert judge("K-low-dimensional-suboptimal", found, "synthetic") != "reproduced"
