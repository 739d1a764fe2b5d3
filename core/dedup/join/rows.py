"""The rows of a join: room for them, read and rotated, those of equal images dropped, put in order."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from core.dedup.join.budget import Budget
from core.dedup.join.leaves import BALL
from core.dedup.join.plan import Plan, Side, tree_order
from core.dedup.join.tiles import in_threads
from core.dedup.sources import RowSource
from core.progress import Progress


def new_side(n: int, plan: Plan, allocate: Callable[[str, tuple[int, ...], str], np.ndarray] | None = None) -> Side:
    """Room for n rows: in memory, or wherever `allocate(name, shape, dtype)` puts an array."""
    allocate = allocate or (lambda name, shape, dtype: np.empty(shape, dtype))
    matrix = allocate("matrix", (n, plan.columns), "<f4")
    rest = allocate("rest", (n, len(plan.levels)), "<f4")
    return Side(matrix, rest, allocate("order", (n,), "<i8") if plan.fused else None)


def prepare(
    source: RowSource,
    plan: Plan,
    budget: Budget,
    side: Side,
    *,
    start: int = 0,
    note: Callable[[RowSource, np.ndarray, int], None] | None = None,
    progress: Progress | None = None,
) -> None:
    """Read and rotate the rows of a source from `start` on into `side`.

    `note` is called with the source, the float64 rows and the number of the first of them, `progress` hears how many
    rows stand.
    """
    n = len(source)

    def fill(span: tuple[int, int]) -> int:
        low, high = span
        rows = source.rows(low, high)
        side.matrix[low:high], side.rest[low:high] = plan.store(rows)
        if note:
            note(source, rows, low)
        return high

    for done in in_threads(fill, pairwise((*range(start, n, budget.read), n)), budget.threads):
        if progress:
            progress(done, n)


def collapse(side: Side, index: np.ndarray, segment: int) -> Side:
    """The side of the images `index` (ascending) alone: their rows move to the front, a segment at a time."""
    for low in range(0, len(index), segment):
        part = index[low : low + segment]
        side.matrix[low : low + len(part)], side.rest[low : low + len(part)] = side.matrix[part], side.rest[part]
    return side.part(index)


def order_rows(side: Side, segment: int) -> None:
    """Fill the order of a side, a segment of rows at a time, so that memory does not grow with n."""
    if side.order is not None:
        for low in range(0, len(side.order), segment):
            side.order[low : low + segment] = low + tree_order(side.matrix[low : low + segment, :BALL])
