"""The exhaustive LPIPS search that several claims read, made once and kept beside the samples."""

from dataclasses import dataclass, replace

import torch

from core.cache import cached
from core.metrics.known_copies import check_held_out
from core.metrics.lpips import Embedding, nearest_lpips
from core.metrics.lpips_first_pass import FLOAT32
from core.metrics.neighbours import Neighbours, without_self
from core.tensors import tensor_sha256
from core.training.cells import Cell
from fixtures.experiments.experiment import Experiment

BACKGROUND = 64  # training images whose nearest other training image is looked for
HELD_OUT = 200  # images that the model has not seen: one in a hundred of them is two
SEARCH_VERSION = 1  # raised with a change of the code that changes neighbours


@dataclass(frozen=True)
class LpipsNeighbours:
    """The nearest of a model's training images to its samples, to others of them, and to held-out images.

    Attributes:
        trainings: nearest to the samples of every training on these images.
        samples: to those of one of them.
        background: of training images, to others of them.
        held_out: of images that the model has not seen.
    """

    trainings: tuple[Neighbours, ...]
    samples: Neighbours
    background: Neighbours
    held_out: Neighbours


def lpips_neighbours(desk: Experiment, embedding: Embedding, cell: Cell) -> LpipsNeighbours:
    """One pass over the training images of `cell` for the samples of all its trainings, or its result from the store.

    The pass costs what the training images cost, however many samples are looked for.
    """
    cells, train = [replace(cell, training=k) for k in desk.trainings], desk.images(cell)
    background, held_out = train[:BACKGROUND], desk.tests(HELD_OUT)[0]
    check_held_out(held_out, train)
    parts = [*(desk.samples(each).clamp(0, 1) for each in cells), background, held_out]
    queries = torch.cat(parts)

    def search() -> dict[str, torch.Tensor]:
        found = nearest_lpips(
            embedding, queries, train, 2, progress=lambda done, total: desk.note("LPIPS search", done, total),
            first_pass=FLOAT32,  # no claim hangs on a bound that is measured and not proven
        )  # fmt: skip
        return {"index": found.index, "value": found.value}

    key = {"embedding": embedding.key, "queries": tensor_sha256(queries), "train": tensor_sha256(train), "k": 2}
    found = cached(desk.root / "lpips", key | {"version": SEARCH_VERSION}, search)
    sizes = [len(part) for part in parts]
    split = zip(found["index"].split(sizes), found["value"].split(sizes), strict=True)
    *trainings, near_background, near_held_out = [Neighbours(*pair) for pair in split]
    others = without_self(near_background, range(len(background)))
    return LpipsNeighbours(tuple(trainings), trainings[cells.index(cell)], others, near_held_out)
