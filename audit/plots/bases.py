"""Pictures of the bases in which a denoiser shrinks."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from audit.measures.bases import BASIS_SIGMA, KEPT, LEADING, SHOWN, Bases, mean_over_images, subspace_overlaps
from audit.plots.shared import draw_with_intervals
from core.stats import Interval


def plot_bases(found: Mapping[float, Bases], images: Tensor) -> Figure:
    """Eigenvalues by noise level, and leading eigenvectors at four images."""
    figure = plt.figure(figsize=(7, 3.4))
    left, *rest = [figure.add_subplot(1, 2, 1), *(figure.add_subplot(4, 2, 2 * k) for k in range(1, 5))]
    for sigma, at in found.items():
        left.plot(at.values.mean(0).numpy(), label=f"sigma = {sigma}")
    left.set(xlabel="eigenvalue number", ylabel="shrinkage")
    left.legend(frameon=False, fontsize=8)
    size = images.shape[-1]
    for k, axis in enumerate(rest[: len(images)]):
        vectors = found[BASIS_SIGMA].vectors[k][:, SHOWN].T.reshape(-1, size, size)
        tiles = [images[k, 0].double(), *(0.5 + v / (2 * v.abs().max()) for v in vectors)]
        axis.imshow(torch.cat(tiles, dim=1).clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
        axis.axis("off")
    return figure


def plot_rank_and_energy(
    ranks: Mapping[float, tuple[float, Interval]], pixels: int, left: Mapping[str, list[Tensor]]
) -> Figure:
    """Effective rank against sigma, and the energy of the clean image outside its k largest coefficients by basis."""
    figure, (one, two) = plt.subplots(1, 2, figsize=(7, 2.8))
    draw_with_intervals(one, list(ranks), list(ranks.values()), "o-")
    one.set(xlabel="sigma", ylabel="effective rank", ylim=(0, None), title=f"of {pixels} pixels")
    for name, curves in left.items():
        two.semilogy(np.arange(1, pixels + 1), np.mean([c.numpy() for c in curves], axis=0), label=name)
    two.axhline(1 - KEPT, color="0.7", lw=0.8, ls=":")
    two.set(xscale="log", ylim=(1e-5, 1), xlabel="coefficients kept", ylabel="energy left out")
    two.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    return figure


def plot_alignment(
    cosines: Mapping[int, np.ndarray], agreements: Mapping[int, tuple[float, Interval]], chance: np.ndarray, pixels: int
) -> Figure:
    """Principal angles between A's and B's leading eigenspaces by N; their overlap against same-noise agreement."""
    figure, (one, two) = plt.subplots(1, 2, figsize=(7, 2.8))
    for k, (n, found) in enumerate(cosines.items()):
        one.plot(np.arange(1, LEADING + 1), found.mean(axis=0), f"C{k}.-", label=f"N = {n}")
        (x, xi), (y, yi) = agreements[n], mean_over_images(subspace_overlaps(found))
        bars = [[[v - i.low], [i.high - v]] for v, i in ((x, xi), (y, yi))]
        two.errorbar(x, y, np.clip(bars[1], 0, None), np.clip(bars[0], 0, None), fmt="o", color=f"C{k}", capsize=2)
    one.plot(np.arange(1, LEADING + 1), chance, "k:", label="random subspaces")
    one.set(xlabel="principal angle, by index", ylabel="cosine", ylim=(0, 1.02))
    one.legend(frameon=False, fontsize=8)
    two.axhline(LEADING / pixels, color="k", lw=0.8, ls=":")
    two.set(xlabel="same-noise agreement of samples", ylabel="overlap of leading eigenspaces")
    figure.tight_layout()
    return figure
