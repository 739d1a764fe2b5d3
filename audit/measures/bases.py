"""Eigenvalues and eigenvectors of a denoiser's Jacobian (Kadkhodaie et al. 2024, sections 3.1 and 3.2)."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from audit.measures.record import SEED, Measures
from core.denoisers.oracles import Gaussian
from core.denoisers.unet import Denoiser, denoise
from core.metrics.psnr import unit_noise
from core.metrics.spectrum import asymmetry, contour_energy, homogeneity_error, jacobian, principal_cosines, spectrum
from core.stats import Interval, bootstrap_mean
from core.training.train import build_model
from fixtures.experiments.desk import Cell, TrainedExperiment
from fixtures.experiments.measured import measured

BASIS_SIGMA = 0.15
RANK_SIGMAS = (0.05, 0.1, 0.15, 0.3, 0.5)
LEADING = 20  # eigenvectors that count as leading
SHOWN = [0, 1, 2, 4, 8, 16, 32]  # eigenvectors in the picture
KEPT = 0.995  # share of the clean image's energy that the counted coefficients hold
HOMOGENEITY = "largest |f(y) - J(y) y| / |f(y)|"
OWN = "contour energy of leading eigenvectors, taken at the image minus taken at other images"
BEYOND = "contour energy of leading eigenvectors, network minus Wiener filter"


def noisy_images(images: Tensor, sigma: float = BASIS_SIGMA) -> Tensor:
    """The images with noise of this level, that of image k from seed k."""
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
    """Spectra and leading eigenvectors of a denoiser's Jacobians at n images of p pixels.

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
    """Bases of a denoiser from its Jacobians at the clean images, (p, p) each; one of them is held at a time."""

    def row(j: Tensor, image: Tensor) -> tuple[Tensor, ...]:
        found = spectrum(j)
        symmetry = [torch.tensor(asymmetry(m), dtype=torch.float64) for m in (j, torch.eye(len(j), dtype=j.dtype) - j)]
        leading = found.vectors[:, : max(LEADING, SHOWN[-1] + 1)].clone()
        return *symmetry, found.values, leading, found.vectors.T @ image.reshape(-1).double()

    rows = [row(j, image) for j, image in zip(jacobians, images, strict=True)]
    return Bases(*(torch.stack(column) for column in zip(*rows, strict=True)))


def contour_table(found: Bases, images: Tensor) -> np.ndarray:
    """Contour energy (bases, images) at every image of the leading eigenvectors taken at each image; chance is 1."""
    rows = [[float(contour_energy(vectors, image[0]).mean()) for image in images] for vectors in found.leading]
    return np.array(rows)


def own_minus_other(table: np.ndarray) -> np.ndarray:
    """Energy of the eigenvectors taken at an image minus the mean of those taken at other images, (images,).

    Both are weighted by the contours of the same image, so that a basis which is the same everywhere gives exactly 0.
    """
    return (np.diag(table) - table).sum(axis=0) / (len(table) - 1)


def basis_measures(
    trained: Bases, untrained: Bases, wiener: Bases, images: Tensor, homogeneity_errors: Sequence[float]
) -> Measures:
    """What K-harmonic-bases is judged by, means over images but for the identity f(y) = J(y) y, which holds for each.

    Against a random matrix the Jacobian is the denoiser's; against the untrained network it is that of the predicted
    noise: an untrained denoiser is the identity, which is symmetric for a reason that has nothing to do with learning.
    Against the Wiener filter it is the energy along contours: a fixed filter for smooth images has some, too.
    """
    n, p = trained.values.shape
    source = torch.Generator().manual_seed(SEED)
    random = np.array([asymmetry(torch.randn(p, p, dtype=torch.float64, generator=source)) for _ in range(n)])
    own, fixed = contour_table(trained, images), contour_table(wiener, images)
    rows = {
        "asymmetry of a random matrix minus the denoiser's": random - trained.asymmetry.numpy(),
        "asymmetry of the untrained network minus the trained one's": (
            untrained.asymmetry_of_noise - trained.asymmetry_of_noise
        ).numpy(),
        "share of eigenvalues below 0.5": (trained.values < 0.5).double().mean(1).numpy(),
        "gradient energy of leading eigenvectors along contours, minus chance": np.diag(own) - 1,
        OWN: own_minus_other(own),
        BEYOND: np.diag(own) - np.diag(fixed),
    }
    return {**{name: mean_over_images(x) for name, x in rows.items()}, HOMOGENEITY: (max(homogeneity_errors), None)}


def angle_cosines(a: Bases, b: Bases) -> np.ndarray:
    """Cosines (images, leading), falling, of the angles between the leading eigenspaces of two denoisers."""
    return np.stack([principal_cosines(v, w).numpy() for v, w in zip(a.leading, b.leading, strict=True)])


def subspace_overlaps(cosines: np.ndarray) -> np.ndarray:
    """Share of one leading eigenspace that lies in the other, (images,); by chance leading / pixels."""
    return (cosines**2).mean(axis=1)


def desk_bases(desk: TrainedExperiment, cell: Cell, images: Tensor, sigma: float = BASIS_SIGMA) -> Bases:
    """Bases of the network of a cell at noisy images, from the store where they were measured before."""

    def make() -> dict[str, Tensor]:
        return vars(bases_of(at_images(desk.denoiser(cell), images, sigma), images))

    return Bases(
        **measured(desk.root, "bases", make, model=desk.key(cell), images=images, sigma=sigma, device=desk.device)
    )


def untrained_bases(desk: TrainedExperiment, images: Tensor) -> Bases:
    """Bases of a network before training, from the store where they were measured before."""

    def make() -> dict[str, Tensor]:
        model = build_model(desk.preset.train, SEED).eval().requires_grad_(False)
        return vars(bases_of(at_images(partial(denoise, model), images), images))

    return Bases(**measured(desk.root, "untrained bases", make, options=desk.preset.train.to_dict(), images=images))


def wiener_bases(train: Tensor, images: Tensor, sigma: float = BASIS_SIGMA) -> Bases:
    """Bases of the Wiener filter of the training images' mean and covariance: one basis, the same at every image."""
    return bases_of([Gaussian.from_images(train).gain(sigma)] * len(images), images)


def desk_wiener(desk: TrainedExperiment, cell: Cell, images: Tensor) -> Bases:
    """Bases of the Wiener filter of the training images of a cell, from the store where they were measured before."""
    train = desk.images(cell)

    def make() -> dict[str, Tensor]:
        return vars(wiener_bases(train, images))

    return Bases(**measured(desk.root, "Wiener bases", make, train=train, images=images, sigma=BASIS_SIGMA))


def desk_homogeneity(desk: TrainedExperiment, cell: Cell, images: Tensor) -> list[float]:
    """`homogeneity` of the network of a cell in float64, from the store where it was measured before."""

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
