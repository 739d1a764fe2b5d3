"""Exact nearest neighbours by LPIPS over a whole training set, in one pass or in two, and LPIPS of given candidates.

Each training image passes through the network once, whatever the number of queries. Where the processor multiplies
bfloat16 and the training set is large, that pass is one of reduced precision, and what could be among the nearest is
measured again in float32 (see `core.metrics.lpips_first_pass`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.errors import InputError
from core.metrics.lpips_embedding import (
    EPSILON,
    Embedding,
    full_precision,
    rough_distances,
    squared_distance,
    squared_distances,
    squared_lengths,
)
from core.metrics.lpips_first_pass import (
    BFLOAT16,
    FLOAT32,
    FirstPass,
    Images,
    Ranking,
    Readable,
    as_tensor,
    choose,
    listed,
    picked,
)
from core.metrics.lpips_state import Checkpoint
from core.metrics.neighbours import Neighbours, check_search, merge_top
from core.progress import Progress

__all__ = [
    "EPSILON",
    "Embedding",
    "Found",
    "Passes",
    "Readable",
    "full_precision",
    "nearest_lpips",
    "rerank",
    "squared_distance",
    "squared_distances",
]

QUERY_BYTES = 2**31  # embeddings of queries held at once; more queries take more passes over the training set


@dataclass(frozen=True)
class Passes:
    """How a search was made, for whoever reports it.

    Attributes:
        first: precision of the first pass; float32 where there was no other.
        measured_again: training images that passed through the network a second time, in float32.
        difference: largest difference of a first-pass distance from float32, of all that were compared.
        bound: what a first-pass distance was taken to be off at most, in the end.
        exceeded: distances measured again that were off by more than the bound of their time, which widened it.
        searched_again: queries that the list of the first pass could not settle, searched again in float32.
    """

    first: str = FLOAT32
    measured_again: int = 0
    difference: float = 0.0
    bound: float = 0.0
    exceeded: int = 0
    searched_again: int = 0


@dataclass(frozen=True)
class Found(Neighbours):
    """The k nearest by LPIPS, and how each chunk of the queries was searched."""

    passes: tuple[Passes, ...] = ()

    @property
    def measured_again(self) -> int:
        """Training images that passed through the network a second time, in float32."""
        return sum(each.measured_again for each in self.passes)


class _Told:
    """Work done and in all, in training images; more can turn up on the way."""

    def __init__(self, progress: Progress | None, total: int):
        self.progress, self.done, self.total = progress, 0, total

    def step(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)


@dataclass
class _Search:
    """The search for one chunk of queries."""

    embedding: Embedding
    queries: Tensor
    train: Images
    k: int
    batch: int
    state: Path | None
    state_every: int
    told: _Told

    def in_float32(self, queries: Tensor, rows: Tensor) -> Neighbours:
        """The nearest to queries with vectors `rows`, in one pass."""
        kept = Checkpoint(self.state, self.embedding, queries, self.train, self.k, FLOAT32)
        start, best, _ = kept.load()
        lengths = squared_lengths(rows)
        for offset, images, last in self._batches(start):
            columns = self.embedding.embed(images, "train")
            with full_precision():
                best = _merge_batch(best, rows, lengths, columns, offset, self.k)
            if last:
                kept.save(offset + len(images), best)
            self.told.step(len(images))
        assert best is not None
        return best

    def in_two_passes(self, rows: Tensor) -> tuple[Neighbours, Passes]:
        """The nearest by a list from a first pass in bfloat16 that is measured again, and by float32 where it ends."""
        width = min(listed(self.k), len(self.train))
        kept = Checkpoint(self.state, self.embedding, self.queries, self.train, width, BFLOAT16)
        start, best, exact = kept.load()
        first = FirstPass(self.embedding, rows)
        difference = first.difference(self.train, self.batch)
        for offset, images, last in self._batches(start):
            best = merge_top(best, first.distances(images), offset, width, largest=False)
            if last:
                kept.save(offset + len(images), best)
            self.told.step(len(images))
        assert best is not None
        ranking = Ranking(best, difference, self.k, whole=width == len(self.train), exact=exact)
        self._measure(ranking, rows, kept)
        open_ = ~ranking.settled()
        found = ranking.best()
        if open_.any():
            self.told.total += len(self.train)
            rest = self.in_float32(self.queries[open_.cpu()], rows[open_])
            found.index[open_], found.value[open_] = rest.index, rest.value
        return found, Passes(
            BFLOAT16, ranking.measured, ranking.difference, ranking.bound, ranking.exceeded, int(open_.sum())
        )

    def _measure(self, ranking: Ranking, rows: Tensor, kept: Checkpoint) -> None:
        """Measure the list again as far as the bound asks for, which can widen on the way."""
        while (due := ranking.due()).any():
            images = ranking.first.index[due].unique()
            self.told.total += len(images)
            for step, part in enumerate(images.split(self.batch), 1):
                columns = self.embedding.embed(picked(self.train, part), "train")
                ranking.measure(columns, part, rows, due)
                if step % self.state_every == 0:
                    kept.save(len(self.train), ranking.first, ranking.exact)
                self.told.step(len(part))
            kept.save(len(self.train), ranking.first, ranking.exact)

    def _batches(self, start: int) -> Iterator[tuple[int, Tensor, bool]]:
        """Training images from `start` on: where they begin, a batch of them, and whether the state is to be kept."""
        self.told.done += start
        for step, offset in enumerate(range(start, len(self.train), self.batch)):
            images = as_tensor(self.train[offset : offset + self.batch])
            ends = offset + self.batch >= len(self.train)
            yield offset, images, ends or step % self.state_every == self.state_every - 1


def nearest_lpips(
    embedding: Embedding,
    queries: Tensor,
    train: Images,
    k: int,
    *,
    batch: int = 32,
    state: Path | None = None,
    state_every: int = 64,
    progress: Progress | None = None,
    first_pass: str | None = None,
) -> Found:
    """The k training images nearest to each query by LPIPS in float32, over the whole training set.

    Training images are embedded on the fly, a batch at a time, and never kept: memory is that of the queries'
    vectors (chunked above `QUERY_BYTES`) and one batch's. In one pass (`first_pass="float32"`) a matrix product
    screens a batch; whatever could belong to the k best within its rounding is measured again by direct difference,
    so that the values and their order do not suffer from the cancellation in |a|^2 + |b|^2 - 2 ab.

    In two passes (`first_pass="bfloat16"`) every image is measured with rounded convolutions, and in float32 what could
    be among the k nearest within four times the largest error seen. That error is measured in the run, on a sample and
    on all that is measured again; it is not proven: see `core.metrics.lpips_first_pass` for what it could miss. The
    values returned are float32's either way. By default two passes are made on a processor that multiplies bfloat16
    if the training set is large beside k times the queries (and the net is vgg); `passes` of the result says which,
    how many images were measured again and within what bound.

    `train` may be a memory-mapped array (np.load with mmap_mode, np.memmap) or anything that reads a slice of itself:
    a batch at a time is read, and the pages of the file are the system's to take back. `state` names a folder in which
    the search is saved every `state_every` batches; a later call with the same images continues there. `progress` is
    called with training images done and in all, the latter of which grows by those measured again.
    """
    check_search(queries, train, k)
    if first_pass not in (None, FLOAT32, BFLOAT16):
        raise InputError(f"first_pass: found {first_pass!r}, expected {FLOAT32} or {BFLOAT16}, or None to choose")
    embedding.check(queries, "queries")
    width = embedding.embed(queries[:1]).shape[1]
    chunks = queries.split(max(1, QUERY_BYTES // (4 * width)))
    told = _Told(progress, len(chunks) * len(train))
    found, passes = [], []
    for chunk in chunks:
        search = _Search(embedding, chunk, train, k, batch, state, state_every, told)
        rows = embedding.embed_all(chunk, batch=batch, what="queries")
        if (first_pass or choose(embedding, len(chunk), len(train), k)) == BFLOAT16:
            nearest, how = search.in_two_passes(rows)
        else:
            nearest, how = search.in_float32(chunk, rows), Passes()
        found.append(nearest)
        passes.append(how)
    index, value = (torch.cat([getattr(f, name) for f in found]).cpu() for name in ("index", "value"))
    return Found(index, value, tuple(passes))


def _merge_batch(
    best: Neighbours | None, rows: Tensor, lengths: Tensor, columns: Tensor, offset: int, k: int
) -> Neighbours:
    """Merge a batch of training vectors into the k nearest so far; `lengths` are the squared ones of `rows`."""
    column_lengths = squared_lengths(columns)
    rough = rough_distances(rows, lengths, columns, column_lengths)
    # rounding of a sum of d products in float32 grows like sqrt(d): sixteen standard deviations (Higham & Mary 2019)
    slack = 8 * rows.shape[1] ** 0.5 * torch.finfo(torch.float32).eps * (lengths[:, None] * column_lengths).sqrt()
    known = rough + slack if best is None else torch.cat([rough + slack, best.value], 1)
    limit = known.sort(dim=1).values[:, min(k, known.shape[1]) - 1 :][:, :1]  # the k-th best is not above
    exact = torch.full_like(rough, torch.inf)
    for query, columns_in in enumerate(rough - slack <= limit):
        if columns_in.any():
            exact[query, columns_in] = squared_distance(columns[columns_in], rows[query])
    return merge_top(best, exact, offset, k, largest=False)


def rerank(embedding: Embedding, queries: Tensor, train: Tensor, candidates: Tensor, *, batch: int = 32) -> Tensor:
    """LPIPS of each query to its own candidates: (q, ...), (n, ...), indices (q, k) -> (q, k) float64.

    The published protocol with candidates = the 10 nearest by correlation. Each candidate is embedded once.
    """
    if candidates.ndim != 2 or len(candidates) != len(queries):
        raise InputError(f"candidates: found shape {tuple(candidates.shape)}, expected ({len(queries)}, k)")
    rows = embedding.embed_all(queries, batch=batch, what="queries")
    unique = candidates.unique()
    result = torch.empty(candidates.shape, dtype=torch.float64)
    for part in unique.split(batch):
        columns = embedding.embed(train[part], "train")
        for query, place in torch.isin(candidates, part).nonzero().tolist():
            column = int(torch.searchsorted(part, candidates[query, place]))
            result[query, place] = squared_distance(columns[column], rows[query]).cpu()
    return result
