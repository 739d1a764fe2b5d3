"""Columns as a parquet file, by the calls of pyarrow that do not import pandas, a second of work for any table."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet


def as_parquet(columns: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a parquet file of columns of equal length: int64, float64, bool or (dtype object) texts."""
    sink = pa.BufferOutputStream()
    table = pa.Table.from_arrays([_column(values) for values in columns.values()], names=list(columns))
    pyarrow.parquet.write_table(table, sink)
    return bytes(sink.getvalue())


def _column(values: np.ndarray) -> pa.Array:
    if values.dtype == object:
        texts = [text.encode() for text in values.tolist()]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        return _array(pa.large_string(), len(texts), ends, np.frombuffer(b"".join(texts), np.uint8))
    if values.dtype == bool:
        return _array(pa.bool_(), len(values), np.packbits(values, bitorder="little"))
    kind = pa.int64() if values.dtype.kind == "i" else pa.float64()
    return _array(kind, len(values), values.astype(np.int64 if values.dtype.kind == "i" else np.float64))


def _array(kind: pa.DataType, length: int, *buffers: np.ndarray) -> pa.Array:
    return pa.Array.from_buffers(kind, length, [None, *(pa.py_buffer(np.ascontiguousarray(part)) for part in buffers)])
