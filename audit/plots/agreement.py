"""Picture of same-noise agreement by set size, beside its ceiling, its floor and what is beyond one Gaussian."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from audit.measures.agreement import AtSize
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
