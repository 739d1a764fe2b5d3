"""A few samples of A, A' and B from the same noise, beside the training image nearest to each: agreement to the eye."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from core.metrics.correlation import correlation
from core.metrics.neighbours import nearest
from core.training.cells import RANDOM, Cell
from fixtures.experiments.experiment import HEUN, Experiment

SHOWN = 5  # the first seeds, as they come: chosen before anything is seen
NEAREST = ("nearest to A", "nearest to B")


@dataclass(frozen=True)
class SameNoise:
    """Samples of one N by the sampler without noise of its own.

    Attributes:
        n: images of a half.
        images: rows by name, (seeds, c, h, w) each: A, A' (another training on A's images), B, and the training image
            of A nearest to A's sample and of B nearest to B's.
    """

    n: int
    images: Mapping[str, Tensor]

    def rows(self) -> list[dict[str, Any]]:
        """Correlations of what is shown, one row a seed."""
        a, again, b, *near = self.images.values()
        closest = dict(zip(NEAREST, zip((a, b), near, strict=True), strict=True))
        pairs = {"A with A'": (a, again), "A with B": (a, b)} | closest
        found = {name: correlation(*pair) for name, pair in pairs.items()}
        return [
            {"N": self.n, "seed": k, **{name: float(values[k]) for name, values in found.items()}}
            for k in range(len(a))
        ]


def same_noise(desk: Experiment, n: int) -> SameNoise:
    """The samples shown for one N: of the first training of each half and the second of A's."""
    first, second = desk.trainings[0], desk.trainings[1]
    cells = {"A": ("A", first), "A'": ("A", second), "B": ("B", first)}
    images = {name: desk.samples(Cell(RANDOM, n, group, k), sampler=HEUN)[:SHOWN] for name, (group, k) in cells.items()}
    for name, group in zip(NEAREST, ("A", "B"), strict=True):
        train = desk.images(Cell(RANDOM, n, group))
        images[name] = train[nearest(images[group], train, 1).index[:, 0]]
    return SameNoise(n, images)
