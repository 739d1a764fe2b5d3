"""Material for controls of measures on networks: agreement, curves, orders and bases whose verdict is known."""

from dataclasses import replace
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from audit.measures.agreement import AtSize, assembled
from audit.measures.bases import LEADING
from audit.measures.divergence import BROKEN, CONSISTENT, NETWORK, NETWORKS, Sides
from audit.measures.geometric import SLOPE_SIGMAS
from audit.measures.networks import JUDGED_LEVELS, JUDGED_SIGMAS, LEVELS, SIGMAS
from audit.measures.record import SEED
from audit.measures.rules import CANDIDATES
from audit.measures.training_times import BELOW_BAYES, PUBLISHED_NETWORK, SYSTEMS, Times, times_of
from core.denoisers.oracles.gaussian import Gaussian
from core.metrics.agreement import Agreement
from core.metrics.psnr import PSNRCurve, denoiser_psnr
from core.metrics.replicates import Replicates
from core.theory.random_features import learn
from core.training.cells import GROUPS
from core.training.presets import DEFAULT_SCALE
from fixtures.experiments.curves import FEATURE_TIMES, MEMORISED, NOISE
from fixtures.experiments.geometric import c_alpha

COPIED, STRANGERS = 64, 300  # copies and held-out images that controls of a criterion judge
EVERYONE, NOBODY = np.ones(64, dtype=bool), np.zeros(64, dtype=bool)


def made_up_psnr(offset: float, spread: float = 0.2, seed: int = 0, images: int = 200) -> PSNRCurve:
    """A curve of PSNR that lies 5 dB plus about `offset` above its input at every judged level."""
    noise = np.random.default_rng(seed).normal(offset, spread, (len(JUDGED_LEVELS), images))
    base = np.repeat(np.array(JUDGED_LEVELS)[:, None], images, axis=1)
    return PSNRCurve(JUDGED_SIGMAS, base, base + 5 + noise)


def made_up_history(falls: float, seed: int) -> list[dict[str, float]]:
    """Ten epochs whose loss is about 4 and, over the last, falls by that share."""
    losses = 4 * np.random.default_rng(seed).normal(1, 1e-3, 10)
    losses[-1] *= 1 - falls
    return [{"loss": loss} for loss in losses.tolist()]


def wiener_psnr(known: Tensor, images: Tensor) -> PSNRCurve:
    """PSNR on images of the Wiener filter with mean and covariance of the known ones, told the noise level."""
    oracle = Gaussian.from_images(known)
    rows = [
        denoiser_psnr(lambda y, sigma=sigma: oracle.denoise(y, sigma), images, (sigma,), seed=SEED)  # type: ignore[misc]
        for sigma in JUDGED_SIGMAS
    ]
    given, output = (np.concatenate([getattr(row, name) for row in rows]) for name in ("input", "output"))
    return PSNRCurve(JUDGED_SIGMAS, given, output)


def made_up_size(
    n: int, *, of_set: float, of_training: float = 0.1, linear: float = 0.5, copies: bool = False, seeds: int = 24
) -> AtSize:
    """Three trainings a group whose samples are made of what their noise, their set and their training give.

    A sample is an image of its noise, of which a linear denoiser gives the share `linear`, plus `of_set` times one that
    is the same for the trainings of its group and `of_training` times one of its own.
    """
    source = torch.Generator().manual_seed(n)
    plain, detail = torch.randn(2, seeds, 1, 8, 8, generator=source)
    sets = of_set * torch.randn(2, seeds, 1, 8, 8, generator=source)
    trainings = of_training * torch.randn(2, 3, seeds, 1, 8, 8, generator=source)
    shared = linear**0.5 * plain + (1 - linear) ** 0.5 * detail
    a, b = ([shared + sets[group] + trainings[group, k] for k in range(3)] for group in range(2))
    found = assembled(n, a, b, [a[0], b[0]], [plain, plain, plain])
    return replace(found, near=np.full((6, seeds), 1.0 if copies else 0.5))


@cache
def strong() -> Replicates:
    """Agreement across halves that hardly depends on the half."""
    return made_up_size(512, of_set=0.05).plain.halves


@cache
def weak() -> Replicates:
    """Agreement across halves that depends much on the half."""
    return made_up_size(512, of_set=0.6).plain.halves


def made_up_trainings(offset: float, seed: int) -> np.ndarray:
    """Output PSNR of three trainings about `offset`, (3, judged levels, images)."""
    return np.stack([made_up_psnr(offset, seed=seed + k).output for k in range(3)])


def made_up_passage() -> list[AtSize]:
    """Networks that copy at the smallest N, depend on their set at the next and no longer do at the largest."""
    return [made_up_size(4, of_set=10, copies=True), made_up_size(32, of_set=0.6), made_up_size(512, of_set=0.01)]


def made_up_curves(train_bonus: float, seed: int, images: int = 40) -> tuple[PSNRCurve, PSNRCurve]:
    """Curves whose train-test gap is known."""
    noise = np.random.default_rng(seed).normal(0, 0.5, (2, len(SIGMAS), images))
    base = np.array(LEVELS)[:, None] + 5
    given = np.repeat(base - 5, images, axis=1)
    return PSNRCurve(SIGMAS, given, base + train_bonus + noise[0]), PSNRCurve(SIGMAS, given, base + noise[1])


