"""Memory that the published near-duplicate removal takes (Topeza 2025, section 3.3)."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.dedup.published import BLOCK
from reports.record import ClaimRecord

CELEBA_IMAGES = 202_589
_MEASURE = """
import json, sys, torch
from core.machine import peak_rss
from core.dedup.published import published_rows, remove_repeats_block
n, side, block, products = map(int, sys.argv[1:])
torch.mm(torch.rand(64, 64), torch.rand(64, 64))
start = peak_rss()
images = torch.rand(n, 1, side, side)
data = peak_rss()
rows = published_rows(images)
pooled = peak_rss()
remove_repeats_block(rows, 0.95, block, products)
print(json.dumps({"data": data - start, "pooled": pooled - start, "peak": peak_rss() - start}))
"""


def dense_gigabytes(images: int) -> int:
    """Size of a float32 matrix of all against all, in whole decimal gigabytes."""
    return round(images**2 * 4 / 1e9)


def measured_peak(n: int, side: int, block: int, products: int) -> dict[str, float]:
    """Peak resident memory of the published procedure beyond the imported libraries, in MB, in a fresh process.

    Args:
        n: images, of side x side noise: nothing is above the threshold, so the lists stay empty.
        side: pixels.
        block: images a block.
        products: block products to run; each allocates what all the others do, so two reach the working set.
    """
    command = [sys.executable, "-c", _MEASURE, *map(str, (n, side, block, products))]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    return {name: value / 1e6 for name, value in json.loads(done.stdout).items()}


def hundreds(megabytes: float) -> int:
    """Rounded to hundreds of megabytes, the precision of the printed figure."""
    return round(megabytes / 100) * 100


def record_block_memory(evidence: ClaimRecord) -> None:
    """The printed expression, and the peak that a fresh process reaches (T-dedup-block-memory)."""
    printed = 2 * BLOCK**2 * 4 / 1e6
    evidence.add("expression", hundreds(printed), kind="arithmetic", unit="MB", note=f"2 x 5000^2 x 4 = {printed:g} MB")
    with ThreadPoolExecutor() as side_by_side:  # each in a process of its own
        found, small = side_by_side.map(lambda n: measured_peak(n, 20, BLOCK, products=3), (CELEBA_IMAGES, 2 * BLOCK))
    evidence.add(
        "peak",
        hundreds(found["peak"]),
        kind="property",
        n=CELEBA_IMAGES,
        unit="MB",
        note=f"{found['peak']:.0f} MB, the peak resident set of a fresh process at {CELEBA_IMAGES:,} images already "
        f"reduced to 20x20 (at 40x40 the tensor alone takes 1,297 MB), three block products; {found['data']:.0f} MB of "
        f"it are those images, and {found['pooled']:.0f} MB are reached while they are centred and normalised",
    )
    evidence.add(
        "peak_of_block_temporaries",
        small["peak"] - small["pooled"],
        kind="property",
        n=2 * BLOCK,
        unit="MB",
        note="what the block products add where the rows are few: two matrices of 5000^2 float32 and their mask",
    )
