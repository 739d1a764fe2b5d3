"""How the memory of the published blockwise removal grows with images and block (Topeza 2025, section 3.3)."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from audit.measures.dedup_memory import measured_peak
from core.stats import Interval
from reports.record import ClaimRecord

IN_B = "exponent in b of what the block products take"
IN_N = "exponent in N of the peak"
IMAGES, SMALL_BLOCK = (20_000, 60_000, 180_000), 1000
BLOCKS = (2000, 4000, 8000)


def growth(megabytes: Mapping[int, float]) -> tuple[float, Interval]:
    """Exponent of memory by size on logarithmic scales, with the range of the exponents between neighbouring sizes."""
    x, y = (np.log(list(values)) for values in (megabytes.keys(), megabytes.values()))
    local = np.diff(y) / np.diff(x)
    return float(np.polyfit(x, y, 1)[0]), Interval(
        float(local.min()), float(local.max()), "range between neighbouring sizes", level=1.0
    )


def products_by_block(blocks: tuple[int, ...] = BLOCKS) -> dict[int, float]:
    """MB that block products add to images and rows, two blocks of images each, a fresh process a size."""
    with ThreadPoolExecutor(2) as side_by_side:
        found = list(side_by_side.map(lambda b: measured_peak(2 * b, 20, b, products=2), blocks))
    return {b: one["peak"] - one["pooled"] for b, one in zip(blocks, found, strict=True)}


def peak_by_images() -> dict[int, float]:
    """MB at the peak of the whole procedure at one small block, a fresh process a size."""
    with ThreadPoolExecutor(2) as side_by_side:
        found = list(side_by_side.map(lambda n: measured_peak(n, 20, SMALL_BLOCK, products=2), IMAGES))
    return {n: one["peak"] for n, one in zip(IMAGES, found, strict=True)}


def record_memory_order(evidence: ClaimRecord) -> None:
    """Both exponents, and the megabytes behind them (T-block-memory-order)."""
    by_block, by_images = products_by_block(), peak_by_images()
    for name, megabytes, what in ((IN_B, by_block, "images a block"), (IN_N, by_images, "images")):
        value, interval = growth(megabytes)
        note = "; ".join(f"{size:,} {what}: {mb:.0f} MB" for size, mb in megabytes.items())
        evidence.add(name, value, interval=interval, kind="property", n=len(megabytes), varies="size", note=note)
