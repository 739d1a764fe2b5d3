"""Picture of same-noise agreement by set size."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from audit.measures.record import SEED
from core.metrics.agreement import Agreement
from fixtures.experiments.experiment import Experiment


def plot_agreement(desk: Experiment, by_size: Sequence[Agreement]) -> Figure:
    """Same-noise agreement of every seed by set size, mismatched seeds behind it."""
    figure, axes = plt.subplots(figsize=(6, 3.2))
    for k, a in enumerate(by_size):
        spread = np.random.default_rng(k).uniform(-0.12, 0.12, len(a.same))
        low, high = np.quantile(a.mismatched, [0.05, 0.95])
        axes.fill_between(
            [k - 0.3, k + 0.3], low, high, color="0.85", label="mismatched seeds, 5 to 95 %" if not k else None
        )
        axes.plot(k + spread, a.same, ".", color="C0", alpha=0.5, label="one seed" if not k else None)
        mean, interval = a.mean(seed=SEED)
        axes.errorbar(
            k,
            mean,
            [[mean - interval.low], [interval.high - mean]],
            fmt="o",
            color="k",
            label="mean, 95 %" if not k else None,
        )
    axes.set(
        xticks=range(len(by_size)), xticklabels=desk.sizes, xlabel="training images N", ylabel="correlation of A and B"
    )
    axes.legend(frameon=False, fontsize=8)
    return figure
