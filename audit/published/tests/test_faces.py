"""Measures on pairs trained on the recovered faces, on pairs that are known."""

import torch
from torch import Tensor

from audit.measures.rules import COPY_CORRELATION
from audit.published.faces import copies
from fixtures.experiments.real_faces import RealPair


def made_up_pair(share_copied: float, seeds: int = 20) -> RealPair:
    source = torch.Generator().manual_seed(0)

    def noise(n: int) -> Tensor:
        return torch.rand(n, 1, 20, 20, generator=source)

    train = {group: noise(10) for group in "AB"}
    copied = int(share_copied * seeds)
    samples = {group: torch.cat([train[group][torch.arange(copied) % 10], noise(seeds - copied)]) for group in train}
    return RealPair(10, train, samples)


def test_copies_and_others_are_told_apart() -> None:
    near = copies(made_up_pair(0.6))
    assert near.shape == (2, 20)
    assert (near > COPY_CORRELATION).mean() == 0.6


def test_a_pair_that_copies_disjoint_faces_does_not_agree() -> None:
    assert made_up_pair(1.0).agreement().mean(seed=0)[0] < 0.2
    pair = made_up_pair(1.0)
    same = RealPair(10, pair.train, dict.fromkeys("AB", pair.samples["A"]))
    assert same.agreement().mean(seed=0)[0] > 0.99
