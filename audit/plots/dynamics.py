"""Pictures of the claims about training dynamics."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from audit.plots.shared import BELOW, draw_with_intervals
from core.stats import Interval
from core.theory.mixtures import Curves
from core.theory.random_features import RandomFeatures, bulk

PRINTED = (10.0, 15.0)  # distances in the published README: to a centre, to a training point


def plot_dynamics(found: Curves, epoch: int, levels: Mapping[str, float], title: str) -> Figure:
    """The published picture drawn again: both distances by epoch, on a logarithmic scale.

    Bands hold the middle four fifths of the samples; the first epochs, far above, are cut off. Beside them what exact
    samples have and what the README printed.
    """
    figure, axes = plt.subplots(figsize=(6.5, 3.4))
    epochs = found.steps / epoch
    values = (found.to_centre, found.to_train)
    for (name, level), x, printed, colour in zip(levels.items(), values, PRINTED, ("C0", "C1"), strict=True):
        by_look = x.double().transpose(0, 1).flatten(1)  # (e, samples)
        low, high = torch.quantile(by_look, torch.tensor([0.1, 0.9], dtype=torch.float64), dim=1)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.2, lw=0)
        axes.plot(epochs, by_look.mean(dim=1), color=colour, marker=".", label=name)
        axes.axhline(level, color=colour, lw=0.9, ls=":", label=f"expected of fresh points: {level:.1f}")
        axes.axhline(printed, color=colour, lw=0.9, ls="--", label=f"printed: {printed:g}")
    axes.set(xlabel="epochs", ylabel="standardised distance", yscale="log", ylim=(8, 60), title=title)
    axes.set_yticks([8, 10, 12, 15, 20, 40], ["8", "10", "12", "15", "20", "40"])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=7, ncols=2)
    return figure


def plot_settings(settings: Mapping[str, Mapping[str, int]]) -> Figure:
    """What the README and the script set, side by side."""
    names = list(next(iter(settings.values())))
    figure, panels = plt.subplots(1, len(names), figsize=(2.4 * len(names), 2.2))
    for axes, name in zip(panels, names, strict=True):
        bars = axes.bar(list(settings), [each[name] for each in settings.values()], color=["C0", "C1"])
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=8)
        axes.set(title=name, yticks=[])
        axes.margins(y=0.2)
    return figure


def plot_shares(found: Mapping[str, tuple[float, Interval]]) -> Figure:
    """A share found in each case, with its interval."""
    figure, axes = plt.subplots(figsize=(5, 0.4 * len(found) + 0.6))
    rows = np.arange(len(found))
    draw_with_intervals(axes, rows, list(found.values()), "o", across=True)
    axes.set_yticks(rows, list(found), fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="share found", xlim=(-0.03, 1.03))
    return figure


def plot_exact(samplers: Mapping[str, Sequence[Tensor]], lines: Mapping[str, float], axes: Axes, title: str) -> None:
    """Distances of exact samplers to a centre and to a training point, and where closed forms put them."""
    for k, (name, parts) in enumerate(samplers.items()):
        for what, x, hatch in zip(("to a centre", "to a training point"), parts, (None, "///"), strict=True):
            weights = np.full(len(x), 1 / len(x))
            bins = np.linspace(0, 18, 73).tolist()
            axes.hist(x.numpy(), bins, weights=weights, color=f"C{k}", alpha=0.5, hatch=hatch, label=f"{name}, {what}")
    for k, (name, at) in enumerate(lines.items()):
        axes.axvline(at, color="k", lw=1, ls=("-", "--", ":", "-.")[k % 4], label=f"{name}: {at:.2f}")
    axes.set(xlabel="standardised distance", ylabel="share of samples", title=title)
    axes.legend(frameon=False, fontsize=8, **BELOW)


def plot_law(found: Mapping[int, Any], what: str, label: str, level: float) -> Figure:
    """One measure of curves by training time, and by time over N: times in proportion to N fall on one curve there."""
    figure, panels = plt.subplots(1, 2, figsize=(7, 2.8), sharey=True)
    for k, (n, c) in enumerate(found.items()):
        values = getattr(c, what).double()
        for axes, time in zip(panels, (c.steps, c.steps / n), strict=True):
            axes.plot(time, values.T, color=f"C{k}", lw=0.5, alpha=0.5)
            axes.plot(time, values.nanmean(0), color=f"C{k}", label=f"N = {n}")
    _times(panels, "steps", level)
    panels[0].set(ylabel=label, yscale="linear" if what == "memorised" else "log")
    panels[0].legend(frameon=False, fontsize=8)
    return figure


def plot_order(good: Any, copies: Any) -> Figure:
    """When samples became good and when copies appeared, by N; a triangle is a training that ended before.

    Each has `sizes`, `times` (sizes, trainings), infinite for never, and `ends`, the last look of each size.
    """
    figure, axes = plt.subplots(figsize=(4.4, 2.8))
    for found, colour, label in ((good, "C0", "good samples"), (copies, "C3", "copies")):
        for k, (n, row, end) in enumerate(zip(found.sizes, found.times, found.ends, strict=True)):
            crossed = np.isfinite(row)
            axes.plot(np.full(crossed.sum(), n), row[crossed], "o", color=colour, label=None if k else label)
            axes.plot(np.full((~crossed).sum(), n), np.full((~crossed).sum(), end), "^", mfc="none", color=colour)
    axes.set(xscale="log", yscale="log", xlabel="training points or images N", ylabel="training time")
    axes.set_xticks(list(good.sizes), labels=[f"{n:,}" for n in good.sizes])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    return figure


def plot_features(found: Mapping[int, Sequence[RandomFeatures]], times: Tensor, best: float, level: float) -> Figure:
    """Training and test loss of the random-features model over time, and against time over N."""
    figure, panels = plt.subplots(1, 2, figsize=(7, 2.8), sharey=True)
    for k, (n, models) in enumerate(found.items()):
        for axes, time in zip(panels, (times, times / n), strict=True):
            axes.plot(time, models[0].test, color=f"C{k}", label=f"N = {n}")
            axes.plot(time, models[0].train, color=f"C{k}", ls="--")
            axes.axhline(best, color="k", lw=0.5)
    _times(panels, "training time", level)
    panels[0].set(ylabel="loss (test full, training dashed)", ylim=(0, 1.5))
    panels[0].legend(frameon=False, fontsize=8)
    return figure


def plot_spectrum(found: Mapping[int, Sequence[RandomFeatures]], noise: float) -> Figure:
    """Eigenvalues of the training kernel by N; shaded where those that belong to single points are expected."""
    figure, panels = plt.subplots(len(found), 1, figsize=(6, 1.1 * len(found) + 0.6), sharex=True, squeeze=False)
    for k, (axes, (n, models)) in enumerate(zip(panels[:, 0], found.items(), strict=True)):
        values = models[0].eigenvalues.clamp_min(1e-12).numpy()
        axes.hist(values, bins=np.geomspace(values.min(), values.max(), 80).tolist(), color=f"C{k}")
        axes.axvspan(*bulk(len(values), n, noise), color="0.85", zorder=0)
        axes.set(xscale="log", yscale="log", ylabel=f"N = {n}")
    panels[-1, 0].set(xlabel="eigenvalue (one over it: training time)")
    return figure


def _times(panels: Sequence[Axes], name: str, level: float) -> None:
    for axes, label in zip(panels, (name, f"{name} / N"), strict=True):
        axes.set(xscale="log", xlabel=label)
        axes.axhline(level, color="k", lw=0.5, ls=":")
