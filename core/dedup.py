"""Implements the duplicate rule of T 3.3 and its appendix, exactly: which images correlate above a threshold.

The definition, in float64 from the float32 pixels: average-pool to `size` rows (square windows), subtract the
image's mean over channels and pixels, divide by the norm (a zero norm counts as 0.001), take the dot product of two
such rows, clip it to [-1, 1]. Two images are near-duplicates when its absolute value is strictly above the threshold.
`correlation` and `normalised_rows` below *are* that definition: every pair that any engine reports passed through them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
import torch

from core.errors import InputError

POOLED_SIZE = 20
THRESHOLD = 0.95
ZERO_NORM = 0.001
RULES = ("drop-later", "representatives")

Progress = Callable[[int, int], None]


@numba.njit(nogil=True, cache=True)
def _normalise(images: np.ndarray, k: int, out: np.ndarray) -> None:
    """Write the pooled, centred, normalised rows of (b, c, h, w) images to `out`, in one fixed order of additions."""
    n, channels, height, width = images.shape
    for row in range(n):
        position = 0
        total = 0.0
        for c in range(channels):
            for y in range(height // k):
                for x in range(width // k):
                    s = 0.0
                    for dy in range(k):
                        for dx in range(k):
                            s += np.float64(images[row, c, y * k + dy, x * k + dx])
                    s /= k * k
                    out[row, position] = s
                    total += s
                    position += 1
        mean = total / position
        square = 0.0
        for p in range(position):
            out[row, p] -= mean
            square += out[row, p] * out[row, p]
        norm = np.sqrt(square)
        if norm == 0.0:
            norm = ZERO_NORM
        for p in range(position):
            out[row, p] /= norm


@numba.njit(nogil=True, cache=True)
def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Dot products of paired float64 rows, (p, d) with (p, d), summed in one fixed order and clipped to [-1, 1]."""
    out = np.empty(a.shape[0])
    for p in range(a.shape[0]):
        s = 0.0
        for k in range(a.shape[1]):
            s += a[p, k] * b[p, k]
        out[p] = min(1.0, max(-1.0, s))
    return out


def pooling_window(shape: tuple[int, ...], size: int = POOLED_SIZE) -> int:
    """Side of the pooling window for images of `shape` (..., h, w), as the published code takes it: h / size.

    Raises:
        InputError: if the window does not divide the image into whole windows.
    """
    height, width = shape[-2:]
    if size < 1:
        raise InputError(f"size: expected a positive number of pooled rows, got {size}")
    window = height // size
    if window < 1 or height != window * size or width % window:
        raise InputError(
            f"images of {height}x{width} cannot be pooled to {size} rows: "
            f"the height must be a multiple of {size} and the width of the window"
        )
    return window


