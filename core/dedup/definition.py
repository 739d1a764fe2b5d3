"""Implements the published definition of likeness (T 3.3, appendix) in float64: pooled, centred, normalised rows.

From the pixels, all in float64: average-pool to `size` rows of square windows, subtract the image's mean over channels
and pixels, divide by the norm (a zero norm counts as 0.001), take the dot product of two such rows, clip it to
[-1, 1]. Every addition has one fixed order and nothing is contracted or reassociated, so a value depends on its two
images alone: not on batches, threads, tiles or the machine.

Three things go beyond what was published, and change nothing where it applies. Images that windows of whole pixels do
not divide are averaged over windows of equal area, with the exact share of each pixel. Pixels that float32 cannot hold
(float64, wide integers) are compared as float64: the image's least value is taken off first, which is exact or nearly
so and leaves no correlation as it was, so that a large pedestal costs no digits. An image whose pixels are all equal
has no correlation: its row is zero.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from core.errors import InputError

POOLED_SIZE = 20
ZERO_NORM = 0.001


@numba.njit(nogil=True, cache=True)
def _windows(images: np.ndarray, k: int, out: np.ndarray) -> None:
    """Fill `out` (b, d) float64 with the means of windows of k x k whole pixels of (b, c, h, w) images."""
    n, channels, height, width = images.shape
    for row in range(n):
        position = 0
        for c in range(channels):
            for y in range(height // k):
                for x in range(width // k):
                    s = 0.0
                    for dy in range(k):
                        for dx in range(k):
                            s += np.float64(images[row, c, y * k + dy, x * k + dx])
                    out[row, position] = s / (k * k)
                    position += 1


@numba.njit(nogil=True, cache=True)
def _areas(images: np.ndarray, rows: int, columns: int, out: np.ndarray) -> None:
    """Fill `out` (b, d) float64 with the means of rows x columns windows of equal area of (b, c, h, w) images.

    In units of 1 / rows of a pixel's height, pixel y reaches from y * rows to (y + 1) * rows and window r from
    r * height to (r + 1) * height: shares are whole numbers. Across it is the same.
    """
    n, channels, height, width = images.shape
    for row in range(n):
        position = 0
        for c in range(channels):
            for r in range(rows):
                top, bottom = r * height, (r + 1) * height
                for q in range(columns):
                    left, right = q * width, (q + 1) * width
                    s = 0.0
                    for y in range(top // rows, -(-bottom // rows)):
                        high = min(bottom, (y + 1) * rows) - max(top, y * rows)
                        for x in range(left // columns, -(-right // columns)):
                            wide = min(right, (x + 1) * columns) - max(left, x * columns)
                            s += np.float64(high * wide) * np.float64(images[row, c, y, x])
                    out[row, position] = s / np.float64(height * width)
                    position += 1


@numba.njit(nogil=True, cache=True)
def _sums(rows: np.ndarray, squares: bool, out: np.ndarray) -> None:
    """Fill `out` (b,) with the sums of rows (b, d), or of their squares, each in order.

    Four together, as one alone waits for itself.
    """
    n, d = rows.shape
    for r in range(0, n - n % 4, 4):
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for p in range(d):
            a0, a1, a2, a3 = rows[r, p], rows[r + 1, p], rows[r + 2, p], rows[r + 3, p]
            s0 += a0 * a0 if squares else a0
            s1 += a1 * a1 if squares else a1
            s2 += a2 * a2 if squares else a2
            s3 += a3 * a3 if squares else a3
        out[r], out[r + 1], out[r + 2], out[r + 3] = s0, s1, s2, s3
    for r in range(n - n % 4, n):
        s = 0.0
        for p in range(d):
            s += rows[r, p] * rows[r, p] if squares else rows[r, p]
        out[r] = s


@numba.njit(nogil=True, cache=True)
def _normalise(out: np.ndarray, constant: np.ndarray) -> None:
    """Centre and normalise pooled rows (b, d) in place; those of `constant` images, or of equal values, become zero."""
    n, d = out.shape
    sums = np.empty(n)
    _sums(out, False, sums)
    for row in range(n):
        alike = np.isfinite(out[row, 0])
        for p in range(1, d):
            if out[row, p] != out[row, 0]:
                alike = False
                break
        if alike or constant[row]:
            out[row] = 0.0
            continue
        mean = sums[row] / d
        for p in range(d):
            out[row, p] -= mean
    _sums(out, True, sums)
    for row in range(n):
        norm = np.sqrt(sums[row])
        if norm == 0.0:
            norm = ZERO_NORM
        for p in range(d):
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


@numba.njit(nogil=True, cache=True)
def _constant(images: np.ndarray) -> np.ndarray:
    """(b,) whether all pixels of an image (b, m) are equal numbers."""
    out = np.empty(len(images), dtype=np.bool_)
    for row in range(len(images)):
        image = images[row]
        first = image[0]
        same = np.isfinite(first)
        for p in range(1, len(image)):
            if image[p] != first:
                same = False
                break
        out[row] = same
    return out


def pooled_grid(shape: tuple[int, ...], size: int = POOLED_SIZE) -> tuple[int, int]:
    """Rows and columns to which an image of `shape` (..., h, w) is pooled: windows are square, or nearly so.

    There are `size` rows, and no more than the image has; where they divide the height, a window is as large as the
    published code takes it, h / size.

    Raises:
        InputError: for a size below one.
    """
    height, width = shape[-2:]
    if size < 1:
        raise InputError(f"size: expected a positive number of pooled rows, got {size}")
    rows = min(size, height)
    return rows, max(1, (2 * rows * width + height) // (2 * height))


def pooling_window(shape: tuple[int, ...], size: int = POOLED_SIZE) -> int | None:
    """Side in whole pixels of the window of the published definition, or None where windows share pixels."""
    height, width = shape[-2:]
    rows, columns = pooled_grid(shape, size)
    window = height // rows
    return window if height == window * rows and width == window * columns else None


def pooled_dimension(shape: tuple[int, ...], size: int = POOLED_SIZE) -> int:
    """Number of pooled values of an image of `shape` (..., c, h, w)."""
    rows, columns = pooled_grid(shape, size)
    return shape[-3] * rows * columns


def normalised_rows(images: np.ndarray, size: int = POOLED_SIZE) -> np.ndarray:
    """The rows that the definition compares: (b, c, h, w) pixels -> (b, d) float64, of norm one or zero.

    A pixel that is not finite makes its whole row not finite.
    """
    images = without_pedestal(images)
    out = np.empty((len(images), pooled_dimension(images.shape, size)))
    if (window := pooling_window(images.shape, size)) == 1:
        np.add(images.reshape(out.shape), 0.0, out=out, dtype=np.float64)  # the same bits: no zero keeps a minus
    elif window is not None:
        _windows(images, window, out)
    else:
        _areas(images, *pooled_grid(images.shape, size), out)
    _normalise(out, _constant(images.reshape(len(images), math.prod(images.shape[1:]))))
    return out


def without_pedestal(images: np.ndarray) -> np.ndarray:
    """Images as contiguous float32 where that holds every value, else as float64 less the least value of each image.

    A float64 image whose values span less than 1e-100 or more than 1e100 is scaled by a power of two, which changes no
    digit, so that no square underflows or overflows.
    """
    if np.can_cast(images.dtype, np.float32):
        return np.ascontiguousarray(images, dtype=np.float32)
    if not images.size:
        return np.ascontiguousarray(images, dtype=np.float64)
    if images.dtype.kind in "iu":
        whole = np.ascontiguousarray(images, dtype=np.int64 if images.dtype.kind == "i" else np.uint64)
        least = whole.min(axis=(1, 2, 3), keepdims=True)
        return (whole.view(np.uint64) - least.view(np.uint64)).astype(np.float64)  # modulo 2^64, so without overflow
    values = np.array(images, dtype=np.float64, order="C")
    least, most = (f(values, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    with np.errstate(over="ignore", invalid="ignore"):
        span = most / 2 - least / 2
        odd = np.isfinite(span) & (span > 0) & ((span < 1e-100) | (span > 1e100))
        exponent = np.where(odd, np.frexp(span)[1] + 1, 0)
        values = np.ldexp(values, -exponent) if odd.any() else values
        values -= np.ldexp(least, -exponent)
    return values
