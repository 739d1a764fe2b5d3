"""LPIPS to the nearest training image, of samples and of held-out images, a part at a time and resumable."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.copies.search import Nearest, Queries
from core.copies.sets import ImageSet
from core.files import write_atomic
from core.metrics import lpips_weights
from core.metrics.lpips import Embedding, Passes, nearest_lpips, rerank
from core.progress import Progress

CANDIDATES = 10  # nearest groups of twins by L2 among which LPIPS looks, as the reproduction re-ranked ten
PART = 256  # queries at a time, at most
PART_BYTES = 2**28  # of their vectors
FEATURES = 124  # numbers in a vector, a pixel, at most: 64 a pixel, 128 for 4 pixels, 256 for 16, ...
BATCH = 32  # images that the network sees at a time, at most
PASSES = "passes.json"  # beside the parts, where all training images were searched
LEAST = 16  # pixels a side from which the network has an output


def why_not(shape: tuple[int, ...], held_out: bool) -> str | None:
    """Why LPIPS is not looked at for images (c, h, w), and what would change that; None where it can be."""
    if not held_out:
        return "it has no published threshold, and no held-out images are given (--held-out DIR)"
    if shape[0] not in (1, 3) or min(shape[1:]) < LEAST:
        size = "x".join(map(str, shape))
        return f"images are of {size} (channels, height, width); it needs 1 or 3 channels and {LEAST} pixels a side"
    if lpips_weights.find("vgg") is None:
        return "the weights of its network are not on this machine; `samenoise weights` brings them"
    return None


@dataclass(frozen=True)
class Whole:
    """A training set that reads slices of itself."""

    images: ImageSet

    @property
    def shape(self) -> tuple[int, ...]:
        """Images, channels, height and width."""
        return self.images.source.shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice) -> Tensor:
        return self.images.images(part)


def lpips_scores(
    queries: Queries,
    found: Nearest,
    train: ImageSet,
    place: Path,
    *,
    every: bool,
    progress: Progress | None = None,
) -> np.ndarray:
    """Negative LPIPS (VGG) to the nearest training image, (q,).

    Args:
        queries: what is looked for.
        found: the training images nearest by L2.
        train: the training set.
        place: folder of the parts that are complete.
        every: whether all training images are searched, or the `CANDIDATES` nearest by L2.
        progress: called with (done, in all): queries, or training images times passes where every one is searched.
    """
    place.mkdir(parents=True, exist_ok=True)
    embedding, parts = Embedding("vgg", channels=train.shape[0]), []
    held = max(1, min(PART, PART_BYTES // (4 * FEATURES * train.shape[1] * train.shape[2])))
    batch = min(BATCH, held)
    size = queries.n if every else held  # each part would be another pass over the whole training set
    for low in range(0, queries.n, size):
        high, kept = min(low + size, queries.n), place / f"{low}.npy"
        if not kept.exists():
            images = queries.images(slice(low, high))
            if every:
                nearest = nearest_lpips(embedding, images, Whole(train), 1, batch=batch, state=place, progress=progress)
                value = nearest.value[:, 0]
                write_atomic(place / PASSES, json.dumps([asdict(each) for each in nearest.passes]))
            else:
                value = _among(embedding, images, train, found.groups.index[low:high, :CANDIDATES], batch)
            stream = io.BytesIO()
            np.save(stream, value.numpy())
            write_atomic(kept, stream.getvalue())
        parts.append(np.load(kept))
        if progress is not None and not every:
            progress(high, queries.n)
    return -np.concatenate(parts)


def passes_of(place: Path) -> dict[str, Any] | None:
    """How all training images were searched, of the parts kept in a folder; None where only candidates were.

    `first_pass` names its precision, `measured_again` counts the training images that passed through the network a
    second time in float32, once for every part of the queries, `searched_again` the queries for which all did, and
    `exceeded` the distances that were off by more than `bound`, the largest of the parts.
    """
    kept = place / PASSES
    if not kept.exists():
        return None
    parts = [Passes(**each) for each in json.loads(kept.read_text(encoding="utf-8"))]
    return {
        "first_pass": " and ".join(dict.fromkeys(each.first for each in parts)),
        "measured_again": sum(each.measured_again for each in parts),
        "searched_again": sum(each.searched_again for each in parts),
        "exceeded": sum(each.exceeded for each in parts),
        "bound": max(each.bound for each in parts),
    }


def _among(embedding: Embedding, images: Tensor, train: ImageSet, candidates: Tensor, batch: int) -> Tensor:
    """LPIPS to the nearest of each query's candidates (q, k), by their numbers in the training set: (q,)."""
    numbers, place = torch.unique(candidates, return_inverse=True)
    return rerank(embedding, images, train.images(numbers.numpy()), place, batch=batch).min(dim=1).values
