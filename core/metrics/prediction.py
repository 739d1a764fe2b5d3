"""How well one set of samples predicts another from the same noise: Pearson's r and R2, both and by name.

Papers that compare closed-form denoisers with networks report one or the other under one name. Pearson's r asks whether
the patterns are the same, whatever their brightness and contrast; R2 asks for the pixels themselves and may be below 0.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from core.errors import InputError
from core.metrics.agreement import Agreement
from core.metrics.correlation import correlation_matrix, normalise
from core.stats import CORRELATION


@dataclass(frozen=True)
class Prediction:
    """Two similarities (n, n) of targets (rows) and predictions (columns): the diagonal is from the same noise.

    Attributes:
        pearson: Pearson's correlation over pixels, in [-1, 1]; symmetric in target and prediction.
        r2: 1 - |target - prediction|^2 / |target - its mean over pixels|^2, at most 1: the share of a target's variance
            over pixels that the prediction gets right. Zero for a prediction of the target's mean gray.
    """

    pearson: Agreement
    r2: Agreement


def prediction(target: Tensor, predicted: Tensor) -> Prediction:
    """Pearson's r and R2 of predictions for targets, (n, c, h, w) each, image k of both from seed k."""
    if target.shape != predicted.shape or target.ndim != 4:
        raise InputError(
            f"prediction: found {tuple(target.shape)} and {tuple(predicted.shape)}, expected equal (seeds, c, h, w)"
        )
    pearson = correlation_matrix(target, predicted)  # refuses constant and missing images of both
    wanted, found = (images.reshape(len(images), -1).to(torch.float64) for images in (target, predicted))
    spread = (wanted * normalise(target, what="target")).sum(dim=1).square()
    squares = torch.stack([(found - one).square().sum(dim=1) for one in wanted])
    share = 1 - squares / spread[:, None]
    return Prediction(Agreement(pearson.cpu().numpy(), CORRELATION), Agreement(share.cpu().numpy(), (-math.inf, 1.0)))
