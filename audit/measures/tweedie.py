"""Equations that tie the posterior mean to the score, checked three ways (Kadkhodaie et al. 2024, section 2.1)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch
from scipy import integrate, stats
from torch import Tensor

from audit.measures.densities import SIGMAS, oracles
from audit.plots.densities import draw_scores
from core.denoisers.oracles import Gaussian, Oracle, Sphere
from core.stats import Interval, t_interval
from fixtures.experiments.desk import TrainedExperiment
from fixtures.experiments.measured import measured
from reports.record import ClaimRecord

POINTS = 50_000  # noisy points of every simulation
TOGETHER = 90  # intervals that hold with 95 % at once: five densities, three noise levels, at most six equations
LEVEL = 1 - 0.05 / TOGETHER
FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "constant": lambda y, f: torch.ones_like(y),
    "noisy point": lambda y, f: y,
    "signs of the noisy point": lambda y, f: (y - 0.2).sign(),
    "posterior mean": lambda y, f: f,
}
ORTHOGONAL = "error against functions of the noisy point, share of the noise"
DIVERGENCE = "squared error minus sigma^2 times the divergence, share of the noise"
EXACT = "squared error minus the exact one, share of the noise"
GRADIENT = "posterior mean against the gradient of the log-density, largest error"
Means = dict[str, list[tuple[float, Interval]]]


class LineMixture:
    """A two-component mixture on the line, all by quadrature: shares no code with the oracles."""

    means, deviations, weights = np.array([-1.0, 0.7]), np.array([0.3, 0.5]), np.array([0.35, 0.65])

    def moment(self, y: float, sigma: float, power: int) -> float:
        """Integral of x^power p(x) N(y; x, sigma^2)."""
        parts = list(zip(self.weights.tolist(), map(NormalDist, self.means, self.deviations), strict=True))
        noise = NormalDist(0, sigma)

        def integrand(x: float) -> float:
            return x**power * sum(weight * part.pdf(x) for weight, part in parts) * noise.pdf(y - x)

        peaks = sorted([*self.means, y])
        return integrate.quad(integrand, -12, 12, points=peaks, limit=400, epsabs=1e-13, epsrel=1e-12)[0]

    def posterior_mean(self, y: float, sigma: float) -> float:
        """E[x | y] from its definition."""
        return self.moment(y, sigma, 1) / self.moment(y, sigma, 0)

    def score(self, y: float, sigma: float) -> float:
        """Derivative of log p_sigma, differentiating the closed form of the noisy density."""
        total = np.hypot(self.deviations, sigma)
        parts = self.weights * stats.norm.pdf(y, self.means, total)
        return float((parts * (self.means - y) / total**2).sum() / parts.sum())


def tweedie_errors(
    mean: Callable[[float, float], float], score: Callable[[float, float], float]
) -> tuple[float, float]:
    """Largest errors of the score from the posterior mean, and of the posterior mean from the score."""
    forth, back = [], []
    for sigma in SIGMAS:
        for y in np.linspace(-2, 2, 9):
            denoised, slope = mean(y, sigma), score(y, sigma)
            forth.append(abs((denoised - y) / sigma**2 - slope))
            back.append(abs(y + sigma**2 * slope - denoised))
    return max(forth), max(back)


@dataclass(frozen=True)
class Density:
    """Clean points, the log-density of noisy ones, a denoiser said to be the posterior mean, and its exact error."""

    sample: Callable[[int, torch.Generator], Tensor]
    log_density: Callable[[Tensor, float], Tensor]
    denoise: Callable[[Tensor, float], Tensor]
    mse: Callable[[float], float] | None = None

    @classmethod
    def of(cls, oracle: Oracle) -> "Density":
        """An oracle's own."""
        mse = oracle.mse if isinstance(oracle, Gaussian | Sphere) else None
        return cls(oracle.sample, oracle.log_density, oracle.denoise, mse)


def gradient_error(density: Density, n: int = 64) -> float:
    """Largest difference between y + sigma^2 grad log p and the denoiser, over the largest value, by autograd."""
    worst, source = 0.0, torch.Generator().manual_seed(1)
    for sigma in SIGMAS:
        x = density.sample(n, source)
        y = (x + sigma * torch.randn(x.shape, dtype=torch.float64, generator=source)).requires_grad_()
        (gradient,) = torch.autograd.grad(density.log_density(y, sigma).sum(), y)
        found = density.denoise(y.detach(), sigma)
        worst = max(worst, float((y.detach() + sigma**2 * gradient - found).abs().max() / found.abs().max()))
    return worst


