"""In which basis a denoiser shrinks, and whose basis it is (Kadkhodaie et al. 2024, sections 3.1 and 3.2)."""

import numpy as np
import pytest
import torch

from audit.measures.bases import (
    BEYOND,
    HOMOGENEITY,
    LEADING,
    OWN,
    angle_cosines,
    bases_of,
    basis_measures,
    chance_cosines,
    desk_wiener,
    homogeneity,
    mean_over_images,
    subspace_overlaps,
    untrained_bases,
    wiener_bases,
)
from audit.measures.harmonic_bases import record_bases
from audit.measures.made_up import contour_shrinkage, made_up_contours, random_matrices, smooth_images
from audit.measures.networks import full_elsewhere
from audit.measures.record import SEED
from core.denoisers.unet import denoise
from core.training.train import build_model
from fixtures.experiments.desk import GROUPS, Cell, TrainedExperiment, random_pairs
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
    other, wiener = bases_of(random_matrices(8), images), wiener_bases(smooth_images(), images)
    found = basis_measures(bases_of(shrinkage, images), other, wiener, images, errors)
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
    others, wiener = bases_of(random_matrices(8, seed=2), images), wiener_bases(smooth_images(), images)
    found = basis_measures(bases_of(random_matrices(8), images), others, wiener, images, [0.0])
    assert judge("K-harmonic-bases", found, "synthetic") != "reproduced"
    wave = torch.arange(20) * (2 * torch.pi / 20)
    plane = torch.stack([(a * wave[:, None] + b * wave).cos().flatten() for a in range(5) for b in range(4)], dim=1)
    basis = torch.linalg.qr(plane.double())[0]
    found = basis_measures(bases_of([basis @ basis.T] * 8, images), others, wiener, images, [0.0])
    assert judge("K-harmonic-bases", found, "synthetic") == "refuted"


@pytest.mark.control("K-harmonic-bases", "negative")
def test_a_wiener_filter_is_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """Fitted to the training faces: smooth, symmetric, along contours more than by chance, and the same everywhere."""
    images = desk.held_out.images[: desk.preset.theory.bases]
    wiener = desk_wiener(desk, Cell("random", desk.sizes[-1], GROUPS[0]), images)
    found = basis_measures(wiener, bases_of(random_matrices(len(images)), images), wiener, images, [0.0])
    above = "gradient energy of leading eigenvectors along contours, minus chance"
    assert found[above][1].low > 0, "what the filter was taken for an adaptive basis by"
    assert found[OWN][0] == found[BEYOND][0] == 0
    assert judge("K-harmonic-bases", found, "synthetic") == "refuted"


@pytest.mark.control("K-harmonic-bases", "negative")
def test_one_image_s_basis_used_at_every_image_is_caught(judge: Judge) -> None:
    """Shrinkage along the contours of one image, kept for all: no basis adapts, though one of them fits."""
    images = made_up_contours()
    fixed = bases_of(contour_shrinkage(images)[:1] * len(images), images)
    wiener = wiener_bases(smooth_images(), images)
    found = basis_measures(fixed, bases_of(random_matrices(8), images), wiener, images, [0.0])
    assert found[OWN][0] == 0 and judge("K-harmonic-bases", found, "synthetic") == "refuted"


@pytest.mark.control("K-harmonic-bases", "negative")
def test_an_untrained_network_is_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """It returns nearly what it is given: nothing is shrunk, and nothing follows the contours."""
    images = desk.held_out.images[: desk.preset.theory.bases]
    untrained = untrained_bases(desk, images)
    wiener = desk_wiener(desk, Cell("random", desk.sizes[-1], GROUPS[0]), images)
    found = basis_measures(untrained, untrained, wiener, images, [0.0])
    assert found[HOMOGENEITY] == (0.0, None) and found[OWN][1].low < 0
    assert judge("K-harmonic-bases", found, "synthetic") == "refuted"


@pytest.mark.control("K-harmonic-bases", "negative")
def test_an_additive_constant_is_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """The network with a thousandth added to each pixel is a denoiser as good, but no shrinkage in a basis."""
    images = made_up_contours()
    exact = build_model(desk.preset.train, SEED).eval().double()
    errors = homogeneity(lambda y: denoise(exact, y) + 1e-3, images[:2])
    shrinkage, others = (bases_of(m, images) for m in (contour_shrinkage(images), random_matrices(8)))
    found = basis_measures(shrinkage, others, wiener_bases(smooth_images(), images), images, errors)
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
