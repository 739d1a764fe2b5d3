"""Picture of how well closed-form denoisers predict the samples of networks by set size."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from audit.plots.shared import draw_with_intervals
from core.stats import Interval


def plot_predictors(table: Sequence[dict[str, Any]]) -> Figure:
    """One panel for Pearson's r and one for R2; a line a predictor, dotted where seeds are mismatched.

    `table` has the rows of `audit.measures.predictors.rows`.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 4.0))
    sizes = sorted({row["N"] for row in table})
    for axis, measure in zip(axes, ("Pearson's r", "R2"), strict=True):
        for k, name in enumerate(dict.fromkeys(row["predictor"] for row in table)):
            mine = [row for row in table if row["predictor"] == name and row["measure"] == measure]
            at = [sizes.index(row["N"]) for row in mine]
            values = [(row["value"], Interval(row["low"], row["high"], "bootstrap")) for row in mine]
            draw_with_intervals(axis, at, values, f"C{k}o-", name)
            axis.plot(at, [row["mismatched"] for row in mine], f"C{k}:", linewidth=1)
        axis.set(xticks=range(len(sizes)), xticklabels=[f"{n:,}" for n in sizes], xlabel="training images N")
        axis.set_ylabel(measure)
    axes[0].set_title("same noise; dotted: other noise", fontsize=9)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=2, frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    return figure
