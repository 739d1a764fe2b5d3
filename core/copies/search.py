"""The training images nearest to each query, by pixel L2 with twins joined and by correlation, in one streamed pass."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.copies.sets import ImageSet
from core.files import write_atomic
from core.metrics.neighbours import Neighbours
from core.progress import Progress

BLOCK = 2048  # queries searched for at a time, at most: what is kept when a search is stopped
BLOCK_BYTES = 2**28  # of their float64 pixels
TILE = 2048  # training images compared at a time, at most
TILE_BYTES = 2**27  # of their float64 pixels
Images = Callable[[slice], Tensor]  # (k, c, h, w) float32 in [0, 1]


@dataclass(frozen=True, eq=False)
class Nearest:
    """What stands nearest to each of q queries in a training set.

    Attributes:
        groups: the nearest image of each of the k nearest groups of twins, by L2, ascending; (q, k).
        like: the image that correlates most, and its correlation; (q, 1). Of a constant image 0.
    """

    groups: Neighbours
    like: Neighbours

    def part(self, low: int, high: int) -> Nearest:
        """Queries low..high."""
        return Nearest(*(Neighbours(n.index[low:high], n.value[low:high]) for n in (self.groups, self.like)))


@dataclass(frozen=True, eq=False)
class Queries:
    """What is looked for: `images(slice)` gives (k, c, h, w) of `n`; `own` (n,) is the group each leaves out, or -1."""

    images: Images
    n: int
    own: np.ndarray

    def blocks(self, pixels: int) -> list[tuple[int, int]]:
        """Runs (low, high) of queries of so many pixels that are searched for together."""
        size = max(1, min(BLOCK, BLOCK_BYTES // (8 * pixels)))
        return [(low, min(low + size, self.n)) for low in range(0, self.n, size)]


def search(
    queries: Queries, train: ImageSet, group: np.ndarray, k: int, place: Path, progress: Progress | None = None
) -> Nearest:
    """The k nearest groups and the most alike image of each query, exactly; blocks that `place` holds are not redone.

    Args:
        queries: what is looked for.
        train: the training set, read once a block.
        group: (n,) number of the group of twins that each training image belongs to.
        k: groups wanted; there must be as many besides a query's own.
        place: folder of the blocks that are complete.
        progress: called with (comparisons done, comparisons in all), in training images times blocks.
    """
    place.mkdir(parents=True, exist_ok=True)
    labels, found = torch.from_numpy(group), []
    blocks = queries.blocks(math.prod(train.shape))
    total = len(blocks) * len(train)
    for number, (low, high) in enumerate(blocks):
        kept = place / f"{low}.npz"
        if not kept.exists():

            def told(done: int, at: int = number * len(train)) -> None:
                if progress is not None:
                    progress(at + done, total)

            own = torch.from_numpy(queries.own[low:high])
            write_atomic(kept, _packed(_block(queries.images(slice(low, high)), own, train, labels, k, told)))
        elif progress is not None:
            progress((number + 1) * len(train), total)
        found.append(_unpacked(kept))
    return Nearest(*(_joined([getattr(part, name) for part in found]) for name in ("groups", "like")))


def _joined(parts: list[Neighbours]) -> Neighbours:
    return Neighbours(torch.cat([part.index for part in parts]), torch.cat([part.value for part in parts]))


def _packed(found: Nearest) -> bytes:
    stream = io.BytesIO()
    arrays = {
        f"{name}_{field}": getattr(getattr(found, name), field).numpy()
        for name in ("groups", "like")
        for field in ("index", "value")
    }
    np.savez(stream, **arrays)
    return stream.getvalue()


def _unpacked(path: Path) -> Nearest:
    with np.load(path, allow_pickle=False) as saved:
        tensors = {name: torch.from_numpy(saved[name]) for name in saved.files}
    return Nearest(
        Neighbours(tensors["groups_index"], tensors["groups_value"]),
        Neighbours(tensors["like_index"], tensors["like_value"]),
    )


def _block(
    images: Tensor, own: Tensor, train: ImageSet, labels: Tensor, k: int, told: Callable[[int], None]
) -> Nearest:
    """One pass over the training set."""
    rows, shared = _Rows(images), labels.bincount()[labels] > 1
    tile = max(1, min(TILE, TILE_BYTES // (8 * math.prod(train.shape))))
    best: Neighbours | None = None
    like = Neighbours(
        torch.zeros(len(images), 1, dtype=torch.int64), torch.full((len(images), 1), -torch.inf, dtype=torch.float64)
    )
    for start in range(0, len(train), tile):
        columns = _Rows(train.images(slice(start, start + tile)))
        label = labels[start : start + tile]
        left_out = (own >= 0)[:, None] & (label == own[:, None])
        squares, correlation = rows.compared(columns)
        squares.masked_fill_(left_out, torch.inf)
        correlation.masked_fill_(left_out, -torch.inf)
        value, at = correlation.max(dim=1, keepdim=True)
        better = value > like.value
        like = Neighbours(torch.where(better, at + start, like.index), torch.where(better, value, like.value))
        best = _merged(best, _nearest_of_groups(squares, label, start, k), labels, shared, k)
        told(min(start + tile, len(train)))
    assert best is not None
    return Nearest(_measured(best, rows, train), like)


class _Rows:
    """Images as float64 rows, with what L2 and correlation need of each."""

    def __init__(self, images: Tensor) -> None:
        self.values = images.reshape(len(images), -1).double()
        self.square = self.values.square().sum(1)
        self.mean = self.values.mean(1)
        centred = self.values - self.mean[:, None]
        spread = centred.norm(dim=1)
        constant = spread <= 1e-12 * self.square.sqrt()
        self.spread = torch.where(constant, torch.inf, spread)  # so that a constant image correlates by 0

    def compared(self, others: _Rows) -> tuple[Tensor, Tensor]:
        """Squared L2 distances and correlations of all pairs, both (q, t), from one product.

        Rounded, so that equal images tie whatever the tile.
        """
        product = self.values @ others.values.T
        squares = (self.square[:, None] + others.square - 2 * product).clamp_(min=0).round_(decimals=10)
        product -= self.values.shape[1] * self.mean[:, None] * others.mean
        product /= self.spread[:, None]
        product /= others.spread
        return squares, product.clamp_(-1, 1).round_(decimals=12)


def _nearest_of_groups(squares: Tensor, label: Tensor, start: int, k: int) -> Neighbours:
    """The k nearest of a tile (q, t), one a group, ascending."""
    groups, inverse = label.unique(return_inverse=True)
    index = torch.arange(start, start + len(label)).expand_as(squares)
    if len(groups) < len(label):
        where = inverse.expand_as(squares)
        shape = (len(squares), len(groups))
        least = squares.new_full(shape, torch.inf).scatter_reduce_(1, where, squares, "amin")
        first = torch.where(squares == least.gather(1, where), index, start + len(label))
        index = index.new_full(shape, start + len(label)).scatter_reduce_(1, where, first, "amin")
        squares = least
    value, at = squares.topk(min(k, squares.shape[1]), dim=1, largest=False)
    return Neighbours(index.gather(1, at), value)


def _merged(best: Neighbours | None, found: Neighbours, labels: Tensor, shared: Tensor, k: int) -> Neighbours:
    """The k nearest groups of both, ascending; of a group met before, the nearer image.

    `labels` (n,) are the groups of the training images, `shared` (n,) whether a group has several.
    """
    if best is None:
        return found
    index, value = torch.cat([best.index, found.index], 1), torch.cat([best.value, found.value], 1)
    rows = (shared[best.index].any(1) & shared[found.index].any(1)).nonzero()[:, 0]
    if len(rows):
        met = labels[best.index[rows]][:, :, None] == labels[found.index[rows]][:, None, :]
        nearer = best.value[rows][:, :, None] <= found.value[rows][:, None, :]
        lost = torch.cat([(met & ~nearer).any(2), (met & nearer).any(1)], 1)
        value[rows] = value[rows].masked_fill(lost, torch.inf)
    value, at = value.topk(min(k, value.shape[1]), dim=1, largest=False)
    return Neighbours(index.gather(1, at), value)


def _measured(best: Neighbours, rows: _Rows, train: ImageSet) -> Neighbours:
    """Distances from squares; those of the two nearest by direct difference, so that a copy stands at exactly 0."""
    value = best.value.sqrt()
    few = min(2, value.shape[1])
    for column in range(few):
        unique, back = torch.unique(best.index[:, column], return_inverse=True)
        images = train.images(unique.numpy()).reshape(len(unique), -1).double()
        value[:, column] = (images[back] - rows.values).norm(dim=1)
    order = torch.argsort(value, dim=1, stable=True)
    return Neighbours(best.index.gather(1, order), value.gather(1, order))
