"""Recording the bases in which a denoiser shrinks: spectra, sparsity, and how far A's and B's are one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from audit.measures.bases import (
    BASIS_SIGMA,
    HOMOGENEITY,
    KEPT,
    LEADING,
    RANK_SIGMAS,
    Bases,
    angle_cosines,
    basis_measures,
    chance_cosines,
    contour_table,
    desk_bases,
    desk_homogeneity,
    desk_wiener,
    mean_over_images,
    own_minus_other,
    subspace_overlaps,
    untrained_bases,
)
from audit.measures.record import SEED
from audit.plots.bases import plot_alignment, plot_bases, plot_rank_and_energy
from core.metrics.spectrum import energy_left, fourier_coefficients, haar_coefficients, kept_energy
from core.stats import bootstrap_difference
from fixtures.experiments.desk import GROUPS, Cell, TrainedExperiment
from reports.record import ClaimRecord


def record_spectra(evidence: ClaimRecord, by_level: Mapping[float, Bases], images: Tensor, kind: str) -> None:
    """Effective rank by noise level, and how sparse the clean image is in the eigenbasis and in fixed bases."""
    about: dict[str, Any] = {"kind": kind, "n": len(images), "varies": "image"}
    ranks = {sigma: mean_over_images(found.effective_ranks) for sigma, found in by_level.items()}
    coefficients = {
        "eigenbasis": list(by_level[BASIS_SIGMA].coefficients),
        "Haar wavelets": [haar_coefficients(x[0]) for x in images],
        "cosines": [fourier_coefficients(x[0]) for x in images],
    }
    left = {name: [energy_left(c) for c in found] for name, found in coefficients.items()}
    pixels = images[0].numel()
    about["figures"] = [evidence.figure("rank-and-energy", plot_rank_and_energy(ranks, pixels, left))]
    for sigma, (value, interval) in ranks.items():
        evidence.add(f"effective rank at sigma = {sigma}", value, interval=interval, **about)
    counts = {name: np.array([kept_energy(c, KEPT) for c in found]) for name, found in coefficients.items()}
    for name, found in counts.items():
        value, interval = mean_over_images(found)
        evidence.add(f"coefficients holding {KEPT:.1%} of the clean image, {name}", value, interval=interval, **about)
        if name != "eigenbasis":
            value, interval = mean_over_images(found - counts["eigenbasis"])
            evidence.add(f"of them, {name} minus eigenbasis", value, interval=interval, **about)


def record_alignment(evidence: ClaimRecord, desk: TrainedExperiment, images: Tensor) -> None:
    """How far A's and B's leading eigenspaces are one space, by N, beside how far their samples are one image."""
    cosines = {n: angle_cosines(*(desk_bases(desk, Cell("random", n, g), images) for g in GROUPS)) for n in desk.sizes}
    agreements = {n: desk.agreement("random", n).mean(seed=SEED) for n in desk.sizes}
    pixels = images[0].numel()
    chance = chance_cosines(pixels)
    figure = evidence.figure("alignment", plot_alignment(cosines, agreements, chance, pixels))
    about: dict[str, Any] = {"kind": desk.kind, "n": len(images), "varies": "image", "figures": [figure]}
    for n, found in cosines.items():
        value, interval = mean_over_images(subspace_overlaps(found))
        name, note = f"overlap of A's and B's leading eigenspaces, N = {n}", f"chance: {LEADING / pixels:.3g}"
        evidence.add(name, value, interval=interval, note=note, **about)
    first, last = (subspace_overlaps(cosines[n]) for n in (desk.sizes[0], desk.sizes[-1]))
    growth = bootstrap_difference(last, first, seed=SEED, paired=True, over="images")
    evidence.add(
        "overlap at the largest N minus at the smallest", float((last - first).mean()), interval=growth, **about
    )


def record_contours(
    evidence: ClaimRecord, others: Mapping[str, Bases], images: Tensor, about: Mapping[str, Any]
) -> None:
    """What denoisers that nobody calls adaptive have of the energy that the network is judged by."""
    for whose, found in others.items():
        table = contour_table(found, images)
        rows = {"minus chance": np.diag(table) - 1, "taken at the image minus at others": own_minus_other(table)}
        for what, values in rows.items():
            value, interval = mean_over_images(values)
            evidence.add(f"contour energy of the {whose}, {what}", value, interval=interval, **about)


def record_bases(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Everything K-harmonic-bases is judged by and shown with."""
    images = desk.held_out.images[: desk.preset.theory.bases]
    largest = Cell("random", desk.sizes[-1], GROUPS[0])
    by_level = {sigma: desk_bases(desk, largest, images, sigma) for sigma in RANK_SIGMAS}
    at_basis = by_level[BASIS_SIGMA]
    errors = desk_homogeneity(desk, largest, images)
    untrained, wiener = untrained_bases(desk, images), desk_wiener(desk, largest, images)
    found = basis_measures(at_basis, untrained, wiener, images, errors)
    about: dict[str, Any] = {"kind": desk.kind, "n": len(images), "varies": "image"}
    figures = [evidence.figure("bases", plot_bases(by_level, images[:4]))]
    product = "by one product with J forwards, which rounds as f itself does"
    for name, (value, interval) in found.items():
        note = product if name == HOMOGENEITY else None
        evidence.add(name, value, interval=interval, note=note, figures=figures, **about)
    record_contours(evidence, {"untrained network": untrained, "Wiener filter": wiener}, images, about)
    for what, values in (("denoiser", at_basis.asymmetry), ("noise it predicts", at_basis.asymmetry_of_noise)):
        value, interval = mean_over_images(values.numpy())
        evidence.add(f"asymmetry of the Jacobian, {what}", value, interval=interval, **about)
    value, interval = mean_over_images(errors)
    evidence.add("mean |f(y) - J(y) y| / |f(y)|", value, interval=interval, note=product, **about)
    record_spectra(evidence, by_level, images, desk.kind)
    record_alignment(evidence, desk, images)
