"""The five oracles of these tests, the same densities written by other means, and what must hold between the two.

The densities by other means are `torch.distributions` and, for a sphere in three dimensions, sinh; their posterior
means are gradients by autograd. Nothing here uses the formulae of `core.denoisers.oracles`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from core.denoisers.oracles import Empirical, Gaussian, Mixture, Oracle, Sphere

D = 6
SIGMAS = (0.05, 0.3, 1.0, 3.0)
EXACT = 1e-8  # an identity in float64 through a softmax and a division by sigma^2 >= 0.0025
DEVIATIONS = 5  # standard errors: one false alarm in 1.7 million
WEIGHTS = (0.2, 0.3, 0.5)
RADIUS = 1.3


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=generator(seed))


def basis(k: int, seed: int) -> Tensor:
    return torch.linalg.qr(normal(D, k, seed=seed))[0]


def gaussian(k: int = D, seed: int = 0) -> Gaussian:
    variances = torch.rand(k, dtype=torch.float64, generator=generator(seed + 50)) + 0.1
    return Gaussian(normal(D, seed=seed + 100), basis(k, seed), variances)


POINTS = normal(11, D, seed=5)
ORACLES: dict[str, Callable[[], Oracle]] = {
    "gaussian": gaussian,
    "subspace": lambda: gaussian(2),
    "mixture": lambda: Mixture([gaussian(seed=s) for s in range(3)], WEIGHTS),
    "empirical": lambda: Empirical(POINTS, tile=4),
    "sphere": lambda: Sphere(basis(3, 7), RADIUS),
}


@dataclass(frozen=True)
class Truth:
    """A density by other means: log p_sigma(y), (b, d) -> (b,); mean (d,) and covariance (d, d) of clean points."""

    log_density: Callable[[Tensor, float], Tensor]
    mean: Tensor
    covariance: Tensor

    def gradient(self, y: Tensor, sigma: float) -> Tensor:
        y = y.detach().requires_grad_()
        return torch.autograd.grad(self.log_density(y, sigma).sum(), y)[0]

    def posterior_mean(self, y: Tensor, sigma: float) -> Tensor:
        return y + sigma**2 * self.gradient(y, sigma)


def noisy_covariance(g: Gaussian, sigma: float) -> Tensor:
    return g.basis @ g.variances.diag() @ g.basis.T + sigma**2 * torch.eye(D, dtype=torch.float64)


def normal_truth(g: Gaussian) -> Truth:
    return Truth(
        lambda y, s: MultivariateNormal(g.mean, noisy_covariance(g, s)).log_prob(y), g.mean, noisy_covariance(g, 0)
    )


def mixture_truth() -> Truth:
    parts, w = [gaussian(seed=s) for s in range(3)], torch.tensor(WEIGHTS, dtype=torch.float64)
    means = torch.stack([g.mean for g in parts])

    def log_density(y: Tensor, sigma: float) -> Tensor:
        normals = MultivariateNormal(means, torch.stack([noisy_covariance(g, sigma) for g in parts]))
        return MixtureSameFamily(Categorical(w), normals).log_prob(y)

    within = torch.stack([noisy_covariance(g, 0) for g in parts])
    return Truth(log_density, w @ means, torch.einsum("k,kij->ij", w, within) + spread(means, w))


def empirical_truth() -> Truth:
    w = torch.full((len(POINTS),), 1 / len(POINTS), dtype=torch.float64)

    def log_density(y: Tensor, sigma: float) -> Tensor:
        return MixtureSameFamily(Categorical(w), Independent(Normal(POINTS, sigma), 1)).log_prob(y)

    return Truth(log_density, w @ POINTS, spread(POINTS, w))


def spread(points: Tensor, weights: Tensor) -> Tensor:
    centred = points - weights @ points
    return centred.T @ (weights[:, None] * centred)


def sphere_truth() -> Truth:
    b = basis(3, 7)

    def log_density(y: Tensor, sigma: float) -> Tensor:
        """The mean of a Gaussian over the sphere: sinh(kappa) / kappa with kappa = radius |inside| / sigma^2."""
        length = (y @ b).norm(dim=1)
        kappa = RADIUS * length / sigma**2
        log_sinh = kappa + torch.log1p(-torch.exp(-2 * kappa)) - math.log(2) - kappa.log()
        return Normal(torch.zeros_like(y), sigma).log_prob(y).sum(1) - RADIUS**2 / (2 * sigma**2) + log_sinh

    return Truth(log_density, torch.zeros(D, dtype=torch.float64), RADIUS**2 / 3 * b @ b.T)


TRUTHS: dict[str, Callable[[], Truth]] = {
    "gaussian": lambda: normal_truth(gaussian()),
    "subspace": lambda: normal_truth(gaussian(2)),
    "mixture": mixture_truth,
    "empirical": empirical_truth,
    "sphere": sphere_truth,
}


def noisy(name: str, sigma: float, n: int = 12) -> Tensor:
    """Points near the density, and some far from it."""
    near = ORACLES[name]().sample(n, generator(1)) + sigma * normal(n, D, seed=2)
    return torch.cat([near, 3 * normal(4, D, seed=3)])


def close(found: Tensor, wanted: Tensor, scale: float = 1.0, tolerance: float = EXACT) -> None:
    worst = float((found - wanted).abs().max()) / max(scale, float(wanted.abs().max()))
    assert worst <= tolerance, f"off by {worst:.3g} of the largest value"


# --- what must hold ------------------------------------------------------------------------------------------


def check_density(oracle: Oracle, name: str) -> None:
    for sigma in SIGMAS:
        y = noisy(name, sigma)
        close(oracle.log_density(y, sigma), TRUTHS[name]().log_density(y, sigma), tolerance=1e-10)


def check_posterior_mean(oracle: Oracle, name: str) -> None:
    for sigma in SIGMAS:
        y = noisy(name, sigma)
        close(oracle.denoise(y, sigma), TRUTHS[name]().posterior_mean(y, sigma))


def check_score(oracle: Oracle, name: str) -> None:
    """Against the other density's gradient, and the oracle's own by autograd."""
    for sigma in SIGMAS:
        y = noisy(name, sigma)
        close(oracle.score(y, sigma), TRUTHS[name]().gradient(y, sigma))
        own = Truth(oracle.log_density, POINTS[0], POINTS)
        close(oracle.score(y, sigma), own.gradient(y, sigma))


def check_jacobian(oracle: Oracle, name: str) -> None:
    """The posterior mean's derivative is I + sigma^2 times the Hessian of the log-density."""
    sigma, truth = 0.4, TRUTHS[name]()
    for y in noisy(name, sigma, 3):
        own = torch.func.jacrev(lambda x: oracle.denoise(x[None], sigma)[0])(y)
        hessian = torch.autograd.functional.hessian(lambda x: truth.log_density(x[None], sigma)[0], y)
        close(own, torch.eye(D, dtype=torch.float64) + sigma**2 * hessian)


