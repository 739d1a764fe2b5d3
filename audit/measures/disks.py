"""Error on images of one disk, against a fit of its five parameters (Kadkhodaie et al. 2024, section 3.2)."""

import numpy as np
import torch
from torch import Tensor

from audit.measures.denoising import slope
from audit.measures.record import SEED, Measures
from core.stats import bootstrap_mean
from fixtures.experiments.geometric import draw_disks

SMALL_SIGMAS = tuple(np.geomspace(0.01, 0.1, 5).tolist())


def fitted_disks(noisy: Tensor, start: Tensor, steps: int = 12) -> Tensor:
    """Least-squares fit of disks to noisy images by damped Gauss-Newton from `start` (n, 5): (n, 1, h, w).

    Started from the truth it finds the nearest minimum. Where noise leaves no other, that is the maximum-likelihood
    estimate, of error about d sigma^2, and the optimum, the posterior mean, errs no more: the fit's error bounds the
    optimum's from above, and the excess over the fit bounds that over the optimum from below.
    """
    size, parameters = noisy.shape[-1], start.double()
    target = noisy.double().flatten(1)

    def draw(p: Tensor) -> Tensor:
        return draw_disks(p[None], size).flatten()

    def loss(p: Tensor) -> Tensor:
        return (torch.func.vmap(draw)(p) - target).square().sum(1)

    tangent = torch.func.vmap(torch.func.jacfwd(draw))
    damping = torch.full((len(start), 1, 1), 1e-3, dtype=torch.float64)
    for _ in range(steps):
        j = tangent(parameters)
        residual = target - torch.func.vmap(draw)(parameters)
        normal = j.mT @ j
        normal = normal + damping * torch.diag_embed(normal.diagonal(dim1=1, dim2=2) + 1e-6)
        moved = parameters + torch.linalg.solve(normal, (j.mT @ residual[..., None]))[..., 0]
        better = loss(moved) < loss(parameters)
        parameters = torch.where(better[:, None], moved, parameters)
        damping = torch.where(better[:, None, None], damping / 3, damping * 5)
    return draw_disks(parameters, size).to(noisy.dtype)


def low_dimensional_measures(network: np.ndarray, fitted: np.ndarray) -> Measures:
    """Errors (sigmas, images) of the network and of the fit; see `fitted_disks` for what the fit bounds."""
    excess = network - fitted
    return {
        **{
            f"excess error over the optimum in units of sigma^2, sigma = {s:.3g}": (
                float(row.mean() / s**2),
                bootstrap_mean(row / s**2, seed=SEED, over="images"),
            )
            for s, row in zip(SMALL_SIGMAS, excess, strict=True)
        },
        "slope of the network": slope(network, SMALL_SIGMAS),
        "slope of the fitted disks": slope(fitted, SMALL_SIGMAS),
    }
