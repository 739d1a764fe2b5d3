"""In which basis a denoiser shrinks, and whose basis it is (Kadkhodaie et al. 2024, sections 3.1 and 3.2)."""

import numpy as np
import pytest
import torch

from audit.measures.bases import (
    LEADING,
    angle_cosines,
    bases_of,
    basis_measures,
    chance_cosines,
    homogeneity,
    mean_over_images,
    subspace_overlaps,
)
from audit.measures.harmonic_bases import record_bases
from audit.measures.made_up import contour_shrinkage, made_up_contours, random_matrices
from audit.measures.networks import full_elsewhere
from audit.measures.record import SEED
from core.denoisers.unet import denoise
from core.training.train import build_model
from fixtures.experiments.desk import TrainedExperiment, random_pairs
from fixtures.experiments.geometric import c_alpha
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("K-harmonic-bases")
@pytest.mark.trains(jobs=random_pairs)
def test_the_denoiser_shrinks_in_bases_along_contours(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    full_elsewhere(evidence, desk, "test_bases.py")
    record_bases(evidence, desk)


@pytest.mark.control("K-harmonic-bases", "positive")
def test_symmetric_shrinkage_along_contours_is_recognised(judge: Judge) -> None:
    images = made_up_contours()
    shrinkage = contour_shrinkage(images)
    errors = [homogeneity(lambda y, m=m: (y.flatten(1) @ m.T).view_as(y), images[:1])[0] for m in shrinkage]  # type: ignore[misc]
    found = basis_measures(bases_of(shrinkage, images), bases_of(random_matrices(8), images), images, errors)
    assert judge("K-harmonic-bases", found, "synthetic") == "reproduced"


@pytest.mark.control("K-harmonic-bases", "positive")
def test_what_is_asked_of_a_jacobian_by_hand() -> None:
    """36 pixels are kept by 36/36, 35/36, ...; two of them are swapped besides, with opposite signs."""
    kept, twist = torch.arange(36, 0, -1, dtype=torch.float64) / 36, 0.3
    j = torch.diag(kept)
    j[0, 1], j[1, 0] = twist, -twist
    image = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(SEED))
    found = bases_of([j], image)
    assert torch.allclose(found.values[0], kept) and found.effective_ranks == pytest.approx(37 / 2)
    assert torch.allclose(found.leading[0].abs(), torch.eye(36, dtype=torch.float64)[:, :LEADING])
    assert torch.allclose(found.coefficients.abs(), image.flatten(1).double())
    for asymmetric, diagonal in ((found.asymmetry, kept), (found.asymmetry_of_noise, 1 - kept)):
        whole = (diagonal.square().sum() + 2 * twist**2).sqrt()
        assert float(asymmetric) == pytest.approx(twist * 2**0.5 / float(whole))


@pytest.mark.control("K-harmonic-bases", "negative")
def test_a_random_map_and_a_fourier_filter_are_caught(judge: Judge) -> None:
    images = made_up_contours()
    others = bases_of(random_matrices(8, seed=2), images)
    found = basis_measures(bases_of(random_matrices(8), images), others, images, [0.0])
    assert judge("K-harmonic-bases", found, "synthetic") != "reproduced"
    wave = torch.arange(20) * (2 * torch.pi / 20)
    plane = torch.stack([(a * wave[:, None] + b * wave).cos().flatten() for a in range(5) for b in range(4)], dim=1)
    basis = torch.linalg.qr(plane.double())[0]
    found = basis_measures(bases_of([basis @ basis.T] * 8, images), others, images, [0.0])
    assert judge("K-harmonic-bases", found, "synthetic") != "reproduced"


@pytest.mark.control("K-harmonic-bases", "negative")
def test_an_additive_constant_is_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """The network with a thousandth added to each pixel is a denoiser as good, but no shrinkage in a basis."""
    images = made_up_contours()
    exact = build_model(desk.preset.train, SEED).eval().double()
    errors = homogeneity(lambda y: denoise(exact, y) + 1e-3, images[:2])
    shrinkage, others = (bases_of(m, images) for m in (contour_shrinkage(images), random_matrices(8)))
    found = basis_measures(shrinkage, others, images, errors)
    assert judge("K-harmonic-bases", found, "synthetic") == "refuted"


@pytest.mark.control("K-harmonic-bases", "negative")
def test_unrelated_bases_overlap_by_chance_only() -> None:
    """What the alignment of A and B is held against: 1 for a basis with itself, chance for two unrelated ones."""
    images = c_alpha(10, alpha=2, size=20, seed=SEED, strict=True)
    a, b = (bases_of(random_matrices(10, seed), images) for seed in (3, 4))
    assert subspace_overlaps(angle_cosines(a, a)) == pytest.approx(1)
    unrelated = angle_cosines(a, b)
    value, interval = mean_over_images(subspace_overlaps(unrelated))
    assert interval.contains(LEADING / 400) or abs(value - LEADING / 400) < 0.005
    assert np.abs(unrelated.mean(axis=0) - chance_cosines(400)).max() < 0.05
