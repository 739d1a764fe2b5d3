"""Pictures that more than one claim draws."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from core.stats import Interval

BELOW: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.18)}  # of a legend that would hide curves


def plot_rows(rows: Sequence[tuple[str, Tensor]], columns: int = 12) -> Figure:
    """Named rows of (n, 1, h, w) images in [0, 1], the first `columns` of each."""
    figure, axes = plt.subplots(len(rows), 1, figsize=(7, 0.6 * len(rows)))
    for axis, (name, images) in zip(np.atleast_1d(axes), rows, strict=True):
        axis.imshow(torch.cat(list(images[:columns, 0]), dim=1).clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        axis.spines[:].set_visible(False)
    return figure


def draw_with_intervals(
    axes: Axes,
    at: Sequence[float] | np.ndarray,
    found: Sequence[tuple[float, Interval]],
    style: str,
    label: str | None = None,
    *,
    across: bool = False,
) -> None:
    """Values with their intervals as bars, upwards from `at`, or to the right of it where `across`."""
    values = [value for value, _ in found]
    bars = np.transpose([[value - i.low, i.high - value] for value, i in found]).clip(0)
    if across:
        axes.errorbar(values, at, xerr=bars, fmt=style, capsize=2, label=label)
    else:
        axes.errorbar(at, values, bars, fmt=style, capsize=2, label=label)
