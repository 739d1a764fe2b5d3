"""Where a network denoises as well as anything can, and where it does not (Kadkhodaie et al. 2024, section 3)."""

import itertools

import numpy as np
import pytest
import torch

from audit.measures.denoising import DISKS, SHUFFLED, alpha_name, denoiser_jobs, optimal_slope, slope, useful_levels
from audit.measures.geometric import (
    JUDGED_ALPHAS,
    SLOPE_SIGMAS,
    SMOOTHNESS,
    geometric_images,
    record_shuffled,
    record_slopes,
    shuffled_measures,
)
from audit.measures.made_up import made_up_errors
from audit.measures.networks import JUDGED_LEVELS, full_elsewhere
from audit.measures.record import SEED
from core.metrics.psnr import denoiser_psnr
from fixtures.experiments.desk import TrainedExperiment
from fixtures.experiments.geometric import shuffle_pixels
from reports.judge import Judge
from reports.record import ClaimRecord

# --- K-geometric-optimal ---------------------------------------------------------------------------------


@pytest.mark.claim("K-geometric-optimal")
@pytest.mark.trains(jobs=denoiser_jobs)
def test_error_on_geometric_images_falls_at_the_best_rate(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    full_elsewhere(evidence, desk, "test_geometric.py")
    record_slopes(evidence, desk)


@pytest.mark.control("K-geometric-optimal", "positive")
def test_every_kind_of_image_is_shown() -> None:
    """Five smoothnesses, disks, faces and the same shuffled, textures: all different, none blank."""
    rows = geometric_images(torch.rand(20, 1, 20, 20, generator=torch.Generator().manual_seed(SEED)))
    assert list(rows) == [*map(alpha_name, SMOOTHNESS), DISKS, "faces", SHUFFLED, "textures"]
    assert {tuple(images.shape) for images in rows.values()} == {(12, 1, 20, 20)}
    assert all(float(images.flatten(1).std(1).min()) > 0.01 for images in rows.values())
    flat = [images.flatten() for images in rows.values()]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(flat, 2))


@pytest.mark.control("K-geometric-optimal", "positive")
def test_the_optimal_power_law_is_recognised(judge: Judge) -> None:
    jitter = np.exp(np.random.default_rng(1).normal(0, 0.01, len(SLOPE_SIGMAS)))[:, None]
    found = {
        f"slope, alpha = {a}": slope(made_up_errors(optimal_slope(a)) * jitter, SLOPE_SIGMAS) for a in JUDGED_ALPHAS
    }
    assert judge("K-geometric-optimal", found, "synthetic") == "reproduced"


@pytest.mark.control("K-geometric-optimal", "negative")
def test_a_linear_smoother_s_slope_is_caught(judge: Judge) -> None:
    found = {f"slope, alpha = {a}": slope(made_up_errors(1.0), SLOPE_SIGMAS) for a in JUDGED_ALPHAS}
    assert judge("K-geometric-optimal", found, "synthetic") == "refuted"


@pytest.mark.control("K-geometric-optimal", "negative")
def test_an_error_of_the_network_s_own_is_told_from_the_images_rate(judge: Judge) -> None:
    """The optimal law with a floor added has a shallow slope; the levels below the floor are named, the rest fit."""
    floor = 0.01  # sigma^2 reaches it at 0.1
    tables = {a: 0.5 * made_up_errors(optimal_slope(a)) * 0.03 ** (2 - optimal_slope(a)) + floor for a in JUDGED_ALPHAS}
    found = {f"slope, alpha = {a}": slope(errors, SLOPE_SIGMAS) for a, errors in tables.items()}
    assert judge("K-geometric-optimal", found, "synthetic") == "refuted"
    for errors in tables.values():
        assert [s > 0.1 for s in SLOPE_SIGMAS] == [k in useful_levels(errors, SLOPE_SIGMAS) for k in range(7)]


# --- K-shuffled-suboptimal -------------------------------------------------------------------------------


@pytest.mark.claim("K-shuffled-suboptimal")
@pytest.mark.trains(jobs=denoiser_jobs)
def test_shuffled_faces_are_denoised_worse(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    full_elsewhere(evidence, desk, "test_geometric.py")
    record_shuffled(evidence, desk)


@pytest.mark.control("K-shuffled-suboptimal", "positive")
def test_a_worse_denoiser_is_recognised(judge: Judge) -> None:
    base = np.random.default_rng(0).normal(25, 1, (len(JUDGED_LEVELS), 100))
    worse = base - np.random.default_rng(1).normal(1, 0.5, base.shape)
    assert judge("K-shuffled-suboptimal", shuffled_measures(base, worse), "synthetic") == "reproduced"


@pytest.mark.control("K-shuffled-suboptimal", "negative")
def test_a_denoiser_blind_to_place_is_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """Shrinking pixels alone cannot tell faces from shuffled ones: measured by the same code, no difference."""
    faces = desk.held_out.images[: desk.preset.theory.tested]  # as many as the claim looks at
    sigmas = tuple(10 ** (-level / 20) for level in JUDGED_LEVELS)
    shrink = [denoiser_psnr(lambda y: 0.9 * y, x, sigmas, seed=SEED).output for x in (faces, shuffle_pixels(faces))]
    assert judge("K-shuffled-suboptimal", shuffled_measures(*shrink), "synthetic") != "reproduced"
