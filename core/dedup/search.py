"""Implements the duplicate rule of T 3.3 and its appendix, exactly: near-duplicate pairs, and which images go.

`near_duplicates` finds the pairs that the published definition (`core.dedup.definition`) puts strictly above the
threshold, `kept` applies a rule to them. The result is the float64 all-pairs answer for every tile size, thread count
and engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from core.dedup.definition import POOLED_SIZE
from core.dedup.equal import Keys, find_equal, worth_collapsing
from core.dedup.join.budget import make_budget
from core.dedup.join.plan import make_plan
from core.dedup.join.rows import collapse, new_side, order_rows, prepare
from core.dedup.join.tiles import Engine, Found, Join, local_engine
from core.dedup.listing import list_pairs
from core.dedup.pairs import THRESHOLD, Pairs, check_threshold
from core.dedup.sources import ArraySource, Grid, RowSource, check_same_grid
from core.machine import parse_memory
from core.progress import Progress

if TYPE_CHECKING:
    import torch


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
    axes: str | None = None,
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
        images: (n, c, h, w), (n, h, w, c) or (n, h, w) pixels of any floating-point or whole-number type, or (n, d)
            vectors (for instance from `pool`).
        against: a second set of images that pool to the same shape; then pairs (i, j) run across the two.
        threshold: absolute correlation above which a pair counts, in (0, 1].
        size: pooled rows of an image.
        axes: nchw or nhwc; inferred unless given (`core.data.layout`).
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
    first = ArraySource(images, size=size, label="images", axes=axes)
    second = None if against is None else ArraySource(against, size=size, label="against", axes=axes)
    join = make_join(
        first,
        second,
        threshold=threshold,
        memory=memory,
        threads=threads,
        prune=prune,
        device=device,
        tile=tile,
        equal=True,
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
    equal: bool = False,
) -> Join:
    """Plan a join of row sources and prepare its rows in memory; arguments as for `near_duplicates`.

    With `equal` it looks for equal images, and where they are many, one of each joins for all (`core.dedup.equal`).
    """
    threshold, limit = check_threshold(threshold), parse_memory(memory)
    sources = [first] if second is None else [first, second]
    check_same_grid(Grid(first.shape, first.size), Grid(sources[-1].shape, sources[-1].size), "against")
    plan = make_plan(sources, threshold, limit // 2, prune, device)
    image_bytes = max(source.image_bytes for source in sources)
    longest = max(len(source) for source in sources)
    budget = make_budget(limit, threads, image_bytes, longest, plan, tile)
    sides = [new_side(len(source), plan) for source in sources]
    keys = [Keys.of(len(source)) for source in sources]
    for source, side, noted in zip(sources, sides, keys, strict=True):
        prepare(source, plan, budget, side, note=noted.note if equal else None)
    found = None
    if equal:
        some = limit // 2, budget.decided
        found = tuple(find_equal(source, noted, *some) for source, noted in zip(sources, keys, strict=True))
        if worth_collapsing(found, threshold, plan.dimension):
            chosen = [groups.representatives for groups in found]
            sides = [collapse(side, index, budget.segment) for side, index in zip(sides, chosen, strict=True)]
    for side in sides:
        order_rows(side, budget.segment)
    return Join(first, second, sides[0], sides[-1], plan, budget, found)


def as_pairs(found: Iterable[Found], join: Join, twin: np.ndarray | None = None) -> Pairs:
    """Put what the tasks found together, and list equal images; statistics say how much work each bound saved.

    Args:
        found: by the tasks of the join.
        join: what has run.
        twin: across two sets, for each image of the second the one of the first that is the very same file, or -1.
    """
    merged = Found.merge(found)
    listing = list_pairs(merged, join, twin)
    strategy = (
        f"tiles on {join.plan.device}"
        if join.plan.device
        else "leaves"
        if join.plan.fused
        else f"product of {join.plan.ends[0]} of {join.plan.columns} components"
    )
    statistics = {"strategy": strategy, "margin": join.plan.margin, **merged.counts}
    if join.a.index is not None:
        statistics |= {"pairs_in_full": listing.total, "pairs_listed": len(listing.found.i)}
    listed = listing.found
    return Pairs(listed.i, listed.j, listed.correlation, join.plan.threshold, statistics, listing.first)
