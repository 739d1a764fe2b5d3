"""What every oracle does, given its posterior mean and the density of its noisy points.

For y = x + sigma z with z ~ N(0, I), every oracle knows the posterior mean E[x | y], the log-density of y and, by
Miyasawa (1961), its score (E[x | y] - y) / sigma^2. All arithmetic is float64. Points are (b, ...) tensors, flattened
inside to (b, d) and returned in the shape they came in. Everything can be differentiated, forwards and backwards.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from core.errors import InputError
from core.stats import Interval, t_interval

BATCH = 1024  # noisy points of a simulation at once
LOG_2PI = math.log(2 * math.pi)


class Oracle(ABC):
    """A density over x of dimension `d`, with its exact denoiser at every noise level."""

    d: int

    @abstractmethod
    def _posterior(self, y: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Posterior mean (b, d) and log-density of y (b,), for y (b, d) float64."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Clean points (n, d) float64."""

    def _posteriors(self, y: Tensor, sigmas: Sequence[float]) -> list[tuple[Tensor, Tensor]]:
        """`_posterior` at several noise levels; for those that share work between levels to say so."""
        return [self._posterior(y, sigma) for sigma in sigmas]

    def denoise(self, y: Tensor, sigma: float) -> Tensor:
        """E[x | y], in the shape of y."""
        return self._posterior(self._rows(y, sigma), sigma)[0].reshape(y.shape)

    def log_density(self, y: Tensor, sigma: float) -> Tensor:
        """log p_sigma(y), (b,): the density of x + sigma z."""
        return self._posterior(self._rows(y, sigma), sigma)[1]

    def score(self, y: Tensor, sigma: float) -> Tensor:
        """Gradient of log p_sigma at y by Miyasawa's identity, in the shape of y."""
        return (self.denoise(y, sigma) - y.to(torch.float64)) / sigma**2

    def mse_estimate(self, sigma: float, *, n: int, generator: torch.Generator) -> tuple[float, Interval]:
        """Expected squared error of the posterior mean by simulation of n points, and its 95 % interval.

        For every oracle; those that know the error exactly have `mse` beside it. The interval takes the mean for
        normal: where errors are rare and large (a finite set at low noise) it needs many of them among the n.
        """
        positive(sigma, "sigma")
        if n < 2:
            raise InputError(f"n: found {n}; expected at least 2 points, between which the error can vary")
        errors = []
        for start in range(0, n, BATCH):
            x = self.sample(min(BATCH, n - start), generator)
            y = x + sigma * torch.randn(x.shape, dtype=torch.float64, generator=generator)
            errors.append((self.denoise(y, sigma) - x).square().sum(1))
        found = torch.cat(errors).numpy()
        return float(found.mean()), t_interval(found, over="simulated points")

    def level(self, y: Tensor, sigmas: Sequence[float]) -> Tensor:
        """The noise level that each y shows, (b,) float64: exp E[log sigma | y] with sigma uniform over those given.

        For denoisers that must be told the level and have no density of their own to infer it from.
        """
        levels = checked_levels(sigmas)
        densities = [log_density for _, log_density in self._posteriors(self._rows(y, min(levels)), levels)]
        return (torch.stack(densities, dim=1).softmax(dim=1) @ torch.tensor(levels, dtype=torch.float64).log()).exp()

    def blind(self, sigmas: Sequence[float]) -> Callable[[Tensor], Tensor]:
        """The optimum of training without knowing sigma: E[x | y] with sigma uniform over the levels given.

        That is the average of the posterior means, weighted by how likely each level makes y. It plugs into the
        samplers and metrics as a network does, and keeps the dtype of its input.
        """
        levels = checked_levels(sigmas)

        def denoiser(y: Tensor) -> Tensor:
            parts = self._posteriors(self._rows(y, min(levels)), levels)
            weights = torch.stack([log_density for _, log_density in parts]).softmax(dim=0)
            means = torch.stack([mean for mean, _ in parts])
            return (weights[..., None] * means).sum(dim=0).reshape(y.shape).to(y.dtype)

        return denoiser

    def _rows(self, y: Tensor, sigma: float) -> Tensor:
        positive(sigma, "sigma")
        found = y[0].numel() if y.ndim and len(y) else 0
        if found != self.d:
            count = len(y) if y.ndim else 0
            raise InputError(f"y: found {count} points of {found} dimensions; expected at least one of {self.d}")
        finite(y, "y")
        return y.reshape(len(y), -1).to(torch.float64)


def checked_levels(sigmas: Sequence[float]) -> list[float]:
    """The noise levels as numbers; raises InputError unless there is one and all are finite and above 0."""
    levels = [float(s) for s in sigmas]
    if not levels or not all(math.isfinite(s) and s > 0 for s in levels):
        raise InputError(f"sigmas: found {levels}; expected at least one noise level, all positive")
    return levels


def positive(value: float, name: str) -> None:
    """Raise InputError unless `value` is a finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name}: found {value}; expected a positive number")


def finite(values: Tensor, name: str) -> None:
    """Raise InputError for missing or infinite values; extremes tell, and take no copy of a large set."""
    if values.numel() and not bool(torch.isfinite(torch.stack(torch.aminmax(values.detach()))).all()):
        raise InputError(f"{name}: found missing or infinite values; expected none")


def orthonormal(basis: Tensor) -> None:
    """Raise InputError unless the columns of (d, k) are orthonormal."""
    if basis.ndim != 2:
        raise InputError(f"basis: found shape {tuple(basis.shape)}; expected (d, k)")
    k = basis.shape[1]
    if not torch.allclose(basis.T @ basis, torch.eye(k, dtype=torch.float64), atol=1e-9):
        raise InputError("basis: columns are not orthonormal; expected basis^T basis = I within 1e-9")
