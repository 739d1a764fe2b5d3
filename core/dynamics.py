"""Implements the Gaussian-mixture experiment of Verkhovensky (2025, `train.py`): when a diffusion model memorises.

Points of a mixture, standardised by the training set's own mean and deviation; a multi-layer perceptron with a
sinusoidal time embedding; DDPM (Ho et al., 2020). Several independent trainings run as one, their weights stacked.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy import integrate, special, stats
from torch import Tensor, nn
from torch.nn import functional

from core.errors import InputError
from core.oracles import Gaussian, Mixture, Oracle
from core.presets import DynamicsConfig
from core.schedule import generator

DYNAMICS_VERSION = 1  # raised with a change of the code that changes curves
PredictNoise = Callable[[Tensor, int], Tensor]
"""(b, d) noisy points and the time step -> predicted noise (b, d)."""


@dataclass(frozen=True)
class MixtureData:
    """Training points and the mixture they come from, all standardised by the training points: (x - mean) / deviation.

    Attributes:
        train: (n, d) float32.
        centres: (k, d) float32.
        deviation: (d,) float64, of the raw training points; a raw distance is about this times a standardised one.
        oracle: the true mixture in standardised coordinates.
    """

    train: Tensor
    centres: Tensor
    deviation: Tensor
    oracle: Mixture


def draw_mixture(config: DynamicsConfig, n: int, seed: int) -> MixtureData:
    """n points of a mixture of `clusters` round Gaussians whose centres lie on a sphere; equal weights."""
    source = generator("cpu", seed, "mixture")
    centres = torch.randn(config.clusters, config.dimensions, dtype=torch.float64, generator=source)
    centres = config.radius * functional.normalize(centres, dim=1)
    which = torch.randint(config.clusters, (n,), generator=source)
    noise = torch.randn(n, config.dimensions, dtype=torch.float64, generator=source)
    raw = centres[which] + config.sigma * noise
    if n < 2:
        raise InputError(f"n: found {n}; expected at least 2 points, which are divided by their deviation")
    mean, deviation = raw.mean(dim=0), raw.std(dim=0)
    centres = (centres - mean) / deviation
    variances, axes = (config.sigma / deviation).square(), torch.eye(config.dimensions, dtype=torch.float64)
    oracle = Mixture([Gaussian(c, axes, variances) for c in centres], [1 / config.clusters] * config.clusters)
    return MixtureData(((raw - mean) / deviation).float(), centres.float(), deviation, oracle)


# --- network and diffusion -------------------------------------------------------------------------------


class StackedPerceptrons(nn.Module):
    """`stack` independent networks of the published shape: linear input plus time embedding, two ReLU layers, output.

    Weights start as `nn.Linear`'s do: uniform within 1 / sqrt(inputs).
    """

    def __init__(self, stack: int, dimensions: int, hidden: int, sources: Sequence[torch.Generator]) -> None:
        super().__init__()
        shapes = [(dimensions, hidden), (hidden, hidden), (hidden, hidden), (hidden, dimensions)]
        self.weights = nn.ParameterList(_uniform((a, b), a, sources) for a, b in shapes)
        self.biases = nn.ParameterList(_uniform((1, b), a, sources) for a, b in shapes)
        frequency = 10_000 ** (-torch.arange(0, hidden, 2) / hidden)
        self.register_buffer("frequency", frequency)
        self.stack = stack

    frequency: Tensor

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Noisy points (stack, b, d) at time steps (stack, b) -> predicted noise (stack, b, d)."""
        phase = t[..., None] * self.frequency
        w, b = list(self.weights), list(self.biases)
        h = torch.baddbmm(b[0], x, w[0]) + torch.cat([phase.sin(), phase.cos()], dim=-1)
        for k in (1, 2):
            h = torch.baddbmm(b[k], h, w[k]).relu()
        return torch.baddbmm(b[3], h, w[3])


def _uniform(shape: tuple[int, int], inputs: int, sources: Sequence[torch.Generator]) -> nn.Parameter:
    draws = [(2 * torch.rand(shape, generator=source) - 1) / math.sqrt(inputs) for source in sources]
    return nn.Parameter(torch.stack(draws))


def kept_signal(config: DynamicsConfig) -> tuple[Tensor, Tensor]:
    """The schedule, (timesteps,) float32 each: beta_t, and abar_t = prod (1 - beta_s), the signal's variance share."""
    beta = torch.linspace(config.beta_first, config.beta_last, config.timesteps)
    return beta, (1 - beta).cumprod(0)


