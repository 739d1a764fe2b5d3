"""Picture of densities in the plane with their scores."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from audit.measures.densities import planar


def draw_scores(sigma: float = 0.3) -> Figure:
    """Log-density in the plane, and on it the score from the denoiser."""
    side = torch.linspace(-2, 2, 81, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    figure, axes = plt.subplots(1, 5, figsize=(11, 2.4))
    for axis, (name, oracle) in zip(axes, planar().items(), strict=True):
        levels = oracle.log_density(grid, sigma).reshape(81, 81).T
        axis.contourf(side, side, levels.clamp_min(float(levels.max()) - 8), levels=12, cmap="Blues")
        some = torch.cartesian_prod(side[5::10], side[5::10])
        arrows = oracle.score(some, sigma)
        axis.quiver(*some.T, *(arrows / arrows.norm(dim=1, keepdim=True).sqrt()).T, width=0.008, color="#b5432a")
        axis.set(xticks=[], yticks=[], aspect="equal", title=name)
        axis.title.set_fontsize(9)
    return figure
