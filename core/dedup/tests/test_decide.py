"""Candidates are decided by the definition's numbers, however few images are read at a time."""

import numpy as np
import pytest

from core.dedup.definition import correlations, normalised_rows
from core.dedup.join.decide import exact
from core.dedup.join.plan import Side
from core.dedup.sources import ArraySource


class Counted(ArraySource):
    """A source that keeps which images were taken."""

    def __init__(self, images: np.ndarray) -> None:
        super().__init__(images)
        self.taken: list[np.ndarray] = []

    def take(self, index: np.ndarray) -> np.ndarray:
        self.taken.append(index)
        return super().take(index)


def side(n: int, index: np.ndarray | None = None) -> Side:
    return Side(np.empty((n, 0), np.float32), np.empty((n, 0), np.float32), None, index)


@pytest.mark.parametrize("images", [1, 2, 3, 7, 40, 10**6])
def test_parts_change_nothing_and_keep_to_their_size(images: int) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.standard_normal((40, 1, 20, 20)).astype(np.float32)
    first, second = Counted(pixels), Counted(pixels[:30])
    candidates = np.stack([rng.integers(5, 40, 300), rng.integers(0, 30, 300)], axis=1)
    found = exact(candidates, (first, second), (side(40), side(30)), images)
    rows = normalised_rows(pixels)
    assert np.array_equal(found, correlations(rows, rows, candidates[:, 0].copy(), candidates[:, 1].copy()))
    for a, b in zip(first.taken, second.taken, strict=True):
        assert len(a) + len(b) <= max(images, 2)
        assert (np.diff(a) > 0).all() and (np.diff(b) > 0).all()  # each once, in the order of the file
    if images >= 70:
        assert len(first.taken) == 1


def test_rows_of_some_images_are_decided_by_these() -> None:
    pixels = np.random.default_rng(1).standard_normal((9, 1, 20, 20)).astype(np.float32)
    source, index = ArraySource(pixels), np.array([2, 5, 6, 8])
    sides = (side(4, index), side(4, index))
    found = exact(np.array([[3, 0], [1, 2]]), (source, source), sides, 4)
    rows = normalised_rows(pixels)
    assert np.array_equal(found, correlations(rows, rows, np.array([8, 5]), np.array([2, 6])))


def test_no_candidates_read_nothing() -> None:
    source = Counted(np.ones((2, 1, 20, 20), np.float32))
    assert len(exact(np.empty((0, 2), np.int64), (source, source), (side(2), side(2)), 4)) == 0
    assert not source.taken


def test_pooling_by_single_pixels_keeps_no_minus_of_zero() -> None:
    rng = np.random.default_rng(2)
    half = rng.integers(-1, 2, (20, 2, 10, 20)).astype(np.float32)
    pixels = np.concatenate([half, -half], axis=2)  # of mean zero, which takes nothing off
    assert np.signbit(pixels[pixels == 0]).any()
    doubled = np.kron(pixels, np.ones((1, 1, 2, 2), np.float32))  # windows of 2x2, of equal pixels
    assert normalised_rows(pixels).tobytes() == normalised_rows(doubled).tobytes()
