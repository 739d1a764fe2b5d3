"""Generated lists of names with people and labels, on which splits are built."""

from collections.abc import Iterator

import numpy as np


def numbered_names(n: int) -> list[str]:
    """The first n of CelebA's file names."""
    return [f"{i:06d}.jpg" for i in range(1, n + 1)]


def made_up_corpora(seed: int, count: int = 40) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """Names, identities and labels: some people have most images, some one; some labels are nearly constant."""
    source = np.random.default_rng(seed)
    for _ in range(count):
        counts = source.choice([1, 1, 2, 20, 60], size=source.integers(2, 20))
        identities = np.repeat(source.permutation(len(counts)), counts)
        n = len(identities)
        labels = np.where(source.random(n) < source.choice([0.02, 0.3, 0.7]), 1, -1)
        labels[source.permutation(n)[:2]] = (-1, 1)
        yield source.permutation(numbered_names(n)).tolist(), identities, labels
