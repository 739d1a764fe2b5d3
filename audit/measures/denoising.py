"""Errors of denoisers by noise level and the exponents fitted to them, on faces and on geometric images."""

from collections.abc import Sequence
from functools import cache, partial

import numpy as np
from torch import Tensor

from audit.measures.record import SEED
from core.denoisers.oracles import Oracle
from core.denoisers.unet import Denoiser
from core.metrics.psnr import denoiser_psnr
from core.stats import Interval, bootstrap_mean
from fixtures.experiments.desk import GROUPS, Cell, ModelJob, TrainedExperiment
from fixtures.experiments.geometric import c_alpha, disk_parameters, draw_disks, shuffle_pixels

DISKS, SHUFFLED = "disks", "shuffled faces"
Sigmas = tuple[float, ...]
Trained = dict[str, tuple[Denoiser, Tensor]]


def error_table(denoiser: Denoiser, images: Tensor, sigmas: Sigmas) -> np.ndarray:
    """Mean squared error a pixel, (sigmas, images)."""
    return 10 ** (-denoiser_psnr(denoiser, images, sigmas, seed=SEED).output / 10)


def told_errors(oracle: Oracle, images: Tensor, sigmas: Sequence[float]) -> np.ndarray:
    """Mean squared error a pixel, (sigmas, images), of an oracle that is told the noise level; the same noise."""
    tables = [error_table(partial(oracle.denoise, sigma=sigma), images, (sigma,)) for sigma in sigmas]
    return np.concatenate(tables)


def slope(errors: np.ndarray, sigmas: Sequence[float], resamples: int = 2000) -> tuple[float, Interval]:
    """Exponent of sigma in the mean error (sigmas, images), resampling images and noise levels.

    Levels are resampled because a power law is claimed and seven levels do not lie on one: the interval has to hold
    what choosing other levels would have given.
    """
    x, rng = np.log(np.asarray(sigmas)), np.random.default_rng(SEED)
    found = []
    for _ in range(resamples):
        levels = rng.integers(0, len(x), len(x))
        if np.ptp(x[levels]) > 0:
            y = np.log(errors[levels][:, rng.integers(0, errors.shape[1], errors.shape[1])].mean(1))
            found.append(np.polyfit(x[levels], y, 1)[0])
    low, high = np.quantile(found, [0.025, 0.975])
    point = float(np.polyfit(x, np.log(errors.mean(1)), 1)[0])
    return point, Interval(float(low), float(high), "percentile bootstrap over images and noise levels")


def over_variance(errors: np.ndarray, sigmas: Sequence[float]) -> list[tuple[float, Interval]]:
    """Mean error in units of sigma^2 by noise level: above 1, leaving the noisy image as it is would be better."""
    rows = errors / np.square(np.asarray(sigmas))[:, None]
    return [(float(row.mean()), bootstrap_mean(row, seed=SEED, over="images")) for row in rows]


def useful_levels(errors: np.ndarray, sigmas: Sequence[float]) -> list[int]:
    """Noise levels at which the denoiser improves on the noisy image, by the whole interval over images."""
    return [k for k, (_, interval) in enumerate(over_variance(errors, sigmas)) if interval.high < 1]


def optimal_slope(alpha: float) -> float:
    """Slope of the minimax error on C^alpha images in the noise level (Korostelev and Tsybakov 1993)."""
    return 2 * alpha / (alpha + 1)


def alpha_name(alpha: int) -> str:
    """Name of the C^alpha images of this smoothness in evidence and pictures."""
    return f"C^{alpha} images"


@cache
def image_sets(desk: TrainedExperiment) -> dict[str, tuple[Tensor, Tensor]]:
    """Training and test images of every kind a network is trained on here, as many as the desk's largest set."""
    size, n, tested = desk.preset.train.image_size, desk.sizes[-1], desk.preset.theory.tested
    makers = {alpha_name(a): partial(c_alpha, alpha=a, size=size, seed=SEED, strict=True) for a in alphas(desk)}
    drawn = {name: make(n + tested) for name, make in makers.items()}
    drawn[DISKS] = draw_disks(disk_parameters(n + tested, seed=SEED), size)
    found = {name: (images[:n], images[n:]) for name, images in drawn.items()}
    faces = desk.images(Cell("random", n, GROUPS[0])), desk.held_out.images[:tested]
    found[SHUFFLED] = (shuffle_pixels(faces[0]), shuffle_pixels(faces[1]))
    return found


def alphas(desk: TrainedExperiment) -> tuple[int, ...]:
    """Smoothness of the C^alpha images of this scale."""
    return desk.preset.theory.alphas


def denoiser_jobs(desk: TrainedExperiment) -> list[ModelJob]:
    """The trainings of `denoisers`."""
    return desk.jobs_on({name: train for name, (train, _) in image_sets(desk).items()})


@cache
def denoisers(desk: TrainedExperiment) -> Trained:
    """A denoiser trained on each kind of images, all side by side, and its test images."""
    trained = zip(image_sets(desk).items(), desk.trained(denoiser_jobs(desk)), strict=True)
    return {name: (desk.as_denoiser(result), test) for (name, (_, test)), result in trained}
