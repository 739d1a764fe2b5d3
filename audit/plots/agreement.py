"""Picture of same-noise agreement by set size, beside its ceiling, its floor and what is beyond one Gaussian."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from audit.measures.agreement import AtSize
from audit.measures.strip import SameNoise
from core.stats.crossed import SAMPLING, Crossed, crossed_mean
from fixtures.experiments.experiment import HEUN, PUBLISHED

TITLES = {PUBLISHED: "published sampler", HEUN: "sampler without noise of its own"}


def plot_agreement(sizes: Mapping[str, Sequence[AtSize]]) -> Figure:
    """Top: agreement of A and B by N with ceiling and floor; bottom: the same of what one Gaussian leaves."""
    figure, axes = plt.subplots(
        2, len(sizes), figsize=(4.2 * len(sizes), 6.2), sharex=True, sharey="row", squeeze=False
    )
    for column, (sampler, found) in enumerate(sizes.items()):
        top, bottom = axes[:, column]
        at = np.arange(len(found))
        mismatched(top, at, [size.plain.halves.mismatched for size in found])
        curve(top, at - 0.08, [size.plain.ceilings[0] for size in found], "C2", "^", "ceiling: same images, A with A'")
        curve(top, at + 0.08, [size.plain.ceilings[1] for size in found], "C2", "v", "ceiling: same images, B with B'")
        curve(top, at, [size.plain.agreement for size in found], "C0", "o", "disjoint images: A with B")
        floor = [size.floor.agreement.same.mean() for size in found]
        top.plot(at, floor, "s--", color="C1", markersize=4, label="floor: Wiener of A with Wiener of B")
        top.set(title=TITLES[sampler])
        mismatched(bottom, at, [size.residual.halves.mismatched for size in found])
        for k, (marker, side) in enumerate((("^", "A with A'"), ("v", "B with B'"))):
            ceilings = [size.residual.ceilings[k] for size in found]
            curve(bottom, at - 0.08 + 0.16 * k, ceilings, "C2", marker, f"residuals, {side}")
        curve(bottom, at, [size.residual.agreement for size in found], "C0", "o", "residuals, A with B")
        shares = [crossed_mean(size.floor.share, ("trainings", SAMPLING)).estimate for size in found]
        bottom.plot(at, shares, "s--", color="C1", markersize=4, label="share one Gaussian explains")
        bottom.set(xticks=at, xticklabels=[f"{size.n:,}" for size in found], xlabel="training images N")
    axes[0, 0].set_ylabel("correlation, same noise")
    axes[1, 0].set_ylabel("correlation of what is left")
    for row in axes[:, -1]:
        row.legend(frameon=False, fontsize=7, loc="lower right")
        row.set_ylim(top=1.05)  # an interval may end above 1, a correlation does not
    figure.tight_layout()
    return figure


def plot_first(found: Sequence[AtSize]) -> Figure:
    """Agreement by N of one sampler on one panel: across halves, ceiling, floor and mismatched seeds."""
    figure, axes = plt.subplots(figsize=(3.7, 2.6), layout="constrained")
    at = np.arange(len(found))
    mismatched(axes, at, [size.plain.halves.mismatched for size in found])
    curve(axes, at - 0.06, [size.plain.ceilings[0] for size in found], "C2", "^", "same images: A, A' (ceiling)")
    curve(axes, at + 0.06, [size.plain.ceilings[1] for size in found], "C2", "v", "same images: B, B' (ceiling)")
    curve(axes, at, [size.plain.agreement for size in found], "C0", "o", "disjoint images: A, B")
    floor = [size.floor.agreement.same.mean() for size in found]
    axes.plot(at, floor, "s--", color="C1", markersize=4, label="linear denoisers (floor)")
    axes.set(xticks=at, xticklabels=[f"{size.n:,}" for size in found], xlabel="training images N")
    axes.set_ylabel("correlation, same noise")
    axes.set_ylim(top=1.05)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2, handlelength=1.6, columnspacing=1)
    return figure


def plot_strip(shown: Sequence[SameNoise]) -> Figure:
    """Samples of A, A' and B from the same noise with the training images nearest to them, a block for every N."""
    figure, panels = plt.subplots(1, len(shown), figsize=(1.9 * len(shown), 2.1), squeeze=False, layout="constrained")
    for axes, one in zip(panels[0], shown, strict=True):
        rows = list(one.images.items())
        side = rows[0][1].shape[-1]
        grid = torch.cat([torch.cat(list(images[:, 0]), dim=1) for _, images in rows]).clamp(0, 1)
        axes.imshow(grid.numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_yticks([side * (k + 0.5) for k in range(len(rows))], [name for name, _ in rows], fontsize=8)
        axes.set_xticks([])
        axes.set_title(f"N = {one.n:,}", fontsize=9)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    for axes in panels[0, 1:]:
        axes.set_yticklabels([])
    return figure


def mismatched(axes: Axes, at: np.ndarray, values: Sequence[np.ndarray]) -> None:
    """A band from the 5th to the 95th percentile of mismatched seeds at each N."""
    low, high = np.array([np.quantile(v, [0.05, 0.95]) for v in values]).T
    axes.fill_between(at, low, high, color="0.87", label="other noise, 5 to 95 %")


def curve(axes: Axes, at: np.ndarray, found: Sequence[Crossed], colour: str, marker: str, label: str) -> None:
    """Estimates with their intervals over trainings and sampling seeds."""
    means = np.array([one.estimate for one in found])
    ends = np.array([(one.interval().low, one.interval().high) for one in found]).T
    axes.errorbar(
        at, means, np.abs(ends - means), fmt=marker + "-", color=colour, markersize=5, linewidth=1, label=label
    )
