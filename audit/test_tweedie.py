"""The posterior mean and the score determine each other (Kadkhodaie et al. 2024, section 2.1)."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from torch import Tensor

from audit.measures.densities import oracles
from audit.measures.tweedie import (
    DIVERGENCE,
    EXACT,
    GRADIENT,
    ORTHOGONAL,
    Density,
    LineMixture,
    record_tweedie,
    tweedie_errors,
    tweedie_measures,
    two_points,
)
from fixtures.experiments.desk import TrainedExperiment
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("K-tweedie")
def test_posterior_mean_and_score_determine_each_other(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    record_tweedie(evidence, desk)


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
