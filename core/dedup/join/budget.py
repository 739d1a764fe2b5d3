"""How the memory limit of the exact join is shared out among threads, tiles and what is read."""

from __future__ import annotations

from dataclasses import dataclass

from core.dedup.join.device import device_tile
from core.dedup.join.leaves import LEAF, PREFIX
from core.dedup.join.plan import Plan
from core.errors import InputError
from core.machine import cores

LEAST_FOUND = 4096  # candidates that a thread can hold at least
AT_ONCE = 2**22  # bytes of the larger arrays of a batch or a tile: what is freed and taken again stays with the process


@dataclass(frozen=True)
class Budget:
    """How the scratch memory is shared out: each thread's buffers fit into an equal share."""

    threads: int
    block: int  # rows of a task on either side
    found: int  # candidates held before they are decided
    decided: int  # images read at a time to decide candidates
    read: int  # images read at a time to prepare rows
    segment: int  # rows ordered at a time


def check_threads(threads: int | None) -> int:
    """`threads`, or one a core; InputError for fewer than one."""
    if threads is not None and threads < 1:
        raise InputError(f"threads: expected at least 1, got {threads}")
    return threads or cores()


def check_memory(memory: int, threads: int | None, dimension: int, image_bytes: int) -> tuple[int, int]:
    """(threads, bytes for each) of a limit shared among `threads` (default: one a core).

    It depends on the shape of the images alone, so that it can be asked before any is read.

    Raises:
        InputError: if a share cannot hold the smallest tile.
    """
    threads = check_threads(threads)
    share = memory // threads
    smallest = 8 * max(24 * LEAST_FOUND, image_bytes + 24 * (dimension + max(dimension, PREFIX)))
    if share < smallest:
        raise InputError(
            f"memory: {memory} bytes for {threads} threads cannot hold a tile; "
            f"expected at least {smallest * threads} bytes, or fewer threads"
        )
    return threads, share


def make_budget(
    memory: int, threads: int | None, image_bytes: int, longest: int, plan: Plan, tile: int | None = None
) -> Budget:
    """Divide `memory` bytes among `threads` (default: one a core) for images and rows of the given size.

    On a device the products live in its own memory.

    Raises:
        InputError: if a share cannot hold the smallest tile, or rows of `tile` on either side.
    """
    threads, share = check_memory(memory, threads, plan.dimension, image_bytes)
    image = image_bytes + 24 * (plan.dimension + plan.columns)
    if plan.device:
        fits, widest = device_tile(plan.device, plan.columns, share), 16384
    else:
        fits, widest = (share // 1024, 16384) if plan.fused else (int((share / 16) ** 0.5), 1024)
    strips = max(8, 2 * threads)  # fewer would leave threads idle, more lay the same leaves out again
    block = max(LEAF, min(widest, fits, max(1024, -(-longest // strips))) // LEAF * LEAF)
    if tile is not None:
        if not 1 <= tile <= max(LEAF, fits):
            raise InputError(f"tile: expected 1 to {max(LEAF, fits)} rows, which fit into the memory, got {tile}")
        block = tile
    found = min(65536, share // 8 // 24)
    read = min(share // 4 // image, max(1, AT_ONCE // (8 * plan.dimension)))
    return Budget(threads, block, found, share // 8 // image, read, max(block, memory // 512))
