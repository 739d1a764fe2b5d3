"""Denoisers of disks and of C^alpha images whose faults are known, measured as networks are, for controls."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from audit.measures.denoising import error_table
from audit.measures.disks import Errors, fit_errors, low_dimensional_measures
from audit.measures.geometric import JUDGED_ALPHAS, SLOPE_SIGMAS
from audit.measures.record import SEED, Measures
from core.denoisers.oracles import Empirical
from core.denoisers.unet import Denoiser
from fixtures.experiments.geometric import c_alpha, disk_parameters, draw_disks

DRAWN, TRUTH = disk_parameters(1000, seed=3)[:936], disk_parameters(1000, seed=3)[936:]  # fitted from, and tested on


def blurred(y: Tensor) -> Tensor:
    """A denoiser that a disk is more than a match for: the mean of nine pixels."""
    return functional.avg_pool2d(functional.pad(y, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


def measured_by(on_disks: Denoiser, on_smooth: Callable[[Tensor], Denoiser]) -> Measures:
    """What the row is judged by, of any two denoisers of disks and of C^alpha images, measured as networks are."""
    disks = draw_disks(TRUTH, 20)
    smooth = {alpha: smooth_images(alpha) for alpha in JUDGED_ALPHAS}
    errors = {alpha: error_table(on_smooth(x), x, SLOPE_SIGMAS) for alpha, x in smooth.items()}
    fitted = fit_errors(disks, DRAWN, SLOPE_SIGMAS)
    bounds = {alpha: (found, found) for alpha, found in errors.items()}
    return low_dimensional_measures((error_table(on_disks, disks, SLOPE_SIGMAS), fitted), bounds, SLOPE_SIGMAS)


def memory(images: Tensor, flaw: float = 0.005) -> Denoiser:
    """The optimum over the very images it is tested on, with a fixed pattern of size `flaw` added to what it returns.

    Of 0.005 that is less than any estimator's error; a larger one is an error of its own, the same on every image.
    """
    exact = Empirical(images).blind(SLOPE_SIGMAS)
    pattern = flaw * torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(SEED)).sign()
    return lambda y: exact(y) + pattern


def smooth_images(alpha: int) -> Tensor:
    """C^alpha images that denoisers are tested on."""
    return c_alpha(64, alpha=alpha, size=20, seed=SEED, strict=True)


def worse_on_smooth() -> Measures:
    """What the row is judged by, of a denoiser fair on disks and worse on images that another one denoises well."""
    disks = draw_disks(TRUTH, 20)
    smooth: dict[int, Errors] = {}
    for alpha in JUDGED_ALPHAS:
        images = smooth_images(alpha)
        found = [error_table(f, images, SLOPE_SIGMAS) for f in (blurred, memory(images))]
        smooth[alpha] = (found[0], found[1])
    on_disks = error_table(memory(disks, 0.04), disks, SLOPE_SIGMAS)
    return low_dimensional_measures((on_disks, fit_errors(disks, DRAWN, SLOPE_SIGMAS)), smooth, SLOPE_SIGMAS)
