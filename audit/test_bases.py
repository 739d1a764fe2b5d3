"""In which basis a denoiser shrinks, and whose basis it is (Kadkhodaie et al. 2024, sections 3.1 and 3.2)."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from audit.measures.networks import full_elsewhere
from audit.measures.record import SEED, Measures
from audit.plots.shared import draw_with_intervals
from core.denoisers.unet import Denoiser, denoise
from core.metrics.psnr import unit_noise
from core.metrics.spectrum import (
    asymmetry,
    contour_energy,
    energy_left,
    fourier_coefficients,
    haar_coefficients,
    homogeneity_error,
    jacobian,
    kept_energy,
    principal_cosines,
    spectrum,
)
from core.stats import Interval, bootstrap_difference, bootstrap_mean
from core.training.train import build_model
from fixtures.experiments.desk import GROUPS, Cell, Desk, random_pairs
from fixtures.experiments.geometric import c_alpha
from fixtures.experiments.measured import measured
from reports.judge import Judge
from reports.record import ClaimRecord

BASIS_SIGMA = 0.15
RANK_SIGMAS = (0.05, 0.1, 0.15, 0.3, 0.5)
LEADING = 20  # eigenvectors that count as leading
SHOWN = [0, 1, 2, 4, 8, 16, 32]  # eigenvectors in the picture
KEPT = 0.995  # share of the clean image's energy that the counted coefficients hold
HOMOGENEITY = "largest |f(y) - J(y) y| / |f(y)|"


def noisy_images(images: Tensor, sigma: float = BASIS_SIGMA) -> Tensor:
    return images + sigma * unit_noise(images.shape[1:], range(len(images)), SEED)


def at_images(denoiser: Denoiser, images: Tensor, sigma: float = BASIS_SIGMA) -> Iterator[Tensor]:
    """Jacobians at noisy versions of the images, one at a time."""
    return (jacobian(denoiser, y) for y in noisy_images(images, sigma))


def mean_over_images(values: Sequence[float] | np.ndarray) -> tuple[float, Interval]:
    """Mean over images and its interval."""
    return float(np.mean(values)), bootstrap_mean(values, seed=SEED, over="images")


def homogeneity(denoiser: Denoiser, images: Tensor) -> list[float]:
    """|f(y) - J(y) y| / |f(y)| at every noisy image, in float64 where the denoiser computes in it."""
    return [homogeneity_error(denoiser, y) for y in noisy_images(images).double()]


@dataclass(frozen=True)
class Bases:
    """What is asked of a denoiser's Jacobians at n images of p pixels.

    Attributes:
        asymmetry, asymmetry_of_noise: (n,), of the denoiser and of the noise that it predicts.
        values: (n, p) eigenvalues of the symmetric part, falling.
        vectors: (n, p, k) leading eigenvectors as columns.
        coefficients: (n, p) of the clean image in all of them.
    """

    asymmetry: Tensor
    asymmetry_of_noise: Tensor
    values: Tensor
    vectors: Tensor
    coefficients: Tensor

    @property
    def effective_ranks(self) -> np.ndarray:
        """How many directions are kept, at every image: the sum of the eigenvalues."""
        return self.values.sum(1).numpy()

    @property
    def leading(self) -> Tensor:
        """The eigenvectors that count as leading, (n, p, LEADING)."""
        return self.vectors[:, :, :LEADING]


def bases_of(jacobians: Iterable[Tensor], images: Tensor) -> Bases:
    """Of a denoiser with these Jacobians, (p, p) each, at the clean images; one of them is held at a time."""

    def row(j: Tensor, image: Tensor) -> tuple[Tensor, ...]:
        found = spectrum(j)
        symmetry = [torch.tensor(asymmetry(m), dtype=torch.float64) for m in (j, torch.eye(len(j), dtype=j.dtype) - j)]
        leading = found.vectors[:, : max(LEADING, SHOWN[-1] + 1)].clone()
        return *symmetry, found.values, leading, found.vectors.T @ image.reshape(-1).double()

    rows = [row(j, image) for j, image in zip(jacobians, images, strict=True)]
    return Bases(*(torch.stack(column) for column in zip(*rows, strict=True)))


def basis_measures(trained: Bases, untrained: Bases, images: Tensor, homogeneity_errors: Sequence[float]) -> Measures:
    """What K-harmonic-bases is judged by, means over images but for the identity f(y) = J(y) y, which holds for each.

    Against a random matrix the Jacobian is the denoiser's; against the untrained network it is that of the predicted
    noise: an untrained denoiser is the identity, which is symmetric for a reason that has nothing to do with learning.
    """
    n, p = trained.values.shape
    source = torch.Generator().manual_seed(SEED)
    random = np.array([asymmetry(torch.randn(p, p, dtype=torch.float64, generator=source)) for _ in range(n)])
    energy = [float(contour_energy(v, image[0]).mean()) - 1 for v, image in zip(trained.leading, images, strict=True)]
    rows = {
        "asymmetry of a random matrix minus the denoiser's": random - trained.asymmetry.numpy(),
        "asymmetry of the untrained network minus the trained one's": (
            untrained.asymmetry_of_noise - trained.asymmetry_of_noise
        ).numpy(),
        "share of eigenvalues below 0.5": (trained.values < 0.5).double().mean(1).numpy(),
        "gradient energy of leading eigenvectors along contours, minus chance": np.array(energy),
    }
    return {**{name: mean_over_images(x) for name, x in rows.items()}, HOMOGENEITY: (max(homogeneity_errors), None)}


def angle_cosines(a: Bases, b: Bases) -> np.ndarray:
    """Cosines (images, leading), falling, of the angles between the leading eigenspaces of two denoisers."""
    return np.stack([principal_cosines(v, w).numpy() for v, w in zip(a.leading, b.leading, strict=True)])


def subspace_overlaps(cosines: np.ndarray) -> np.ndarray:
    """Share of one leading eigenspace that lies in the other, (images,); by chance leading / pixels."""
    return (cosines**2).mean(axis=1)


def desk_bases(desk: Desk, cell: Cell, images: Tensor, sigma: float = BASIS_SIGMA) -> Bases:
    """Of the network of a cell."""

    def make() -> dict[str, Tensor]:
        return vars(bases_of(at_images(desk.denoiser(cell), images, sigma), images))

    return Bases(
        **measured(desk.root, "bases", make, model=desk.key(cell), images=images, sigma=sigma, device=desk.device)
    )


def untrained_bases(desk: Desk, images: Tensor) -> Bases:
    """Of a network as training finds it."""

    def make() -> dict[str, Tensor]:
        model = build_model(desk.preset.train, SEED).eval().requires_grad_(False)
        return vars(bases_of(at_images(partial(denoise, model), images), images))

    return Bases(**measured(desk.root, "untrained bases", make, options=desk.preset.train.to_dict(), images=images))


def desk_homogeneity(desk: Desk, cell: Cell, images: Tensor) -> list[float]:
    """Of the network of a cell in float64."""

    def make() -> dict[str, Tensor]:
        exact = partial(denoise, copy.deepcopy(desk.model(cell).model).cpu().double().requires_grad_(False))
        return {"errors": torch.tensor(homogeneity(exact, images), dtype=torch.float64)}

    return measured(desk.root, "homogeneity", make, model=desk.key(cell), images=images)["errors"].tolist()


def chance_cosines(pixels: int, leading: int = LEADING, draws: int = 20) -> np.ndarray:
    """Mean cosines (leading,) between random subspaces of as many dimensions."""
    source = torch.Generator().manual_seed(SEED)

    def basis() -> Tensor:
        return torch.linalg.qr(torch.randn(pixels, leading, dtype=torch.float64, generator=source))[0]

    return np.mean([principal_cosines(basis(), basis()).numpy() for _ in range(draws)], axis=0)


def plot_bases(found: Mapping[float, Bases], images: Tensor) -> Figure:
    """Eigenvalues by noise level, and leading eigenvectors at four images."""
    figure = plt.figure(figsize=(7, 3.4))
    left, *rest = [figure.add_subplot(1, 2, 1), *(figure.add_subplot(4, 2, 2 * k) for k in range(1, 5))]
    for sigma, at in found.items():
        left.plot(at.values.mean(0).numpy(), label=f"sigma = {sigma}")
    left.set(xlabel="eigenvalue number", ylabel="shrinkage")
    left.legend(frameon=False, fontsize=8)
    size = images.shape[-1]
    for k, axis in enumerate(rest[: len(images)]):
        vectors = found[BASIS_SIGMA].vectors[k][:, SHOWN].T.reshape(-1, size, size)
        tiles = [images[k, 0].double(), *(0.5 + v / (2 * v.abs().max()) for v in vectors)]
        axis.imshow(torch.cat(tiles, dim=1).clamp(0, 1), cmap="gray", vmin=0, vmax=1)
        axis.axis("off")
    return figure


def plot_rank_and_energy(
    ranks: Mapping[float, tuple[float, Interval]], pixels: int, left: Mapping[str, list[Tensor]]
) -> Figure:
    """Effective rank against sigma, and the energy of the clean image outside its k largest coefficients by basis."""
    figure, (one, two) = plt.subplots(1, 2, figsize=(7, 2.8))
    draw_with_intervals(one, list(ranks), list(ranks.values()), "o-")
    one.set(xlabel="sigma", ylabel="effective rank", ylim=(0, None), title=f"of {pixels} pixels")
    for name, curves in left.items():
        two.semilogy(np.arange(1, pixels + 1), np.mean([c.numpy() for c in curves], axis=0), label=name)
    two.axhline(1 - KEPT, color="0.7", lw=0.8, ls=":")
    two.set(xscale="log", ylim=(1e-5, 1), xlabel="coefficients kept", ylabel="energy left out")
    two.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    return figure


def plot_alignment(
    cosines: Mapping[int, np.ndarray], agreements: Mapping[int, tuple[float, Interval]], chance: np.ndarray, pixels: int
) -> Figure:
    """Principal angles between A's and B's leading eigenspaces by N; their overlap against same-noise agreement."""
    figure, (one, two) = plt.subplots(1, 2, figsize=(7, 2.8))
    for k, (n, found) in enumerate(cosines.items()):
        one.plot(np.arange(1, LEADING + 1), found.mean(axis=0), f"C{k}.-", label=f"N = {n}")
        (x, xi), (y, yi) = agreements[n], mean_over_images(subspace_overlaps(found))
        bars = [[[v - i.low], [i.high - v]] for v, i in ((x, xi), (y, yi))]
        two.errorbar(x, y, np.clip(bars[1], 0, None), np.clip(bars[0], 0, None), fmt="o", color=f"C{k}", capsize=2)
    one.plot(np.arange(1, LEADING + 1), chance, "k:", label="random subspaces")
    one.set(xlabel="principal angle, by index", ylabel="cosine", ylim=(0, 1.02))
    one.legend(frameon=False, fontsize=8)
    two.axhline(LEADING / pixels, color="k", lw=0.8, ls=":")
    two.set(xlabel="same-noise agreement of samples", ylabel="overlap of leading eigenspaces")
    figure.tight_layout()
    return figure


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


def record_alignment(evidence: ClaimRecord, desk: Desk, images: Tensor) -> None:
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


@pytest.mark.claim("K-harmonic-bases")
@pytest.mark.trains(jobs=random_pairs)
def test_the_denoiser_shrinks_in_bases_along_contours(evidence: ClaimRecord, desk: Desk) -> None:
    full_elsewhere(evidence, desk, "test_bases.py")
    images = desk.held_out.images[: desk.preset.theory.bases]
    largest = Cell("random", desk.sizes[-1], GROUPS[0])
    by_level = {sigma: desk_bases(desk, largest, images, sigma) for sigma in RANK_SIGMAS}
    at_basis = by_level[BASIS_SIGMA]
    errors = desk_homogeneity(desk, largest, images)
    found = basis_measures(at_basis, untrained_bases(desk, images), images, errors)
    about: dict[str, Any] = {"kind": desk.kind, "n": len(images), "varies": "image"}
    figures = [evidence.figure("bases", plot_bases(by_level, images[:4]))]
    product = "by one product with J forwards, which rounds as f itself does"
    for name, (value, interval) in found.items():
        note = product if name == HOMOGENEITY else None
        evidence.add(name, value, interval=interval, note=note, figures=figures, **about)
    for what, values in (("denoiser", at_basis.asymmetry), ("noise it predicts", at_basis.asymmetry_of_noise)):
        value, interval = mean_over_images(values.numpy())
        evidence.add(f"asymmetry of the Jacobian, {what}", value, interval=interval, **about)
    value, interval = mean_over_images(errors)
    evidence.add("mean |f(y) - J(y) y| / |f(y)|", value, interval=interval, note=product, **about)
    record_spectra(evidence, by_level, images, desk.kind)
    record_alignment(evidence, desk, images)


def contour_shrinkage(images: Tensor) -> list[Tensor]:
    """Denoisers made by hand that keep ripples on the contours of each image and remove the rest."""
    made = []
    for image in images:
        weight = sum(((image[0].roll(1, a) - image[0].roll(-1, a)) / 2).square() for a in (-2, -1))
        ripple = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(image.shape[-1] // 4)
        columns = torch.zeros(image[0].numel(), LEADING, dtype=torch.float64)
        for k, place in enumerate(weight.flatten().argsort(descending=True)[:LEADING].tolist()):  # type: ignore[union-attr]
            columns[place, k] = float(ripple[place % len(ripple)])
        made.append(columns @ columns.T)
    return made


def made_up_contours() -> Tensor:
    return c_alpha(8, alpha=2, size=20, seed=SEED, strict=True)


def random_matrices(n: int, seed: int = 1) -> list[Tensor]:
    source = torch.Generator().manual_seed(seed)
    return [torch.randn(400, 400, dtype=torch.float64, generator=source) for _ in range(n)]


@pytest.mark.control("K-harmonic-bases", "positive")
def test_symmetric_shrinkage_along_contours_is_recognised(judge: Judge) -> None:
    images = made_up_contours()
    shrinkage = contour_shrinkage(images)
    errors = [homogeneity(lambda y, m=m: (y.flatten(1) @ m.T).view_as(y), images[:1])[0] for m in shrinkage]  # type: ignore[misc]
    found = basis_measures(bases_of(shrinkage, images), bases_of(random_matrices(8), images), images, errors)
    assert judge("K-harmonic-bases", found, "synthetic") == "reproduced"


@pytest.mark.control("K-harmonic-bases", "positive")
def test_what_is_asked_of_a_jacobian_by_hand() -> None:
    """Of 36 pixels that are kept by 36/36, 35/36, ..., two of which are swapped with opposite signs besides."""
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
def test_an_additive_constant_is_caught(judge: Judge, desk: Desk) -> None:
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
