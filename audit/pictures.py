"""Pictures that more than one claim draws."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor


def plot_rows(rows: Sequence[tuple[str, Tensor]], columns: int = 12) -> Figure:
    """Named rows of (n, 1, h, w) images in [0, 1], the first `columns` of each."""
    figure, axes = plt.subplots(len(rows), 1, figsize=(7, 0.6 * len(rows)))
    for axis, (name, images) in zip(np.atleast_1d(axes), rows, strict=True):
        axis.imshow(torch.cat(list(images[:columns, 0]), dim=1).clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        axis.spines[:].set_visible(False)
    return figure
