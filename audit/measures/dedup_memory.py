"""Memory that the published near-duplicate removal takes (Topeza 2025, section 3.3)."""

import json
import subprocess
import sys
from pathlib import Path

CELEBA_IMAGES = 202_589


def dense_gigabytes(images: int) -> int:
    """Size of a float32 matrix of all against all, in whole decimal gigabytes."""
    return round(images**2 * 4 / 1e9)


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
