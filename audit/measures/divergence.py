"""A density's divergence and its denoiser's excess error, both known (Kadkhodaie et al. 2024, section 2.1)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audit.measures.record import Measures
from core.stats import Interval, t_interval
from fixtures.experiments.measured import measured

SIGMAS = np.geomspace(0.1, 20, 201)
GRID = np.linspace(-6, 6, 441)  # of y / sqrt(1 + sigma^2); 2e-9 of a standard Gaussian lies beyond
COARSE = np.linspace(-6, 6, 361)  # tells what the grid's cells cost
NETWORKS = 5
Scalar = Callable[[np.ndarray, float], np.ndarray]
# Posterior means of one density at every level: equality, but for the generator's start from p at the last level, which
# is off by less than the divergence of the two densities there, a thousandth of that at the first.
CONSISTENT = ("another mixture's", "a Gaussian's")
NETWORK = "a network's, seed "
BROKEN = "broken: posterior mean of one component"


class Line:
    """A mixture of Gaussians on the line, noisy density and posterior mean in closed form."""

    def __init__(self, means: Any, deviations: Any, weights: Any) -> None:
        self.means, self.deviations, self.weights = (np.asarray(v, dtype=float) for v in (means, deviations, weights))

    def density(self, y: np.ndarray, sigma: float) -> np.ndarray:
        """p_sigma(y)."""
        return self._parts(y, sigma).sum(-1)

    def denoise(self, y: np.ndarray, sigma: float) -> np.ndarray:
        """E[x | y]."""
        variances = self.deviations**2
        means = self.means + variances / (variances + sigma**2) * (y[..., None] - self.means)
        parts = self._parts(y, sigma)
        return (parts * means).sum(-1) / np.maximum(parts.sum(-1), 1e-300)

    def _parts(self, y: np.ndarray, sigma: float) -> np.ndarray:
        total = np.hypot(self.deviations, sigma)
        height = self.weights / (total * math.sqrt(2 * math.pi))
        return height * np.exp(-0.5 * ((y[..., None] - self.means) / total) ** 2)


@dataclass(frozen=True)
class Sides:
    """Divergence and integral of one denoiser, each with a bound on its quadrature error; the excess by noise level."""

    divergence: float
    integral: float
    divergence_error: float = 0.0
    integral_error: float = 0.0
    excess: np.ndarray | None = None

    @property
    def ratio(self) -> float:
        """Divergence over integral: at most 1 if the bound holds."""
        return self.divergence / self.integral

    @property
    def error(self) -> float:
        """Bound on the quadrature error of the ratio."""
        return (self.divergence_error + self.ratio * self.integral_error) / self.integral


def sides(p: Line, denoiser: Scalar, sigmas: np.ndarray = SIGMAS) -> Sides:
    """Both sides of the KL bound between the first and the last level, errors bounded by what coarser grids change.

    The sampler's steps have errors of first and second order, which three step sizes take away (Richardson); the
    bound is how far that is from the same with steps twice as long, about seven times what is left. The integral, a
    trapezoidal rule, is of second order, and its bound the change from twice the step, about three times its error.
    The grids of y converge faster than any power.
    """
    steps = [_divergence(p, denoiser, sigmas[::k], GRID) for k in (1, 2, 4, 8)]
    first = [2 * a - b for a, b in pairwise(steps)]
    divergence, longer = ((4 * a - b) / 3 for a, b in pairwise(first))
    error = abs(divergence - longer) + abs(_divergence(p, denoiser, sigmas, COARSE) - steps[0])
    excess = excess_errors(p, denoiser, sigmas, GRID)
    integral = _over_noise(excess, sigmas)
    changes = [
        _over_noise(excess[::2], sigmas[::2]),
        _over_noise(excess_errors(p, denoiser, sigmas, COARSE), sigmas),
    ]
    return Sides(divergence, integral, error, sum(abs(c - integral) for c in changes), excess)


def excess_errors(p: Line, denoiser: Scalar, sigmas: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """MSE(f) - MSE(f*) at every noise level, which is E|f - f*|^2 as f* is the posterior mean."""
    excess = []
    for sigma in sigmas:
        y = grid * np.hypot(1, sigma)
        gap = (denoiser(y, sigma) - p.denoise(y, sigma)) ** 2
        excess.append(np.trapezoid(gap * p.density(y, sigma), y))
    return np.asarray(excess)


def _over_noise(excess: np.ndarray, sigmas: np.ndarray) -> float:
    """Integral of excess sigma^-3 d sigma."""
    return float(np.trapezoid(excess / sigmas**2, np.log(sigmas)))


def _divergence(p: Line, denoiser: Scalar, sigmas: np.ndarray, grid: np.ndarray) -> float:
    """KL from p to what the reverse diffusion with this denoiser generates, both at the first noise level.

    The generator starts from p at the last level, so that both sides of the bound run over the same levels. Each step
    is the posterior of x at the next level given y and a clean value f(y).
    """
    sigma = sigmas[-1]
    y = grid * np.hypot(1, sigma)
    density = p.density(y, sigma)
    for low in sigmas[-2::-1]:
        z = grid * np.hypot(1, low)
        ratio = (low / sigma) ** 2
        mean = denoiser(y, sigma) * (1 - ratio) + y * ratio
        kernel = np.exp(-0.5 * ((z[:, None] - mean) / (low * np.sqrt(1 - ratio))) ** 2)
        kernel /= np.maximum(np.trapezoid(kernel, z, axis=0), 1e-300)
        density, y, sigma = kernel @ (density * np.gradient(y)), z, low
        density = density / np.trapezoid(density, y)
    own = p.density(y, sigma)
    return float(np.trapezoid(own * np.log(np.maximum(own, 1e-300) / np.maximum(density, 1e-300)), y))


class Learned(nn.Module):
    """A small network of (y, log sigma) that predicts the clean value; the seed decides its weights and its data."""

    def __init__(self, p: Line, seed: int, steps: int = 600) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(seed)
        self.layers = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
        for weight in self.parameters():
            weight.data.copy_((2 * torch.rand(weight.shape, generator=source) - 1) / (weight.shape[-1] ** 0.5))
        rng = np.random.default_rng(seed)
        optimizer = torch.optim.Adam(self.parameters(), lr=3e-3, fused=True)
        for _ in range(steps):
            which = rng.choice(len(p.weights), 512, p=p.weights)
            x = torch.from_numpy(rng.normal(p.means[which], p.deviations[which])).float()
            sigma = torch.from_numpy(np.exp(rng.uniform(np.log(SIGMAS[0]), np.log(SIGMAS[-1]), 512))).float()
            y = x + sigma * torch.from_numpy(rng.standard_normal(512)).float()
            loss = ((self(y, sigma) - x).square() / (sigma**2 / (1 + sigma**2))).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def forward(self, y: Tensor, sigma: Tensor) -> Tensor:
        """(b,) twice -> (b,): a mean that shrinks as a standard Gaussian's does, corrected by the network."""
        total = (1 + sigma**2).sqrt()
        return y / total**2 + sigma / total * self.layers(torch.stack([y / total, sigma.log()], -1))[..., 0]

    @torch.no_grad()
    def denoise(self, y: np.ndarray, sigma: float) -> np.ndarray:
        """E[x | y] as the network predicts it, for an array of y."""
        value = torch.from_numpy(y).float()
        return self(value, torch.full_like(value, float(sigma))).double().numpy()