def check_blind(oracle: Oracle, name: str) -> None:
    levels, truth = [0.2, 0.5, 1.1], TRUTHS[name]()
    y = torch.cat([noisy(name, s) for s in levels])
    weights = torch.stack([truth.log_density(y, s) for s in levels]).softmax(0)[..., None]
    means = torch.stack([truth.posterior_mean(y, s) for s in levels])
    close(oracle.blind(levels)(y), (weights * means).sum(0))


def check_level(oracle: Oracle, name: str) -> None:
    levels, truth = [0.2, 0.5, 1.1], TRUTHS[name]()
    y = torch.cat([noisy(name, s) for s in levels])
    weights = torch.stack([truth.log_density(y, s) for s in levels]).softmax(0)
    close(oracle.level(y, levels).log(), torch.tensor(levels, dtype=torch.float64).log() @ weights)


def check_sample(oracle: Oracle, name: str) -> None:
    """Mean and every second moment of clean points."""
    n, truth = 40_000, TRUTHS[name]()
    centred = oracle.sample(n, generator(8)) - truth.mean
    products = (centred[:, :, None] * centred[:, None, :]).flatten(1)
    for found, wanted in ((centred, torch.zeros(D)), (products, truth.covariance.flatten())):
        error = (found.mean(0) - wanted).abs() / (found.std(0) / math.sqrt(n))
        assert float(error.max()) < DEVIATIONS


def simulated_error(name: str, sigma: float, n: int = 40_000) -> tuple[float, float]:
    """Mean squared error of the posterior mean by other means and its standard error."""
    x = ORACLES[name]().sample(n, generator(9))
    error = (TRUTHS[name]().posterior_mean(x + sigma * normal(n, D, seed=10), sigma) - x).square().sum(1)
    return float(error.mean()), float(error.std()) / math.sqrt(n)


def check_mse(oracle: Oracle, name: str) -> None:
    """The estimate against a simulation with the other posterior mean, and the exact error against both."""
    for sigma in (0.5, 1.5):
        wanted, deviation = simulated_error(name, sigma)
        found, interval = oracle.mse_estimate(sigma, n=40_000, generator=generator(11))
        own = interval.width / (2 * 1.96)
        assert abs(found - wanted) < DEVIATIONS * math.hypot(own, deviation)
        assert abs(own / deviation - 1) < 0.1
        if isinstance(oracle, Gaussian | Sphere):
            assert abs(oracle.mse(sigma) - wanted) < DEVIATIONS * deviation
            assert abs(oracle.mse(sigma) - found) < DEVIATIONS * own


CHECKS: dict[str, Callable[[Oracle, str], None]] = {
    "density": check_density,
    "posterior mean": check_posterior_mean,
    "score": check_score,
    "jacobian": check_jacobian,
    "blind": check_blind,
    "level": check_level,
    "sample": check_sample,
    "mse": check_mse,
}