def made_up_trained(train_bonus: float, seed: int) -> dict[str, list[tuple[PSNRCurve, PSNRCurve]]]:
    """Three trainings of both groups whose train-test gap is known, by group."""
    return {group: [made_up_curves(train_bonus, seed + k) for k in range(3)] for group in GROUPS}


class Notebook:
    """Stands in for a record of a claim: keeps value and interval of what is added, by name."""

    scale = DEFAULT_SCALE

    def __init__(self) -> None:
        self.found: dict[str, tuple[Any, Any]] = {}

    def add(self, name: str, value: Any, *, interval: Any = None, **_: Any) -> None:
        """Keep the value and the interval."""
        self.found[name] = (value, interval)

    def figure(self, name: str, figure: Figure) -> str:
        """Close the figure; returns its name."""
        plt.close(figure)
        return name


def made_up_errors(exponent: float, images: int = 256) -> np.ndarray:
    """Errors (noise levels, images) that follow a power law of the noise level."""
    rng = np.random.default_rng(SEED)
    return (np.asarray(SLOPE_SIGMAS) ** exponent)[:, None] * rng.lognormal(0, 0.3, images)


def contour_shrinkage(images: Tensor) -> list[Tensor]:
    """Denoisers made by hand that keep ripples on the contours of each image and remove the rest."""
    made = []
    for image in images:
        weight = sum(((image[0].roll(1, a) - image[0].roll(-1, a)) / 2).square() for a in (-2, -1))
        ripple = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(image.shape[-1] // 4)
        columns = torch.zeros(image[0].numel(), LEADING, dtype=torch.float64)
        for k, place in enumerate(weight.flatten().argsort(descending=True)[:LEADING].tolist()):  # type: ignore[union-attr]
            columns[place, k] = float(ripple[place % len(ripple)])
        made.append(columns @ columns.T)
    return made


def made_up_contours() -> Tensor:
    """Eight images of smooth regions with sharp contours."""
    return c_alpha(8, alpha=2, size=20, seed=SEED, strict=True)


def smooth_images() -> Tensor:
    """What a Wiener filter of images like `made_up_contours` is fitted to: 600 others of the kind."""
    return c_alpha(600, alpha=2, size=20, seed=SEED + 1, strict=True)


def random_matrices(n: int, seed: int = 1) -> list[Tensor]:
    """Jacobians without any structure, of images of 400 pixels."""
    source = torch.Generator().manual_seed(seed)
    return [torch.randn(400, 400, dtype=torch.float64, generator=source) for _ in range(n)]


def made_up_orders(seed: int, agreeing: float, n: int = 120) -> np.ndarray:
    """Similarities (n, 10) that share `agreeing` of their variance with those of every other call."""
    common = np.random.default_rng(0).normal(size=(n, CANDIDATES))
    own = np.random.default_rng(seed).normal(size=(n, CANDIDATES))
    return np.sqrt(agreeing) * common + np.sqrt(1 - agreeing) * own


def made_up_definition(seed: int, level: float, spread: float = 0.05) -> Agreement:
    """Agreement of 64 seeds about `level`, mismatched seeds at 0.1."""
    source = np.random.default_rng(seed)
    return Agreement(np.where(np.eye(64) > 0, source.normal(level, spread, (64, 64)), 0.1))


def made_up_exponents(power: float, *, gap: float = 1.19, cut: float = np.inf) -> dict[str, Any]:
    """What B-generation-time and B-memorisation-time are judged by, of curves whose crossing time is a power of N."""
    rng = np.random.default_rng(0)
    steps = torch.from_numpy(gap ** np.arange(70, dtype=float))
    steps = steps[steps <= cut]
    curves = {}
    for n in (16, 32, 64, 128):
        at = torch.from_numpy(8 * n**power * np.exp(rng.normal(0, 0.05, (3, 1))))
        curves[n] = (steps, steps / (steps + 19 * at))
    fit = times_of(curves, MEMORISED).exponent
    return {f"exponent in N{system}": (fit.value, fit.interval) for system in (*SYSTEMS, PUBLISHED_NETWORK)}


def planted_features(power: float) -> Times:
    """Crossing times of real random-features models of one size, whose clocks are run as N^power says."""
    curves = {}
    for i, n in enumerate((32, 64, 128, 256)):
        losses = [learn(16, 192, 48, FEATURE_TIMES, h=NOISE, seed=3 * i + k).train for k in range(3)]
        curves[n] = (FEATURE_TIMES * (n / 48) ** power, torch.stack(losses))
    return times_of(curves, BELOW_BAYES * (1 - NOISE), falling=True)


def normal_divergence(a: float, mean: float, b: float) -> float:
    """Kullback-Leibler divergence from N(0, a) to N(mean, b), variances a and b."""
    return float((np.log(b / a) + (a + mean**2) / b - 1) / 2)


def sound(**changes: Sides) -> dict[str, Sides]:
    """Both sides of the bound for every denoiser as K-kl-bound claims them, some replaced by `changes`."""
    networks = {f"{NETWORK}{seed}": Sides(0.05 + 0.002 * seed, 0.1) for seed in range(NETWORKS)}
    return {**dict.fromkeys(CONSISTENT, Sides(0.1, 0.1)), **networks, BROKEN: Sides(1, 100), **changes}


def made_up_scores(seed: int) -> np.ndarray:
    """Uniform scores of ten candidates for each of thirty samples."""
    return np.random.default_rng(seed).random((30, 10))
