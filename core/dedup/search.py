"""Implements the duplicate rule of T 3.3 and its appendix, exactly: near-duplicate pairs, and which images go.

`near_duplicates` finds the pairs that the published definition (`core.dedup.definition`) puts strictly above the
threshold, `kept` applies a rule to them. The result is the float64 all-pairs answer for every tile size, thread count
and engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from core.dedup.definition import POOLED_SIZE
from core.dedup.join.budget import make_budget
from core.dedup.join.plan import make_plan
from core.dedup.join.tiles import Engine, Found, Join, Progress, local_engine, new_side, order_rows, prepare
from core.dedup.pairs import THRESHOLD, Pairs, check_threshold
from core.dedup.sources import ArraySource, RowSource
from core.errors import InputError
from core.machine import parse_memory


def pool(images: np.ndarray | torch.Tensor, size: int = POOLED_SIZE) -> np.ndarray:
    """Pooled, centred, normalised rows of (n, c, h, w) images, (n, d) float32: the definition's rows, rounded.

    Raises:
        InputError: for a wrong shape, a pixel that is not finite, or a size that does not divide.
    """
    source = ArraySource(images, size=size)
    out = np.empty((len(source), source.dimension), dtype=np.float32)
    for low in range(0, len(source), 4096):
        out[low : low + 4096] = source.rows(low, min(low + 4096, len(source)))
    return out


def near_duplicates(
    images: np.ndarray | torch.Tensor,
    against: np.ndarray | torch.Tensor | None = None,
    *,
    threshold: float = THRESHOLD,
    size: int = POOLED_SIZE,
    memory: int | str = "256MB",
    threads: int | None = None,
    prune: bool | None = None,
    device: str | None = None,
    tile: int | None = None,
    engine: Engine = local_engine,
    progress: Progress | None = None,
) -> Pairs:
    """All near-duplicate pairs within `images`, or between `images` and `against`: the float64 answer, certified.

    Args:
        images: (n, c, h, w) float32 pixels, or (n, d) vectors (for instance from `pool`).
        against: a second set of images that pool to the same shape; then pairs (i, j) run across the two.
        threshold: absolute correlation above which a pair counts, in (0, 1].
        size: pooled rows of an image.
        memory: scratch beyond the pooled matrix and the pairs found (24 bytes each, six times that while they are
            sorted), in bytes or like "256MB".
        threads: worker threads (default: one a core).
        prune: force pruning by leaves (True) or the plain tiled product (False); by default the cheaper, by a sample.
        device: take whole products on this accelerator instead ("cuda"); float64 still decides what they leave.
        tile: rows of a task on either side (default: what fits into the memory); the pairs are the same for all.
        engine: where the tasks run: on this machine's threads, or `core.dedup.join.cluster.DaskEngine(client)`.
        progress: called with (tasks done, tasks in all).

    Raises:
        InputError: for bad pixels, shapes, thresholds, a memory limit too small to hold a tile, or more pairs than
            the machine has memory for.
    """
    first = ArraySource(images, size=size, label="images")
    second = None if against is None else ArraySource(against, size=size, label="against")
    join = make_join(
        first, second, threshold=threshold, memory=memory, threads=threads, prune=prune, device=device, tile=tile
    )

    def found() -> Iterator[Found]:
        for done, (_, part) in enumerate(engine(join, join.tasks), 1):
            if progress:
                progress(done, join.total)
            yield part

    return as_pairs(found(), join)


def make_join(
    first: RowSource,
    second: RowSource | None = None,
    *,
    threshold: float = THRESHOLD,
    memory: int | str = "256MB",
    threads: int | None = None,
    prune: bool | None = None,
    device: str | None = None,
    tile: int | None = None,
) -> Join:
    """Plan a join of row sources and prepare its rows in memory; arguments as for `near_duplicates`."""
    threshold, limit = check_threshold(threshold), parse_memory(memory)
    sources = [first] if second is None else [first, second]
    if sources[-1].dimension != first.dimension:
        raise InputError(f"against: expected {first.dimension} pooled values an image, got {sources[-1].dimension}")
    plan = make_plan(sources, threshold, limit // 2, prune, device)
    image_bytes = max(source.image_bytes for source in sources)
    longest = max(len(source) for source in sources)
    budget = make_budget(limit, threads, image_bytes, longest, plan, tile)
    sides = [new_side(len(source), plan) for source in sources]
    for source, side in zip(sources, sides, strict=True):
        prepare(source, plan, budget, side)
        order_rows(side, budget.segment)
    return Join(first, second, sides[0], sides[-1], plan, budget)


def as_pairs(found: Iterable[Found], join: Join) -> Pairs:
    """Sort what the tasks found; statistics say how much work each bound saved."""
    merged = Found.merge(found, ordered=True)
    strategy = (
        f"tiles on {join.plan.device}"
        if join.plan.device
        else "leaves"
        if join.plan.fused
        else f"product of {join.plan.ends[0]} of {join.plan.columns} components"
    )
    statistics = {"strategy": strategy, "margin": join.plan.margin, **merged.counts}
    return Pairs(merged.i, merged.j, merged.correlation, join.plan.threshold, statistics)
