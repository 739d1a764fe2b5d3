"""What an epoch shows: which images, at which noise levels, at which learning rate (Topeza, 2025, section 4).

All of it follows from the seed and the epoch, so that nothing has to be remembered between epochs.
"""

import torch
from torch import Tensor

from core.seeds import generator
from core.training.config import TrainConfig


def exposures(n: int, config: TrainConfig) -> int:
    """Images shown per epoch with a set of `n`: see `TrainConfig.repetition`."""
    return config.exposures if config.repetition == "exact" else max(1, config.exposures // n) * n


def epoch_order(n: int, config: TrainConfig, seed: int, epoch: int) -> Tensor:
    """Indices into the set, in the order of one epoch: (exposures,) int64.

    Over any number of epochs the images are shown equally often; with `exact` repetition to within one.
    """
    count = exposures(n, config)
    base = torch.randperm(n, generator=generator("cpu", seed, "base"))
    start = epoch * count
    return base[(start + torch.randperm(count, generator=generator("cpu", seed, "order", epoch))) % n]


def noise_levels(count: int, law: str, source: torch.Generator, levels: str = "independent") -> Tensor:
    """Noise levels on [0, 1], (count, 1, 1, 1): uniform, or the square of a uniform one (`quadratic`).

    With `stratified` levels the k-th comes from the k-th of `count` equally likely parts, in rising order: the images
    of a batch come in random order, so that each image still meets every level alike.
    """
    sigma = torch.rand((count, 1, 1, 1), generator=source, device=source.device)
    if levels == "stratified":
        sigma = (sigma + torch.arange(count, device=source.device).view(-1, 1, 1, 1)) / count
    return sigma.square() if law == "quadratic" else sigma


def learning_rate(config: TrainConfig, epoch: int, shown: float = 0.0) -> float:
    """The rate once `epoch` epochs and the share `shown` of the next are done: see `TrainConfig.schedule`."""
    if config.schedule == "cooled":
        left = 1 - (epoch + shown) / config.epochs
        return config.learning_rate * min(1.0, left / config.cooldown)
    return config.learning_rate * 0.5 ** (epoch // config.halve_every)
