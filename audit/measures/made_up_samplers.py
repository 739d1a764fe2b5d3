"""Samplers of a mixture whose answer is known, watched over a made-up training as networks are, for controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audit.measures.training_order import GOOD, order_measures, sample_times
from audit.measures.training_times import SYSTEMS
from core.theory.mixtures import Curves, MixtureData, distances, draw_mixture, energy_distance, joined
from core.training.config import DynamicsConfig
from core.training.presets import LAW

ORDERLY = ("noise", *["fresh"] * 5, "copies", "copies")
BACKWARDS = ("noise", *["one point"] * 5, "fresh", "fresh")


@dataclass(frozen=True)
class Samplers:
    """What a network can draw from when it learns a mixture, (s, d) each: nothing yet, new points, copies."""

    data: MixtureData
    noise: Tensor
    fresh: Tensor
    copies: Tensor


def samplers(config: DynamicsConfig | None = None, n: int = 1000, seed: int = 0, count: int = 100) -> Samplers:
    """Samples of all three kinds; those of `noise` are far from the mixture."""
    data = draw_mixture(config or DynamicsConfig(), n, seed)
    source = torch.Generator().manual_seed(seed + 1)
    fresh = data.oracle.sample(count, source).float()
    copies = data.train[torch.randint(len(data.train), (count,), generator=source)]
    return Samplers(data, 30 * torch.randn(fresh.shape, generator=source), fresh, copies)


def watched(looks: Sequence[Tensor], steps: Sequence[int], data: MixtureData) -> Curves:
    """Curves of one made-up training whose samples at every look are given, (s, d) each, measured as a training's."""
    reference = data.oracle.sample(400, torch.Generator().manual_seed(99))
    measured = [distances(samples, data) for samples in looks]
    share = torch.stack([(first < second / 3).double().mean() for _, first, second in measured])
    quality = torch.tensor([energy_distance(samples, reference) for samples in looks], dtype=torch.float64)
    centre, train = (torch.stack([item[k] for item in measured]) for k in (0, 1))
    return Curves(torch.tensor(steps), centre[None], train[None], share[None], quality[None])


def watched_trainings(looks: Mapping[int, Sequence[str]], seeds: int = 2) -> dict[int, Curves]:
    """Curves by N of made-up trainings on a small mixture, from what is drawn at each look.

    That is "noise", "fresh", "copies" or "one point", the same training point every time.
    """
    found = {}
    for n, names in looks.items():
        rows = []
        for seed in range(seeds):
            s = samplers(LAW, n, seed, count=200)
            drawn = {"noise": s.noise, "fresh": s.fresh, "copies": s.copies, "one point": s.copies[:1].expand(200, -1)}
            rows.append(watched([drawn[name] for name in names], [2 * 2**k for k in range(len(names))], s.data))
        found[n] = joined(rows)
    return found


def order_of(looks: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    """What V-order is judged by, of made-up trainings in the place of every system."""
    good, copies = sample_times(watched_trainings(looks), "quality", GOOD)
    return {name: item for system in SYSTEMS for name, item in order_measures(system, good, copies).items()}
