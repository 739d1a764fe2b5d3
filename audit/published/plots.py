"""Pictures of the published evidence."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from audit.measures.rules import LEFT_OUT
from audit.plots.shared import plot_rows
from audit.published.measures import LARGEST, ORDER, SEED
from core.metrics.agreement import Agreement
from core.metrics.neighbours import nearest
from fixtures.experiments.desk import GROUPS
from fixtures.experiments.real_faces import RealPair
from fixtures.published.notebooks import EXPERIMENTS, SET_SIZES
from fixtures.published.tiles import Tiles


def plot_agreements(found: Mapping[str, Agreement], marks: pd.DataFrame | None = None) -> Figure:
    """Every seed's agreement by experiment, mean and interval beside it, mismatched seeds behind, figures marked."""
    figure, axes = plt.subplots(figsize=(7, 3.4))
    for k, name in enumerate(ORDER):
        a = found[name]
        low, high = np.quantile(a.mismatched, [0.05, 0.95])
        axes.fill_between([k - 0.36, k + 0.36], low, high, color="0.88", lw=0)
        x = k + np.linspace(-0.3, 0.15, len(a.same))
        axes.plot(x, a.same, ".", color="C0")
        mean, interval = a.mean(seed=SEED)
        error = [[mean - interval.low], [interval.high - mean]]
        axes.errorbar(k + 0.26, mean, error, fmt="o", color="k", ms=4, capsize=2)
        if marks is not None:
            shown = marks[(marks.experiment == name) & (marks.seed >= 0)]
            for seed in sorted(set(shown.seed.tolist())):
                text = "fig. " + ", ".join(str(n) for n in shown.figure[shown.seed == seed])
                place = (x[seed], a.same[seed])
                axes.annotate(text, place, (6, -9), textcoords="offset points", fontsize=7, color="C3")
                axes.plot(*place, "o", mfc="none", color="C3", ms=8)
    axes.set_xticks(range(len(ORDER)), [f"{EXPERIMENTS[n].title}\nN = {EXPERIMENTS[n].images:,}" for n in ORDER])
    axes.set(ylabel="correlation of A and B", ylim=(-0.25, 1.02))
    axes.set_title("dots: seeds 0 to 19; black: mean, 95 %; gray: mismatched seeds, 5 to 95 %", fontsize=8)
    return figure


def plot_strips(rows: Sequence[tuple[str, Tiles]]) -> Figure:
    """Named rows of tiles, exactly as recovered."""
    width = max(len(tiles.images) for _, tiles in rows)
    figure, axes = plt.subplots(len(rows), 1, figsize=(0.42 * width + 0.9, 0.47 * len(rows)), squeeze=False)
    for axis, (name, tiles) in zip(axes[:, 0], rows, strict=True):
        axis.imshow(np.concatenate(list(tiles.images), axis=1), cmap="gray", vmin=0, vmax=255)
        axis.set(xticks=[], yticks=[], xlim=(-0.5, 40 * width - 0.5))
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
        axis.spines[:].set_visible(False)
    return figure


def seed_strips(tiles: Tiles, experiment: str) -> Figure:
    """The twenty samples of A and of B at the largest set size."""
    return plot_strips([(f"{g}, seeds 0 to 19", tiles.where(experiment=experiment, cell=30, group=g)) for g in "AB"])


def size_strips(tiles: Tiles) -> Figure:
    """Cell 21's sample by set size, for every experiment."""
    rows = [
        (f"{EXPERIMENTS[name].title}, {g}", tiles.where(experiment=name, cell=21, group=g))
        for name in ORDER
        for g in "AB"
    ]
    return plot_strips(rows)


def male_cells(tiles: Tiles) -> Figure:
    """What cells 21, 23, 25 and 28 of the male/female notebook show."""
    rows = [
        (f"cell {cell}, {g}", tiles.where(experiment="male", cell=cell, group=g, role="sample"))
        for cell in (21, 23, 25, 28)
        for g in "AB"
    ]
    return plot_strips(rows)


