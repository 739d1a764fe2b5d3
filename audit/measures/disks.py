"""Error on images of one disk, against a fit of its five parameters (Kadkhodaie et al. 2024, section 3.2).

How far a network stays above the optimum is compared with how far it stays above it on C^alpha images, at the noise
levels at which it is of use on all of them: an error of its own, which no optimum explains, is there on every image.
On disks the optimum is bounded by a fit. On C^alpha images only its exponent is known, so that it is bounded by nothing
from below and from above by the better of the network and a Wiener filter, and the comparison is an interval that holds
both bounds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.measures.denoising import (
    DISKS,
    alpha_name,
    denoisers,
    error_table,
    image_sets,
    over_variance,
    slope,
    told_errors,
    useful_levels,
)
from audit.measures.geometric import JUDGED_ALPHAS, SLOPE_SIGMAS
from audit.measures.record import SEED, Measures
from audit.plots.denoising import plot_errors
from audit.plots.shared import plot_rows
from core.denoisers.oracles import Gaussian
from core.metrics.psnr import unit_noise
from core.stats import Interval, bootstrap_difference, bootstrap_mean
from fixtures.experiments.desk import TrainedExperiment
from fixtures.experiments.geometric import disk_parameters, draw_disks
from reports.record import ClaimRecord

EXCESS = "excess error over the optimum on disks, in units of sigma^2"
SLOPE = "slope of the network on disks"
NO_LEVEL = "undecided: at no noise level is the network of use on all images"
FEWEST = 3  # noise levels that a slope is fitted to

Errors = tuple[np.ndarray, np.ndarray]  # of the network and of a denoiser that the optimum errs no more than


def excess_over_smooth(alpha: int) -> str:
    """Name of the comparison with C^alpha images."""
    return f"excess on disks minus excess on C^{alpha} images, in units of sigma^2"


def nearest_start(noisy: Tensor, drawn: Tensor) -> Tensor:
    """Parameters (n, 5) of the disk among those drawn, (m, 5), that is nearest to each noisy image."""
    images = draw_disks(drawn, noisy.shape[-1]).flatten(1)
    return drawn[torch.cdist(noisy.flatten(1), images.to(noisy.dtype)).argmin(dim=1)]


def fitted_disks(noisy: Tensor, start: Tensor, steps: int = 12) -> Tensor:
    """Least-squares fit of disks to noisy images by damped Gauss-Newton from `start` (n, 5): (n, 1, h, w).

    It finds the nearest minimum. From a start that follows from the noisy image alone (`nearest_start`) it is an
    estimator like any other, and the optimum, the posterior mean, errs no more, at any noise level: the fit's error
    bounds the optimum's from above, and the excess over the fit bounds that over the optimum from below.
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


def fit_errors(images: Tensor, drawn: Tensor, sigmas: Sequence[float]) -> np.ndarray:
    """Mean squared error a pixel, (sigmas, images), of the fit from the nearest drawn disk, on the noise of PSNR."""
    noise = unit_noise(images.shape[1:], range(len(images)), SEED)
    noisy = [images + sigma * noise for sigma in sigmas]
    fits = [fitted_disks(y, nearest_start(y, drawn)) for y in noisy]
    return np.stack([(x - images).double().square().mean((1, 2, 3)).numpy() for x in fits])


def shared_levels(disks: Errors, smooth: Mapping[int, Errors], sigmas: Sequence[float]) -> list[int]:
    """Noise levels at which the network improves on the noisy image on disks and on all C^alpha images."""
    tables = [disks[0], *(network for network, _ in smooth.values())]
    return sorted(set.intersection(*(set(useful_levels(errors, sigmas)) for errors in tables)))


def bracket(disks: Errors, smooth: Errors) -> tuple[float, Interval]:
    """Excess on disks minus that on smooth images: what the bounds of both optima leave open, in units of sigma^2.

    Args:
        disks, smooth: mean over noise levels of the error in units of sigma^2, (images,) each, of the network and of a
            denoiser that bounds the optimum from above.

    Returns:
        The smallest difference that the bounds allow, and an interval from the lower end of that one to the upper end
        of the largest.
    """
    (network, reached), (other, better) = disks, smooth
    least = network - reached
    low = bootstrap_difference(least, other, seed=SEED, paired=False, over="images").low
    gained = other - np.minimum(better, other) if better.mean() < other.mean() else np.zeros_like(other)
    high = bootstrap_difference(network, gained, seed=SEED, paired=False, over="images").high
    method = "bootstrap over images of the least and of the largest difference that the bounds of the optima allow"
    return float(least.mean() - other.mean()), Interval(low, high, method)


