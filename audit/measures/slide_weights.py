"""The weights that Kadkhodaie's slides print for the optimum, against the score that they print beside them."""

import math

import torch
from torch import Tensor

from audit.plots.published_figures import plot_costs
from core.denoisers.oracles import Empirical
from core.theory.mismatched_level import PRINTED, Cost, mismatch_cost
from reports.record import ClaimRecord

FACTOR = "factor of -|y - x|^2 / t in the exponent that the printed score demands"
EXCESS = "squared error that the printed weights add, share of the least, at noise level 1"
LEVELS = (0.5, 1.0, 2.0, 5.0)
JUDGED = 1.0  # the largest noise level that the networks are trained at (T 4.1)
POINTS = 2000  # simulated noisy images


def demanded_factor(t: float = 0.7, y: float = 0.3) -> float:
    """The factor c for which weights exp(-c |y - x|^2 / t) give f(y) = y + t (log p)'(y), for points at -1 and 1.

    The score is the derivative of the log-density of both points under noise of variance t; f follows from it, the
    weights from f, and c from the logarithm of their ratio.
    """
    at = torch.tensor(y, dtype=torch.float64, requires_grad=True)
    points = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    density = torch.distributions.Normal(points, math.sqrt(t)).log_prob(at).logsumexp(0)
    (score,) = torch.autograd.grad(density, at)
    f = y + t * float(score)
    log_ratio = math.log((1 + f) / (1 - f))  # of the weight of 1 to that of -1
    return t * log_ratio / ((y + 1) ** 2 - (y - 1) ** 2)


def weight_cost(images: Tensor, sigma: float, shrunk: float = PRINTED) -> Cost:
    """Cost of weights whose noise level is `shrunk` times the true one, over the images (n, ...) as a training set."""
    generator = torch.Generator().manual_seed(0)
    return mismatch_cost(Empirical(images.double()), sigma, assumed=shrunk * sigma, n=POINTS, generator=generator)


def excess_measure(cost: Cost) -> tuple[float, tuple[float, float]]:
    """The excess as a share of the least error, with its interval."""
    return cost.relative, (cost.interval.low / cost.least, cost.interval.high / cost.least)


def record_slide_weights(evidence: ClaimRecord, images: Tensor) -> None:
    """The exponent that the score demands, and what the printed one costs over generated faces (K-slide-weights)."""
    costs = {sigma: weight_cost(images, sigma) for sigma in LEVELS}
    figures = [evidence.figure("cost", plot_costs({sigma: cost.relative for sigma, cost in costs.items()}))]
    note = "by automatic differentiation of the density of two points; the slide prints 1"
    evidence.add(FACTOR, demanded_factor(), kind="arithmetic", note=note)
    for sigma, cost in costs.items():
        name = EXCESS if sigma == JUDGED else f"the same at noise level {sigma:g}"
        value, interval = excess_measure(cost)
        evidence.add(
            name,
            value,
            interval=interval,
            interval_method=cost.interval.method,
            kind="property",
            n=POINTS,
            varies="simulated noisy image",
            seeds="0",
            figures=figures,
        )