@torch.no_grad()
def ddpm(predict: PredictNoise, start: Tensor, config: DynamicsConfig, source: torch.Generator) -> Tensor:
    """Algorithm 2 of Ho et al. (2020) with sigma_t^2 = beta_t, from noise of any shape (..., d)."""
    beta, signal = kept_signal(config)
    x = start
    for t in reversed(range(config.timesteps)):
        b, a = float(beta[t]), float(signal[t])
        x = (x - b / math.sqrt(1 - a) * predict(x, t)) / math.sqrt(1 - b)
        if t:
            x = x + math.sqrt(b) * torch.randn(x.shape, dtype=x.dtype, generator=source)
    return x


def oracle_noise(oracle: Oracle, config: DynamicsConfig) -> PredictNoise:
    """The noise that an oracle's posterior mean implies: x_t = sqrt(abar) x_0 + sqrt(1 - abar) noise."""
    signal = kept_signal(config)[1]

    def predict(x: Tensor, t: int) -> Tensor:
        a = float(signal[t])
        clean = oracle.denoise(x / math.sqrt(a), math.sqrt((1 - a) / a))
        return (x - math.sqrt(a) * clean) / math.sqrt(1 - a)

    return predict


# --- what is measured ------------------------------------------------------------------------------------


def distances(samples: Tensor, data: MixtureData) -> tuple[Tensor, Tensor, Tensor]:
    """Standardised distances of samples (s, d) to the nearest centre, nearest and second nearest training point."""
    to_train = torch.cdist(samples.double(), data.train.double()).topk(2, dim=1, largest=False).values
    return torch.cdist(samples.double(), data.centres.double()).amin(1), to_train[:, 0], to_train[:, 1]


def energy_distance(samples: Tensor, reference: Tensor) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'| without the pairs of a point with itself: 0 for equal distributions."""
    x, y = samples.double(), reference.double()
    across = torch.cdist(x, y).mean()
    within = [torch.cdist(z, z).sum() / (len(z) * (len(z) - 1)) for z in (x, y)]
    return float(2 * across - within[0] - within[1])


