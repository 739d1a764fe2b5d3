"""Implements the Gaussian-mixture experiment of Verkhovensky (2025, `train.py`): when a diffusion model memorises.

Points of a mixture, standardised by the training set's own mean and deviation; a multi-layer perceptron with a
sinusoidal time embedding; DDPM (Ho et al., 2020). A training follows from its options, the number of points and its
seed alone: looks at it draw from generators of their own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.denoisers.oracles import Gaussian, Mixture, Oracle
from core.errors import InputError
from core.seeds import generator
from core.training.config import DynamicsConfig

DYNAMICS_VERSION = 2  # raised with a change of the code that changes curves
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


class Perceptron(nn.Module):
    """The published network: a linear layer plus the time embedding, two ReLU layers, a linear one.

    Weights start as `nn.Linear`'s do, uniform within 1 / sqrt(inputs), from the generator given.
    """

    def __init__(self, dimensions: int, hidden: int, source: torch.Generator) -> None:
        super().__init__()
        sizes = [(dimensions, hidden), (hidden, hidden), (hidden, hidden), (hidden, dimensions)]
        self.layers = nn.ModuleList(nn.utils.skip_init(nn.Linear, a, b) for a, b in sizes)
        with torch.no_grad():
            for parameter, (inputs, _) in zip(self.parameters(), [size for size in sizes for _ in "wb"], strict=True):
                parameter.copy_((2 * torch.rand(parameter.shape, generator=source) - 1) / math.sqrt(inputs))
        self.register_buffer("frequency", 10_000 ** (-torch.arange(0, hidden, 2) / hidden))

    frequency: Tensor

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Noisy points (b, d) at time steps (b,) -> predicted noise (b, d)."""
        phase = t[:, None] * self.frequency
        first, second, third, last = self.layers
        h = first(x) + torch.cat([phase.sin(), phase.cos()], dim=1)
        return last(third(second(h).relu()).relu())


def kept_signal(config: DynamicsConfig) -> tuple[Tensor, Tensor]:
    """The schedule, (timesteps,) float32 each: beta_t, and abar_t = prod (1 - beta_s), the signal's variance share."""
    beta = torch.linspace(config.beta_first, config.beta_last, config.timesteps)
    return beta, (1 - beta).cumprod(0)


@torch.no_grad()
def ddpm(predict: PredictNoise, start: Tensor, config: DynamicsConfig, source: torch.Generator) -> Tensor:
    """Algorithm 2 of Ho et al. (2020) with sigma_t^2 = beta_t, from noise (b, d)."""
    if start.ndim != 2 or start.shape[1] != config.dimensions:
        raise InputError(f"start: found shape {tuple(start.shape)}; expected (b, {config.dimensions})")
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
    if samples.ndim != 2 or samples.shape[1] != data.train.shape[1]:
        raise InputError(f"samples: found shape {tuple(samples.shape)}; expected (s, {data.train.shape[1]})")
    to_train = torch.cdist(samples.double(), data.train.double()).topk(2, dim=1, largest=False).values
    return torch.cdist(samples.double(), data.centres.double()).amin(1), to_train[:, 0], to_train[:, 1]


def energy_distance(samples: Tensor, reference: Tensor) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'| without the pairs of a point with itself: 0 for equal distributions."""
    if samples.ndim != 2 or samples.shape[1:] != reference.shape[1:] or min(len(samples), len(reference)) < 2:
        raise InputError(
            f"samples: found shape {tuple(samples.shape)} beside {tuple(reference.shape)}; expected points of one "
            "dimension, at least two of each"
        )
    x, y = samples.double(), reference.double()
    across = torch.cdist(x, y).mean()
    within = [torch.cdist(z, z).sum() / (len(z) * (len(z) - 1)) for z in (x, y)]
    return float(2 * across - within[0] - within[1])


@dataclass(frozen=True)
class Curves:
    """What trainings on sets of one size did over time; rows are trainings, columns looks.

    Attributes:
        steps: (e,) optimiser steps at each look.
        to_centre, to_train: (r, e, s) distances of every sample.
        memorised: (r, e) share of samples three times nearer to one training point than to any other.
        quality: (r, e) energy distance to fresh points of the mixture.
    """

    steps: Tensor
    to_centre: Tensor
    to_train: Tensor
    memorised: Tensor
    quality: Tensor


def joined(curves: Sequence[Curves]) -> Curves:
    """The rows of several trainings with the same looks."""
    rest = ("to_centre", "to_train", "memorised", "quality")
    return Curves(curves[0].steps, *(torch.cat([getattr(c, name) for c in curves]) for name in rest))


def train_curve(config: DynamicsConfig, n: int, seed: int) -> Curves:
    """Train one network on n points of a mixture of its own and look at its samples at the steps of the config.

    Raises:
        InputError: if the network diverges: its samples stop being finite.
    """
    data = draw_mixture(config, n, seed)
    reference = data.oracle.sample(config.samples, generator("cpu", seed, "reference"))
    model = Perceptron(config.dimensions, config.hidden, generator("cpu", seed, "weights"))
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    source = generator("cpu", seed, "training")
    signal = kept_signal(config)[1]
    wanted = set(config.evaluations)
    found = []
    order, place = _order(n, config.batch, source), 0
    for step in range(max(wanted) + 1):
        if step in wanted:
            samples = _generate(model, config, generator("cpu", seed, "evaluation", step))
            if not bool(torch.isfinite(samples).all()):
                raise InputError(f"learning_rate: with {config.learning_rate:g} samples are not finite at step {step}")
            centre, first, second = distances(samples, data)
            share = (first < second / 3).double().mean()
            found.append((centre, first, share, torch.tensor(energy_distance(samples, reference))))
        if place >= len(order):
            order, place = _order(n, config.batch, source), 0
        x = data.train[order[place : place + config.batch]]
        place += config.batch
        t = torch.randint(config.timesteps, (len(x),), generator=source)
        noise = torch.randn(x.shape, generator=source)
        a = signal[t][:, None]
        loss = functional.mse_loss(model(a.sqrt() * x + (1 - a).sqrt() * noise, t), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Curves(torch.tensor(sorted(wanted)), *(torch.stack(column)[None] for column in zip(*found, strict=True)))


def _order(n: int, batch: int, source: torch.Generator) -> Tensor:
    """Indices of an epoch; a batch larger than the set shows every point several times, so the set is repeated."""
    return torch.cat([torch.randperm(n, generator=source) for _ in range(-(-batch // n))])


def _generate(model: Perceptron, config: DynamicsConfig, source: torch.Generator) -> Tensor:
    start = torch.randn(config.samples, config.dimensions, generator=source)
    return ddpm(lambda x, t: model(x, torch.full((len(x),), t)), start, config, source)


# --- closed forms ----------------------------------------------------------------------------------------
