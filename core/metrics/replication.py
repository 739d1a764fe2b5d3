"""Is a sample a copy of a training image? Four criteria, their intervals, their known failure and its correction.

Gap ratio (Yoon et al. 2023; Gu et al. 2023; Bonnaire et al. 2025): L2 distance to the nearest below a third of that
to the second nearest. Carlini et al. (2023): L2 distance to the nearest below half the mean over the 50 nearest.
Correlation with, or LPIPS to, the nearest: beyond a threshold. The first two compare a sample with its neighbourhood,
so a twin of the copied image inside the training set hides the copy; `nearest_groups` counts neighbours after joining
twins.
"""

import numpy as np
from numpy.typing import ArrayLike

from core.errors import InputError
from core.metrics.neighbours import Neighbours
from core.stats import Interval, clopper_pearson

GAP = 1 / 3
CARLINI_ALPHA = 0.5
CARLINI_COUNT = 50
COPY_CORRELATION = 0.95  # "returns its training images" of the ledger's decision rules


# --- criteria --------------------------------------------------------------------------------------------


def gap_ratio(neighbours: Neighbours) -> np.ndarray:
    """Distance to the nearest over that to the second nearest, (q,); 1 where both are 0 (a copied twin)."""
    nearest, second = _distances(neighbours, 2)[:, :2].T
    return np.divide(nearest, second, out=np.ones_like(nearest), where=second > 0)


def carlini_ratio(neighbours: Neighbours, *, alpha: float = CARLINI_ALPHA, count: int = CARLINI_COUNT) -> np.ndarray:
    """Distance to the nearest over alpha times the mean over the `count` nearest, (q,); a copy is below 1.

    1 / alpha where all distances are 0. A training set with fewer images needs its own `count`, and says so by it.
    """
    distances = _distances(neighbours, max(2, count))[:, :count]
    mean = distances.mean(axis=1)
    return np.divide(distances[:, 0], mean, out=np.ones_like(mean), where=mean > 0) / alpha


def _distances(neighbours: Neighbours, least: int) -> np.ndarray:
    value = neighbours.value.cpu().numpy()
    if value.shape[1] < least:
        raise InputError(f"neighbours: found {value.shape[1]} of each query, expected at least {least}")
    if not (np.isfinite(value).all() and (value >= 0).all() and (np.diff(value, axis=1) >= 0).all()):
        raise InputError("neighbours: found distances that are missing, negative or out of order, expected ascending")
    return value


def flagged_share(flagged: ArrayLike) -> tuple[float, Interval]:
    """Share of samples flagged and its exact binomial interval."""
    mask = np.asarray(flagged)
    if mask.dtype != bool or mask.ndim != 1:
        raise InputError(f"flagged: found {mask.dtype} of shape {mask.shape}, expected a vector of bool")
    return float(mask.mean()), clopper_pearson(int(mask.sum()), len(mask))
