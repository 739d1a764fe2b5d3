"""Pictures of losses beside the least that a training set allows."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure


def plot_losses(found: Mapping[str, Mapping[int, tuple[np.ndarray, np.ndarray]]], levels: Sequence[float]) -> Figure:
    """Mean losses of the network and of the optimum over the training set by N, a panel a set of images."""
    figure, panels = plt.subplots(1, len(found), figsize=(7, 2.8), sharey=True)
    for axes, (name, by_size) in zip(np.atleast_1d(panels), found.items(), strict=True):
        sizes = list(by_size)
        for row, level in enumerate(levels):
            network, optimum = (np.array([losses[k][row].mean() for losses in by_size.values()]) for k in (0, 1))
            axes.plot(sizes, network, f"C{row}o-", label=f"network, {level:g} dB")
            axes.plot(sizes, optimum.clip(1e-4), f"C{row}s:", mfc="none", label=f"optimum, {level:g} dB")
        axes.set(xscale="log", yscale="log", xlabel="training images N", title=f"on {name} images")
        axes.set_xticks(sizes, labels=[f"{n:,}" for n in sizes])
        axes.minorticks_off()
    np.atleast_1d(panels)[0].set_ylabel("squared error over sigma^2")
    np.atleast_1d(panels)[-1].legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
