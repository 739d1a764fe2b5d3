"""What figure 1 of Kadkhodaie et al. (2024) shows, in correlations of its tiles."""

import numpy as np
import torch
from torch import Tensor

from audit.plots.published_figures import plot_figure_1
from core.metrics.correlation import correlation
from fixtures.published.kadkhodaie import ROWS, SET_SIZES, read_figure_1
from reports.record import ClaimRecord

COPYING = "smallest correlation of a sample with its closest image, N = 1 to 100"
MARGIN = "agreement of the two samples minus the larger correlation with a closest image, N = 100,000"
COPIED = 3  # columns in which the claim says that samples are training images


def tile_correlations(tiles: np.ndarray) -> dict[str, Tensor]:
    """Correlation by set size (6,) of the samples with each other and with their closest images, of (4, 6, h, w)."""
    closest_1, sample_1, sample_2, closest_2 = torch.from_numpy(tiles.astype(np.float64)).flatten(2)
    return {
        "the two samples": correlation(sample_1, sample_2),
        "sample of S1 with its closest": correlation(sample_1, closest_1),
        "sample of S2 with its closest": correlation(sample_2, closest_2),
    }


def figure_1_measures(tiles: np.ndarray) -> dict[str, float]:
    """The two numbers that K-figure-1 is judged by."""
    agreement, *closest = tile_correlations(tiles).values()
    nearest = torch.stack(closest)
    return {COPYING: float(nearest[:, :COPIED].min()), MARGIN: float(agreement[-1] - nearest[:, -1].max())}


def record_figure_1(evidence: ClaimRecord, png: bytes) -> None:
    """Every correlation of the published figure, and the two that are judged (K-figure-1)."""
    tiles = read_figure_1(png, "results/github_fig1.png")
    found = tile_correlations(tiles)
    figures = [evidence.figure("tiles", plot_figure_1(tiles, found, SET_SIZES, ROWS))]
    note = "one sampling seed: exact for the figure and no more"
    for name, value in figure_1_measures(tiles).items():
        evidence.add(name, value, kind="published", n=1, unit="correlation", note=note, figures=figures)
    for name, values in found.items():
        for size, value in zip(SET_SIZES, values.tolist(), strict=True):
            evidence.add(f"{name}, N = {size:,}", value, kind="published", n=1, unit="correlation")
