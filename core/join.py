"""The exact join: fast float32 tiles filter with a proven margin, float64 decides what they leave in doubt."""

from __future__ import annotations

import re

import numpy as np

from core.dedup import ArraySource, Pairs, Progress, check_threshold, correlations
from core.errors import InputError

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_memory(memory: int | str) -> int:
    """Bytes of a limit such as 256000000, "256MB" or "1GiB".

    Raises:
        InputError: if it cannot be read.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(memory))
    if not match or match[2].upper() not in _UNITS:
        raise InputError(f"memory: expected bytes or a size like 256MB, got {memory!r}")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def join(
    first: ArraySource,
    second: ArraySource | None = None,
    *,
    threshold: float,
    memory: int | str = "256MB",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Pairs:
    """The near-duplicate pairs of one set, or across two: see `core.dedup.near_duplicates`."""
    threshold = check_threshold(threshold)
    limit = parse_memory(memory)
    a = pooled(first)
    b = a if second is None else pooled(second)
    if a.shape[1] != b.shape[1]:
        raise InputError(f"against: expected rows of {a.shape[1]} pooled values, got {b.shape[1]}")
    margin = (a.shape[1] + 4) * 2.0**-23
    tile = int(min(4096, (limit / 6) ** 0.5))
    if tile < 64:
        raise InputError(f"memory: {limit} bytes cannot hold a tile; give at least 1MB")
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    starts = [(i, j) for i in range(0, len(a), tile) for j in range(0, len(b), tile) if second is not None or j >= i]
    for done, (i, j) in enumerate(starts):
        fast = np.abs(a[i : i + tile] @ b[j : j + tile].T)
        rows, columns = np.nonzero(fast > threshold - margin)
        rows, columns = rows + i, columns + j
        if second is None:
            rows, columns = rows[rows < columns], columns[rows < columns]
        found.append(decide(first, second or first, rows, columns, threshold))
        if progress:
            progress(done + 1, len(starts))
    i_all, j_all, c_all = (np.concatenate(parts) for parts in zip(*found, strict=True)) if found else _EMPTY
    order = np.lexsort((j_all, i_all))
    return Pairs(i_all[order], j_all[order], c_all[order], threshold, {"tiles": len(starts)})


_EMPTY = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


def pooled(source: ArraySource, block: int = 8192) -> np.ndarray:
    """(n, d) float32 rows of a source."""
    out = np.empty((len(source), source.dimension), dtype=np.float32)
    for low in range(0, len(source), block):
        out[low : low + block] = source.rows(low, min(low + block, len(source)))
    return out


def decide(
    first: ArraySource, second: ArraySource, i: np.ndarray, j: np.ndarray, threshold: float, block: int = 4096
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Those of the candidate pairs (i, j) that the float64 definition puts above the threshold, with their value."""
    values = np.empty(len(i))
    for low in range(0, len(i), block):
        part = slice(low, low + block)
        values[part] = correlations(first.take(i[part]), second.take(j[part]))
    stay = np.abs(values) > threshold
    return i[stay].astype(np.int64), j[stay].astype(np.int64), values[stay]
