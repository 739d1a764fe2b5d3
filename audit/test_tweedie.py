"""The posterior mean and the score determine each other (Kadkhodaie et al. 2024, section 2.1)."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from torch import Tensor

from audit.measures.densities import SIGMAS, oracles
from audit.measures.tweedie import (
    DIVERGENCE,
    EXACT,
    GRADIENT,
    ORTHOGONAL,
    POINTS,
    Density,
    LineMixture,
    furthest,
    gradient_error,
    kept_means,
    tweedie_errors,
    tweedie_measures,
    two_points,
)
from audit.plots.densities import draw_scores
from fixtures.experiments.desk import Desk
from reports.judge import Judge
from reports.record import ClaimRecord

# --- one density on the line, by quadrature ------------------------------------------------------------------


# --- five densities, by autograd and by simulation -----------------------------------------------------------


@pytest.mark.claim("K-tweedie")
def test_posterior_mean_and_score_determine_each_other(evidence: ClaimRecord, desk: Desk) -> None:
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


@pytest.mark.control("K-tweedie", "positive")
def test_tweedie_holds_for_two_points_by_hand(judge: Judge) -> None:
    line = tweedie_errors(lambda y, s: y / (1 + s**2), lambda y, s: -y / (1 + s**2))
    assert judge("K-tweedie", tweedie_measures(two_points(), line)) == "reproduced"


@pytest.mark.control("K-tweedie", "negative")
def test_another_density_s_score_is_caught(judge: Judge) -> None:
    other = LineMixture()
    other.weights = np.array([0.36, 0.64])
    wrong = tweedie_errors(LineMixture().posterior_mean, other.score)
    assert judge("K-tweedie", tweedie_measures(two_points(), wrong)) == "refuted"


@pytest.mark.control("K-tweedie", "negative")
@pytest.mark.parametrize("equation", [GRADIENT, ORTHOGONAL, DIVERGENCE, EXACT])
@pytest.mark.parametrize(
    "defect",
    [
        lambda f: lambda y, sigma: f(y, 1.5 * sigma),
        lambda f: lambda y, sigma: f(y, math.sqrt(sigma)),
        lambda f: lambda y, sigma: f(y, sigma) + 0.2 * sigma * y.sign(),
    ],
    ids=["sigma half as large again", "sigma not squared", "a step added"],
)
def test_every_equation_alone_catches_a_wrong_denoiser(
    judge: Judge, equation: str, defect: Callable[..., Callable[[Tensor, float], Tensor]]
) -> None:
    right = Density.of(oracles()["gaussian"])
    wrong = Density(right.sample, right.log_density, defect(right.denoise), right.mse)
    found = tweedie_measures(right, (0.0, 0.0)) | {equation: tweedie_measures(wrong, (0.0, 0.0))[equation]}
    assert judge("K-tweedie", found) == "refuted"
