"""Arrays of every layout, type and size, against a counter of its own in plain numpy float64."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data.layout import find_axes
from core.dedup.definition import normalised_rows, pooled_grid
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.dedup.search import near_duplicates
from core.dedup.tests.duplicates import found
from core.errors import InputError
from core.tests.thorough import THOROUGH

TYPES = ("u1", "i1", "u2", "i2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">f8", ">u2")


def shares(pixels: int, windows: int) -> np.ndarray:
    """(windows, pixels): which share of a window each pixel has, where all windows are equally long."""
    edges = np.arange(windows + 1) * pixels / windows
    low, high = np.maximum.outer(edges[:-1], np.arange(pixels)), np.minimum.outer(edges[1:], np.arange(1, pixels + 1))
    return (high - low).clip(0) * windows / pixels


def plain_correlations(images: np.ndarray, size: int) -> np.ndarray:
    """(n, n) absolute correlations of (n, c, h, w) pixels; of constant images, whether they are equal."""
    exact = images.astype(np.longdouble)
    exact -= exact.min(axis=(1, 2, 3), keepdims=True)
    span = exact.max(axis=(1, 2, 3), keepdims=True)
    exact = (exact / np.where(span > 0, span, 1)).astype(np.float64)
    h, w = images.shape[2:]
    rows = min(size, h)
    columns = max(1, int(np.floor(rows * w / h + 0.5)))
    pooled = np.einsum("rh,nchw,qw->ncrq", shares(h, rows), exact, shares(w, columns)).reshape(len(images), -1)
    spread = np.ptp(pooled, axis=1)
    pooled = pooled - pooled.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(pooled, axis=1, keepdims=True)
    pooled = np.divide(pooled, norms, out=np.zeros_like(pooled), where=norms > 0)
    flat = images.reshape(len(images), -1)
    constant = (flat == flat[:, :1]).all(axis=1) | (spread <= 1e-14)
    values = np.abs(pooled @ pooled.T)
    equal = (flat[:, None] == flat[None]).all(axis=2)
    return np.where(
        constant[:, None] & constant[None], equal * 1.0, np.where(constant[:, None] ^ constant[None], 0, values)
    )


@st.composite
def arrays(draw: st.DrawFn) -> tuple[np.ndarray, str, int]:
    """Images as (n, c, h, w) of any type, the layout in which they are handed over, and a number of pooled rows."""
    layout = draw(st.sampled_from(["nchw", "nhwc", "nhw"]))
    channels = 1 if layout == "nhw" else draw(st.sampled_from([1, 3, 4]))
    h, w, n = draw(st.integers(5, 31)), draw(st.integers(5, 31)), draw(st.integers(1, 24))
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = rng.random((n, channels, h, w))
    for k in range(1, n):
        other, how = images[rng.integers(k)], draw(st.sampled_from("....cnbkK"))
        if how == "c":
            images[k] = other
        elif how == "n":
            images[k] = 1 - other
        elif how == "b":
            images[k] = (other + 0.2 * rng.random(other.shape)) / 1.2
        elif how in "kK":
            images[k] = rng.choice([0.0, 0.5, 1.0])
    pedestal = 0.0
    if dtype.kind == "f":
        pedestal, scale = draw(
            st.sampled_from([(0.0, 1.0), (0.0, 255.0)] + [(1e5, 1.0), (1e12, 1e3)] * (dtype.itemsize == 8))
        )
        if dtype.itemsize == 8:
            scale *= draw(st.sampled_from([1.0, 1.0, 1e-200, 1e200])) if not pedestal else 1.0
    else:
        limits = np.iinfo(str(dtype))
        scale = float(min(limits.max, draw(st.sampled_from([100, 2**40]))))
        pedestal = draw(st.sampled_from([0, limits.min, limits.max - int(scale)]))
        whole = np.round(images * scale).astype(np.uint64) + np.uint64(pedestal % 2**64)
        return whole.astype(dtype.newbyteorder("=")).astype(dtype), layout, draw(st.integers(1, 24))
    return (images * scale + pedestal).astype(dtype), layout, draw(st.integers(1, 24))


@settings(max_examples=3000 if THOROUGH else 120, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=arrays(), threshold=st.sampled_from([0.5, 0.95, 0.999]), files=st.booleans())
def test_the_answer_is_that_of_float64(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[np.ndarray, str, int], threshold: float, files: bool
) -> None:
    images, layout, size = drawn
    values = plain_correlations(images, size)
    given_as = images.transpose(0, 2, 3, 1) if layout == "nhwc" else images[:, 0] if layout == "nhw" else images
    axes = None if layout == "nhw" else layout
    options: dict[str, Any] = {"threshold": threshold, "size": size}
    if layout == "nhw" and images.shape[3] in (1, 3, 4):
        return
    if files:
        folder = tmp_path_factory.mktemp("fuzz", numbered=True)
        np.save(folder / "x.npy", given_as)
        result = run([find_input(folder / "x.npy", axes=axes)], folder / "out", Options(**options, memory="32MB"))
        assert result["counts"]["images"] == [len(images)]
        lines = [line.split("\t")[0] for line in (folder / "out" / "removed.txt").read_text().splitlines()]
        later = np.any(np.triu(values > threshold, 1), axis=0)
        sure = np.all(np.abs(values - threshold) >= 1e-9, axis=0)
        assert {int(name) for name in lines if sure[int(name)]} == set(np.flatnonzero(later & sure).tolist())
        return
    pairs = found(near_duplicates(given_as, axes=axes, memory="32MB", **options))
    i, j = np.triu_indices(len(images), 1)
    for a, b, value in zip(i.tolist(), j.tolist(), values[i, j].tolist(), strict=True):
        assert abs(value - threshold) < 1e-9 or ((a, b) in pairs) == (value > threshold), (a, b, value)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((60, 40, 40, 4), "nhwc"),
        ((50, 32, 32, 3), "nhwc"),
        ((50, 28, 28, 1), "nhwc"),
        ((5, 178, 218, 3), "nhwc"),
        ((50, 3, 32, 32), "nchw"),
        ((50, 1, 4, 4), "nchw"),
        ((50, 4, 4, 1), "nhwc"),
        ((50, 2, 6, 6), "nchw"),
        ((50, 5, 20, 30), "nchw"),
        ((50, 28, 28), "nhw"),
        ((50, 400), "nd"),
    ],
)
def test_axes_that_are_clear(shape: tuple[int, ...], axes: str) -> None:
    assert find_axes(shape, None, "x")[0] == axes


@pytest.mark.parametrize(
    "shape", [(5, 4, 4, 4), (5, 3, 40, 4), (5, 40, 40, 2), (5, 16, 4, 4), (5, 8, 8, 8), (5, 3, 3, 40), (5, 20, 30, 5)]
)
def test_axes_that_are_not_clear_are_asked_for(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="--axes nchw or --axes nhwc says which"):
        find_axes(shape, None, "x")
    for axes in ("nchw", "nhwc"):
        assert find_axes(shape, axes, "x")[0] == axes


def test_channels_last_is_read_so_and_said(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 40, 40, 4), dtype=np.uint8)
    images[..., 3] = 255
    images[30] = images[7]
    np.save(tmp_path / "x.npy", images)
    result = run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options(threshold=0.999))
    assert result["inputs"][0]["shape"] == [60, 4, 40, 40] and result["counts"]["pairs"] == 1
    assert "read as channels last (n, h, w, c): images of 40x40, channels 4" in result["looked_at"]["sets"][0]["remark"]
    np.save(tmp_path / "y.npy", images.transpose(0, 3, 1, 2))
    other = run([find_input(tmp_path / "y.npy")], tmp_path / "out2", Options(threshold=0.999))
    assert other["inputs"][0]["sha256_of_image_sha256s"] == result["inputs"][0]["sha256_of_image_sha256s"]


def test_a_pedestal_costs_no_digits() -> None:
    """Through float32, values of 1e5 keep two digits behind the point, those of 1e12 none."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((60, 1, 40, 40))
    noise[40:] = noise[:20] + 0.31 * rng.standard_normal((20, 1, 40, 40))
    truth = found(near_duplicates(noise))
    assert len(truth) == 20
    assert found(near_duplicates(noise + 1e5)) == truth
    assert found(near_duplicates(np.round(noise * 2**10).astype(np.int64) + 2**62)) == truth
    with_pedestal = found(near_duplicates(noise * 1e3 + 1e12))
    assert with_pedestal == truth
    assert found(near_duplicates((noise + 1e7).astype(np.float32))) != truth


