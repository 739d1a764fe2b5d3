"""What samples share beyond a common mean and covariance: their residuals after the Wiener sample of the same noise.

Two denoisers whose training sets have the same mean and covariance agree from the same noise even if they are linear
(arXiv 2410.24060). The Wiener sample, drawn from the same noise by the Gaussian denoiser of all images together, shows
how much of a sample that explains; what is left of A's sample and of B's is compared.

A sample is regressed on its Wiener sample by least squares over its own pixels, with an intercept and a slope: the
residual is s - mean(s) - slope (w - mean(w)), and the correlation of two residuals is the partial correlation of both
samples given w. One slope a sample, not one for all, because a denoiser's contrast varies from seed to seed: a common
slope would leave a multiple of w in both residuals, and that would be counted as more than Gaussian. One a pixel would
need many more seeds than pixels, and would take away the mean residual, which mismatched seeds already show. So the
residual does not change with a sample's or the Wiener sample's brightness, contrast or sign, and gets multiplied where
the sample is.
"""

import numpy as np
import torch
from torch import Tensor

from core.errors import InputError
from core.metrics.agreement import Agreement
from core.metrics.correlation import correlation_matrix, normalise
from core.stats import CORRELATION, SHARE

LEAST = 1e-5  # of a sample's norm: ten times what the rounding of float32 pixels leaves of a multiple of w


def residuals(samples: Tensor, wiener: Tensor, *, what: str = "samples") -> Tensor:
    """Samples (n, c, h, w) without what the Wiener samples of the same noise, (n, c, h, w), explain of each; float64.

    Every residual has mean 0 and is orthogonal to its Wiener sample.

    Raises:
        InputError: if shapes differ, an image is constant or missing, or a sample is its Wiener sample but for
            brightness, contrast and rounding: then nothing is left to compare.
    """
    _alike(samples, wiener, what)
    reference = normalise(wiener, what="wiener")
    unit = normalise(samples, what=what)
    left = unit - (unit * reference).sum(dim=1, keepdim=True) * reference
    gone = left.norm(dim=1) <= LEAST
    if gone.any():
        raise InputError(
            f"{what}: image {int(gone.nonzero()[0, 0])} is its Wiener sample up to brightness, contrast and rounding "
            f"({int(gone.sum())} of {len(left)} are), expected something left to compare"
        )
    size = (samples.reshape(len(samples), -1).to(torch.float64) * unit).sum(dim=1, keepdim=True)
    return (size * left).reshape(samples.shape)


def residual_agreement(a: Tensor, b: Tensor, wiener: Tensor) -> Agreement:
    """Correlation of the residuals of samples a and b, (n, c, h, w) each, sample k of all three from seed k.

    In the result's matrix, entry (k, l) is A's residual of seed k, after the Wiener sample of seed k, with B's of seed
    l, after that of seed l: same noise on the diagonal, mismatched off it.
    """
    _alike(a, b, "b")
    left = residuals(a, wiener, what="a"), residuals(b, wiener, what="b")
    return Agreement(correlation_matrix(*left).cpu().numpy(), CORRELATION)


def explained(samples: Tensor, wiener: Tensor) -> Agreement:
    """Share of each sample's variance over pixels that a Wiener sample explains: the R2 of the regression, in [0, 1].

    In the result's matrix, entry (k, l) is sample k, (n, c, h, w), regressed on Wiener sample l: from the same noise on
    the diagonal, mismatched off it.
    """
    _alike(samples, wiener, "samples")
    return Agreement(np.square(correlation_matrix(samples, wiener).cpu().numpy()), SHARE)


def _alike(first: Tensor, second: Tensor, what: str) -> None:
    if first.shape != second.shape or first.ndim != 4:
        raise InputError(
            f"{what}: found {tuple(first.shape)} and {tuple(second.shape)}, expected equal (seeds, c, h, w), image k "
            "of both from seed k"
        )
