"""Pooling at any size: the published windows where they divide an image, exact areas where they do not."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from core.dedup.definition import _areas, _windows, normalised_rows, pooled_grid, pooling_window
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.dedup.published import published_rows


def overlap(k: int, n: int, windows: int, pixels: int) -> Fraction:
    """How much of pixel n lies in window k, where `windows` of one length cover all pixels."""
    edge = Fraction(pixels, windows)
    return max(Fraction(0), min((k + 1) * edge, Fraction(n + 1)) - max(k * edge, Fraction(n)))


def exact_means(image: np.ndarray, rows: int, columns: int) -> list[float]:
    """Means of windows of equal area of an (h, w) image, in fractions, each rounded once."""
    height, width = image.shape
    area = Fraction(height * width, rows * columns)
    down = [[overlap(r, y, rows, height) for y in range(height)] for r in range(rows)]
    across = [[overlap(q, x, columns, width) for x in range(width)] for q in range(columns)]
    means = []
    for r in range(rows):
        for q in range(columns):
            inside = [(y, x) for y in range(height) if down[r][y] for x in range(width) if across[q][x]]
            means.append(float(sum(down[r][y] * across[q][x] * int(image[y, x]) for y, x in inside) / area))
    return means


@pytest.mark.parametrize("shape", [(28, 28), (33, 21), (21, 50), (25, 25), (112, 92), (7, 9)])
def test_windows_that_share_pixels_are_averaged_exactly(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    rows, columns = pooled_grid(shape)
    out = np.empty((1, rows * columns))
    _areas(image[None, None], rows, columns, out)
    assert out[0].tolist() == exact_means(image, rows, columns)  # bit for bit


@pytest.mark.parametrize("shape", [(20, 20), (40, 40), (60, 90), (160, 160), (40, 20)])
def test_where_windows_divide_the_rows_are_the_published_ones(shape: tuple[int, int]) -> None:
    """Every window is its exact mean, rounded once; the printed statements give the same to float32's rounding."""
    images = np.random.default_rng(0).integers(0, 256, (3, 3, *shape)).astype(np.float32)
    k = pooling_window(shape)
    assert k == shape[0] // 20
    rows, columns = shape[0] // k, shape[1] // k
    out = np.empty((3, 3 * rows * columns))
    _windows(images, k, out)
    squares = images.astype(np.float64).reshape(3, 3, rows, k, columns, k).transpose(0, 1, 2, 4, 3, 5)
    expected = squares.reshape(3, -1, k * k).sum(axis=2) / (k * k)  # of whole numbers: exact in any order
    assert (out == expected).all()
    np.testing.assert_allclose(normalised_rows(images), published_rows(torch.from_numpy(images)).numpy(), atol=2e-6)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((40, 40), "20x20 by squares of 2 pixels"),
        ((28, 28), "20x20 by windows of 1.4x1.4 pixels, by area"),
        ((112, 92), "20x16 by windows of 5.6x5.75 pixels, by area"),
        ((12, 16), "12x16 by squares of 1 pixels"),
    ],
)
def test_the_grid_is_said_in_the_results(tmp_path: Path, shape: tuple[int, int], said: str) -> None:
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).integers(0, 256, (4, *shape), dtype=np.uint8))
    result = run([find_input(tmp_path / "x.npz")], tmp_path / "out", Options())
    assert result["looked_at"]["sets"][0]["pooled"] == said
