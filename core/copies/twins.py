"""Near-duplicates within the training set, joined, because a twin of a copied image hides the copy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.copies.options import Options, StageProgress
from core.copies.sets import ImageSet
from core.dedup.on_disk.inputs import Input
from core.dedup.on_disk.options import Options as JoinOptions
from core.dedup.on_disk.run import run
from core.metrics.neighbours import twin_groups

CHAIN = 0.01  # share of the training set in one group from which it is said that near-duplicates chain
CHAIN_LEAST = 50  # and images in it


@dataclass(frozen=True, eq=False)
class Twins:
    """Training images in groups: those that near-duplicates join have one number.

    Attributes:
        group: (n,) int64, from 0.
        groups: how many there are.
        joined: images that share a group with another.
        largest: images in the largest group.
    """

    group: np.ndarray
    groups: int
    joined: int
    largest: int

    def notes(self, threshold: float) -> list[str]:
        """A sentence if near-duplicates chain images together that are not alike."""
        n = len(self.group)
        if self.largest < max(CHAIN_LEAST, CHAIN * n):
            return []
        return [
            f"{self.largest:,} of {n:,} training images are one group of near-duplicates at a correlation of "
            f"{threshold:g}: images that are not copies may stand alone beside it; --twins nearer to 1 joins fewer"
        ]


def find_twins(train: ImageSet, place: Path, options: Options, progress: StageProgress) -> Twins:
    """Join the near-duplicates of the training set (positive correlation above `options.twins`, at 20x20), exactly.

    What was found stays in `place`; a stopped search goes on from there.
    """
    if not (place / "dedup.json").exists():
        axes = "nchw" if train.given.pictures is not None else train.given.axes
        asked = JoinOptions(options.twins, memory=options.memory, threads=options.threads)
        run([Input(train.given.path, train.source.path, None, axes=axes)], place, asked, progress=progress)
    pairs = pd.read_parquet(place / "pairs.parquet")
    alike = pairs[pairs["correlation"] > 0]  # the published rule takes a negative for a duplicate, L2 does not
    return join(alike[["i", "j"]].to_numpy(np.int64), len(train))


def join(pairs: np.ndarray, n: int) -> Twins:
    """Groups of n images from pairs (m, 2) of near-duplicates."""
    group = twin_groups(pairs, n).astype(np.int64)
    sizes = np.bincount(group)
    return Twins(group, len(sizes), int(sizes[sizes > 1].sum()), int(sizes.max()))
