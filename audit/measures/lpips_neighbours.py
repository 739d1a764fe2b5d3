"""The exhaustive LPIPS search that several claims read, made once and kept beside the samples."""

from dataclasses import dataclass

import torch

from core.cache import cached
from core.metrics.known_copies import check_held_out
from core.metrics.lpips import Embedding, nearest_lpips
from core.metrics.neighbours import Neighbours, without_self
from core.tensors import tensor_sha256
from fixtures.experiments.desk import Cell, TrainedExperiment

BACKGROUND = 64  # training images whose nearest other training image is looked for
HELD_OUT = 200  # images that the model has not seen: one in a hundred of them is two
SEARCH_VERSION = 1  # raised with a change of the code that changes neighbours


@dataclass(frozen=True)
class LpipsNeighbours:
    """The nearest of a model's training images to its samples, to others of them, and to held-out images."""

    samples: Neighbours
    background: Neighbours
    held_out: Neighbours


def lpips_neighbours(desk: TrainedExperiment, embedding: Embedding, cell: Cell) -> LpipsNeighbours:
    """One pass over the training images of `cell`, or its result from the run store."""
    samples, train = desk.samples(cell).clamp(0, 1), desk.images(cell)
    background, held_out = train[:BACKGROUND], desk.held_out.images[:HELD_OUT]
    check_held_out(held_out, train)
    queries = torch.cat([samples, background, held_out])

    def search() -> dict[str, torch.Tensor]:
        found = nearest_lpips(
            embedding, queries, train, 2, progress=lambda done, total: desk.note("LPIPS search", done, total)
        )
        return {"index": found.index, "value": found.value}

    key = {"embedding": embedding.key, "queries": tensor_sha256(queries), "train": tensor_sha256(train), "k": 2}
    found = cached(desk.root / "lpips", key | {"version": SEARCH_VERSION}, search)
    sizes = [len(samples), len(background), len(held_out)]
    parts = [Neighbours(*pair) for pair in zip(found["index"].split(sizes), found["value"].split(sizes), strict=True)]
    return LpipsNeighbours(parts[0], without_self(parts[1], range(len(background))), parts[2])
