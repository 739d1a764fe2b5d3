"""Rows of real photographs, on which the exact join is timed beside those drawn with a spectrum like theirs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.celeba import require_file
from core.data.preprocess import ALIGNED, preprocess
from core.dedup.search import pool

SHIFTS = (0, 24, -24)  # pixels of 218 down: three of 20 pooled rows, so that a crop is no near-duplicate of another
_SIDE = 80


def photograph_rows(celeba: Path, n: int) -> np.ndarray:
    """(n, 400) float32 pooled rows of CelebA's aligned photographs, in the order of their names.

    Where there are fewer than n, their mirror images follow, then both of crops that are shifted up and down; what is
    short of n then is not there.
    """
    files = sorted(require_file(celeba, "img_align_celeba").glob("*.jpg"))
    variants = list(product(SHIFTS, (False, True)))[: -(-n // len(files))]

    def crops(path: Path) -> np.ndarray:
        width, height = ALIGNED
        with Image.open(path) as image:
            image.load()
            found = [preprocess(image.crop((0, down, width, height + down)), _SIDE).numpy() for down, _ in variants]
        turned = [one[..., ::-1] if mirrored else one for one, (_, mirrored) in zip(found, variants, strict=True)]
        return pool(np.stack(turned))

    with ThreadPoolExecutor() as threads:
        rows = np.stack(list(threads.map(crops, files)))
    return np.ascontiguousarray(rows.transpose(1, 0, 2).reshape(-1, rows.shape[-1])[:n])
