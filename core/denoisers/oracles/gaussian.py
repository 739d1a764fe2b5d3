"""Gaussians of full or lower rank, and finite mixtures of them."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from core.denoisers.oracles.base import LOG_2PI, Oracle, checked_levels, finite, orthonormal, positive
from core.errors import InputError


class Gaussian(Oracle):
    """N(mean, basis diag(variances) basis^T): Wiener's filter. With fewer directions than dimensions, a subspace."""

    def __init__(self, mean: Tensor, basis: Tensor, variances: Tensor) -> None:
        self.mean, self.basis, self.variances = (t.to(torch.float64) for t in (mean.reshape(-1), basis, variances))
        self.d = len(self.mean)
        if self.variances.ndim != 1:
            raise InputError(f"variances: found shape {tuple(self.variances.shape)}; expected one a direction, (k,)")
        if self.basis.shape != (self.d, len(self.variances)):
            raise InputError(f"basis: found shape {tuple(self.basis.shape)}; expected {(self.d, len(self.variances))}")
        finite(self.mean, "mean")
        finite(self.variances, "variances")
        if not bool((self.variances > 0).all()):
            raise InputError(f"variances: found {float(self.variances.min())}; expected all above 0")
        orthonormal(self.basis)

    @classmethod
    def from_covariance(cls, mean: Tensor, covariance: Tensor) -> "Gaussian":
        """Full-rank form.

        Raises:
            InputError: if the covariance is not symmetric and positive definite, both beyond the rounding of its
                dtype: an eigenvalue within d rounding units of the largest may be one of a singular matrix.
        """
        if tuple(covariance.shape) != (mean.numel(), mean.numel()):
            raise InputError(f"covariance: found shape {tuple(covariance.shape)}; expected {(mean.numel(),) * 2}")
        finite(covariance, "covariance")
        rounding = mean.numel() * torch.finfo(covariance.dtype if covariance.is_floating_point() else torch.float64).eps
        covariance = covariance.to(torch.float64)
        if float((covariance - covariance.T).abs().max()) > max(1e-9, rounding) * float(covariance.abs().max()):
            raise InputError("covariance: not symmetric; expected a symmetric positive definite matrix")
        values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
        least = rounding * float(values[-1])
        if not float(values[0]) > max(least, 0):
            raise InputError(
                f"covariance: smallest eigenvalue is {float(values[0]):.3g}, the largest {float(values[-1]):.3g}; "
                f"expected a positive one, above rounding ({max(least, 0):.3g}); a subspace is Gaussian(mean, basis, "
                "variances)"
            )
        return cls(mean, vectors, values)

    @classmethod
    def from_images(cls, images: Tensor) -> "Gaussian":
        """The mean and covariance of images (n, ...), over n: its filter is the best affine denoiser of these images.

        The covariance of n images has at most n - 1 directions: it is a subspace where they are few, and directions
        whose variance is rounding are left out. Nothing is added to the variances.
        """
        if images.ndim < 2 or len(images) < 2:
            raise InputError(f"images: found shape {tuple(images.shape)}; expected at least 2 images (n, ...)")
        finite(images, "images")
        rows = images.reshape(len(images), -1).to(torch.float64)
        mean = rows.mean(dim=0)
        centred = rows - mean
        if len(rows) > centred.shape[1]:
            values, basis = torch.linalg.eigh(centred.T @ centred / len(rows))
        else:
            _, singular, turned = torch.linalg.svd(centred, full_matrices=False)
            values, basis = singular.square() / len(rows), turned.T
        size = max(float(values.max()), float(mean.square().sum()))
        kept = values > max(rows.shape) * torch.finfo(torch.float64).eps * size
        if not kept.any():
            raise InputError(f"images: found {len(images)} equal images; expected some that differ")
        return cls(mean, basis[:, kept], values[kept])

    def gain(self, sigma: float) -> Tensor:
        """The Wiener filter (d, d): how each pixel (row) of the posterior mean depends on each noisy pixel (column)."""
        positive(sigma, "sigma")
        return (self.basis * (self.variances / (self.variances + sigma**2))) @ self.basis.T

    def _posterior(self, y: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        centred = y - self.mean
        inside = centred @ self.basis
        total = self.variances + sigma**2
        mean = self.mean + (inside * (self.variances / total)) @ self.basis.T
        rest = self.d - len(self.variances)
        outside = (centred - inside @ self.basis.T).square().sum(1) if rest else centred.new_zeros(len(y))
        log_density = -0.5 * (
            (inside.square() / total).sum(1)
            + outside / sigma**2
            + total.log().sum()
            + rest * 2 * math.log(sigma)
            + self.d * LOG_2PI
        )
        return mean, log_density

    def blind(self, sigmas: Sequence[float]) -> Callable[[Tensor], Tensor]:
        """`Oracle.blind`, averaged over the levels along each direction: what takes time does not grow with them."""
        levels = torch.tensor(checked_levels(sigmas), dtype=torch.float64)
        total = self.variances + levels.square()[:, None]  # (levels, k)
        rest = self.d - len(self.variances)
        constant = total.log().sum(1) + 2 * rest * levels.log()

        def denoiser(y: Tensor) -> Tensor:
            centred = self._rows(y, float(levels.min())) - self.mean
            inside = centred @ self.basis
            outside = (centred - inside @ self.basis.T).square().sum(1) if rest else centred.new_zeros(len(y))
            distance = inside.square() @ (1 / total).T + outside[:, None] / levels.square()
            weights = (-0.5 * (distance + constant)).softmax(dim=1)
            mean = self.mean + (inside * (weights @ (self.variances / total))) @ self.basis.T
            return mean.reshape(y.shape).to(y.dtype)

        return denoiser

    def mse(self, sigma: float) -> float:
        """Expected squared error of the posterior mean, exactly: sum of v sigma^2 / (v + sigma^2)."""
        positive(sigma, "sigma")
        return float((self.variances * sigma**2 / (self.variances + sigma**2)).sum())

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Clean points (n, d) float64."""
        z = torch.randn(n, len(self.variances), dtype=torch.float64, generator=generator)
        return self.mean + (z * self.variances.sqrt()) @ self.basis.T


class Mixture(Oracle):
    """A finite mixture of Gaussians."""

    def __init__(self, components: Sequence[Gaussian], weights: Sequence[float] | Tensor) -> None:
        self.components = tuple(components)
        self.weights = torch.as_tensor(weights, dtype=torch.float64)
        if not self.components or self.weights.shape != (len(self.components),):
            raise InputError(
                f"weights: found shape {tuple(self.weights.shape)} for {len(self.components)} components; "
                "expected one each"
            )
        if not (bool((self.weights > 0).all()) and abs(float(self.weights.sum()) - 1) <= 1e-9):
            raise InputError(f"weights: found {self.weights.tolist()}; expected positive numbers that add up to 1")
        if len({c.d for c in self.components}) != 1:
            raise InputError(f"components: found dimensions {sorted({c.d for c in self.components})}; expected one")
        self.d = self.components[0].d

    def _posterior(self, y: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        parts = [c._posterior(y, sigma) for c in self.components]
        joint = torch.stack([p for _, p in parts], dim=1) + self.weights.log()
        means = torch.stack([m for m, _ in parts], dim=1)
        return (joint.softmax(1)[..., None] * means).sum(1), joint.logsumexp(1)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Clean points (n, d) float64."""
        which = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        points = torch.empty(n, self.d, dtype=torch.float64)
        for k, component in enumerate(self.components):
            mine = which == k
            points[mine] = component.sample(int(mine.sum()), generator)
        return points
