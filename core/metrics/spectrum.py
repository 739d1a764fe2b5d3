"""The denoiser's Jacobian at a noisy image: shrinkage in an adaptive basis (Kadkhodaie et al. 2024, section 3.1).

Exact where it fits, its leading eigenpairs by products alone where it does not. Of a bias-free network in evaluation
mode f(y) = J(y) y, so that eigenvectors of J are what it keeps (eigenvalue near 1) or removes (near 0).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from core.errors import InputError

MEMORY = 2**31  # bytes that the computation of a Jacobian may take, or that of leading eigenpairs
ROWS = 100  # of the Jacobian computed at once
KRYLOV = 20  # vectors that Lanczos keeps at least; it keeps more for more than ten pairs
Denoise = Callable[[Tensor], Tensor]


def jacobian(denoiser: Denoise, y: Tensor, *, memory: int = MEMORY) -> Tensor:
    """d denoiser(y) / d y at one image y (c, h, w): (p, p) float64, row i the derivative of output pixel i.

    Raises:
        InputError: for another shape, or where it takes more than `memory` bytes, once in the dtype of y and once in
            float64; what the denoiser itself keeps comes on top.
    """
    _check_image(denoiser, y)
    p = y.numel()
    needed = p * p * (8 + y.element_size())
    if needed > memory:
        raise InputError(
            f"jacobian: {p} x {p} numbers take {needed / 2**30:.1f} GiB, more than the {memory / 2**30:.1f} GiB "
            f"allowed (memory = {memory}); use leading_eigenpairs, which needs products with it alone"
        )
    rows = torch.func.jacrev(lambda x: denoiser(x[None])[0].reshape(-1), chunk_size=ROWS)(y)
    return rows.reshape(p, p).detach().double()


def _check_image(denoiser: Denoise, y: Tensor) -> None:
    if y.ndim != 3 or not y.is_floating_point():
        raise InputError(f"y: found shape {tuple(y.shape)} of {y.dtype}; expected one image (c, h, w) of floats")
    with torch.no_grad():
        value = denoiser(y[None])[0]
    if value.shape != y.shape:
        raise InputError(
            f"denoiser: returned shape {tuple(value.shape)} for an image {tuple(y.shape)}; expected the same"
        )
    if not bool(torch.isfinite(value).all()):
        raise InputError("denoiser: returned missing or infinite values, expected none")


def leading_eigenpairs(denoiser: Denoise, y: Tensor, k: int, *, memory: int = MEMORY) -> tuple[Tensor, Tensor]:
    """The k largest eigenvalues, falling, and eigenvectors (p, k) of (J + J^T) / 2 at y, by products with J and J^T.

    Lanczos: it keeps 2 k + 1 vectors of p numbers, at least 20, and the k that it returns.

    Raises:
        InputError: for another shape of y or of the denoiser's answer, unless 1 <= k < p, or where the vectors take
            more than `memory` bytes.
    """
    _check_image(denoiser, y)
    p = y.numel()
    if not 1 <= k < p:
        raise InputError(f"k: found {k}; expected 1 to {p - 1}")
    needed = (min(p, max(2 * k + 1, KRYLOV)) + k) * p * 8
    if needed > memory:
        raise InputError(
            f"leading_eigenpairs: vectors for {k} of {p} pairs take {needed / 2**30:.1f} GiB, more than the "
            f"{memory / 2**30:.1f} GiB allowed (memory = {memory}); ask for fewer pairs"
        )

    def f(x: Tensor) -> Tensor:
        return denoiser(x[None])[0]

    backward = torch.func.vjp(f, y)[1]

    def product(v: np.ndarray) -> np.ndarray:
        tangent = torch.from_numpy(np.asarray(v)).to(y).reshape(y.shape)
        forth = torch.func.jvp(f, (y,), (tangent,))[1]
        return (0.5 * (forth + backward(tangent)[0])).detach().reshape(-1).double().cpu().numpy()

    start = np.random.default_rng(0).standard_normal(p)
    values, vectors = eigsh(LinearOperator((p, p), product, dtype=np.float64), k=k, which="LA", v0=start)
    return torch.from_numpy(values[::-1].copy()), torch.from_numpy(vectors[:, ::-1].copy())


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues (p,), falling, and orthonormal eigenvectors (p, p) as columns, of a Jacobian's symmetric part."""

    values: Tensor
    vectors: Tensor

    @property
    def effective_rank(self) -> float:
        """How many directions are kept: the sum of the eigenvalues, by which the error is about sigma^2 times this."""
        return float(self.values.sum())


def spectrum(matrix: Tensor) -> Spectrum:
    """Eigendecomposition of the symmetric part of a square matrix.

    Raises:
        InputError: for a matrix that is not square, or holds missing or infinite values.
    """
    _square(matrix)
    if not bool(torch.isfinite(matrix).all()):
        raise InputError("matrix: found missing or infinite values, expected none")
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    return Spectrum(values.flip(0), vectors.flip(1))


def _square(matrix: Tensor) -> None:
    if matrix.ndim != 2 or len(matrix) != matrix.shape[1]:
        raise InputError(f"matrix: found shape {tuple(matrix.shape)}; expected (p, p)")


def asymmetry(matrix: Tensor) -> float:
    """Frobenius norm of the antisymmetric part over that of the matrix: 0 if symmetric, about 0.71 if random."""
    _square(matrix)
    if not bool(matrix.any()):
        raise InputError("matrix: found nothing but zeros; expected a norm to divide by")
    return float(torch.linalg.norm(matrix - matrix.T) / 2 / torch.linalg.norm(matrix))