def plot_curves(curves: pd.DataFrame, names: Sequence[str] = ORDER) -> Figure:
    """Train (dashed) and test PSNR against input PSNR, as read off the published curves."""
    figure, axes = plt.subplots(1, len(names), figsize=(2.4 * len(names), 2.8), sharey=True)
    for axis, name in zip(np.atleast_1d(axes), names, strict=True):
        for k, size in enumerate(SET_SIZES):
            part = curves[(curves.experiment == name) & (curves.set_size == size)]
            for split, style in (("train", "--"), ("test", "-")):
                line = part[part.split == split].sort_values("input_db")
                label = f"N = {int(part.images.iloc[0]):,}" if split == "test" else None
                axis.plot(line.input_db, line.output_db, style, color=f"C{k}", lw=1, label=label)
        axis.set_title(EXPERIMENTS[name].title, fontsize=9)
        axis.set_xlabel("input PSNR (dB)", fontsize=8)
        axis.legend(frameon=False, fontsize=6)
    np.atleast_1d(axes)[0].set_ylabel("output PSNR (dB)")
    return figure


def plot_lpips(printed: np.ndarray, computed: Mapping[str, np.ndarray], use: np.ndarray) -> Figure:
    """Printed against recomputed LPIPS under each protocol."""
    figure, axes = plt.subplots(1, len(computed), figsize=(2.6 * len(computed), 2.7), squeeze=False)
    for axis, (name, values) in zip(axes[0], computed.items(), strict=True):
        axis.plot(values[use], printed[use], ".", ms=3)
        axis.axline((0, 0), slope=1, color="0.7", lw=1)
        axis.set_title(name, fontsize=8)
        axis.set_xlabel("from the tiles", fontsize=8)
    axes[0, 0].set_ylabel("printed LPIPS")
    return figure


def plot_ranks(rows: pd.DataFrame) -> Figure:
    """Printed LPIPS of the ten candidates by correlation rank, for every sample that is not a copy."""
    figure, axes = plt.subplots(figsize=(6, 3))
    for k, (_, sample) in enumerate(rows.groupby(["experiment", "group", "n_label"], sort=False)):
        if sample.correlation.max() > LEFT_OUT:
            continue
        values = sample.sort_values("rank_by_correlation").lpips_vgg.to_numpy()
        axes.plot(np.arange(1, 11), values, lw=0.8, color=f"C{k % 10}")
        axes.plot(values.argmin() + 1, values.min(), "o", ms=4, color=f"C{k % 10}")
    axes.set(xlabel="rank by correlation", ylabel="printed LPIPS (VGG)", xticks=range(1, 11))
    return figure


def search_strips(samples: Tensor, faces: Tensor, index: np.ndarray, truth: np.ndarray, fresh: np.ndarray) -> Figure:
    """The first twelve samples that are no copies, their nearest face by correlation, and by LPIPS among all."""
    some = np.flatnonzero(fresh)[:12]
    rows = (("samples", samples[some]), ("nearest by r", faces[index[some, 0]]), ("by LPIPS, all", faces[truth[some]]))
    return plot_rows(rows)


def pair_rows(pair: RealPair) -> Figure:
    """Samples of A and B from the first twelve seeds, each beside its group's nearest training face."""
    near = {group: nearest(pair.samples[group][:12], pair.train[group], 1).index[:, 0] for group in GROUPS}
    rows = [("nearest of A", pair.train["A"][near["A"]]), *((g, pair.samples[g]) for g in GROUPS)]
    return plot_rows([*rows, ("nearest of B", pair.train["B"][near["B"]])])


def size_rows(tiles: Tiles) -> Figure:
    """Seed 0 of random halves and of eyeglasses by set size: what is compared, and what would be at equal size."""
    rows = []
    for name in ("celeba", "eyeglasses"):
        about = EXPERIMENTS[name]
        shown = tiles.where(experiment=name, cell=21)
        rows += [(f"{about.title}, {g}: 10 to {about.images:,}", shown.where(group=g)) for g in "AB"]
    return plot_strips(rows)


def nearest_strips(tiles: Tiles, experiment: str, group: str) -> Figure:
    """A sample at the largest set size and its ten nearest training images, best first (cell 28)."""
    place = {"experiment": experiment, "cell": 28, "group": group, "set_size": LARGEST}
    nearest = tiles.where(**place, role="nearest")
    order = np.argsort(nearest.table["rank"].to_numpy())
    ranked = Tiles(nearest.table.iloc[order], nearest.images[order])
    return plot_strips([("sample", tiles.where(**place, role="sample")), ("nearest", ranked)])