def low_dimensional_measures(disks: Errors, smooth: Mapping[int, Errors], sigmas: Sequence[float]) -> Measures:
    """What K-low-dimensional-suboptimal is judged by, from errors (sigmas, images), at the useful levels alone."""
    useful = shared_levels(disks, smooth, sigmas)
    names = [EXCESS, *map(excess_over_smooth, smooth)]
    if not useful:
        return dict.fromkeys([*names, SLOPE], NO_LEVEL)
    kept = np.asarray(sigmas)[useful]

    def units(errors: Errors) -> Errors:
        network, best = ((x[useful] / np.square(kept)[:, None]).mean(axis=0) for x in errors)
        return network, best

    network, fitted = units(disks)
    found: Measures = {
        EXCESS: (float((network - fitted).mean()), bootstrap_mean(network - fitted, seed=SEED, over="images"))
    }
    found |= {excess_over_smooth(alpha): bracket((network, fitted), units(e)) for alpha, e in smooth.items()}
    few = f"undecided: {len(useful)} useful noise levels, where {FEWEST} are asked for"
    return {**found, SLOPE: slope(disks[0][useful], kept.tolist()) if len(useful) >= FEWEST else few}


def smooth_errors(desk: TrainedExperiment, alpha: int, sigmas: Sequence[float]) -> Errors:
    """Errors (sigmas, images) on C^alpha images of the network and of the Wiener filter of its training images."""
    denoiser, images = denoisers(desk)[alpha_name(alpha)]
    wiener = Gaussian.from_images(image_sets(desk)[alpha_name(alpha)][0])
    return error_table(denoiser, images, tuple(sigmas)), told_errors(wiener, images, sigmas)


def record_disks(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Excess over the optimum on disks, beside that on C^alpha images (K-low-dimensional-suboptimal)."""
    denoiser, images = denoisers(desk)[DISKS]
    n, pixels = desk.sizes[-1], images[0].numel()
    fitted = fit_errors(images, disk_parameters(n, seed=SEED), SLOPE_SIGMAS)
    disks = (error_table(denoiser, images, SLOPE_SIGMAS), fitted)
    smooth = {alpha: smooth_errors(desk, alpha, SLOPE_SIGMAS) for alpha in JUDGED_ALPHAS}
    curves: dict[str, tuple[np.ndarray, float | None]] = {"network, disks": (disks[0], None)}
    curves |= {"fitted disks": (fitted, 2.0)}
    curves |= {f"network, {alpha_name(alpha)}": (network, None) for alpha, (network, _) in smooth.items()}
    figures = [
        evidence.figure("errors", plot_errors(curves, SLOPE_SIGMAS)),
        evidence.figure("images", plot_rows([("disks", images)])),
    ]
    useful = shared_levels(disks, smooth, SLOPE_SIGMAS)
    levels = f"sigma = {', '.join(f'{SLOPE_SIGMAS[k]:.2g}' for k in useful)}" if useful else None
    about: dict[str, Any] = {"kind": desk.kind, "n": len(images), "varies": "image", "figures": figures}
    for name, item in low_dimensional_measures(disks, smooth, SLOPE_SIGMAS).items():
        value, interval = item if isinstance(item, tuple) else (item, None)
        evidence.add(name, value, interval=interval, note=levels, **about)
    evidence.add(f"useful noise levels, of {len(SLOPE_SIGMAS)}", len(useful), note=levels, **about)
    record_levels(evidence, "disks, network", disks[0], 1, about)
    record_levels(evidence, "disks, fit", fitted, pixels, {**about, "note": "a disk has 5 dimensions"})
    for alpha, (network, wiener) in smooth.items():
        record_levels(evidence, f"C^{alpha} images, network", network, 1, about)
        record_levels(evidence, f"C^{alpha} images, Wiener filter", wiener, 1, about)


def record_levels(evidence: ClaimRecord, whose: str, errors: np.ndarray, pixels: int, about: Mapping[str, Any]) -> None:
    """Error at the lowest and the highest noise, in units of sigma^2 a pixel, or summed over the pixels."""
    unit = "sigma^2" if pixels == 1 else "sigma^2, summed over pixels"
    rows = over_variance(errors * pixels, SLOPE_SIGMAS)
    for k in (0, len(rows) - 1):
        value, interval = rows[k]
        evidence.add(f"error, {whose}, sigma = {SLOPE_SIGMAS[k]:.2g}", value, interval=interval, unit=unit, **about)
