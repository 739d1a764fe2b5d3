"""What the definition says of candidates: float64 correlations, read from as few images as memory allows at a time."""

from __future__ import annotations

import numba
import numpy as np

from core.dedup.definition import correlations
from core.dedup.join.plan import Side
from core.dedup.sources import RowSource


@numba.njit(nogil=True, cache=True)
def _part_end(
    a: np.ndarray, b: np.ndarray, seen_a: np.ndarray, seen_b: np.ndarray, start: int, part: int, images: int
) -> int:
    """Where the candidates from `start` on have touched `images` images; these are marked with the number `part`.

    One candidate is taken in any case.
    """
    touched = 0
    for p in range(start, len(a)):
        touched += int(seen_a[a[p]] != part) + int(seen_b[b[p]] != part)
        if touched > images and p > start:
            return p
        seen_a[a[p]] = seen_b[b[p]] = part
    return len(a)


class _Touched:
    """Which rows of one side candidates touch, and where each stands among those of its part."""

    def __init__(self, source: RowSource, side: Side, numbers: np.ndarray) -> None:
        self.source, self.side, self.low = source, side, int(numbers.min())
        self.numbers = numbers - self.low
        self.seen = np.zeros(int(self.numbers.max()) + 1, dtype=np.int64)
        self.place = np.empty_like(self.seen)

    def rows(self, part: int, span: slice) -> tuple[np.ndarray, np.ndarray]:
        """(k, d) float64 rows that a part touches, each once and in order; where candidates `span` have theirs."""
        touched = np.flatnonzero(self.seen == part)
        self.place[touched] = np.arange(len(touched))
        numbers = touched + self.low
        images = numbers if self.side.index is None else self.side.index[numbers]
        return self.source.take(images), self.place[self.numbers[span]]


def exact(
    candidates: np.ndarray, sources: tuple[RowSource, RowSource], sides: tuple[Side, Side], images: int
) -> np.ndarray:
    """(p,) float64 correlations of candidates (p, 2), numbers of a row on either side.

    At most `images` images are read at a time, and a pair at least.
    """
    out = np.empty(len(candidates))
    if not len(out):
        return out
    a, b = (_Touched(*each) for each in zip(sources, sides, candidates.T, strict=True))
    start = part = 0
    while start < len(out):
        part += 1
        span = slice(start, _part_end(a.numbers, b.numbers, a.seen, b.seen, start, part, images))
        rows, i = a.rows(part, span)
        columns, j = b.rows(part, span)
        out[span] = correlations(rows, columns, i, j)
        start = span.stop
    return out
