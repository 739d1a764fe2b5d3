"""Figures beside the report: vectors for curves, every pixel of an image as it was, the same bytes again."""

import base64
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from reports.drawing import compact, drawn, label_logarithms, labels_stand_apart, smallest_png


def curve(points: int = 5) -> Figure:
    figure, axes = plt.subplots()
    rng = np.random.default_rng(0)
    axes.plot(rng.normal(size=points), rng.normal(size=points), "o", label="measured 0.12345")
    axes.legend()
    plt.close(figure)
    return figure


def test_a_curve_is_drawn_as_a_vector_with_its_words_as_text() -> None:
    suffix, data = drawn(curve())
    assert suffix == ".svg" and data.startswith(b"<?xml") and b"measured 0.12345" in data
    assert b"<metadata" not in data and b"DejaVu" not in data


def test_formulas_are_written_with_their_signs() -> None:
    figure, axes = plt.subplots()
    axes.plot([0, 1], label="sigma^2 of C^4 images, alphabet")
    axes.set_title("$\\sigma^2$")
    axes.legend()
    plt.close(figure)
    text = drawn(figure)[1].decode()
    assert "σ² of C⁴ images, alphabet" in text and "^" not in text


def test_the_same_figure_has_the_same_bytes() -> None:
    assert drawn(curve()) == drawn(curve())


def test_a_cloud_of_points_is_kept_as_pixels_where_these_are_fewer_bytes() -> None:
    suffix, data = drawn(curve(50_000))
    assert suffix == ".png" and data.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((0.03, 0.3), ["0.05", "0.1", "0.2"]),  # one power of ten: what matplotlib writes between runs together
        ((12, 90), ["20", "50"]),
    ],
)
def test_the_labels_of_a_short_logarithmic_axis_are_few(values: tuple[float, float], labels: list[str]) -> None:
    figure, axes = plt.subplots()
    axes.plot(values, [0, 1])
    axes.set(xscale="log", xlim=values, yticks=[])
    plt.close(figure)
    _, data = drawn(figure)
    told = re.findall(rb"<(?:text|tspan)[^>]*>([^<]*)<", data)
    assert [text.decode() for text in told if text.strip() and text != b"10"] == labels


def test_labels_of_many_digits_stand_apart() -> None:
    """Two decades in half of a figure: 2,000, 5,000, 10,000, 20,000 and 50,000 would run into each other."""
    figure, panels = plt.subplots(1, 2, figsize=(7, 2.8))
    for axes, span in zip(panels, ((1500, 90_000), (15, 900)), strict=True):
        axes.plot(span, [1, 2])
        axes.set(xscale="log", xlim=span)
    label_logarithms(figure)
    told = [[label.get_text() for label in axes.get_xticklabels()] for axes in panels]
    assert all(labels_stand_apart(axes.xaxis) for axes in panels)
    assert told[1] == ["20", "50", "100", "200", "500"] and 1 < len(told[0]) < 5
    panels[0].set_xticks([2000, 5000, 10_000, 20_000, 50_000])
    assert not labels_stand_apart(panels[0].xaxis)
    plt.close(figure)


def test_chosen_ticks_stay_as_they_are() -> None:
    figure, axes = plt.subplots()
    axes.plot([4, 9], [0, 1])
    axes.set(xscale="log", yticks=[])
    axes.set_xticks([4, 6, 9], labels=["four", "six", "nine"])
    axes.minorticks_off()
    plt.close(figure)
    _, data = drawn(figure)
    assert all(word in data for word in (b"four", b"six", b"nine"))


def test_a_tile_keeps_its_pixels_unsmoothed() -> None:
    rng = np.random.default_rng(0)
    tile = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    figure, axes = plt.subplots()
    axes.imshow(tile, cmap="gray", vmin=0, vmax=255)
    plt.close(figure)
    suffix, data = drawn(figure)
    assert suffix == ".svg" and b"image-rendering" in data
    (found,) = re.findall(rb"data:image/png;base64,([A-Za-z0-9+/=]+)", data)
    kept = Image.open(io.BytesIO(base64.b64decode(found)))
    assert kept.mode == "L" and np.abs(np.asarray(kept).astype(int) - tile).max() <= 1  # the colour map rounds


@pytest.mark.parametrize("colours", [2, 200, 5000])
def test_fewer_bytes_of_a_picture_are_the_same_pixels(colours: int) -> None:
    rng = np.random.default_rng(colours)
    palette = rng.integers(0, 256, (colours, 3), dtype=np.uint8)
    pixels = palette[rng.integers(0, colours, (80, 80))]
    out = io.BytesIO()
    Image.fromarray(pixels).convert("RGBA").save(out, format="PNG")
    small = smallest_png(out.getvalue())
    assert (
        len(small) < len(out.getvalue()) and (np.asarray(Image.open(io.BytesIO(small)).convert("RGB")) == pixels).all()
    )


def test_numbers_in_words_stay_whole() -> None:
    svg = '<svg><path d="M 1.23456 2\nL 3.99999 4"/><text>1.23456</text></svg>'
    assert compact(svg) == '<svg><path d="M 1.23 2 L 3.99 4"/><text>1.23456</text></svg>'
