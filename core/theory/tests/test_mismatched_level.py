"""The slide's printed weights: what they are, and what they cost, by closed form and by quadrature."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from core.denoisers.oracles import Empirical, Gaussian, Sphere
from core.errors import InputError
from core.theory.mismatched_level import PRINTED, mismatch_cost

EYE = torch.eye(3, dtype=torch.float64)
VARIANCES = torch.tensor([0.1, 1.0, 4.0], dtype=torch.float64)
POINTS = np.array([-1.0, 0.2, 1.5])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def printed(y: torch.Tensor, points: torch.Tensor, t: float) -> torch.Tensor:
    """The slide's formula as it stands there."""
    weights = torch.exp(-(y[:, None] - points[None]).square().sum(2) / t)
    return weights @ points / weights.sum(1, keepdim=True)


def test_the_printed_weights_are_the_posterior_s_at_half_the_variance() -> None:
    points = torch.randn(7, 4, dtype=torch.float64, generator=generator())
    y, sigma = torch.randn(5, 4, dtype=torch.float64, generator=generator(1)), 0.8
    oracle, found = Empirical(points), printed(y, points, sigma**2)
    torch.testing.assert_close(found, oracle.denoise(y, PRINTED * sigma))
    assert float((found - oracle.denoise(y, sigma)).abs().max()) > 0.1
    torch.testing.assert_close(printed(y, points, 2 * sigma**2), oracle.denoise(y, sigma))
    torch.testing.assert_close((found - y) / sigma**2, oracle.score(y, PRINTED * sigma) / 2)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0])
def test_the_cost_of_a_gaussian_is_its_closed_form(sigma: float) -> None:
    right, wrong = VARIANCES / (VARIANCES + sigma**2), VARIANCES / (VARIANCES + sigma**2 / 2)
    wanted = float(((right - wrong) ** 2 * (VARIANCES + sigma**2)).sum())
    oracle = Gaussian(torch.zeros(3), EYE, VARIANCES)
    found = mismatch_cost(oracle, sigma, n=20_000, generator=generator())
    assert found.interval.low < found.excess < found.interval.high
    assert abs(found.excess - wanted) < 5 * found.interval.width / (2 * 1.96) and found.interval.width < 0.1 * wanted
    assert found.least == pytest.approx(oracle.mse(sigma), rel=0.05)
    assert found.relative == found.excess / found.least


@pytest.mark.parametrize("sigma", [0.4, 1.0])
def test_the_cost_of_three_points_is_that_of_quadrature(sigma: float) -> None:
    def mean(y: float, level: float) -> float:
        weights = np.exp(-((y - POINTS) ** 2) / (2 * level**2))
        return float(weights @ POINTS / weights.sum())

    def density(y: float) -> float:
        return float(stats.norm.pdf(y, POINTS, sigma).mean())

    def error(y: float, level: float) -> float:
        return float((stats.norm.pdf(y, POINTS, sigma) * (mean(y, level) - POINTS) ** 2).mean())

    ends = (-1 - 9 * sigma, 1.5 + 9 * sigma)
    right, wrong = (integrate.quad(error, *ends, args=(level,), limit=200)[0] for level in (sigma, PRINTED * sigma))
    assert integrate.quad(density, *ends, limit=200)[0] == pytest.approx(1)
    found = mismatch_cost(Empirical(torch.tensor(POINTS)[:, None]), sigma, n=40_000, generator=generator())
    assert abs(found.excess - (wrong - right)) < 5 * found.interval.width / (2 * 1.96)
    assert found.interval.low > 0 and found.least == pytest.approx(right, rel=0.05)


def test_the_right_level_costs_nothing_and_a_wrong_one_more_the_further_it_is() -> None:
    oracle = Sphere(EYE, 1.0)
    costs = [mismatch_cost(oracle, 0.5, assumed=a, n=4000, generator=generator()).excess for a in (0.5, 0.45, 0.35)]
    assert costs[0] == 0 < costs[1] < costs[2]


def test_bad_input_is_named() -> None:
    oracle = Gaussian(torch.zeros(3), EYE, VARIANCES)
    with pytest.raises(InputError, match="n: found 1"):
        mismatch_cost(oracle, 1.0, n=1, generator=generator())
    for sigma, assumed in ((0.0, None), (math.nan, None), (1.0, -1.0)):
        with pytest.raises(InputError, match="sigma: found"):
            mismatch_cost(oracle, sigma, assumed=assumed, n=10, generator=generator())
