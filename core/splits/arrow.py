"""Arrow arrays made and read without the calls of pyarrow that import pandas, a second of work for a short list."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

POOL = pa.system_memory_pool()  # for text read in pieces: pyarrow's own pool keeps half as much again for itself
_MOST = 2**31 - 1  # bytes that the offsets of one text array can count


def strings(values: Sequence[str]) -> pa.Array:
    """(n,) text array of strings, none of them missing."""
    data = [value.encode("utf-8") for value in values]
    offsets = np.zeros(len(data) + 1, dtype=np.int64)
    np.cumsum([len(value) for value in data], out=offsets[1:])
    if offsets[-1] > _MOST:
        return pa.array(values, pa.large_string())
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(b"".join(data))]
    return pa.Array.from_buffers(pa.string(), len(data), buffers)


def integers(values: np.ndarray) -> pa.Array:
    """(n,) int64 array of whole numbers, none of them missing."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values, np.int64))])


def positions(indices: pa.Array) -> np.ndarray:
    """(n,) int32 of whole numbers, -1 where one is missing."""
    if indices.type != pa.int32():
        indices = indices.cast(pa.int32())
    part = slice(indices.offset, indices.offset + len(indices))
    valid, data = indices.buffers()
    found = np.frombuffer(data, np.int32)[part]
    if not indices.null_count:
        return found
    known = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[part].view(bool)
    return np.where(known, found, np.int32(-1))


def scalar(value: str, kind: pa.DataType) -> pa.Scalar:
    """One text as a value of an Arrow type of text."""
    return strings([value]).cast(kind)[0]


def bits(chunks: Sequence[pa.Array]) -> np.ndarray:
    """(n,) bool of arrays of truth values, none of them missing."""
    parts = []
    for chunk in chunks:
        data = np.frombuffer(chunk.buffers()[1], np.uint8)
        parts.append(np.unpackbits(data, bitorder="little")[chunk.offset : chunk.offset + len(chunk)])
    return np.concatenate(parts).view(bool) if parts else np.zeros(0, dtype=bool)


def taken(values: pa.Array | pa.ChunkedArray, rows: np.ndarray) -> pa.Array:
    """Some values of a column, of ascending rows, a piece at a time: pyarrow joins all pieces before it takes any."""
    parts, start = [], 0
    for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
        low, high = np.searchsorted(rows, [start, start + len(chunk)])
        if high > low:
            parts.append(chunk.take(integers(rows[low:high] - start)))
        start += len(chunk)
    return pa.concat_arrays(parts) if parts else strings([]).cast(values.type)
