"""How much fine detail samples have beside the images that their networks were trained on: smoother faces have less."""

import math

import numpy as np
import torch
from torch import Tensor

from audit.measures.agreement_tables import CUT
from core.metrics.correlation import band
from core.stats.crossed import SAMPLING, Crossed, crossed_mean
from core.training.cells import GROUPS, RANDOM, Cell
from fixtures.experiments.experiment import HEUN, Experiment


def fine_power(images: Tensor) -> Tensor:
    """Power of (n, c, h, w) images above `CUT` cycles an image, (n,)."""
    return band(images.to(torch.float64), CUT, math.inf).square().sum(dim=(1, 2, 3))


def fine_detail(desk: Experiment, n: int) -> Crossed:
    """Power of samples over the mean power of their networks' training images, both above `CUT` cycles an image.

    Samples of every training of both groups, by the sampler without noise of its own; 1 is as fine as the images.
    """
    shares = []
    for group in GROUPS:
        images = float(fine_power(desk.images(Cell(RANDOM, n, group))).mean())
        for k in desk.trainings:
            shares.append(fine_power(desk.samples(Cell(RANDOM, n, group, k), sampler=HEUN)).numpy() / images)
    return crossed_mean(np.stack(shares), ("trainings", SAMPLING))
