"""Measures that more than one claim takes."""

import numpy as np
from torch import Tensor

from core.metrics.correlation import nearest


def nearest_training(samples: Tensor, train: Tensor) -> np.ndarray:
    """Correlation of each sample with its nearest training image, (n,)."""
    return nearest(samples, train, 1).value[:, 0].numpy()
