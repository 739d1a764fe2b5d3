"""Picture of the steps from a photograph to the image that networks are trained on."""

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from core.data.preprocess import CROP_BOX, resize_rgb


def steps_figure(image: Image.Image, result: np.ndarray, gray_first: np.ndarray) -> Figure:
    """The photograph with its crop, the result (40, 40), and what averaging the channels first would change."""
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    axes = figure.subplots(1, 4)
    axes[0].imshow(np.asarray(image))
    left, top, right, bottom = CROP_BOX
    axes[0].plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="tab:red", lw=1)
    axes[1].imshow(resize_rgb(image))
    axes[2].imshow(result, cmap="gray", vmin=0, vmax=1)
    change = axes[3].imshow((gray_first - result) * 255, cmap="RdBu", vmin=-1.5, vmax=1.5)
    figure.colorbar(change, ax=axes[3], shrink=0.6, label="levels")
    titles = ("178 x 218, crop", "bicubic, 40 x 40", "mean of channels", "gray first: change")
    for panel, title in zip(axes, titles, strict=True):
        panel.set_title(title, fontsize=8)
        panel.set_axis_off()
    return figure
