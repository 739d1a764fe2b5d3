"""Denoisers known in closed form: what a network is held against.

For y = x + sigma z with z ~ N(0, I), every oracle knows the posterior mean E[x | y], the log-density of y and, by
Miyasawa (1961), its score (E[x | y] - y) / sigma^2. All arithmetic is float64. Points are (b, ...) tensors, flattened
inside to (b, d) and returned in the shape they came in.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import special, stats
from torch import Tensor

from core.errors import InputError

TILE = 4096
LOG_2PI = math.log(2 * math.pi)


class Oracle(ABC):
    """A density over x of dimension `d`, with its exact denoiser at every noise level."""

    d: int

    @abstractmethod
    def _posterior(self, y: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Posterior mean (b, d) and log-density of y (b,), for y (b, d) float64."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Clean points (n, d) float64."""

    def denoise(self, y: Tensor, sigma: float) -> Tensor:
        """E[x | y], in the shape of y."""
        return self._posterior(self._rows(y, sigma), sigma)[0].reshape(y.shape)

    def log_density(self, y: Tensor, sigma: float) -> Tensor:
        """log p_sigma(y), (b,): the density of x + sigma z."""
        return self._posterior(self._rows(y, sigma), sigma)[1]

    def score(self, y: Tensor, sigma: float) -> Tensor:
        """Gradient of log p_sigma at y by Miyasawa's identity, in the shape of y."""
        return (self.denoise(y, sigma) - y.to(torch.float64)) / sigma**2

    def blind(self, sigmas: Sequence[float]) -> Callable[[Tensor], Tensor]:
        """The optimum of training without knowing sigma: E[x | y] with sigma uniform over the levels given.

        That is the average of the posterior means, weighted by how likely each level makes y. It plugs into the
        samplers and metrics as a network does, and keeps the dtype of its input.
        """
        levels = [float(s) for s in sigmas]
        if not levels or not all(math.isfinite(s) and s > 0 for s in levels):
            raise InputError(f"sigmas: found {levels}; expected at least one noise level, all positive")

        def denoiser(y: Tensor) -> Tensor:
            rows = self._rows(y, min(levels))
            parts = [self._posterior(rows, sigma) for sigma in levels]
            weights = torch.stack([log_density for _, log_density in parts]).softmax(dim=0)
            means = torch.stack([mean for mean, _ in parts])
            return (weights[..., None] * means).sum(dim=0).reshape(y.shape).to(y.dtype)

        return denoiser

    def _rows(self, y: Tensor, sigma: float) -> Tensor:
        if not (math.isfinite(sigma) and sigma > 0):
            raise InputError(f"sigma: found {sigma}; expected a positive number")
        found = y[0].numel() if len(y) else 0
        if found != self.d:
            raise InputError(f"y: found {len(y)} points of {found} dimensions; expected at least one of {self.d}")
        rows = y.reshape(len(y), -1).to(torch.float64)
        return rows


