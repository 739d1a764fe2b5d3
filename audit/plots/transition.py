"""Pictures of the transition from memorisation to generalisation as the training set grows."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from audit.measures.record import SEED
from audit.measures.rules import COPY_CORRELATION
from audit.plots.shared import draw_with_intervals
from core.stats import bootstrap_mean
from core.theory.critical_size import HALF, Crossing
from fixtures.experiments.critical import NetworkSetting


def mean_and_bars(axes: Axes, sizes: Sequence[int], values: np.ndarray, style: str, label: str) -> None:
    """Mean over the last axis of (sizes, seeds) values with bootstrap intervals."""
    rows = [(float(v.mean()), bootstrap_mean(v, seed=SEED, over="seeds")) for v in values]
    draw_with_intervals(axes, sizes, rows, style, label)


def size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    """Set sizes on a logarithmic axis, ticks at those tried."""
    axes.set(xscale="log", xlabel="training images N")
    axes.set_xticks(list(sizes), labels=[f"{n:,}" for n in sizes])
    axes.minorticks_off()


def plot_transition(
    sizes: Sequence[int], agreement: np.ndarray, near: np.ndarray, found: Mapping[str, Crossing]
) -> Figure:
    """Agreement, correlation with the nearest training image and share of copies by N, with the crossings."""
    figure, axes = plt.subplots(figsize=(6, 3.4))
    mean_and_bars(axes, sizes, agreement, "C0o-", "agreement of A and B")
    mean_and_bars(axes, sizes, near.mean(axis=1), "C1s-", "nearest training image")
    mean_and_bars(axes, sizes, (near > COPY_CORRELATION).mean(axis=1), "C3^--", "share of copies")
    for (name, c), colour in zip(found.items(), ("C0", "C2", "C3"), strict=True):
        low, high = max(c.interval.low, sizes[0]), min(c.interval.high, sizes[-1])
        if low < high:
            axes.axvspan(low, high, color=colour, alpha=0.12, lw=0, label=f"critical size: {name}")
    size_axis(axes, sizes)
    axes.set(ylabel="correlation, share", ylim=(-0.05, 1.05))
    axes.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def plot_critical_settings(
    groups: Mapping[str, Mapping[int, NetworkSetting]], sizes: Sequence[int], near: Mapping[NetworkSetting, np.ndarray]
) -> Figure:
    """Share of copies by N for every network width and every image size."""
    figure, panels = plt.subplots(1, len(groups), figsize=(7, 2.8), sharey=True)
    for axes, (name, members) in zip(np.atleast_1d(panels), groups.items(), strict=True):
        for k, setting in enumerate(members.values()):
            mean_and_bars(axes, sizes, near[setting] > COPY_CORRELATION, f"C{k}o-", str(setting))
        axes.axhline(HALF, color="0.7", lw=0.8, ls=":")
        size_axis(axes, sizes)
        axes.set(title=f"by {name}", ylim=(-0.05, 1.05))
        axes.legend(frameon=False, fontsize=8)
    np.atleast_1d(panels)[0].set_ylabel("share of copies")
    return figure
