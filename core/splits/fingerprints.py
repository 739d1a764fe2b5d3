"""Which values of a long text column may stand twice, told by 64-bit fingerprints without a table of all texts.

Equal texts have equal fingerprints, so that a text whose fingerprint stands once stands once; only the others need to
be compared letter by letter. Blocks of rows are looked at on all cores.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ROWS = 1 << 15  # of a block: its numbers stay in a core's cache
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_LOW = np.array([(1 << (8 * n)) - 1 for n in range(9)], dtype=np.uint64)  # the first n bytes of a word
_BITS = 24
T = TypeVar("T")


def blocks(values: pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    """A column in order, at most `ROWS` rows at a time, without a copy."""
    for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
        for at in range(0, len(chunk), ROWS):
            yield chunk.slice(at, ROWS)


def each_block(function: Callable[[pa.Array], T], values: pa.Array | pa.ChunkedArray) -> list[T]:
    """The function's result for every block, in order; blocks are shared out among the cores."""
    if len(values) <= ROWS:
        return [function(block) for block in blocks(values)]
    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        return list(pool.map(function, blocks(values)))


def any_block(test: Callable[[pa.Array], Any], values: pa.Array | pa.ChunkedArray) -> bool:
    """Whether a test of Arrow's is true of any value."""
    return any(each_block(lambda block: bool(pc.any(test(block)).as_py()), values))


def fingerprints(
    values: pa.Array | pa.ChunkedArray, change: Callable[[pa.Array], pa.Array] = lambda block: block
) -> np.ndarray:
    """(n,) uint64: equal for texts that `change` makes equal, and hardly ever for others; missing ones as ''."""
    parts = each_block(lambda block: _of_block(change(block)), values)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)


def repeated(found: np.ndarray) -> np.ndarray:
    """(m,) positions, ascending, of the fingerprints that occur more than once."""
    ordered = np.sort(found)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return np.zeros(0, dtype=np.int64)
    low = np.uint64((1 << _BITS) - 1)
    table = np.zeros(1 << _BITS, dtype=bool)
    table[(twice & low).astype(np.int64)] = True
    near = np.concatenate(
        [
            at + np.flatnonzero(table[(found[at : at + ROWS] & low).astype(np.int64)])
            for at in range(0, len(found), ROWS)
        ]
    )
    place = np.minimum(np.searchsorted(twice, found[near]), len(twice) - 1)
    return near[twice[place] == found[near]]


def _of_block(texts: pa.Array) -> np.ndarray:
    """From the bytes of each text, eight at a time."""
    wide = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, wide)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    first, last = int(ends[0]), int(ends[-1])
    piece = np.zeros(last - first + 8, dtype=np.uint8)
    if last > first:
        piece[:-8] = np.frombuffer(data, np.uint8)[first:last]
    words = np.ndarray((len(piece) - 7,), np.dtype("<u8"), piece.data, 0, (1,))  # eight bytes from every byte on
    starts, lengths = ends[:-1] - first, np.diff(ends)
    found = lengths.astype(np.uint64) * _FACTOR
    for done in range(0, int(lengths.max(initial=0)), 8):
        word = words[np.minimum(starts + done, last - first)] & _LOW[np.clip(lengths - done, 0, 8)]
        found = (found ^ word) * _FACTOR
        found ^= found >> np.uint64(29)
    found *= _FACTOR
    return found ^ (found >> np.uint64(32))
