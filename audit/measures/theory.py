"""The optimal denoiser: its score, and the optimum over a finite set (Kadkhodaie et al. 2024, sections 2.1 and 2.2)."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.measures.densities import SIGMAS, oracles
from audit.measures.networks import ORACLE_LEVELS, oracle_samples
from audit.measures.rules import COPY_CORRELATION
from audit.plots.shared import plot_rows
from core.denoisers.oracles import Empirical, Oracle
from core.metrics.neighbours import nearest
from core.stats import Interval, clopper_pearson, t_interval
from fixtures.experiments.desk import TrainedExperiment
from reports.record import ClaimRecord

NOISY_POINTS = 20_000  # over which the cost of a perturbation is averaged
SET = 24  # training faces of the memorising sampler; more only cost time


def score_error(oracle: Oracle, sigma: float, denoise: Callable[[Tensor, float], Tensor]) -> float:
    """Largest difference between (denoised - y) / sigma^2 and the gradient of log p, relative to the largest score."""
    source = torch.Generator().manual_seed(1)
    noise = torch.randn(64, oracle.d, dtype=torch.float64, generator=source)
    y = (oracle.sample(64, source) + sigma * noise).requires_grad_()
    (gradient,) = torch.autograd.grad(oracle.log_density(y, sigma).sum(), y)
    found = (denoise(y.detach(), sigma) - y.detach()) / sigma**2
    return float((found - gradient).abs().max() / gradient.abs().max())


def miyasawa_names() -> list[str]:
    """Names of what T-miyasawa is judged by."""
    return [f"largest relative difference, {name}" for name in oracles()]


def formula_error(denoise: Callable[[Tensor, float], Tensor], points: Tensor) -> float:
    """Largest difference from the softmax-weighted mean, summed term by term in Python floats."""
    worst, source = 0.0, torch.Generator().manual_seed(3)
    for sigma in SIGMAS:
        y = torch.randn(4, points.shape[1], dtype=torch.float64, generator=source)
        found = denoise(y, sigma)
        for row, query in enumerate(y.tolist()):
            logits = [
                -sum((a - b) ** 2 for a, b in zip(query, p, strict=True)) / (2 * sigma**2) for p in points.tolist()
            ]
            top = max(logits)
            weights = [math.exp(v - top) for v in logits]
            for column in range(points.shape[1]):
                mean = math.fsum(w * p[column] for w, p in zip(weights, points.tolist(), strict=True)) / math.fsum(
                    weights
                )
                worst = max(worst, abs(mean - float(found[row, column])))
    return worst


def excess_of_perturbation(
    oracle: Empirical,
    perturbed: Callable[[Tensor, float], Tensor],
    *,
    base: Callable[[Tensor, float], Tensor] | None = None,
    n: int = NOISY_POINTS,
) -> np.ndarray:
    """Squared error of a perturbed denoiser minus that of `base` (the formula), on the same noisy points, (n,)."""
    source, sigma = torch.Generator().manual_seed(4), 0.5
    x = oracle.sample(n, source)
    y = x + sigma * torch.randn(n, oracle.d, dtype=torch.float64, generator=source)
    errors = [(f(y, sigma) - x).square().sum(1) for f in (perturbed, base or oracle.denoise)]
    return (errors[0] - errors[1]).numpy()


def perturbations(oracle: Empirical) -> dict[str, Callable[[Tensor, float], Tensor]]:
    """Ways to move off the formula; each must cost squared error if it is the optimum."""
    flat = torch.randn(oracle.d, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    return {
        "constant shift": lambda y, sigma: oracle.denoise(y, sigma) + 0.05 * flat,
        "shrunk by 5 %": lambda y, sigma: 0.95 * oracle.denoise(y, sigma),
        "sigma 20 % too large": lambda y, sigma: oracle.denoise(y, 1.2 * sigma),
        "sigma 20 % too small": lambda y, sigma: oracle.denoise(y, 0.8 * sigma),
        "one training point left out": lambda y, sigma: Empirical(oracle.points[1:]).denoise(y, sigma),
    }


def copies_drawn(desk: TrainedExperiment, oracle: Oracle, train: Tensor) -> tuple[int, Tensor]:
    """How many samples of an oracle, started as published, are a training image by rules.copies."""
    samples = oracle_samples(desk, oracle, ORACLE_LEVELS, train.mean(dim=0))
    return int((nearest(samples, train, 1).value[:, 0] > COPY_CORRELATION).sum()), samples


def finite_set(n: int, seed: int = 2) -> Tensor:
    """A finite set in six dimensions."""
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))


def formula_measures(train: Tensor) -> dict[str, tuple[float, Interval | None]]:
    """How far the formula is from the posterior mean of a finite set, and what moving off it costs."""
    oracle = Empirical(train)
    found: dict[str, tuple[float, Interval | None]] = {
        "formula, largest error": (formula_error(oracle.denoise, oracle.points.double()), None)
    }
    for name, perturbed in perturbations(oracle).items():
        cost = excess_of_perturbation(oracle, perturbed)
        found[f"cost of: {name}"] = (float(cost.mean()), t_interval(cost, over="noisy points"))
    return found


def record_empirical_optimum(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Errors of the formula, the cost of moving off it, and the copies it draws (K-empirical-optimum)."""
    for name, (value, interval) in formula_measures(finite_set(40)).items():
        n = NOISY_POINTS if interval else 72
        evidence.add(name, value, kind="property", n=n, interval=interval)
    train = desk.corpus.images[:SET]
    hits, samples = copies_drawn(desk, Empirical(train), train)
    rows = [("samples", samples), ("nearest training", train[nearest(samples, train, 1).index[:, 0]])]
    figures = [evidence.figure("samples", plot_rows(rows))]
    share, n = hits / len(samples), len(samples)
    about: dict[str, Any] = {"kind": "synthetic", "n": n, "seeds": f"0:{n}", "varies": "seed"}
    evidence.add("share of training images among samples", share, interval=clopper_pearson(hits, n), **about)
    evidence.add("share of training images among samples, counted", share, figures=figures, **about)
