"""PSNR by set size and noise level: one table of it, and the train-test gap beside the published one."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from core.metrics.psnr import PSNRCurve, gap

Pair = tuple[PSNRCurve, PSNRCurve]  # on training and on held-out images


def psnr_rows(by_size: Mapping[int, Pair], levels: Sequence[float], *, seed: int) -> list[dict[str, Any]]:
    """One row a set size and noise level: train, test and gap in dB, each with its interval over images."""
    rows = []
    for n, (train, test) in by_size.items():
        found = zip(levels, train.mean(seed=seed), test.mean(seed=seed), gap(train, test, seed=seed), strict=True)
        for level, *quantities in found:
            row: dict[str, Any] = {"N": n, "input dB": level}
            for name, (value, interval) in zip(("train", "test", "gap"), quantities, strict=True):
                row |= {name: value, f"{name} from": interval.low, f"{name} to": interval.high}
            rows.append(row)
    return rows


def gap_beside_published(
    rows: Sequence[Mapping[str, Any]], published: pd.DataFrame, levels: Sequence[float]
) -> list[dict[str, Any]]:
    """The gap by set size at each level: ours, and the published one read off between the two drawn levels beside it.

    `published` is `fixtures.published.reported.reported_gap()` of one experiment. A level above the axis of the
    drawing, or with a neighbour above it, has no published value and no row. Bounds are intervals over images for
    ours, the error of reading for the published ones.
    """
    found = [
        {"source": "here", "N": row["N"], "input dB": row["input dB"], "gap": row["gap"], "from": row["gap from"],
         "to": row["gap to"]}
        for row in rows
    ]  # fmt: skip
    for n, part in published.groupby("images"):
        part = part.sort_values("input_db")
        x = part.input_db.to_numpy()
        for level in levels:
            if not x[0] <= level <= x[-1]:
                continue
            # a level without value makes its neighbourhood NaN
            value, error = (float(np.interp(level, x, part[c].to_numpy())) for c in ("gap_db", "error_db"))
            if np.isfinite(value):
                bounds = {"from": value - error, "to": value + error}
                found.append({"source": "published", "N": int(str(n)), "input dB": level, "gap": value, **bounds})
    return found


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
