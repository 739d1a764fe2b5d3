"""Picture of the history of trainings."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from core.training.state import History


def plot_histories(histories: dict[str, History]) -> Figure:
    """Loss and PSNR by epoch, a line a model."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained")
    for axis, key, name in zip(axes, ("loss", "psnr"), ("loss (squared error an image)", "PSNR (dB)"), strict=True):
        for label, history in histories.items():
            axis.plot([row["epoch"] + 1 for row in history], [row[key] for row in history], ".-", label=label)
        axis.set(xlabel="epoch", ylabel=name)
    axes[0].set_yscale("log")
    axes[0].legend(frameon=False, fontsize=8)
    return figure
