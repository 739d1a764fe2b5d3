"""What the exact join is timed against: a plain tiled product, the published procedures, FAISS. All on pooled rows.

Each takes the whole work or a share of it: at the largest sizes the slow ones are run on evenly spread tiles, blocks or
queries, and the time of those is scaled by their exact number (they do the same work for each).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import faiss
import numpy as np
import torch

from core.dedup.published import BLOCK, remove_repeats

Timed = tuple[float, float]  # seconds for the whole, share of the work that was run


def _spread(items: list[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """At most so many, evenly spread over the list."""
    if len(items) <= most:
        return items
    return [items[k] for k in np.linspace(0, len(items) - 1, most).astype(int)]


def plain_tiled(rows: np.ndarray, threshold: float, most: int, tile: int = 2048) -> Timed:
    """Float32 products of tiles of the upper triangle, absolute value, comparison, positions."""
    x = torch.from_numpy(rows)
    tiles = [(i, j) for i in range(0, len(x), tile) for j in range(i, len(x), tile)]
    chosen = _spread(tiles, most)
    begun = time.perf_counter()
    for i, j in chosen:
        torch.nonzero((x[i : i + tile] @ x[j : j + tile].T).abs_() > threshold)
    return (time.perf_counter() - begun) * len(tiles) / len(chosen), len(chosen) / len(tiles)


def published_blockwise(
    rows: np.ndarray, threshold: float, most: int, pairs: list[tuple[int, int]], block: int = BLOCK
) -> Timed:
    """The published loop: block products on a share of the blocks, its list look-ups in full.

    `pairs` (i < j) are the hits that the look-ups go through, so that they need not be found again: in blocks on the
    diagonal every pair comes twice, and every image meets itself.
    """
    x = torch.from_numpy(rows)
    blocks = [(i, j) for i in range(0, len(x), block) for j in range(0, i + 1, block)]
    chosen = _spread(blocks, most)
    begun = time.perf_counter()
    for i, j in chosen:
        corrs = torch.matmul(x[i : i + block], x[j : j + block].T)
        torch.where(torch.abs(corrs) > threshold)
    products = (time.perf_counter() - begun) * len(blocks) / len(chosen)
    hits: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for i, j in pairs:
        place = (j // block * block, i // block * block)
        hits.setdefault(place, []).append((j - place[0], i - place[1]))
        if place[0] == place[1]:
            hits[place].append((i - place[0], j - place[1]))
    to_remove: list[torch.Tensor] = []
    begun = time.perf_counter()
    for i, j in blocks:
        found = hits.get((i, j), []) + ([(k, k) for k in range(min(block, len(x) - i))] if i == j else [])
        ids = torch.tensor(sorted(found), dtype=torch.int64).reshape(-1, 2)
        ids_1, ids_2 = ids[:, 0], ids[:, 1]
        for k in range(len(ids_1)):
            if ids_1[k] != ids_2[k]:
                m = max(ids_1[k] + i, ids_2[k] + j)
                if m not in to_remove:
                    to_remove.append(m)
    return products + time.perf_counter() - begun, len(chosen) / len(blocks)


def dense(rows: np.ndarray, threshold: float) -> Timed:
    """The published dense procedure."""
    begun = time.perf_counter()
    remove_repeats(torch.from_numpy(rows), threshold)
    return time.perf_counter() - begun, 1.0


def faiss_both_signs(rows: np.ndarray, threshold: float, most: int, batch: int = 512) -> Timed:
    """`IndexFlatIP.range_search` of every row and of its negative."""
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    queries = [(low, min(low + batch, len(rows))) for low in range(0, len(rows), batch)]
    chosen = _spread(queries, most)
    begun = time.perf_counter()
    for low, high in chosen:
        index.range_search(rows[low:high], threshold)
        index.range_search(-rows[low:high], threshold)
    done = sum(high - low for low, high in chosen)
    return (time.perf_counter() - begun) * len(rows) / done, done / len(rows)


def timed_whole(function: Callable[[], object]) -> Timed:
    """Any call, run once in full."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun, 1.0
