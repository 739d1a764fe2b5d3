"""Pictures of what splits by attribute and by identity leave shared."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure


def lists_against_lists(lists: dict[str, np.ndarray], people: dict[str, np.ndarray]) -> Figure:
    """Share of the images of the list in a row that are in the list of a column, and of those whose person is."""
    figure = Figure(figsize=(9, 4.2))
    for axes, held, title in zip(
        figure.subplots(1, 2, sharey=True), (lists, people), ("the same image", "the same person"), strict=True
    ):
        share = np.array([[np.isin(row, column).mean() for column in held.values()] for row in held.values()])
        axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
        for (i, j), value in np.ndenumerate(share):
            axes.text(j, i, f"{value:.0%}", ha="center", va="center", fontsize=6, color="w" if value > 0.6 else "k")
        axes.set_xticks(range(len(held)), list(held), rotation=60, ha="right", fontsize=7)
        axes.set_yticks(range(len(held)), list(held), fontsize=7)
        axes.set_title(f"images of the row's list with {title} in the column's", fontsize=7)
    return figure


def heat_map(shifts: pd.DataFrame) -> Figure:
    """How the split on each attribute shifts every other one."""
    figure = Figure(figsize=(8.5, 7.5))
    axes = figure.subplots()
    shown = axes.imshow(shifts.loc[:, shifts.index], cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xticks(range(len(shifts)), shifts.index, rotation=90, fontsize=5)
    axes.set_yticks(range(len(shifts)), shifts.index, fontsize=5)
    axes.set(xlabel="rate of this attribute, with less without", ylabel="split on this attribute")
    figure.colorbar(shown, shrink=0.6)
    return figure


def size_and_overlap(table: pd.DataFrame) -> Figure:
    """Size of each attribute's halves, and the share of their images whose person is on both sides."""
    table = table.sort_values("images")
    figure = Figure(figsize=(7, 6.5))
    left, right = figure.subplots(1, 2, sharey=True)
    left.barh(table.index, table.images, color="0.6")
    left.set(xscale="log", xlabel="images a side")
    right.plot(table.with_seen_without, table.index, "o", ms=3, label="images with, person also without")
    right.plot(table.without_seen_with, table.index, "s", ms=3, mfc="none", label="images without, person also with")
    right.set(xlim=(0, 1), xlabel="share of the side's images")
    right.legend(frameon=False, fontsize=6, loc="upper left", bbox_to_anchor=(0, 1.08))
    left.tick_params(labelsize=6)
    return figure
