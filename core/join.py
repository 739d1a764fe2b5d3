"""The exact all-pairs join of dense vectors for |correlation| above a threshold: pruned, and certified in float64.

Fast float32 arithmetic, behind proven bounds, leaves a short list of candidates; the float64 definition decides each.
No pair above the threshold can be missed (`core.join_plan.margin`), and none below it is ever reported.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from core.dedup_rows import RowSource, correlations
from core.errors import InputError
from core.join_kernels import (
    BALL,
    FOUND,
    GROUP,
    LEAF,
    OPENED,
    SURVIVED,
    TESTED,
    join_leaves,
    leaf_panel,
    row_panel,
    scan_product,
)
from core.join_plan import Plan, Side, tree_order

Progress = Callable[[int, int], None]
Task = tuple[int, int]  # numbers of the block of rows and of the block of columns


@dataclass(frozen=True)
class Budget:
    """How the scratch memory is shared out: each thread's buffers fit into an equal share."""

    threads: int
    block: int  # rows of a task on either side
    found: int  # candidates held before they are decided
    decided: int  # images read at a time to decide candidates
    read: int  # images read at a time to prepare rows
    segment: int  # rows ordered at a time


def make_budget(memory: int, threads: int | None, image_bytes: int, longest: int, plan: Plan) -> Budget:
    """Divide `memory` bytes among `threads` (default: one a core) for images and rows of the given size.

    On a device the products live in its own memory.

    Raises:
        InputError: if a share cannot hold the smallest tile.
    """
    threads = threads or len(os.sched_getaffinity(0))
    if threads < 1:
        raise InputError(f"threads: expected at least 1, got {threads}")
    share = memory // threads
    image = image_bytes + 24 * (plan.dimension + plan.columns)
    smallest = 8 * max(24 * LEAF * GROUP, image)
    if share < smallest:
        raise InputError(
            f"memory: {memory} bytes for {threads} threads cannot hold a tile; "
            f"expected at least {smallest * threads} bytes, or fewer threads"
        )
    widest = min(16384, share // 1024) if plan.fused else min(1024, int((share / 16) ** 0.5))
    widest = min(4096, share // (64 * plan.columns)) if plan.device else widest
    block = max(LEAF, min(widest, max(1024, -(-longest // 16))) // LEAF * LEAF)
    found = min(65536, share // 8 // 24)
    return Budget(threads, block, found, share // 8 // image, share // 4 // image, max(block, memory // 512))


@dataclass
class Found:
    """Pairs above the threshold, in the order they were met, and what it took."""

    i: np.ndarray
    j: np.ndarray
    correlation: np.ndarray
    counts: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def merge(parts: Iterable[Found], *, ordered: bool = False) -> Found:
        """One of many; sorted by (i, j) when `ordered`."""
        parts = [EMPTY, *parts]
        i, j, c = (np.concatenate([getattr(p, name) for p in parts]) for name in ("i", "j", "correlation"))
        keys = {key: sum(p.counts.get(key, 0) for p in parts) for p in parts for key in p.counts}
        order = np.lexsort((j, i)) if ordered else slice(None)
        return Found(i[order], j[order], c[order], keys)


EMPTY = Found(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def new_side(n: int, plan: Plan, allocate: Callable[[str, tuple[int, ...], str], np.ndarray] | None = None) -> Side:
    """Room for n rows: in memory, or wherever `allocate(name, shape, dtype)` puts an array."""
    allocate = allocate or (lambda name, shape, dtype: np.empty(shape, dtype))
    matrix = allocate("matrix", (n, plan.columns), "<f4")
    rest = allocate("rest", (n, len(plan.levels)), "<f4")
    return Side(matrix, rest, allocate("order", (n,), "<i8") if plan.fused else None)


def prepare(
    source: RowSource, plan: Plan, budget: Budget, side: Side, *, start: int = 0, progress: Progress | None = None
) -> None:
    """Read and rotate the rows of a source from `start` on into `side`; `progress` hears how many rows stand."""
    n = len(source)

    def fill(span: tuple[int, int]) -> int:
        low, high = span
        side.matrix[low:high], side.rest[low:high] = plan.store(source.rows(low, high))
        return high

    for done in in_threads(fill, pairwise((*range(start, n, budget.read), n)), budget.threads):
        if progress:
            progress(done, n)


def order_rows(side: Side, segment: int) -> None:
    """Fill the order of a side, a segment of rows at a time, so that memory does not grow with n."""
    if side.order is not None:
        for low in range(0, len(side.order), segment):
            side.order[low : low + segment] = low + tree_order(side.matrix[low : low + segment, :BALL])


def in_threads(function: Callable[[Any], Any], items: Iterable[Any], threads: int) -> Iterator[Any]:
    """Results in order, with few items in flight; numeric libraries are held to one thread in each worker."""
    saved = torch.get_num_threads()
    pending: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
            torch.set_num_threads(saved)


@dataclass(frozen=True)
class Join:
    """A join ready to run: tasks are independent, and the pairs are the same in whatever order they run, and where."""

    first: RowSource
    second: RowSource | None  # None: within the first
    a: Side
    b: Side
    plan: Plan
    budget: Budget

    @property
    def strips(self) -> int:
        """Number of blocks of rows of the first side."""
        return -(-len(self.a.matrix) // self.budget.block)

    def strip(self, i: int) -> Iterator[Task]:
        """The tasks (i, j) of one block of rows; j >= i within one set."""
        columns = -(-len(self.b.matrix) // self.budget.block)
        return ((i, j) for j in range(i if self.second is None else 0, columns))

    def length(self, i: int) -> int:
        """Number of tasks in a strip."""
        columns = -(-len(self.b.matrix) // self.budget.block)
        return columns - i if self.second is None else columns

    @property
    def tasks(self) -> Iterator[Task]:
        """All tasks, strip by strip: never a list, there may be billions."""
        return (task for i in range(self.strips) for task in self.strip(i))

    @property
    def total(self) -> int:
        """Number of all tasks."""
        return sum(map(self.length, range(self.strips)))

    def run(self, task: Task) -> Found:
        """The near-duplicates between two blocks."""
        size = self.budget.block
        counts = np.zeros(4, dtype=np.int64)
        out = np.empty((self.budget.found, 2), dtype=np.int64)
        values = np.empty(self.budget.found, dtype=np.float32)
        search = self._on_device if self.plan.device else self._leaves if self.plan.fused else self._product
        found = Found.merge(search(task[0] * size, task[1] * size, out, values, counts))
        rows, columns = (min(size, len(s.matrix) - b * size) for s, b in zip((self.a, self.b), task, strict=True))
        pairs = rows * (rows - 1) // 2 if self.second is None and task[0] == task[1] else rows * columns
        found.counts |= {
            "tasks": 1,
            "pairs_in_all": pairs,
            "tiles_tested": int(counts[TESTED]),  # a row against a leaf, or a whole product
            "tiles_compared": int(counts[OPENED]),
            "pairs_past_prefix": int(counts[SURVIVED]),
            "pairs_decided_in_float64": int(counts[FOUND]),
        }
        return found

    def _leaves(
        self, low_a: int, low_b: int, out: np.ndarray, values: np.ndarray, counts: np.ndarray
    ) -> Iterator[Found]:
        a, b, size = self.a, self.b, self.budget.block
        assert a.order is not None and b.order is not None
        rows, columns = a.order[low_a : low_a + size], b.order[low_b : low_b + size]
        row_side = row_panel(a.matrix, rows, a.rest)
        leaf_side = leaf_panel(b.matrix, columns, b.rest)
        diagonal = self.second is None and low_a == low_b
        ends = np.array(self.plan.ends)
        start, groups = (0, 0), len(leaf_side[0])
        while start[0] < groups:
            n, *stop = join_leaves(
                start, diagonal, a.matrix, b.matrix, rows, columns, a.rest, b.rest, ends, self.plan.tau,
                row_side, leaf_side, out, values, counts,
            )  # fmt: skip
            start = (stop[0], stop[1])
            yield self._decide(out[:n], values[:n])

    def _product(
        self, low_a: int, low_b: int, out: np.ndarray, values: np.ndarray, counts: np.ndarray
    ) -> Iterator[Found]:
        a, b, size, m = self.a, self.b, self.budget.block, self.plan.ends[0]
        x, y = (torch.from_numpy(s.matrix[low : low + size, :m]) for s, low in ((a, low_a), (b, low_b)))
        product = torch.mm(x, y.T).numpy()
        counts[TESTED] = counts[OPENED] = 1
        ends, start = np.array(self.plan.ends), 0
        while start < len(product):
            n, start = scan_product(
                start, product, low_a, low_b, self.second is None, a.matrix, b.matrix, a.rest, b.rest, ends,
                self.plan.tau, out, values, counts,
            )  # fmt: skip
            yield self._decide(out[:n], values[:n])

    def _on_device(
        self, low_a: int, low_b: int, out: np.ndarray, values: np.ndarray, counts: np.ndarray
    ) -> Iterator[Found]:
        a, b, size = self.a, self.b, self.budget.block
        x, y = (cut_to_tf32(torch.from_numpy(s.matrix[low : low + size])) for s, low in ((a, low_a), (b, low_b)))
        product = tensor_product(x.to(self.plan.device), y.to(self.plan.device))
        counts[TESTED] = counts[OPENED] = 1
        mask = product.abs() > float(self.plan.tau)
        if self.second is None and low_a == low_b:
            mask = mask.triu(diagonal=1)
        counts[SURVIVED] += int(mask.sum())
        counts[FOUND] = counts[SURVIVED]
        spans = [(0, len(mask))]
        while spans:
            low, high = spans.pop()
            if high - low > 1 and int(mask[low:high].sum()) > len(out):
                spans += [((low + high) // 2, high), (low, (low + high) // 2)]
                continue
            hits = mask[low:high].nonzero()
            hits[:, 0] += low
            fast = product[hits[:, 0], hits[:, 1]].cpu().numpy()
            yield self._decide(hits.cpu().numpy() + np.array([low_a, low_b]), fast)

    def _decide(self, pairs: np.ndarray, values: np.ndarray) -> Found:
        """Those of the candidates that the definition puts above the threshold, with their float64 correlation."""
        i, j = pairs[:, 0].copy(), pairs[:, 1].copy()
        if self.second is None:
            i, j = np.minimum(i, j), np.maximum(i, j)
        exact = np.empty(len(i))
        for part in _parts(i, j, self.budget.decided):
            exact[part] = _exact(self.first, self.second or self.first, i[part], j[part])
        stay = np.abs(exact) > self.plan.threshold
        doubtful = int((np.abs(np.abs(values) - self.plan.threshold) <= self.plan.margin).sum())
        return Found(i[stay], j[stay], exact[stay], {"pairs_within_rounding": doubtful})


def cut_to_tf32(rows: torch.Tensor) -> torch.Tensor:
    """float32 rows rounded to nearest in TF32's eleven significant bits, so that the hardware has nothing to round."""
    bits = rows.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


def tensor_product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """x @ y.T of TF32 rows, on tensor cores where the device has them."""
    settings = torch.backends.cuda.matmul
    saved = settings.allow_tf32
    settings.allow_tf32 = True
    try:
        return x @ y.T
    finally:
        settings.allow_tf32 = saved


def _parts(i: np.ndarray, j: np.ndarray, images: int) -> Iterator[slice]:
    """Runs of candidates that touch at most `images` images (or single pairs)."""
    stack = [(0, len(i))]
    while stack:
        low, high = stack.pop()
        touched = len(np.unique(i[low:high])) + len(np.unique(j[low:high]))
        if touched <= images or high - low <= 1:
            if high > low:
                yield slice(low, high)
        else:
            middle = (low + high) // 2
            stack += [(middle, high), (low, middle)]


def _exact(first: RowSource, second: RowSource, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Float64 correlations of paired images, each image read once."""
    rows, where = np.unique(i, return_inverse=True)
    columns, place = np.unique(j, return_inverse=True)
    return correlations(first.take(rows), second.take(columns), where, place)
