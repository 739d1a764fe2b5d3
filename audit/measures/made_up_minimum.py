"""Denoisers in a network's place whose training loss is known to be the least, or not, for controls."""

from functools import partial

from torch import Tensor

from audit.measures.minimum import drawn_images, losses, minimum_measures
from audit.measures.networks import JUDGED_SIGMAS
from audit.measures.record import Measures
from core.denoisers.oracles import Empirical
from core.denoisers.unet import Denoiser


def optimum(train: Tensor) -> Denoiser:
    """The optimum over a training set.

    It is asked at one judged level after the other, as errors are measured, so that it needs no telling.
    """
    levels = iter([partial(Empirical(train).denoise, sigma=sigma) for sigma in JUDGED_SIGMAS])
    return lambda y: next(levels)(y)


def of_denoisers(train: Tensor, *denoisers: Denoiser) -> Measures:
    """What K-not-minimised is judged by, of denoisers in the place of networks, one a size."""
    return minimum_measures({n: losses(f, train, drawn_images(train)) for n, f in enumerate(denoisers)})
