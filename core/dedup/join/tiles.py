"""The exact all-pairs join of dense vectors for |correlation| above a threshold: pruned, and certified in float64.

Fast float32 arithmetic, behind proven bounds, leaves a short list of candidates; the float64 definition decides each.
No pair above the threshold can be missed (`core.dedup.join.plan.margin`), and none below it is ever reported.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.dedup.equal import Equal
from core.dedup.join.budget import Budget
from core.dedup.join.decide import exact
from core.dedup.join.device import DeviceRows, pairs_above, tensor_cores
from core.dedup.join.kernels import FOUND, MULTIPLIED, OPENED, SURVIVED, TESTED, join_leaves, scan_product
from core.dedup.join.leaves import BALL, LAYOUT, PANEL, leaf_limits, leaf_panel, row_panel
from core.dedup.join.plan import Plan, Side
from core.dedup.pairs import by_both
from core.dedup.sources import RowSource
from core.errors import InputError
from core.machine import available_memory, one_blas_thread

Task = tuple[int, int]  # numbers of the block of rows and of the block of columns
Engine = Callable[["Join", Iterable[Task]], Iterable[tuple[Task, "Found"]]]  # runs tasks, in any order
PAIR_BYTES = 160  # what a pair takes while pairs are sorted, named and written: three columns, copies, two names
CHECK_EVERY = 2**20  # pairs between two looks at the memory that is left


@dataclass
class Found:
    """Pairs above the threshold, in the order they were met, and what it took."""

    i: np.ndarray
    j: np.ndarray
    correlation: np.ndarray
    counts: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def merge(parts: Iterable[Found], *, ordered: bool = False) -> Found:
        """Put what many tasks found together, one at a time; sorted by (i, j) when `ordered`.

        Raises:
            InputError: if there are more pairs than the memory that is left can hold.
        """
        some, counts, pairs, seen = [EMPTY], dict[str, int](), 0, 0
        for part in parts:
            for key, value in part.counts.items():
                counts[key] = counts.get(key, 0) + value
            if len(part.i):
                some.append(part)
                pairs += len(part.i)
            if pairs - seen >= CHECK_EVERY:
                seen = pairs
                _refuse_too_many(pairs)
        i, j, c = (np.concatenate([getattr(p, name) for p in some]) for name in ("i", "j", "correlation"))
        order = by_both(i, j) if ordered else slice(None)
        return Found(i[order], j[order], c[order], counts)


def _refuse_too_many(pairs: int) -> None:
    left = available_memory()
    if left is not None and pairs * PAIR_BYTES > left:
        raise InputError(
            f"pairs: the {pairs:,} found so far take about {pairs * PAIR_BYTES / 1e9:.1f} GB, and this machine has "
            f"{left / 1e9:.1f} GB left; a higher threshold leaves fewer"
        )


EMPTY = Found(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def in_threads(function: Callable[[Any], Any], items: Iterable[Any], threads: int) -> Iterator[Any]:
    """Results in order, with few items in flight; numeric libraries are held to one thread in each worker."""
    pending: deque[Future[Any]] = deque()
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
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


class LaidOut(threading.local):
    """What a thread has laid out last; a copy sent to another process starts empty."""

    def __reduce__(self) -> tuple[type[LaidOut], tuple[()]]:
        return LaidOut, ()


@dataclass(frozen=True)
class Join:
    """A join ready to run: tasks are independent, and the pairs are the same in whatever order they run, and where."""

    first: RowSource
    second: RowSource | None  # None: within the first
    a: Side
    b: Side
    plan: Plan
    budget: Budget
    equal: tuple[Equal, ...] | None = field(default=None, repr=False, compare=False)  # of each set, where looked for
    on_device: DeviceRows = field(default_factory=DeviceRows, repr=False, compare=False)
    laid_out: LaidOut = field(default_factory=LaidOut, repr=False, compare=False)

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
        counts = np.zeros(5, dtype=np.int64)
        out = np.empty((self.budget.found, 2), dtype=np.int64)
        values = np.empty(self.budget.found, dtype=np.float32)
        plan = self.plan
        search = self._on_device if plan.device else self._leaves if plan.fused else self._product
        found = Found.merge(search(task[0] * size, task[1] * size, out, values, counts))
        rows, columns = (min(size, len(s.matrix) - b * size) for s, b in zip((self.a, self.b), task, strict=True))
        pairs = rows * (rows - 1) // 2 if self.second is None and task[0] == task[1] else rows * columns
        tested, opened, multiplied, survived = (int(counts[k]) for k in (TESTED, OPENED, MULTIPLIED, SURVIVED))
        first, done = rows * columns * plan.ends[0], plan.ends[0]
        if plan.fused:
            first, done = tested * (BALL + 1) + multiplied, PANEL
        found.counts |= {
            "tasks": 1,
            "pairs_in_all": pairs,
            "tiles_tested": tested,  # a row against a leaf, or a whole product
            "tiles_compared": opened,
            "tiles_pruned": tested - opened,
            "pairs_past_prefix": survived,
            "multiplications_at_most": first + survived * (plan.columns - done),
            "pairs_decided_in_float64": int(counts[FOUND]),
        }
        return found

    def _leaves(
        self, low_a: int, low_b: int, out: np.ndarray, values: np.ndarray, counts: np.ndarray
    ) -> Iterator[Found]:
        a, b, size = self.a, self.b, self.budget.block
        assert a.order is not None and b.order is not None
        rows, columns = a.order[low_a : low_a + size], b.order[low_b : low_b + size]
        row_side, longest = self._row_panel(low_a)
        leaf_side = leaf_panel(b.matrix, columns, b.rest)
        limits = leaf_limits(*leaf_side, longest, float(self.plan.tau))
        diagonal = self.second is None and low_a == low_b
        ends = np.array(self.plan.ends)
        start, leaves = (0, 0), len(leaf_side[0])
        while start[0] < leaves:
            n, *stop = join_leaves(
                start, diagonal, a.matrix, b.matrix, rows, columns, a.rest, b.rest, ends, self.plan.tau,
                row_side, leaf_side, limits, out, values, counts, LAYOUT,
            )  # fmt: skip
            start = (stop[0], stop[1])
            yield self._decide(out[:n], values[:n])

    def _row_panel(self, low: int) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], float]:
        """The rows of a block laid out; kept by each thread for the next tile of its strip."""
        if getattr(self.laid_out, "low", None) != low:
            assert self.a.order is not None
            rows = self.a.order[low : low + self.budget.block]
            self.laid_out.panel, self.laid_out.low = row_panel(self.a.matrix, rows, self.a.rest), low
        return self.laid_out.panel

    def _product(
        self, low_a: int, low_b: int, out: np.ndarray, values: np.ndarray, counts: np.ndarray
    ) -> Iterator[Found]:
        a, b, size, m = self.a, self.b, self.budget.block, self.plan.ends[0]
        x, y = (side.matrix[low : low + size, :m] for side, low in ((a, low_a), (b, low_b)))
        product = x @ y.T
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
        size, device, place = self.budget.block, str(self.plan.device), np.array([low_a, low_b])
        x, y = (
            self.on_device.block(side.matrix, low, low + size, device)
            for side, low in ((self.a, low_a), (self.b, low_b))
        )
        counts[TESTED] = counts[OPENED] = 1
        diagonal = self.second is None and low_a == low_b
        for hits, fast in pairs_above(x, y, float(self.plan.tau), diagonal, len(out)):
            counts[SURVIVED] += len(hits)
            counts[FOUND] += len(hits)
            yield self._decide(hits + place, fast)

    def _decide(self, pairs: np.ndarray, values: np.ndarray) -> Found:
        """Those of the candidates that the definition puts above the threshold, with their float64 correlation."""
        correlation = exact(pairs, (self.first, self.second or self.first), (self.a, self.b), self.budget.decided)
        i, j = (
            place.copy() if side.index is None else side.index[place]
            for place, side in zip(pairs.T, (self.a, self.b), strict=True)
        )
        if self.second is None:
            i, j = np.minimum(i, j), np.maximum(i, j)
        stay = np.abs(correlation) > self.plan.threshold
        doubtful = int((np.abs(np.abs(values) - self.plan.threshold) <= self.plan.margin).sum())
        return Found(i[stay], j[stay], correlation[stay], {"pairs_within_rounding": doubtful})


def local_engine(join: Join, tasks: Iterable[Task]) -> Iterator[tuple[Task, Found]]:
    """The tasks on this machine's threads, in order; those of an accelerator on one."""
    device = join.plan.device
    with tensor_cores() if device else nullcontext():
        yield from in_threads(lambda task: (task, join.run(task)), tasks, 1 if device else join.budget.threads)
