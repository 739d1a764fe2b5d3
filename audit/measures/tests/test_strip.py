"""What is shown of samples from the same noise: the first seeds, and the right training image beside each."""

from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch
from torch import Tensor

from audit.measures.fine_detail import fine_detail, fine_power
from audit.measures.strip import SHOWN, same_noise
from audit.plots.agreement import plot_strip
from core.training.cells import Cell
from fixtures.experiments.experiment import HEUN


class Pairs:
    """Samples and training images that are known: A returns its images, A' them brightened, B images of its own."""

    trainings = range(2)

    def __init__(self) -> None:
        images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        self.own = {"A": images[:20], "B": images[20:]}

    def images(self, cell: Cell) -> Tensor:
        return self.own[cell.group]

    def samples(self, cell: Cell, *, sampler: str) -> Tensor:
        assert sampler == HEUN
        return self.own[cell.group].flip(0) * (1 - 0.5 * cell.training)


def test_the_nearest_training_image_of_a_copy_is_the_image_itself() -> None:
    pairs: Any = Pairs()
    shown = same_noise(pairs, 20)
    assert list(shown.images) == ["A", "A'", "B", "nearest to A", "nearest to B"]
    assert all(len(images) == SHOWN for images in shown.images.values())
    for group in "AB":
        assert torch.equal(shown.images[f"nearest to {group}"], shown.images[group])
    rows = shown.rows()
    assert [row["seed"] for row in rows] == list(range(SHOWN)) and {row["N"] for row in rows} == {20}
    for row in rows:
        assert row["A with A'"] == pytest.approx(1) and row["nearest to A"] == pytest.approx(1)
        assert abs(row["A with B"]) < 0.5


def test_the_strip_shows_every_pixel_of_every_row() -> None:
    pairs: Any = Pairs()
    shown = same_noise(pairs, 20)
    figure = plot_strip([shown, shown])
    plt.close(figure)
    for axes in figure.axes:
        assert axes.images[0].get_array().shape == (5 * 8, SHOWN * 8)  # type: ignore[union-attr]
        assert axes.get_title() == "N = 20"


def test_copies_have_the_power_of_their_images_and_half_as_bright_ones_a_quarter() -> None:
    pairs: Any = Pairs()
    assert fine_detail(pairs, 20).estimate == pytest.approx((1 + 0.25) / 2)


def test_smooth_samples_are_told_from_fine_ones() -> None:
    pairs: Any = Pairs()
    fine, plain = pairs.own["A"], torch.ones(1, 1, 8, 8)
    smooth = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(fine, 4), 8)
    assert fine_power(smooth).mean() < 0.5 * fine_power(fine).mean()
    assert fine_power(plain).item() == pytest.approx(0)
