"""Above the optimum on a manifold of few dimensions: images of one disk (Kadkhodaie et al. 2024, section 3.2)."""

from functools import partial

import pytest
import torch
from torch import Tensor

from audit.measures.denoising import denoiser_jobs
from audit.measures.disks import EXCESS, fitted_disks, nearest_start, record_disks
from audit.measures.made_up_denoisers import DRAWN, TRUTH, blurred, measured_by, memory, worse_on_smooth
from audit.measures.networks import full_elsewhere
from audit.measures.record import SEED
from core.denoisers.unet import denoise
from core.metrics.psnr import unit_noise
from core.training.train import build_model
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
def test_a_denoiser_worse_on_disks_alone_is_recognised(judge: Judge) -> None:
    assert judge("K-low-dimensional-suboptimal", measured_by(blurred, memory), "synthetic") == "reproduced"


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
    assert dimensions(fitted_disks(noisy, nearest_start(noisy, DRAWN))) < 4 * fitted, "no start that looks at the truth"
    assert fitted == pytest.approx(5, abs=1.2)
    assert dimensions(fitted_disks(noisy, beside)) == pytest.approx(fitted, rel=0.05)
    assert dimensions(fitted_disks(noisy, beside, steps=0)) > 100, "the start alone is no fit"


@pytest.mark.control("K-low-dimensional-suboptimal", "negative")
def test_an_untrained_network_decides_nothing(judge: Judge, desk: TrainedExperiment) -> None:
    """Its errors are large everywhere, as those of a network that was trained for a moment are."""
    untrained = partial(denoise, build_model(desk.preset.train, SEED).eval().requires_grad_(False))
    found = measured_by(untrained, lambda images: untrained)
    assert judge("K-low-dimensional-suboptimal", found, "synthetic") == "inconclusive"


@pytest.mark.control("K-low-dimensional-suboptimal", "negative")
def test_an_error_of_the_network_s_own_is_not_the_manifold_s(judge: Judge) -> None:
    """Denoisers all but perfect, with a pattern of 0.05 added to whatever they return: far above both optima."""
    found = measured_by(memory(draw_disks(TRUTH, 20), 0.05), lambda images: memory(images, 0.05))
    assert found[EXCESS][1].low > 0, "what was taken for the manifold's part"
    assert judge("K-low-dimensional-suboptimal", found, "synthetic") == "inconclusive"


@pytest.mark.control("K-low-dimensional-suboptimal", "negative")
def test_an_optimal_denoiser_is_caught(judge: Judge) -> None:
    """It errs less than the fit that bounds the optimum: nothing is left above it."""
    found = measured_by(memory(draw_disks(TRUTH, 20)), memory)
    assert judge("K-low-dimensional-suboptimal", found, "synthetic") == "refuted"


@pytest.mark.control("K-low-dimensional-suboptimal", "negative")
def test_a_network_worse_on_smooth_images_is_caught(judge: Judge) -> None:
    """Above the optimum on disks, and further above it on C^alpha images: the claim the other way round."""
    found = worse_on_smooth()
    assert found[EXCESS][1].low > 0
    assert judge("K-low-dimensional-suboptimal", found, "synthetic") == "refuted"
