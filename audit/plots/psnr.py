"""Pictures of PSNR by set size and noise level, and of the train-test gap."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from core.metrics.psnr import PSNRCurve

Pair = tuple[PSNRCurve, PSNRCurve]  # on training and on held-out images


def plot_psnr(by_size: Mapping[int, Pair], rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Output against input PSNR by set size, with error bars: training images left, held-out images right."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 3), sharey=True)
    for n in by_size:
        mine = [row for row in rows if row["N"] == n]
        for axis, name, title in zip(axes, ("train", "test"), ("training images", "held-out images"), strict=True):
            x, y = ([row[key] for row in mine] for key in ("input dB", name))
            error = [[row[name] - row[f"{name} from"] for row in mine], [row[f"{name} to"] - row[name] for row in mine]]
            axis.errorbar(x, y, np.maximum(error, 0), fmt=".-", capsize=2, lw=1, label=f"N = {n:,}")
            axis.set(xlabel="input PSNR (dB)", title=title)
    axes[0].set_ylabel("output PSNR (dB)")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def plot_gaps(beside: Sequence[Mapping[str, Any]], levels: Sequence[float]) -> Figure:
    """The train-test gap against N at each level, ours with intervals and the published one."""
    figure, panels = plt.subplots(1, len(levels), figsize=(2.3 * len(levels), 2.8), sharey=True, squeeze=False)
    for axes, level in zip(panels[0], levels, strict=True):
        for source, style in (("here", "o-"), ("published", "s--")):
            mine = [row for row in beside if row["source"] == source and row["input dB"] == level]
            x, y = ([row[key] for row in mine] for key in ("N", "gap"))
            error = [[row["gap"] - row["from"] for row in mine], [row["to"] - row["gap"] for row in mine]]
            axes.errorbar(x, y, np.maximum(error, 0), fmt=style, ms=4, capsize=2, lw=1, label=source)
        axes.axhline(0, color="0.7", lw=0.8)
        axes.set(xscale="log", xlabel="N")
        axes.set_title(f"input {level:g} dB", fontsize=9)
    panels[0, 0].set_ylabel("train minus test (dB)")
    panels[0, 0].legend(frameon=False, fontsize=8)
    return figure
