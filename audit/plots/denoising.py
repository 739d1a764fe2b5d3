"""Pictures of denoising error by noise level, and of the slopes fitted to it."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from audit.measures.denoising import Sigmas, optimal_slope
from audit.measures.record import SEED
from audit.plots.shared import draw_with_intervals
from core.stats import Interval, bootstrap_mean


def plot_errors(curves: Mapping[str, tuple[np.ndarray, float | None]], sigmas: Sigmas) -> Figure:
    """Mean error by noise level, lines of the slopes expected, and the noise's own variance."""
    figure, axes = plt.subplots(figsize=(5.4, 3.4))
    for k, (name, (errors, expected)) in enumerate(curves.items()):
        mean = errors.mean(1)
        axes.loglog(sigmas, mean, f"C{k}o-", label=name)
        if expected is not None:
            line = mean[-1] * (np.asarray(sigmas) / sigmas[-1]) ** expected
            axes.loglog(sigmas, line, f"C{k}:", label=f"slope {expected:.3g}")
    axes.loglog(sigmas, np.square(sigmas), "0.6", lw=0.8, label="sigma^2: nothing done")
    axes.set(xlabel="sigma", ylabel="mean squared error")
    axes.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def plot_slopes(found: Mapping[int, tuple[float, Interval]]) -> Figure:
    """Fitted slope by smoothness with its interval, beside the optimal one."""
    figure, axes = plt.subplots(figsize=(4.4, 2.8))
    draw_with_intervals(axes, list(found), list(found.values()), "C0o", "network")
    fine = np.linspace(min(found), max(found), 50)
    axes.plot(fine, [optimal_slope(a) for a in fine], "C1-", label="optimal, 2 alpha / (alpha + 1)")
    axes.set(xlabel="alpha", ylabel="slope of log error against log sigma", ylim=(0, 2))
    axes.legend(frameon=False, fontsize=8)
    return figure


def plot_shuffled_psnr(curves: Mapping[str, np.ndarray], levels: Sequence[float]) -> Figure:
    """Output PSNR (levels, images) by input PSNR in dB, means with intervals over images."""
    figure, axes = plt.subplots(figsize=(5, 3.2))
    for (name, output), style in zip(curves.items(), ("C0o-", "C3s-"), strict=True):
        found = [(float(row.mean()), bootstrap_mean(row, seed=SEED, over="images")) for row in output]
        draw_with_intervals(axes, levels, found, style, name)
    axes.plot(levels, levels, "0.6", lw=0.8, label="nothing done")
    axes.set(xlabel="input PSNR (dB)", ylabel="output PSNR (dB)")
    axes.legend(frameon=False, fontsize=8)
    return figure
