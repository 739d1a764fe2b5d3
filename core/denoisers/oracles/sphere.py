"""A sphere in a subspace of any dimension, and the Bessel functions that its posterior needs.

With k dimensions and t = kappa^2 the two functions are log 0F1(k/2; t/4), and the ratio of Bessel functions
A(kappa) = I_{k/2}(kappa) / I_{k/2-1}(kappa) divided by kappa: G_k(t) = A / kappa. In t both are smooth at the centre of
the sphere, where kappa itself is not. Their derivatives are G_k / 2 and G_k (G_{k+2} - G_k) / 2, which is
A' = 1 - A^2 - (k - 1) A / kappa written without its cancellation at small kappa.
"""

import math
from typing import Any

import numpy as np
import torch
from scipy import special
from torch import Tensor

from core.denoisers.oracles.base import LOG_2PI, Oracle, orthonormal, positive
from core.errors import InputError

MOST = 2000  # dimensions up to which the Bessel functions neither overflow nor underflow
NODES = 200  # of the quadrature over a bump of known width: rounding is reached with half of them
FAR = 1e8  # kappa from which Hankel's expansion is exact to rounding; scipy's functions end at about 1e9
REACH = 10  # sigma on either side of the bump; beyond lies 1e-23 of it


class Sphere(Oracle):
    """Uniform on the sphere of radius `radius` in the span of `basis` (d, k): the posterior is von Mises-Fisher."""

    def __init__(self, basis: Tensor, radius: float) -> None:
        self.basis, self.radius = basis.to(torch.float64), float(radius)
        positive(self.radius, "radius")
        orthonormal(self.basis)
        self.d, self.k = basis.shape
        if not 2 <= self.k <= MOST:
            raise InputError(f"basis: found a sphere in {self.k} dimensions; expected 2 to {MOST}")

    def _posterior(self, y: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        inside = y @ self.basis
        concentration = self.radius / sigma**2
        t = concentration**2 * inside.square().sum(1)
        mean = self.radius * concentration * (_ratio(t, self.k)[:, None] * inside) @ self.basis.T
        quadratic = (y.square().sum(1) + self.radius**2) / (2 * sigma**2)
        return mean, _log_angle(t, self.k) - quadratic - 0.5 * self.d * (LOG_2PI + 2 * math.log(sigma))

    def mse(self, sigma: float) -> float:
        """Expected squared error, radius^2 (1 - E[A(kappa)^2]), by quadrature over the length of y's projection.

        Exact to rounding: the integrand is smooth and vanishes at both ends.
        """
        positive(sigma, "sigma")
        middle = math.sqrt(self.radius**2 + self.k * sigma**2)
        low = max(0.0, middle - REACH * sigma)
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        length = low + (nodes + 1) / 2 * (middle + REACH * sigma - low)
        t = torch.from_numpy((self.radius * length / sigma**2) ** 2)
        # up to a constant, the density of the length of a noisy point of the sphere
        log_density = (self.k - 1) * np.log(length) - (length**2 + self.radius**2) / (2 * sigma**2)
        log_density += _log_angle(t, self.k).numpy()
        density = weights * np.exp(log_density - log_density.max())
        squared = (t * _ratio(t, self.k).square()).numpy()
        return float(self.radius**2 * (density * (1 - squared)).sum() / density.sum())

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Clean points (n, d) float64."""
        z = torch.randn(n, self.k, dtype=torch.float64, generator=generator)
        return (self.radius * z / z.norm(dim=1, keepdim=True)) @ self.basis.T


class _OfSquare(torch.autograd.Function):
    """An elementwise function of t = kappa^2 in k dimensions that scipy computes, with its derivative, by name."""

    @staticmethod
    def forward(t: Tensor, k: int, name: str) -> Tensor:
        return torch.from_numpy(_VALUES[name](k, np.sqrt(t.detach().numpy())))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, str], output: Tensor) -> None:
        t, ctx.k, ctx.name = inputs
        ctx.save_for_backward(t)
        ctx.save_for_forward(t)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient * _SLOPES[ctx.name](ctx.saved_tensors[0], ctx.k), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return tangent * _SLOPES[ctx.name](ctx.saved_tensors[0], ctx.k)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], t: Tensor, k: int, name: str) -> tuple[Tensor, int | None]:
        return _OfSquare.apply(t, k, name), in_dims[0]


def _log_angle(t: Tensor, k: int) -> Tensor:
    """Log of the mean of exp(kappa cos angle) over the sphere in k dimensions: log 0F1(k / 2; t / 4)."""
    return _OfSquare.apply(t, k, "log angle")


def _ratio(t: Tensor, k: int) -> Tensor:
    """G_k(t): the mean resultant length of von Mises-Fisher in k dimensions over its concentration."""
    return _OfSquare.apply(t, k, "ratio")


def _log_angle_value(k: int, kappa: np.ndarray) -> np.ndarray:
    def series(x: np.ndarray) -> np.ndarray:
        return np.log(special.hyp0f1(k / 2, x**2 / 4))

    def scaled(x: np.ndarray) -> np.ndarray:
        return constant(x) + np.log(special.ive(k / 2 - 1, x)) + x

    def far(x: np.ndarray) -> np.ndarray:
        return constant(x) - 0.5 * np.log(2 * math.pi * x) - ((k - 2) ** 2 - 1) / (8 * x) + x

    def constant(x: np.ndarray) -> np.ndarray:
        return math.lgamma(k / 2) + (k / 2 - 1) * np.log(2 / x)

    return np.piecewise(kappa, [kappa <= _switch(k), kappa > FAR], [series, far, scaled])


def _ratio_value(k: int, kappa: np.ndarray) -> np.ndarray:
    def series(x: np.ndarray) -> np.ndarray:
        return special.hyp0f1(k / 2 + 1, x**2 / 4) / special.hyp0f1(k / 2, x**2 / 4) / k

    def scaled(x: np.ndarray) -> np.ndarray:
        return special.ive(k / 2, x) / special.ive(k / 2 - 1, x) / x

    def far(x: np.ndarray) -> np.ndarray:
        return (1 - (k - 1) / (2 * x) + (k - 1) * (k - 3) / (8 * x**2)) / x

    return np.piecewise(kappa, [kappa <= _switch(k), kappa > FAR], [series, far, scaled])


def _switch(k: int) -> float:
    """Kappa up to which the series cannot overflow, and above which scaled Bessel values do not underflow."""
    return max(300.0, k / 2)


def _log_angle_slope(t: Tensor, k: int) -> Tensor:
    return _ratio(t, k) / 2


def _ratio_slope(t: Tensor, k: int) -> Tensor:
    return _ratio(t, k) * (_ratio(t, k + 2) - _ratio(t, k)) / 2


_VALUES = {"log angle": _log_angle_value, "ratio": _ratio_value}
_SLOPES = {"log angle": _log_angle_slope, "ratio": _ratio_slope}
