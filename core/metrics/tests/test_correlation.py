import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn, idctn

from core.errors import InputError
from core.metrics.correlation import band, correlation, correlation_matrix, remove_mean
from core.metrics.neighbours import Neighbours, merge_top, nearest


def _images(n: int, seed: int, size: int = 8) -> torch.Tensor:
    return torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(seed))


def test_equals_numpy() -> None:
    a, b = _images(5, 0), _images(7, 1)
    expected = np.corrcoef(a.reshape(5, -1).double(), b.reshape(7, -1).double())[:5, 5:]
    np.testing.assert_allclose(correlation_matrix(a, b), expected, atol=1e-13)
    np.testing.assert_allclose(correlation(a, b[:5]), np.diag(expected), atol=1e-13)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 100), st.floats(-5, 5))
def test_blind_to_contrast_and_brightness(scale: float, shift: float) -> None:
    a = _images(3, 0).double()
    np.testing.assert_allclose(correlation(a, scale * a + shift), 1.0, atol=1e-9)
    np.testing.assert_allclose(correlation(a, shift - scale * a), -1.0, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_constant_images_are_refused(value: float) -> None:
    images = _images(4, 0)
    images[2] = value
    with pytest.raises(InputError, match="image 2 is constant"):
        correlation(images, _images(4, 1))


def test_missing_values_are_refused() -> None:
    images = _images(4, 0)
    images[3, 0, 1, 1] = torch.nan
    with pytest.raises(InputError, match="image 3 holds missing"):
        nearest(images, _images(9, 1), 2)


@pytest.mark.parametrize("tile", [1, 7, 100, 1000])
@pytest.mark.parametrize("absolute", [False, True])
def test_nearest_equals_brute_force_whatever_the_tile(tile: int, absolute: bool) -> None:
    queries, train = _images(6, 0), _images(100, 1)
    train[40:50] = train[:10]  # exact copies: ties go to the smaller index
    found = nearest(queries, train, 20, absolute=absolute, tile=tile)
    matrix = correlation_matrix(queries, train)
    matrix = (matrix.abs() if absolute else matrix).round(decimals=12)
    order = np.lexsort((np.broadcast_to(np.arange(100), matrix.shape), -matrix.numpy()))[:, :20]
    np.testing.assert_array_equal(found.index, order)
    np.testing.assert_allclose(found.value, matrix.gather(1, found.index), atol=1e-12)


def test_k_best_with_more_ties_than_places() -> None:
    best: Neighbours | None = None
    for start in (0, 3):
        best = merge_top(best, torch.full((1, 3), 0.5), start, 2)
    assert best is not None and best.index.tolist() == [[0, 1]]


@pytest.mark.parametrize("k", [0, 10])
def test_k_beyond_the_set_is_refused(k: int) -> None:
    with pytest.raises(InputError, match=f"k = {k}"):
        nearest(_images(2, 0), _images(9, 1), k)


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match="one shape"):
        nearest(_images(2, 0), _images(9, 1, size=10), 1)


def test_removing_the_mean_removes_what_a_group_shares() -> None:
    face = 10 * _images(1, 9)
    a, b = _images(6, 0) + face, _images(6, 1) + face
    assert correlation(a, b).min() > 0.9
    assert correlation(remove_mean(a), remove_mean(b)).abs().max() < 0.6
    torch.testing.assert_close(remove_mean(a, face[0]), a - face[0])


def test_band_is_a_cosine_filter_and_bands_add_up() -> None:
    images = _images(3, 0, size=12)
    spectrum = dctn(images.double().numpy(), axes=(2, 3), norm="ortho")
    u = np.arange(12) / 2
    spectrum[..., np.hypot(u[:, None], u) >= 2] = 0
    np.testing.assert_allclose(band(images, 0, 2), idctn(spectrum, axes=(2, 3), norm="ortho"), atol=1e-6)
    torch.testing.assert_close(band(images, 0, 2) + band(images, 2, 99), images)
    with pytest.raises(InputError, match="low = 3"):
        band(images, 3, 2)
