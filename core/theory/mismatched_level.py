"""What it costs to denoise with the weights of another noise level than the noise has.

Kadkhodaie's slides give the optimal denoiser of a finite training set the weights exp(-|y - x|^2 / t), and the score
(f - y) / t, by which t is the variance of the noise. The posterior's weights are exp(-|y - x|^2 / (2 t)): the printed
ones are those of noise of variance t / 2, and (f - y) / t with them is half the score at that variance.

The posterior mean f* is orthogonal to its error, so that any other denoiser f costs E|f - x|^2 - E|f* - x|^2, which is
E|f - f*|^2: it is estimated as that, which varies less than a difference of two errors.
"""

import math
from dataclasses import dataclass

import torch

from core.denoisers.oracles import Oracle
from core.errors import InputError
from core.stats import Interval, t_interval

BATCH = 1024  # noisy points at once
PRINTED = math.sqrt(0.5)  # of sigma: the noise level whose posterior has the weights exp(-|y - x|^2 / sigma^2)


@dataclass(frozen=True)
class Cost:
    """Squared errors over all dimensions, from simulated points.

    Attributes:
        least: that of the posterior mean at the true level.
        excess: what the other weights add.
        interval: 95 % interval of `excess`.
    """

    least: float
    excess: float
    interval: Interval

    @property
    def relative(self) -> float:
        """The excess as a share of the least error."""
        return self.excess / self.least


def mismatch_cost(
    oracle: Oracle, sigma: float, *, assumed: float | None = None, n: int, generator: torch.Generator
) -> Cost:
    """Squared error added by the posterior mean of noise level `assumed` where the noise has level `sigma`.

    Without `assumed`, the slide's printed weights: sigma / sqrt(2). From n simulated points; the interval takes the
    mean for normal, as `Oracle.mse_estimate` does.
    """
    if n < 2:
        raise InputError(f"n: found {n}; expected at least 2 points, between which the error can vary")
    assumed = PRINTED * sigma if assumed is None else assumed
    least, excess = [], []
    for start in range(0, n, BATCH):
        x = oracle.sample(min(BATCH, n - start), generator)
        y = x + sigma * torch.randn(x.shape, dtype=torch.float64, generator=generator)
        best, other = oracle.denoise(y, sigma), oracle.denoise(y, assumed)
        least.append((best - x).square().sum(1))
        excess.append((other - best).square().sum(1))
    added = torch.cat(excess).numpy()
    return Cost(float(torch.cat(least).mean()), float(added.mean()), t_interval(added, over="simulated points"))
