"""How the working memory of near-duplicate removal grows with the images and with the block (Topeza 2025, 3.3)."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from audit.measures.record import SEED, Measures, record
from core.dedup.pairs import THRESHOLD
from core.dedup.published import published_rows, remove_repeats, remove_repeats_block
from reports.record import ClaimRecord

Dense = Callable[[Tensor, float], object]  # (rows, threshold)
Blockwise = Callable[[Tensor, float, int], object]  # (rows, threshold, block)

IMAGES = (250, 500, 1000, 2000)  # that memory is measured over, at the one block
BLOCKS = (125, 250, 500, 1000)  # over which it is measured at the most images
BLOCK = 125  # of the growth with images
DENSE_IN_N = "exponent of the dense working memory in N"
BLOCK_IN_N = "exponent of the blockwise working memory in N, at one block"
BLOCK_IN_B = "exponent of the blockwise working memory in b, at one N"


def allocated_peak(work: Callable[[], object]) -> int:
    """Most bytes of tensors that `work` had allocated at once, counted by torch's allocator; freed ones are taken off.

    Exact and the same in every run, unlike the resident set of a process, in which freed memory is used again.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    assert profiled.profiler is not None and profiled.profiler.kineto_results is not None
    live = peak = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


def exponent(peaks: Mapping[int, int]) -> float:
    """Slope of the logarithm of memory in the logarithm of size, by least squares."""
    x, y = (np.log(np.array(list(values), dtype=float)) for values in (peaks.keys(), peaks.values()))
    return float(np.polyfit(x, y, 1)[0])


def noise_rows(n: int) -> Tensor:
    """Rows (n, 400) of `n` images of noise: no pair is above the threshold, so that no list of pairs grows."""
    return published_rows(torch.rand(n, 1, 20, 20, generator=torch.Generator().manual_seed(SEED)))


def peaks_by(sizes: Sequence[int], work: Callable[[int], object]) -> dict[int, int]:
    """Working memory in bytes by size."""
    return {size: allocated_peak(lambda size=size: work(size)) for size in sizes}  # type: ignore[misc]


def order_measures(dense: Dense = remove_repeats, blockwise: Blockwise = remove_repeats_block) -> Measures:
    """What T-block-memory-order is judged by: the growth of what a procedure allocates beyond the rows it is given."""
    rows = noise_rows(max(IMAGES))
    return {
        DENSE_IN_N: exponent(peaks_by(IMAGES, lambda n: dense(rows[:n], THRESHOLD))),
        BLOCK_IN_N: exponent(peaks_by(IMAGES, lambda n: blockwise(rows[:n], THRESHOLD, BLOCK))),
        BLOCK_IN_B: exponent(peaks_by(BLOCKS, lambda b: blockwise(rows, THRESHOLD, b))),
    }


def record_memory_order(evidence: ClaimRecord) -> None:
    """The growth of the working memory, and beside it that of everything from the images on (T-block-memory-order)."""
    note = f"N = {', '.join(map(str, IMAGES))} at b = {BLOCK}; b = {', '.join(map(str, BLOCKS))} at N = {max(IMAGES)}"
    record(evidence, order_measures(), kind="property", n=len(IMAGES), note=note)
    images = torch.rand(max(IMAGES), 1, 20, 20, generator=torch.Generator().manual_seed(SEED))
    whole = peaks_by(IMAGES, lambda n: remove_repeats_block(published_rows(images[:n].clone()), THRESHOLD, BLOCK))
    told = "; ".join(f"N = {n}: {peak / 1e6:.1f} MB" for n, peak in whole.items())
    note = f"{told}. Images, rows and what normalising them takes grow with N, and are more than the block"
    name = "exponent in N of everything that is allocated, images and rows included, at one block"
    evidence.add(name, exponent(whole), kind="property", n=len(IMAGES), note=note)
    rows = noise_rows(max(IMAGES))
    matrices = allocated_peak(lambda: remove_repeats_block(rows, THRESHOLD, BLOCK)) / (4 * BLOCK**2)
    note = "in blocks of b x b float32: the product, its absolute values, and a mask of a quarter of that"
    evidence.add("blocks that the working memory is", matrices, kind="property", unit="blocks", note=note)
