"""Densities in closed form that more than one claim is judged on."""

import torch

from core.denoisers.oracles import Empirical, Gaussian, Mixture, Oracle, Sphere

SIGMAS = (0.1, 0.3, 1.0)  # noise levels
DIMENSIONS = 8
RADIUS = 1.5


def random_gaussian(d: int, seed: int, rank: int | None = None) -> Gaussian:
    """A Gaussian of random mean, directions and variances (0.1 to 1.1); with a rank below d, on a subspace."""
    source = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(d, rank or d, dtype=torch.float64, generator=source))[0]
    variances = 0.1 + torch.rand(rank or d, dtype=torch.float64, generator=source)
    return Gaussian(torch.randn(d, dtype=torch.float64, generator=source), basis, variances)


def oracles(d: int = DIMENSIONS) -> dict[str, Oracle]:
    """One of each kind in d dimensions; subspace and sphere fill half of them."""
    points = torch.randn(50, d, generator=torch.Generator().manual_seed(9))
    mixture = Mixture([random_gaussian(d, seed) for seed in range(4)], [0.1, 0.2, 0.3, 0.4])
    return {
        "gaussian": random_gaussian(d, 0),
        "mixture": mixture,
        "finite set": Empirical(points),
        "subspace": random_gaussian(d, 1, d // 2),
        "sphere": Sphere(random_gaussian(d, 2, d // 2).basis, RADIUS),
    }


def planar() -> dict[str, Oracle]:
    """One of each kind in the plane, to be drawn."""
    eye = torch.eye(2, dtype=torch.float64)
    narrow = torch.tensor([0.4, 0.05])
    parts = [Gaussian(torch.tensor(m), eye, narrow.roll(k)) for k, m in enumerate(([-0.8, -0.5], [0.9, 0.2]))]
    points = torch.tensor([[-1.1, -0.6], [-0.5, 0.9], [0.6, -0.9], [1.0, 0.6]])
    return {
        "gaussian": Gaussian(torch.zeros(2), eye, torch.tensor([0.7, 0.15])),
        "mixture": Mixture(parts, [0.4, 0.6]),
        "finite set": Empirical(points),
        "subspace": Gaussian(torch.zeros(2), torch.tensor([[0.8], [0.6]], dtype=torch.float64), torch.tensor([0.8])),
        "sphere": Sphere(eye, 1.0),
    }