class Gaussian(Oracle):
    """N(mean, basis diag(variances) basis^T): Wiener's filter. With fewer directions than dimensions, a subspace."""

    def __init__(self, mean: Tensor, basis: Tensor, variances: Tensor) -> None:
        self.mean, self.basis, self.variances = (t.to(torch.float64) for t in (mean.reshape(-1), basis, variances))
        self.d = len(self.mean)
        k = len(self.variances)
        if self.basis.shape != (self.d, k):
            raise InputError(f"basis: found shape {tuple(self.basis.shape)}; expected {(self.d, k)}")
        if not bool((self.variances > 0).all()):
            raise InputError(f"variances: found {float(self.variances.min())}; expected all above 0")
        if not torch.allclose(self.basis.T @ self.basis, torch.eye(k, dtype=torch.float64), atol=1e-9):
            raise InputError("basis: columns are not orthonormal; expected basis^T basis = I within 1e-9")

    @classmethod
    def from_covariance(cls, mean: Tensor, covariance: Tensor) -> "Gaussian":
        """Full-rank form.

        Raises:
            InputError: if the covariance is not symmetric and positive definite.
        """
        covariance = covariance.to(torch.float64)
        if tuple(covariance.shape) != (mean.numel(), mean.numel()):
            raise InputError(f"covariance: found shape {tuple(covariance.shape)}; expected {(mean.numel(),) * 2}")
        if not torch.allclose(covariance, covariance.T, rtol=1e-9, atol=1e-12):
            raise InputError("covariance: not symmetric; expected a symmetric positive definite matrix")
        values, vectors = torch.linalg.eigh(covariance)
        if float(values[0]) <= 0:
            raise InputError(f"covariance: smallest eigenvalue is {float(values[0]):.3g}; expected a positive one")
        return cls(mean, vectors, values)

    def _posterior(self, y: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        centred = y - self.mean
        inside = centred @ self.basis
        total = self.variances + sigma**2
        mean = self.mean + (inside * (self.variances / total)) @ self.basis.T
        outside = centred.square().sum(1) - inside.square().sum(1)
        rest = self.d - len(self.variances)
        log_density = -0.5 * (
            (inside.square() / total).sum(1)
            + outside / sigma**2
            + total.log().sum()
            + rest * 2 * math.log(sigma)
            + self.d * LOG_2PI
        )
        return mean, log_density

    def mse(self, sigma: float) -> float:
        """Expected squared error of the posterior mean: sum of v sigma^2 / (v + sigma^2)."""
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
        if not self.components or len(self.weights) != len(self.components):
            raise InputError(
                f"weights: found {len(self.weights)} for {len(self.components)} components; expected one each"
            )
        if bool((self.weights <= 0).any()) or abs(float(self.weights.sum()) - 1) > 1e-9:
            raise InputError("weights: expected positive numbers that add up to 1")
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


class Empirical(Oracle):
    """The uniform distribution over a training set: the optimum that memorises (Kadkhodaie's slide 'dangers').

    E[x | y] is the softmax-weighted mean of the set with logits -|y - x_i|^2 / (2 sigma^2). Computed tile by tile with
    a running maximum, so that memory is about tile * (d + b) * 8 bytes whatever the size of the set. Squared distances
    come from a product in float64: their rounding, about 1e-16 |y|^2, is far below sigma^2 at any level used here.
    """

    def __init__(self, points: Tensor, *, tile: int = TILE) -> None:
        if len(points) == 0:
            raise InputError("points: found an empty training set; expected at least one point")
        if not bool(torch.isfinite(points).all()):
            raise InputError("points: found missing or infinite values; expected none")
        self.points = points.reshape(len(points), -1)
        self.d = self.points.shape[1]
        self.tile = tile

    def _posterior(self, y: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        top = torch.full((len(y), 1), -math.inf, dtype=torch.float64)
        total = torch.zeros(len(y), 1, dtype=torch.float64)
        mean = torch.zeros_like(y)
        for start in range(0, len(self.points), self.tile):
            x = self.points[start : start + self.tile].to(torch.float64)
            squares = y.square().sum(1, keepdim=True) - 2 * y @ x.T + x.square().sum(1)
            logits = -squares / (2 * sigma**2)
            higher = torch.maximum(top, logits.max(dim=1, keepdim=True).values)
            weights, kept = (logits - higher).exp(), (top - higher).exp()
            total = total * kept + weights.sum(dim=1, keepdim=True)
            mean = mean * kept + weights @ x
            top = higher
        log_density = (top + total.log())[:, 0] - math.log(len(self.points))
        return mean / total, log_density - 0.5 * self.d * (LOG_2PI + 2 * math.log(sigma))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Training points (n, d) float64, drawn with replacement."""
        return self.points[torch.randint(len(self.points), (n,), generator=generator)].to(torch.float64)


class Sphere(Oracle):
    """Uniform on the sphere of radius `radius` in the span of `basis` (d, k): the posterior is von Mises-Fisher."""

    def __init__(self, basis: Tensor, radius: float) -> None:
        Gaussian(torch.zeros(len(basis)), basis, torch.ones(basis.shape[1]))  # the same demands on the basis
        if not radius > 0 or basis.shape[1] < 2:
            raise InputError(f"sphere: found radius {radius} in {basis.shape[1]} dimensions; expected > 0 and >= 2")
        self.basis, self.radius = basis.to(torch.float64), float(radius)
        self.d, self.k = basis.shape

    def _posterior(self, y: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        inside = y @ self.basis
        norm = inside.norm(dim=1, keepdim=True)
        kappa = self.radius * norm / sigma**2
        shrink = torch.from_numpy(_bessel_ratio(self.k, kappa.numpy()))
        mean = (self.radius * shrink * inside / norm.clamp_min(1e-300)) @ self.basis.T
        log_angle = torch.from_numpy(_log_angle(self.k, kappa[:, 0].numpy()))
        quadratic = (y.square().sum(1) + self.radius**2) / (2 * sigma**2)
        return mean, log_angle - quadratic - 0.5 * self.d * (LOG_2PI + 2 * math.log(sigma))

    def mse(self, sigma: float, *, nodes: int = 2000) -> float:
        """Expected squared error: radius^2 (1 - E[A(kappa)^2]), by quadrature over the length of y's projection."""
        rank = (np.arange(nodes) + 0.5) / nodes
        length = sigma * np.sqrt(stats.ncx2.ppf(rank, self.k, (self.radius / sigma) ** 2))
        return float(self.radius**2 * (1 - np.mean(_bessel_ratio(self.k, self.radius * length / sigma**2) ** 2)))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Clean points (n, d) float64."""
        z = torch.randn(n, self.k, dtype=torch.float64, generator=generator)
        return (self.radius * z / z.norm(dim=1, keepdim=True)) @ self.basis.T


SMALL = 300.0  # concentrations up to which the series cannot overflow, and above which scaled Bessel values are safe


def _log_angle(k: int, kappa: np.ndarray) -> np.ndarray:
    """Log of the mean of exp(kappa cos angle) over the sphere in k dimensions: 0F1(k / 2; kappa^2 / 4)."""
    small = np.minimum(kappa, SMALL)
    order, large = k / 2 - 1, np.maximum(kappa, SMALL)
    scaled = math.lgamma(k / 2) + order * np.log(2 / large) + np.log(special.ive(order, large)) + large
    return np.where(kappa <= SMALL, np.log(special.hyp0f1(k / 2, small**2 / 4)), scaled)


def _bessel_ratio(k: int, kappa: np.ndarray) -> np.ndarray:
    """Mean resultant length of von Mises-Fisher in k dimensions: I_{k/2}(kappa) / I_{k/2-1}(kappa)."""
    small, large = np.minimum(kappa, SMALL), np.maximum(kappa, SMALL)
    series = small / k * special.hyp0f1(k / 2 + 1, small**2 / 4) / special.hyp0f1(k / 2, small**2 / 4)
    return np.where(kappa <= SMALL, series, special.ive(k / 2, large) / special.ive(k / 2 - 1, large))