def simulated(density: Density, n: int = POINTS) -> Means:
    """Means that must vanish, with intervals, by equation: one for each noise level and function.

    With e = x - f(y): E<e, g(y)> = 0 for every g defines the posterior mean; then E|e|^2 = sigma^2 E[div f], the
    derivative of Tweedie's identity, and both are the exact error. Each is divided by what the noise has of it,
    sigma sqrt(d) times the root mean square of g, or sigma^2 d.
    """
    found: Means = {name: [] for name in (ORTHOGONAL, DIVERGENCE, *([EXACT] if density.mse else []))}
    source = torch.Generator().manual_seed(6)
    for sigma in SIGMAS:
        x = density.sample(n, source)
        y = (x + sigma * torch.randn(x.shape, dtype=torch.float64, generator=source)).requires_grad_()
        f, d = density.denoise(y, sigma), x.shape[1]
        units = torch.eye(d, dtype=torch.float64)[:, None].expand(d, n, d)
        slopes = torch.autograd.grad(f, y, units, is_grads_batched=True)[0]  # (j, point, i): d f_j / d y_i
        y, f, divergence = y.detach(), f.detach(), torch.einsum("jnj->n", slopes)
        for g in (function(y, f) for function in FUNCTIONS.values()):
            size = sigma * math.sqrt(d) * float(g.square().sum(1).mean().sqrt())
            found[ORTHOGONAL].append(mean_and_interval(((x - f) * g).sum(1) / size))
        squared = (x - f).square().sum(1)
        found[DIVERGENCE].append(mean_and_interval((squared - sigma**2 * divergence) / (sigma**2 * d)))
        if density.mse:
            found[EXACT].append(mean_and_interval((squared - density.mse(sigma)) / (sigma**2 * d)))
    return found


def kept_means(root: Path, name: str) -> Means:
    """`simulated` on one of the densities in closed form, from the store at `root` where it ran before."""

    def make() -> dict[str, Tensor]:
        found = simulated(Density.of(oracles()[name]))
        return {
            equation: torch.tensor([[mean, i.low, i.high] for mean, i in means], dtype=torch.float64)
            for equation, means in found.items()
        }

    found = measured(root, "equations of the posterior mean", make, density=name)
    return {
        equation: [
            (mean, Interval(low, high, "Student's t over noisy points", LEVEL))
            for mean, low, high in found[equation].tolist()
        ]
        for equation in (ORTHOGONAL, DIVERGENCE, EXACT)
        if equation in found
    }


def mean_and_interval(values: Tensor) -> tuple[float, Interval]:
    """Mean over noisy points and its interval, wide enough for all of the claim at once."""
    return float(values.mean()), t_interval(values.numpy(), level=LEVEL, over="noisy points")


def furthest(means: list[tuple[float, Interval]]) -> tuple[float, Interval]:
    """The largest distance of a mean from 0, and an interval for it: every mean lies in its own interval at once."""
    low = max(max(0.0, i.low, -i.high) for _, i in means)
    high = max(max(i.high, -i.low) for _, i in means)
    method = f"largest of {len(means)} Student's t over noisy points, all {TOGETHER} of the claim at once (Bonferroni)"
    return max(abs(m) for m, _ in means), Interval(low, high, method)


def tweedie_measures(density: Density, line: tuple[float, float]) -> dict[str, float | tuple[float, Interval]]:
    """What K-tweedie is judged by, measured on one density; `line` holds the errors of `tweedie_errors`."""
    found: dict[str, float | tuple[float, Interval]] = {
        "score from posterior mean, largest error": line[0],
        "posterior mean from score, largest error": line[1],
        GRADIENT: gradient_error(density),
    }
    return found | {name: furthest(means) for name, means in simulated(density).items()}


def two_points() -> Density:
    """x = 1 or -1 on the line, by hand: E[x | y] = tanh(y / sigma^2), its error an integral over the noise."""

    def mse(sigma: float) -> float:
        def integrand(z: float) -> float:
            return float(stats.norm.pdf(z)) * (1 - math.tanh((1 + sigma * z) / sigma**2))

        return integrate.quad(integrand, -12, 12, points=[-1 / sigma], limit=400)[0]

    def log_density(y: Tensor, sigma: float) -> Tensor:
        parts = torch.cat([y - 1, y + 1], dim=1).square() / (-2 * sigma**2)
        return parts.logsumexp(1) - math.log(2 * math.sqrt(2 * math.pi) * sigma)

    def sample(n: int, source: torch.Generator) -> Tensor:
        return 2.0 * torch.randint(2, (n, 1), generator=source).double() - 1

    return Density(sample, log_density, lambda y, sigma: (y / sigma**2).tanh(), mse)


def record_tweedie(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Largest errors of every equation, by density and over all (K-tweedie)."""
    forth, back = tweedie_errors(LineMixture().posterior_mean, LineMixture().score)
    evidence.add("score from posterior mean, largest error", forth, kind="property", n=27, varies="point and sigma")
    evidence.add("posterior mean from score, largest error", back, kind="property", n=27, varies="point and sigma")
    densities = {name: Density.of(oracle) for name, oracle in oracles().items()}
    gradients = {name: gradient_error(density) for name, density in densities.items()}
    for name, error in gradients.items():
        evidence.add(f"{GRADIENT}, {name}", error, kind="property", n=64 * len(SIGMAS), varies="noisy point")
    figure = evidence.figure("scores", draw_scores())
    worst = max(gradients.values())
    evidence.add(GRADIENT, worst, kind="property", n=len(gradients), varies="density", figures=[figure])
    means = {name: kept_means(desk.root, name) for name in densities}
    for equation in (ORTHOGONAL, DIVERGENCE, EXACT):
        by_density = {name: found[equation] for name, found in means.items() if equation in found}
        for name, found in by_density.items():
            value, interval = furthest(found)
            evidence.add(
                f"{equation}, {name}", value, kind="property", n=POINTS, interval=interval, varies="noisy point"
            )
        value, interval = furthest([mean for found in by_density.values() for mean in found])
        evidence.add(
            equation, value, kind="property", n=POINTS, interval=interval, seeds="6", varies="noisy point",
            note=f"furthest of {', '.join(by_density)} at sigma = {', '.join(map(str, SIGMAS))}",
        )  # fmt: skip