def line() -> Line:
    """The density of the data: a mixture of two Gaussians."""
    return Line([-1.0, 0.7], [0.3, 0.5], [0.35, 0.65])


def kl_denoisers(p: Line) -> dict[str, Scalar]:
    """Denoisers whose divergence and integral are both computable: two true to a density of their own, others not."""
    return {
        "another mixture's": Line([-0.8, 0.9], [0.35, 0.5], [0.45, 0.55]).denoise,
        "a Gaussian's": Line([0.1], [0.9], [1.0]).denoise,
        **{f"{NETWORK}{seed}": partial(_denoised_by_network, p, seed) for seed in range(NETWORKS)},
        "shrunk by 2 %": lambda y, s: 0.98 * p.denoise(y, s),
        "sigma 10 % too large": lambda y, s: p.denoise(y, 1.1 * s),
        BROKEN: Line(p.means[:1], p.deviations[:1], [1.0]).denoise,
    }


@cache
def _network(p: Line, seed: int) -> Learned:
    return Learned(p, seed)


def _denoised_by_network(p: Line, seed: int, y: np.ndarray, sigma: float) -> np.ndarray:
    """E[x | y] as a network predicts it, which is trained when it is first asked."""
    return _network(p, seed).denoise(y, sigma)


def kl_sides(root: Path, p: Line) -> dict[str, Sides]:
    """Both sides of every denoiser of `kl_denoisers`, from the store at `root` where they were computed before."""

    def make(denoiser: Scalar) -> dict[str, Tensor]:
        s = sides(p, denoiser)
        numbers = [s.divergence, s.integral, s.divergence_error, s.integral_error]
        return {"numbers": torch.tensor(numbers, dtype=torch.float64), "excess": torch.from_numpy(s.excess)}

    density = {name: values.tolist() for name, values in vars(p).items()}
    found = {}
    for name, denoiser in kl_denoisers(p).items():
        kept = measured(root, "sides of the KL bound", partial(make, denoiser), density=density, denoiser=name)
        divergence, integral, *errors = kept["numbers"].tolist()
        found[name] = Sides(divergence, integral, errors[0], errors[1], kept["excess"].numpy())
    return found


def kl_measures(found: dict[str, Sides]) -> Measures:
    """Excess of the divergence over its bound, over equality where that must hold, and the quadrature error."""
    networks = np.array([s.ratio for name, s in found.items() if name.startswith(NETWORK)])
    known = max(s.error for name, s in found.items() if name.startswith(NETWORK))
    over = t_interval(networks, over="networks of different seeds")
    widened = Interval(over.low - known, over.high + known, f"{over.method}, widened by the quadrature's error")
    sound = max(s.integral for name, s in found.items() if name != BROKEN)
    return {
        "largest relative excess of the divergence over the integral": max(
            0.0, max(s.ratio - 1 for s in found.values())
        ),
        "largest relative difference where the two must be equal": max(abs(found[n].ratio - 1) for n in CONSISTENT),
        "integral of the broken denoiser over the largest other": found[BROKEN].integral / sound,
        "divergence over integral, networks": (float(networks.mean()), widened),
        "largest quadrature error of the two sides, share of the integral": max(s.error for s in found.values()),
    }


# --- many dimensions: Gaussians, both sides in closed form ---------------------------------------------------
