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

ROWS = 1 << 14  # of a block: its numbers stay in a core's cache, and below the size of what goes back when freed
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_LOW = np.array([(1 << (8 * n)) - 1 for n in range(9)], dtype=np.uint64)  # the first n bytes of a word
_BITS = 24
_LONGEST = 1 << 10  # bytes of a text that is compared with all others place by place
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
T = TypeVar("T")


def blocks(values: pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    """A column in order, at most `ROWS` rows at a time, without a copy."""
    for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
        for at in range(0, len(chunk), ROWS):
            yield chunk.slice(at, ROWS)


def _placed(values: pa.Array | pa.ChunkedArray) -> Iterator[tuple[int, pa.Array]]:
    start = 0
    for block in blocks(values):
        yield start, block
        start += len(block)


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
    found = np.empty(len(values), dtype=np.uint64)

    def fill(place: tuple[int, pa.Array]) -> None:
        start, block = place
        found[start : start + len(block)] = _of_block(change(block))

    with ThreadPoolExecutor(pa.cpu_count() if len(values) > ROWS else 1) as pool:
        list(pool.map(fill, _placed(values)))
    return found


def letters(values: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """(256,) bool twice: which bytes stand anywhere in the texts, and which are the last one of a text."""
    inside, last = np.zeros(256, dtype=bool), np.zeros(256, dtype=bool)
    for piece, ends in each_block(_bytes_of_block, values):
        inside |= piece
        last |= ends
    return inside, last


def one_shape(values: pa.Array | pa.ChunkedArray) -> str | None:
    """What all texts are but for their digits, which stand at the same places in each and are 0 here; else None.

    A question whose answer does not depend on which digits there are can be put to this one text instead of to all.
    """
    if not len(values) or values.null_count:
        return None
    first = values[0].as_py().encode().translate(_DIGITS)
    if not 0 < len(first) <= _LONGEST:
        return None
    low, span = _bounds(first, min(ROWS, len(values)))
    if not _has_shape(next(blocks(values)), low, span):
        return None
    return first.decode() if all(each_block(lambda block: _has_shape(block, low, span), values)) else None


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


def _raw(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of a block's texts one after the other, and where each begins, with the end of the last one."""
    wide = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, wide)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    if ends[-1] == ends[0]:
        return np.zeros(0, dtype=np.uint8), ends - ends[0]
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]], ends - ends[0]


def _bytes_of_block(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    raw, ends = _raw(texts)
    inside, last = np.zeros(256, dtype=bool), np.zeros(256, dtype=bool)
    inside[raw] = True
    last[raw[ends[1:][np.diff(ends) > 0] - 1]] = True
    return inside, last


def _bounds(shape: bytes, times: int) -> tuple[np.ndarray, np.ndarray]:
    """(times, length) lowest byte that may stand at each place of a text, and how many more may."""
    low = np.frombuffer(shape, np.uint8)
    span = np.where(low == ord("0"), np.uint8(9), np.uint8(0))
    return np.tile(low, (times, 1)), np.tile(span, (times, 1))


def _has_shape(texts: pa.Array, low: np.ndarray, span: np.ndarray) -> bool:
    raw, ends = _raw(texts)
    if not bool((np.diff(ends) == low.shape[1]).all()):
        return False
    return bool((raw - low.reshape(-1)[: len(raw)] <= span.reshape(-1)[: len(raw)]).all())


def _of_block(texts: pa.Array) -> np.ndarray:
    """From the bytes of each text, eight at a time."""
    raw, ends = _raw(texts)
    piece = np.append(raw, np.zeros(8, dtype=np.uint8))
    words = np.ndarray((len(piece) - 7,), np.dtype("<u8"), piece.data, 0, (1,))  # eight bytes from every byte on
    starts, lengths = ends[:-1], np.diff(ends)
    found = lengths.astype(np.uint64) * _FACTOR
    for done in range(0, int(lengths.max(initial=0)), 8):
        word = words[np.minimum(starts + done, len(raw))] & _LOW[np.clip(lengths - done, 0, 8)]
        mixed = (found ^ word) * _FACTOR
        mixed ^= mixed >> np.uint64(29)
        found = np.where(lengths > done, mixed, found)  # a text's own rounds alone, however long its neighbours are
    found *= _FACTOR
    return found ^ (found >> np.uint64(32))
