"""How varied a set of images is: its covariance's spectrum, and how near a held-out image the others come."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.errors import InputError
from core.metrics.neighbours import nearest

SHARE = 0.95  # of the variance, that the counted components explain
TAIL = 0.1  # share of the correlations below the lower and above the upper percentile


@dataclass(frozen=True)
class Richness:
    """The three numbers of a set of images, the third with its tenth and ninetieth percentile."""

    components: int
    dimension: float
    nearest: float
    nearest_low: float
    nearest_high: float


def corpus_richness(images: Tensor, *, others: int = 4096, held_out: int = 1000) -> Richness:
    """Principal components for 95 % of the variance, effective dimension, and correlation with the nearest image.

    The covariance is that of all images' pixels about the mean image, an image's own brightness left in. The effective
    dimension is exp of the entropy of its eigenvalues' shares. Each of the last `held_out` images is compared with the
    first `others` by mean-removed correlation; the best of each is averaged. Nothing is deduplicated, so that images
    should come in a random order.

    Args:
        images: (n, ...) with n at least `others` + `held_out`; values finite.
        others: how many images may be the nearest.
        held_out: how many look for it.

    Raises:
        InputError: for too few images, constant images, or missing values.
    """
    if min(others, held_out) < 1 or len(images) < others + held_out:
        raise InputError(
            f"images: found {len(images)}; expected at least others + held_out = {others} + {held_out}, both positive"
        )
    best = nearest(images[-held_out:], images[:others], 1).value[:, 0].numpy()
    rows = images.reshape(len(images), -1).double()
    rows = rows - rows.mean(0)
    values = torch.linalg.eigvalsh(rows.T @ rows).flip(0).clamp(min=0)
    if not bool(torch.isfinite(values).all()) or not float(values.sum()) > 0:
        raise InputError("images: found missing values or equal images; expected variance")
    share = values / values.sum()
    low, high = np.quantile(best, [TAIL, 1 - TAIL])
    return Richness(
        components=int((share.cumsum(0) < SHARE).sum()) + 1,
        dimension=float(torch.exp(torch.special.entr(share).sum())),
        nearest=float(best.mean()),
        nearest_low=float(low),
        nearest_high=float(high),
    )
