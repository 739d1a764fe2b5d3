"""Error on images of one disk, against a fit of its five parameters (Kadkhodaie et al. 2024, section 3.2)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.measures.denoising import DISKS, denoisers, error_table, slope
from audit.measures.record import SEED, Measures
from audit.plots.denoising import plot_errors
from audit.plots.shared import plot_rows
from core.metrics.psnr import unit_noise
from core.stats import bootstrap_mean
from fixtures.experiments.desk import TrainedExperiment
from fixtures.experiments.geometric import disk_parameters, draw_disks
from reports.record import ClaimRecord

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


def record_disks(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Errors of the network and of the fit on disks (K-low-dimensional-suboptimal)."""
    denoiser, images = denoisers(desk)[DISKS]
    n, size = desk.sizes[-1], desk.preset.train.image_size
    truth = disk_parameters(n + len(images), seed=SEED)[n:]
    noise = unit_noise(images.shape[1:], range(len(images)), SEED)
    network = error_table(denoiser, images, SMALL_SIGMAS)
    fits = [fitted_disks(images + s * noise, truth) for s in SMALL_SIGMAS]
    fitted = np.stack([(x - images).double().square().mean((1, 2, 3)).numpy() for x in fits])
    found = low_dimensional_measures(network, fitted)
    figures = [
        evidence.figure(
            "errors", plot_errors({"network": (network, None), "fitted disks": (fitted, 2.0)}, SMALL_SIGMAS)
        ),
        evidence.figure("images", plot_rows([("disks", images)])),
    ]
    about: dict[str, Any] = {"kind": desk.kind, "n": len(images), "varies": "image", "figures": figures}
    for name, (value, interval) in found.items():
        note = "the optimum is a fit from the truth, whose error bounds it from above" if "excess" in name else None
        evidence.add(name, value, interval=interval, note=note, **about)
    for s, row in zip(SMALL_SIGMAS, fitted * size**2 / np.square(SMALL_SIGMAS)[:, None], strict=True):
        dimensions = bootstrap_mean(row, seed=SEED, over="images")
        name = f"dimensions that the fit's error amounts to, sigma = {s:.3g}"
        evidence.add(name, float(row.mean()), interval=dimensions, note="a disk has 5", **about)
