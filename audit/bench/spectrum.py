"""Vectors with a spectrum like faces': the data on which the exact join is timed."""

import numpy as np

SHIFT = 4.0
EXPONENT = 2.534  # energies (k + SHIFT) ** -EXPONENT, k = 1..400: 96 % in the first 32, as in 20x20 faces


def face_like(n: int, *, duplicates: float = 0.03, seed: int = 0, d: int = 400) -> np.ndarray:
    """(n, d) float32 unit rows; a share of them is an earlier row plus noise, at correlations from 0.951 to 1.

    The principal axes are a random rotation: nothing about them is aligned with the coordinates.
    """
    rng = np.random.default_rng(seed)
    energy = (np.arange(1, d + 1) + SHIFT) ** -EXPONENT
    axes = np.linalg.qr(rng.standard_normal((d, d)))[0].T.astype(np.float32)
    scale = np.sqrt(energy / energy.sum()).astype(np.float32)
    rows = np.empty((n, d), dtype=np.float32)
    for low in range(0, n, 8192):
        part = rows[low : low + 8192]
        np.matmul(rng.standard_normal(part.shape, dtype=np.float32) * scale, axes, out=part)
        part -= part.mean(1, keepdims=True)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    copies = np.sort(rng.choice(np.arange(1, n), int(n * duplicates), replace=False))
    for copy in copies:
        original = rows[rng.integers(copy)]
        other = rng.standard_normal(d, dtype=np.float32)
        other -= other.mean() + original * (other @ original)
        likeness = rng.uniform(0.951, 1.0)
        rows[copy] = likeness * original + np.sqrt(1 - likeness**2) * other / np.linalg.norm(other)
    return rows