def homogeneity_error(denoiser: Denoise, y: Tensor) -> float:
    """|f(y) - J(y) y| over |f(y)| at one image: 0 up to rounding for a bias-free network in evaluation mode.

    By one product with J, so that no size is too large.
    """
    _check_image(denoiser, y)
    value, product = (x.detach().double() for x in torch.func.jvp(lambda x: denoiser(x[None])[0], (y,), (y,)))
    return float(torch.linalg.norm(value - product) / torch.linalg.norm(value))


def contour_energy(vectors: Tensor, image: Tensor) -> Tensor:
    """Gradient energy of each vector (h w, k) weighted by that of the image (h, w), over that of an even spread: (k,).

    Above 1: the vector varies where the image has contours. Differences are periodic; a mean of 1 is chance.
    """
    if image.ndim != 2:
        raise InputError(f"image: found shape {tuple(image.shape)}; expected (h, w)")
    h, w = image.shape
    if vectors.ndim != 2 or len(vectors) != h * w:
        raise InputError(f"vectors: found shape {tuple(vectors.shape)}; expected ({h * w}, k)")
    if not bool(image.std(unbiased=False) > 0):
        raise InputError("image: found one value throughout; expected contours")

    def energy(x: Tensor) -> Tensor:
        return sum(((x.roll(1, axis) - x) / 2 + (x - x.roll(-1, axis)) / 2).square() for axis in (-2, -1))  # type: ignore[return-value]

    weight = energy(image.double())
    weight = weight / weight.mean()
    own = energy(vectors.T.reshape(-1, h, w).double())
    return (own * weight).sum((1, 2)) / own.sum((1, 2))


def principal_cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosines of the principal angles between the spans of orthonormal columns (p, k) and (p, l), falling."""
    for name, x in (("a", a), ("b", b)):
        if x.ndim != 2 or len(x) != len(a):
            raise InputError(f"{name}: found shape {tuple(x.shape)}; expected orthonormal columns ({len(a)}, k)")
        if not torch.allclose(x.T @ x, torch.eye(x.shape[1], dtype=x.dtype, device=x.device), atol=1e-4):
            raise InputError(f"{name}: columns are not orthonormal; expected {name}^T {name} = I")
    return torch.linalg.svdvals(a.T @ b).clamp(0, 1)


def energy_left(coefficients: Tensor) -> Tensor:
    """Share of the energy that the k largest coefficients leave out, for k = 1, 2, ...: (p,) falling to 0.

    Raises:
        InputError: for coefficients that are all 0, missing or infinite.
    """
    energy = coefficients.double().square().reshape(-1)
    total = float(energy.sum())
    if not 0 < total < float("inf"):
        raise InputError(f"coefficients: found energy {total:g}; expected a positive and finite one")
    left = energy.sort().values.cumsum(0).flip(0)  # from the smallest up: no difference of nearly equal numbers
    return torch.cat([left[1:], left.new_zeros(1)]) / total


def kept_energy(coefficients: Tensor, share: float = 0.99) -> int:
    """How many of the largest coefficients hold `share` of the energy: small means sparse.

    Raises:
        InputError: unless 0 < share < 1, and as `energy_left`.
    """
    if not 0 < share < 1:
        raise InputError(f"share: found {share}; expected a number between 0 and 1")
    return int((energy_left(coefficients) > 1 - share).sum()) + 1


def _plane(image: Tensor) -> Tensor:
    if image.ndim != 2 or 0 in image.shape:
        raise InputError(f"image: found shape {tuple(image.shape)}; expected one plane (h, w)")
    return image.double()


def fourier_coefficients(image: Tensor) -> Tensor:
    """Orthonormal cosine transform of (h, w): Fourier's basis for images with free borders."""
    return torch.from_numpy(scipy.fft.dctn(_plane(image).numpy(), norm="ortho"))


def haar_coefficients(image: Tensor) -> Tensor:
    """Orthonormal Haar wavelet transform of (h, w) of any size, down to one mean.

    Where a side is odd its last column goes on to the next level unpaired, and pairs of unequal extent are combined by
    it (the unbalanced Haar wavelets of Girardi and Sweldens 1997), so that a constant stays one coefficient.
    """
    found = _plane(image).clone()
    sides, extent = list(found.shape), [torch.ones(side, dtype=torch.float64) for side in found.shape]
    while max(sides) > 1:
        for axis in (0, 1):
            block = found[: sides[0], : sides[1]].transpose(0, axis)
            block, extent[axis] = _haar_level(block, extent[axis])
            found[: sides[0], : sides[1]] = block.transpose(0, axis)
        sides = [(side + 1) // 2 for side in sides]
    return found


def _haar_level(x: Tensor, extent: Tensor) -> tuple[Tensor, Tensor]:
    """One level along rows: means and then differences of neighbours, (n, m), and how many rows each mean covers."""
    paired = len(x) // 2 * 2
    (a, b), (m, n) = ((v[:paired:2], v[1:paired:2]) for v in (x, extent))
    c, s = (m / (m + n)).sqrt()[:, None], (n / (m + n)).sqrt()[:, None]
    return torch.cat([c * a + s * b, x[paired:], s * a - c * b]), torch.cat([m + n, extent[paired:]])