@dataclass(frozen=True)
class Curves:
    """What several trainings on sets of one size did over time; rows are trainings, columns evaluations.

    Attributes:
        steps: (e,) optimiser steps at each evaluation.
        to_centre, to_train: (r, e, s) distances of every sample.
        memorised: (r, e) share of samples three times nearer to one training point than to any other.
        quality: (r, e) energy distance to fresh points of the mixture.
    """

    steps: Tensor
    to_centre: Tensor
    to_train: Tensor
    memorised: Tensor
    quality: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """By name, to be kept."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


def train_curves(
    config: DynamicsConfig, n: int, seeds: Sequence[int], *, progress: Callable[[int, int], None] | None = None
) -> Curves:
    """Train one network a seed on n points of its own mixture and evaluate samples at the steps of the config.

    Raises:
        InputError: if a loss stops being finite.
    """
    data = [draw_mixture(config, n, seed) for seed in seeds]
    train = torch.stack([d.train for d in data])
    references = [
        d.oracle.sample(config.samples, generator("cpu", s, "reference")) for d, s in zip(data, seeds, strict=True)
    ]
    model = StackedPerceptrons(
        len(seeds), config.dimensions, config.hidden, [generator("cpu", s, "weights") for s in seeds]
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    source = generator("cpu", seeds[0], "training", len(seeds))
    signal = kept_signal(config)[1]
    found: list[list[tuple[Tensor, Tensor, float, float]]] = []
    copies = -(-config.batch // n)  # a batch larger than the set shows every point several times
    rows = torch.arange(len(seeds))[:, None]
    wanted = set(config.evaluations)
    order, place = _orders(len(seeds), n, copies, source), 0
    for step in range(max(wanted) + 1):
        if step in wanted:
            found.append(_evaluate(model, data, references, config, source))
        if progress:
            progress(step, max(wanted))
        if place >= order.shape[1]:
            order, place = _orders(len(seeds), n, copies, source), 0
        x = train[rows, order[:, place : place + config.batch]]
        place += config.batch
        t = torch.randint(config.timesteps, x.shape[:2], generator=source)
        noise = torch.randn(x.shape, generator=source)
        a = signal[t][..., None]
        loss = (model(a.sqrt() * x + (1 - a).sqrt() * noise, t) - noise).square().mean(dim=(1, 2)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if not bool(torch.isfinite(loss)):
        raise InputError(f"learning_rate: with {config.learning_rate:g} the loss became {float(loss.detach())}")
    columns = [list(zip(*row, strict=True)) for row in found]
    to_centre, to_train = (torch.stack([torch.stack(c[k]) for c in columns], dim=1) for k in (0, 1))
    memorised, quality = (torch.tensor([c[k] for c in columns]).T.contiguous() for k in (2, 3))
    return Curves(torch.tensor(sorted(wanted)), to_centre, to_train, memorised, quality)


def _orders(stack: int, n: int, copies: int, source: torch.Generator) -> Tensor:
    """Every row an order of its own in which each of n points comes `copies` times, (stack, copies * n)."""
    return torch.stack([torch.cat([torch.randperm(n, generator=source) for _ in range(copies)]) for _ in range(stack)])


@torch.no_grad()
def _evaluate(
    model: StackedPerceptrons,
    data: Sequence[MixtureData],
    references: Sequence[Tensor],
    config: DynamicsConfig,
    source: torch.Generator,
) -> list[tuple[Tensor, Tensor, float, float]]:
    def predict(x: Tensor, t: int) -> Tensor:
        return model(x, torch.full(x.shape[:2], t))

    start = torch.randn(len(data), config.samples, config.dimensions, generator=source)
    rows = []
    for samples, d, reference in zip(ddpm(predict, start, config, source), data, references, strict=True):
        centre, first, second = distances(samples, d)
        memorised = float((first < second / 3).double().mean())
        rows.append((centre, first, memorised, energy_distance(samples, reference)))
    return rows


# --- closed forms ----------------------------------------------------------------------------------------


def expected_to_centre(dimensions: int, sigma: float) -> float:
    """Mean distance of a point of a round Gaussian to its centre, sigma sqrt(2) Gamma((d+1)/2) / Gamma(d/2)."""
    return sigma * math.sqrt(2) * math.exp(special.gammaln((dimensions + 1) / 2) - special.gammaln(dimensions / 2))


def expected_to_nearest(dimensions: int, sigma: float, n: float) -> float:
    """Mean distance of a fresh point of a round Gaussian to the nearest of n others of the same Gaussian.

    Given the fresh point's own squared length (chi^2), squared distances to the others are noncentral chi^2, so that
    P(nearest > r) = E[(1 - F(r^2))^n], integrated over r; about sigma sqrt(2 d) less the reach of the smallest of n.

    Raises:
        InputError: for a number of points or dimensions below 1, or a sigma that is not positive.
    """
    for name, value in (("dimensions", dimensions), ("n", n)):
        if not (math.isfinite(value) and value >= 1):
            raise InputError(f"{name}: found {value}; expected at least 1")
    if not (math.isfinite(sigma) and sigma > 0):
        raise InputError(f"sigma: found {sigma}; expected a positive number")
    radii, below = _distance_law(dimensions)
    with np.errstate(divide="ignore"):
        beyond = np.exp(n * np.log1p(-below)).mean(axis=1)
    return float(sigma * integrate.simpson(beyond, x=radii))


@cache
def _distance_law(dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances r (k,), and P(distance < r) given each of 24 equally likely lengths of the fresh point, (k, 24)."""
    lengths = stats.chi2.ppf((np.arange(24) + 0.5) / 24, dimensions)
    radii = np.linspace(0, 3 * math.sqrt(2 * dimensions), 401)
    return radii, stats.ncx2.cdf(radii[:, None] ** 2, dimensions, lengths).clip(0, 1)


def crossing_time(steps: Tensor, curve: Tensor, level: float, *, falling: bool = False) -> Tensor:
    """First time at which each row of (r, e) passes `level`, linear in log time between evaluations; inf if never.

    Rising by default; an evaluation at step 0 counts as half a step.
    """
    time, rows = steps.double().clamp_min(0.5).log(), curve.double()
    past = rows <= level if falling else rows >= level
    found = torch.full((len(rows),), math.inf, dtype=torch.float64)
    for r, (row, flags) in enumerate(zip(rows, past, strict=True)):
        if bool(flags.any()):
            k = int(flags.double().argmax())
            part = 0.0 if k == 0 else float((level - row[k - 1]) / (row[k] - row[k - 1]))
            found[r] = (time[max(k - 1, 0)] + part * (time[k] - time[max(k - 1, 0)])).exp()
    return found
