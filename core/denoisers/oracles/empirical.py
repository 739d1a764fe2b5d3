"""The uniform distribution over a training set: the optimum that memorises (Kadkhodaie's slide 'dangers')."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from core.denoisers.oracles.base import LOG_2PI, Oracle, finite
from core.errors import InputError

TILE = 4096


class Empirical(Oracle):
    """The uniform distribution over `points` (n, ...).

    E[x | y] is the softmax-weighted mean of the set with logits -|y - x_i|^2 / (2 sigma^2). Computed tile by tile with
    a running maximum, so that memory is at most about tile * (d + 5 b) * 8 bytes whatever the size of the set; noise
    levels share the distances. Squared distances come from a product in float64: their rounding, about 1e-16 |y|^2, is
    far below sigma^2 at any level used here.
    """

    def __init__(self, points: Tensor, *, tile: int = TILE) -> None:
        if points.ndim < 2 or len(points) == 0:
            raise InputError(
                f"points: found shape {tuple(points.shape)}; expected a training set (n, ...), n at least 1"
            )
        finite(points, "points")
        if tile < 1:
            raise InputError(f"tile: found {tile}; expected at least one point at a time")
        self.points = points.reshape(len(points), -1)
        self.d = self.points.shape[1]
        self.tile = tile

    def _posterior(self, y: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        return self._posteriors(y, [sigma])[0]

    def _posteriors(self, y: Tensor, sigmas: Sequence[float]) -> list[tuple[Tensor, Tensor]]:
        top = [torch.full((len(y), 1), -math.inf, dtype=torch.float64) for _ in sigmas]
        total = [torch.zeros(len(y), 1, dtype=torch.float64) for _ in sigmas]
        mean = [torch.zeros_like(y) for _ in sigmas]
        for start in range(0, len(self.points), self.tile):
            x = self.points[start : start + self.tile].to(torch.float64)
            squares = y.square().sum(1, keepdim=True) - 2 * y @ x.T + x.square().sum(1)
            for s, sigma in enumerate(sigmas):
                logits = -squares / (2 * sigma**2)
                higher = torch.maximum(top[s], logits.max(dim=1, keepdim=True).values)
                weights, kept = (logits - higher).exp(), (top[s] - higher).exp()
                total[s] = total[s] * kept + weights.sum(dim=1, keepdim=True)
                mean[s] = mean[s] * kept + weights @ x
                top[s] = higher
        return [
            (mean[s] / total[s], (top[s] + total[s].log())[:, 0] - self._normaliser(sigma))
            for s, sigma in enumerate(sigmas)
        ]

    def _normaliser(self, sigma: float) -> float:
        return math.log(len(self.points)) + 0.5 * self.d * (LOG_2PI + 2 * math.log(sigma))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Training points (n, d) float64, drawn with replacement."""
        return self.points[torch.randint(len(self.points), (n,), generator=generator)].to(torch.float64)
