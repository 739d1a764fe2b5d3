"""Pictures of what other authors' published figures show."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from fixtures.published.verkhovensky import Ending


def plot_figure_1(tiles: np.ndarray, found: Mapping[str, Tensor], sizes: Sequence[int], rows: Sequence[str]) -> Figure:
    """The published tiles (4, 6, h, w) as read, and the correlations among them by set size."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), width_ratios=(1.2, 1))
    side = tiles.shape[-1]
    left.imshow(np.concatenate([np.concatenate(list(row), axis=1) for row in tiles]), cmap="gray", vmin=0, vmax=255)
    left.set_xticks([side * (k + 0.5) for k in range(len(sizes))], [f"{size:,}" for size in sizes], fontsize=7)
    left.set_yticks([side * (k + 0.5) for k in range(len(rows))], rows, fontsize=7)
    for name, values in found.items():
        right.plot(sizes, values.numpy(), marker=".", label=name)
    right.set(xscale="log", xlabel="training images", ylabel="correlation")
    right.legend(frameon=False, fontsize=7)
    return figure


def plot_endings(
    names: Mapping[str, str],
    endings: Mapping[str, Ending],
    words: Mapping[str, float],
    windows: Mapping[str, tuple[float, float]],
) -> Figure:
    """Where each published line ends, the README's word for it, and the window of this project's own run."""
    figure, axes = plt.subplots(figsize=(6, 1.8))
    for row, line in enumerate(names):
        axes.plot(windows[line], (row, row), lw=6, alpha=0.3, color="C0", label=None if row else "this project's run")
        axes.plot(endings[line].value, row, "k|", ms=14, label=None if row else "published figure, read off")
        axes.plot(words[line], row, "C3x", label=None if row else "README's words")
    axes.set(yticks=range(len(names)), xlabel="standardised distance", ylim=(-0.6, len(names) - 0.4))
    axes.set_yticklabels(names.values(), fontsize=8)
    axes.legend(frameon=False, fontsize=7, ncols=3, loc="lower center", bbox_to_anchor=(0.4, 1))
    return figure


def plot_falls(shifts: Sequence[float], falls: Mapping[str, Sequence[float]], threshold: float) -> Figure:
    """Mean correlation of an image with its brightened self by the shift, one line a treatment."""
    figure, axes = plt.subplots(figsize=(5.5, 3))
    for name, values in falls.items():
        axes.plot(shifts, values, marker=".", label=name)
    axes.axhline(threshold, color="0.5", ls=":", lw=0.9, label="threshold of a near-duplicate")
    axes.set(xlabel="brightness added to every pixel of [0, 1]", ylabel="correlation with the original")
    axes.legend(frameon=False, fontsize=7)
    return figure


def plot_costs(costs: Mapping[float, float]) -> Figure:
    """Squared error that wrong weights add, as a share of the least, by noise level."""
    figure, axes = plt.subplots(figsize=(5, 3))
    axes.plot(list(costs), list(costs.values()), marker=".")
    axes.set(xscale="log", xlabel="noise level", ylabel="added error / least error")
    return figure