@pytest.mark.parametrize("value", [0.1, 0.3, 1 / 3])
@pytest.mark.parametrize("side", [20, 28, 60])
def test_a_constant_image_has_a_row_of_zeros_at_any_value_and_size(value: float, side: int) -> None:
    for dtype in (np.float32, np.float64):
        assert not normalised_rows(np.full((1, 3, side, side), value, dtype=dtype)).any()


@pytest.mark.parametrize(
    ("shape", "grid"),
    [((28, 28), (20, 20)), ((8, 8), (8, 8)), ((60, 80), (20, 27)), ((80, 60), (20, 15)), ((100, 1), (20, 1))],
)
def test_a_rectangle_keeps_its_own_grid(shape: tuple[int, int], grid: tuple[int, int]) -> None:
    assert pooled_grid(shape) == grid


def test_rectangles_that_stand_and_lie_are_not_compared() -> None:
    one, other = np.random.default_rng(0).random((2, 1, 20, 40)), np.random.default_rng(1).random((2, 2, 20, 20))
    with pytest.raises(
        InputError, match=r"against: is pooled to 2x20x20 \(channels, rows, columns\), expected 1x20x40"
    ):
        near_duplicates(one, other, axes="nchw")


def test_a_picture_is_found_at_another_size() -> None:
    rng = np.random.default_rng(0)
    small = rng.random((6, 1, 4, 4), dtype=np.float32).repeat(5, axis=2).repeat(5, axis=3)
    large = small.repeat(7, axis=2).repeat(7, axis=3)[:, :, :140, :140]
    assert found(near_duplicates(small, large, threshold=0.999)) == {(k, k) for k in range(6)}
