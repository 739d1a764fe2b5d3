"""Both sides of the bound between Gaussians of many dimensions, in closed form and by simulation."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from audit.measures.divergence import SIGMAS, Sides
from audit.measures.record import Measures
from core.denoisers.oracles import Gaussian
from core.stats import Interval, t_interval

HIGH = 16
RANGE = (float(SIGMAS[0]), float(SIGMAS[-1]))
SIMULATED = 40_000  # noisy points of an integral in many dimensions
KEPT = 0.8  # what the shrunk denoiser keeps of the posterior mean


def gaussian_pair() -> tuple[Gaussian, Gaussian]:
    """Two Gaussians of 16 dimensions with variances falling as a power law, one faster than the other."""
    k, eye = torch.arange(1, HIGH + 1, dtype=torch.float64), torch.eye(HIGH, dtype=torch.float64)
    return Gaussian(torch.zeros(HIGH), eye, 2 / k), Gaussian(torch.zeros(HIGH), eye, 2 / k**1.5)


def divergence_between(v: np.ndarray, u: np.ndarray) -> float:
    """KL from N(0, diag v) to N(0, diag u)."""
    return float(0.5 * (v / u - 1 - np.log(v / u)).sum())


def other_gaussian_sides(v: np.ndarray, u: np.ndarray) -> Sides:
    """Both sides of the KL bound for the Wiener filter of N(0, diag u) on N(0, diag v) over all noise levels.

    With t = sigma^2 the excess is t^2 (u - v)^2 / ((u + t)^2 (v + t)), and half its integral over t^-2 dt has the
    antiderivative (log((v + t) / (u + t)) + (u - v) / (u + t)) / 2, which is 0 at infinity.
    """
    return Sides(divergence_between(v, u), float(-0.5 * (np.log(v / u) + (u - v) / u).sum()))


def shrunk_sides(v: np.ndarray, kept: float, sigmas: tuple[float, float]) -> Sides:
    """Both sides for `kept` times the posterior mean on N(0, diag v), between two noise levels; `kept` is not 1/2.

    The reverse diffusion keeps zero mean and takes the variance V from v + T down by dV/dt = 2 (1 - a) V / t - 1 with
    a = kept v / (v + t). With m = t^(2 kept - 2) (v + t)^(-2 kept), the antiderivative of m being M below, V m + M is
    constant. The excess (1 - kept)^2 v^2 / (v + t) is integrated by partial fractions.
    """
    t, top = sigmas[0] ** 2, sigmas[1] ** 2

    def m(t: float) -> np.ndarray:
        return t ** (2 * kept - 2) * (v + t) ** (-2 * kept)

    def primitive(t: float) -> np.ndarray:
        return (t / (v + t)) ** (2 * kept - 1) / ((2 * kept - 1) * v)

    def bound(t: float) -> np.ndarray:
        return 0.5 * (1 - kept) ** 2 * (-v / t - np.log(t / (v + t)))

    generated = ((v + top) * m(top) + primitive(top) - primitive(t)) / m(t)
    return Sides(divergence_between(v + t, generated), float((bound(top) - bound(t)).sum()))


def simulated_integral(
    p: Gaussian, denoise: Callable[[Tensor, float], Tensor], *, n: int = SIMULATED, power: int = 3
) -> tuple[float, Interval]:
    """The integral from its words: squared error of the denoiser minus that of the optimum, on noisy points.

    Gauss and Legendre's rule in log sigma, the same points at every node, so that each point has an integral.
    """
    source = torch.Generator().manual_seed(7)
    x = p.sample(n, source)
    z = torch.randn(x.shape, dtype=torch.float64, generator=source)
    nodes, weights = np.polynomial.legendre.leggauss(24)
    low, high = np.log(RANGE)
    total = torch.zeros(n, dtype=torch.float64)
    for node, weight in zip(nodes, weights, strict=True):
        sigma = float(np.exp(low + (node + 1) / 2 * (high - low)))
        errors = [(f(x + sigma * z, sigma) - x).square().sum(1) for f in (denoise, p.denoise)]
        total += weight * (high - low) / 2 * (errors[0] - errors[1]) * sigma ** (1 - power)
    return float(total.mean()), t_interval(total.numpy(), over="noisy points")


@cache
def high_measures(power: int = 3) -> Measures:
    """Both sides in 16 dimensions, and the integrals by simulation over their closed forms."""
    p, q = gaussian_pair()
    v, u = p.variances.numpy(), q.variances.numpy()
    shrunk = shrunk_sides(v, KEPT, RANGE)
    between = divergence_between(v + RANGE[0] ** 2, u + RANGE[0] ** 2)
    between -= divergence_between(v + RANGE[1] ** 2, u + RANGE[1] ** 2)
    other = simulated_integral(p, q.denoise, power=power)
    own = simulated_integral(p, lambda y, s: KEPT * p.denoise(y, s), power=power)
    return {
        "16 dimensions, another Gaussian's: divergence over integral": other_gaussian_sides(v, u).ratio,
        "16 dimensions, shrunk by 20 %: divergence over integral": shrunk.ratio,
        "16 dimensions, another Gaussian's: simulated integral over the divergence": _relative(other, between),
        "16 dimensions, shrunk by 20 %: simulated integral over its closed form": _relative(own, shrunk.integral),
    }


def _relative(found: tuple[float, Interval], closed: float) -> tuple[float, Interval]:
    value, interval = found
    return value / closed, Interval(interval.low / closed, interval.high / closed, interval.method)