def normalised_rows(images: np.ndarray, size: int = POOLED_SIZE) -> np.ndarray:
    """The rows that the definition compares: (b, c, h, w) float32 -> (b, c * h/k * w/k) float64, unit norm or zero.

    Each row depends on its own image alone, bit for bit, whatever the batch. A pixel that is not finite gives a row
    that is not finite.
    """
    window = pooling_window(images.shape, size)
    images = np.ascontiguousarray(images, dtype=np.float32)
    b, c, h, w = images.shape
    out = np.empty((b, c * (h // window) * (w // window)))
    _normalise(images, window, out)
    return out


def pool(images: np.ndarray | torch.Tensor, size: int = POOLED_SIZE) -> np.ndarray:
    """Pooled, centred, normalised rows of (n, c, h, w) images, (n, d) float32 (the float64 rows, rounded).

    Raises:
        InputError: for a wrong shape, a pixel that is not finite, or a size that does not divide.
    """
    return ArraySource(images, size=size).rows(0, len(images)).astype(np.float32)


class ArraySource:
    """Images in memory, seen as the float64 rows of the definition.

    Args:
        images: (n, c, h, w) pixels, or (n, d) vectors, which count as images of one row that need no pooling.
        size: number of pooled rows; ignored for vectors.
        label: how errors call this input.
    """

    def __init__(self, images: np.ndarray | torch.Tensor, *, size: int = POOLED_SIZE, label: str = "images") -> None:
        array = images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else np.asarray(images)
        if array.ndim not in (2, 4) or 0 in array.shape[1:]:
            raise InputError(f"{label}: expected shape (n, c, h, w) or (n, d), got {array.shape}")
        if array.dtype.kind not in "fu":
            raise InputError(f"{label}: expected floating-point or uint8 pixels, got {array.dtype}")
        self.images = array[:, None, None, :] if array.ndim == 2 else array
        self.size = 1 if array.ndim == 2 else size
        self.label = label
        window = pooling_window(self.images.shape, self.size)
        _, c, h, w = self.images.shape
        self.dimension = c * (h // window) * (w // window)

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, low: int, high: int) -> np.ndarray:
        """Float64 rows low..high, refused with the number of the first image that has a pixel that is not finite."""
        rows = normalised_rows(self.images[low:high], self.size)
        bad = np.flatnonzero(~np.isfinite(rows[:, 0]))
        if len(bad):
            raise InputError(f"{self.label}: image {low + bad[0]} has a pixel that is NaN or infinite")
        return rows

    def take(self, index: np.ndarray) -> np.ndarray:
        """Float64 rows of the images numbered `index`."""
        return normalised_rows(self.images[index], self.size)


@dataclass(frozen=True)
class Pairs:
    """Near-duplicate pairs, sorted by (i, j).

    Within one set i < j; across two sets `i` counts in the first and `j` in the second.
    """

    i: np.ndarray  # (p,) int64
    j: np.ndarray  # (p,) int64
    correlation: np.ndarray  # (p,) float64, |.| > threshold
    threshold: float
    statistics: dict[str, Any] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.i)

    def above(self, threshold: float) -> Pairs:
        """The pairs above a higher threshold: no recomputation is needed.

        Raises:
            InputError: if `threshold` is below the one the pairs were found with.
        """
        if not self.threshold <= check_threshold(threshold):
            raise InputError(f"threshold: expected at least {self.threshold}, got {threshold}")
        stay = np.abs(self.correlation) > threshold
        return Pairs(self.i[stay], self.j[stay], self.correlation[stay], threshold, self.statistics)


@dataclass(frozen=True)
class Kept:
    """What a rule keeps of n images; `because[r]` is the pair (i, j) that removed image `removed[r]` = j."""

    kept: np.ndarray  # (k,) int64, ascending
    removed: np.ndarray  # (n - k,) int64, ascending
    because: np.ndarray  # (n - k, 2) int64
    rule: str
    orphans: int  # images removed although no kept image is like them: the chains of drop-later


def check_threshold(threshold: float) -> float:
    """`threshold` itself, or InputError unless it lies in (0, 1]."""
    if not 0.0 < threshold <= 1.0:
        raise InputError(f"threshold: expected a number in (0, 1], got {threshold}")
    return float(threshold)


def kept(pairs: Pairs, n: int, rule: str = "drop-later") -> Kept:
    """Apply a rule to the pairs of one set of n images.

    `drop-later` is the published rule: of every pair the later image goes, even where the earlier one goes too, so a
    chain i ~ j ~ k loses both j and k. `representatives` walks the images in order and drops one only if an image that
    stays is like it. The pair that removed an image is the one with its earliest partner (its earliest kept partner
    under `representatives`).

    Raises:
        InputError: for an unknown rule, or pairs that do not belong to n images.
    """
    if rule not in RULES:
        raise InputError(f"rule: expected one of {', '.join(RULES)}, got {rule!r}")
    if len(pairs) and not (pairs.i.min() >= 0 and (pairs.i < pairs.j).all() and pairs.j.max() < n):
        raise InputError(f"pairs: expected 0 <= i < j < {n}")
    by_later = np.lexsort((pairs.i, pairs.j))
    earlier, later = pairs.i[by_later], pairs.j[by_later]
    removed, orphans = (
        _representatives(earlier, later, n) if rule == "representatives" else _drop_later(earlier, later, n)
    )
    stays = removed < 0
    gone = np.flatnonzero(~stays)
    return Kept(np.flatnonzero(stays), gone, np.stack([removed[gone], gone], axis=1), rule, orphans)


@numba.njit(cache=True)
def _drop_later(earlier: np.ndarray, later: np.ndarray, n: int) -> tuple[np.ndarray, int]:
    """(n,) first partner or -1, and the number of removed images without a kept partner; pairs sorted by later."""
    removed = np.full(n, -1, dtype=np.int64)
    for p in range(len(later)):
        if removed[later[p]] < 0:
            removed[later[p]] = earlier[p]
    covered = np.zeros(n, dtype=np.bool_)
    for p in range(len(later)):
        if removed[earlier[p]] < 0:
            covered[later[p]] = True
    return removed, int(((removed >= 0) & ~covered).sum())


@numba.njit(cache=True)
def _representatives(earlier: np.ndarray, later: np.ndarray, n: int) -> tuple[np.ndarray, int]:
    """(n,) first kept partner or -1 (and no orphans, by construction); pairs sorted by later, then earlier."""
    removed = np.full(n, -1, dtype=np.int64)
    for p in range(len(later)):
        if removed[later[p]] < 0 and removed[earlier[p]] < 0:
            removed[later[p]] = earlier[p]
    return removed, 0


def near_duplicates(
    images: np.ndarray | torch.Tensor,
    against: np.ndarray | torch.Tensor | None = None,
    *,
    threshold: float = THRESHOLD,
    size: int = POOLED_SIZE,
    memory: int | str = "256MB",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Pairs:
    """All near-duplicate pairs within `images`, or between `images` and `against`: the float64 answer, certified.

    Args:
        images: (n, c, h, w) float32 pixels, or (n, d) vectors (for instance from `pool`).
        against: a second set of the same shape; then pairs (i, j) run across the two.
        threshold: absolute correlation above which a pair counts, in (0, 1].
        size: pooled rows of an image.
        memory: scratch beyond the pooled matrix and the pairs found, in bytes or like "256MB".
        threads: worker threads (default: one a core).
        progress: called with (tiles done, tiles in all).

    Raises:
        InputError: for bad pixels, shapes, thresholds, or a memory limit too small to hold a tile.
    """
    from core.join import join  # the driver needs the definition above

    first = ArraySource(images, size=size, label="images")
    second = None if against is None else ArraySource(against, size=size, label="against")
    return join(first, second, threshold=threshold, memory=memory, threads=threads, progress=progress)
