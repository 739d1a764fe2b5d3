"""Implements the published definition of likeness (T 3.3, appendix) in float64: pooled, centred, normalised rows.

From the float32 pixels, all in float64: average-pool to `size` rows of square windows, subtract the image's mean over
channels and pixels, divide by the norm (a zero norm counts as 0.001), take the dot product of two such rows, clip it
to [-1, 1]. Every addition has one fixed order and nothing is contracted or reassociated, so a value depends on its two
images alone: not on batches, threads, tiles or the machine.
"""

from __future__ import annotations

import numba
import numpy as np

from core.errors import InputError

POOLED_SIZE = 20
ZERO_NORM = 0.001


@numba.njit(nogil=True, cache=True)
def _normalise(images: np.ndarray, k: int, out: np.ndarray) -> None:
    """Fill `out` (b, d) float64 from (b, c, h, w) pixels and the pooling window `k`."""
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
def correlations(a: np.ndarray, b: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Clipped dot products of rows a[i[p]] and b[j[p]] of two float64 matrices, in four interleaved sums.

    What is not a number stays none, and no comparison with a threshold is true of it.
    """
    out = np.empty(len(i))
    d = a.shape[1]
    for p in range(len(i)):
        x, y = a[i[p]], b[j[p]]
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        whole = d - d % 4
        for k in range(0, whole, 4):
            s0 += x[k] * y[k]
            s1 += x[k + 1] * y[k + 1]
            s2 += x[k + 2] * y[k + 2]
            s3 += x[k + 3] * y[k + 3]
        for k in range(whole, d):
            s0 += x[k] * y[k]
        s = (s0 + s1) + (s2 + s3)
        if s > 1.0:
            s = 1.0
        elif s < -1.0:
            s = -1.0
        out[p] = s
    return out


def pooling_window(shape: tuple[int, ...], size: int = POOLED_SIZE, label: str = "images") -> int:
    """Side of the pooling window for images of `shape` (..., h, w), as the published code takes it: h / size.

    Raises:
        InputError: if the images do not divide into whole windows.
    """
    height, width = shape[-2:]
    if size < 1:
        raise InputError(f"size: expected a positive number of pooled rows, got {size}")
    window = height // size
    if window < 1 or height != window * size or width % window:
        raise InputError(
            f"{label}: images of {height}x{width} cannot be pooled to {size} rows; "
            f"expected a height divisible by {size} and a width divisible by the same window"
        )
    return window


def pooled_dimension(shape: tuple[int, ...], size: int = POOLED_SIZE, label: str = "images") -> int:
    """Number of pooled values of an image of `shape` (..., c, h, w); raises what `pooling_window` does."""
    window = pooling_window(shape, size, label)
    channels, height, width = shape[-3:]
    return channels * (height // window) * (width // window)


def normalised_rows(images: np.ndarray, size: int = POOLED_SIZE) -> np.ndarray:
    """The rows that the definition compares: (b, c, h, w) pixels -> (b, c * h/k * w/k) float64, of norm one or zero.

    A pixel that is not finite makes its whole row not finite.
    """
    images = np.ascontiguousarray(images, dtype=np.float32)
    out = np.empty((len(images), pooled_dimension(images.shape, size)))
    _normalise(images, pooling_window(images.shape, size), out)
    return out
