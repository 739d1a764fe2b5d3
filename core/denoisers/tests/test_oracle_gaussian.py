"""A Gaussian fitted to images: the linear denoiser that a network is held against."""

import math
from collections.abc import Callable

import pytest
import torch

from core.denoisers.oracles import Gaussian
from core.denoisers.tests.oracle_checks import close, generator, normal
from core.errors import InputError
from core.metrics.spectrum import jacobian


@pytest.mark.parametrize("n", [40, 5])
def test_a_gaussian_from_images_is_their_best_affine_denoiser(n: int) -> None:
    """More images than pixels, and fewer: then the covariance has one direction less than images."""
    images, y = torch.rand(n, 1, 2, 3, generator=generator(1)), normal(4, 1, 2, 3, seed=2)
    rows = images.double().flatten(1)
    found, covariance = Gaussian.from_images(images), torch.cov(rows.T, correction=0)
    gain = covariance @ torch.linalg.inv(covariance + 0.3**2 * torch.eye(6, dtype=torch.float64))
    assert len(found.variances) == min(n - 1, 6)
    close(found.gain(0.3), gain)
    close(found.denoise(y, 0.3).flatten(1), rows.mean(0) + (y.flatten(1) - rows.mean(0)) @ gain.T)
    close(found.gain(0.3), jacobian(lambda x: found.denoise(x, 0.3), y[0]))

    copies = (rows + 0.3 * normal(2000, n, 6, seed=3)).flatten(0, 1)
    design = torch.cat([copies, torch.ones(len(copies), 1, dtype=torch.float64)], dim=1)
    fitted = torch.linalg.lstsq(design, rows.repeat(2000, 1)).solution  # of the images on noisy copies of them
    close(fitted[:-1].T, gain, tolerance=0.05)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_pixel_that_never_varies_is_no_direction(scale: float) -> None:
    images = scale * torch.rand(50, 6, generator=generator(4))
    images[:, 2] = scale * 0.7
    found = Gaussian.from_images(images)
    assert len(found.variances) == 5 and float(found.basis[2].abs().max()) < 1e-6
    assert len(Gaussian.from_images(images[:3]).variances) == 2


def test_the_level_that_a_fitted_gaussian_sees_is_near_the_true_one() -> None:
    coarse = torch.rand(600, 1, 4, 4, generator=generator(5))
    images = torch.nn.functional.interpolate(coarse, (12, 12), mode="bilinear")
    levels, fitted = torch.logspace(-2, 0.3, 40).tolist(), Gaussian.from_images(images[:500])
    for sigma in (0.05, 0.3, 1.0):
        y = images[500:] + sigma * normal(100, 1, 12, 12, seed=6)
        assert float((fitted.level(y, levels) / sigma).log().abs().mean()) < 0.08


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian.from_images(torch.ones(5, 4)), "images: found 5 equal images"),
        (lambda: Gaussian.from_images(torch.ones(1, 4)), r"images: found shape \(1, 4\); expected at least 2"),
        (lambda: Gaussian.from_images(torch.tensor([[1.0], [math.inf]])), "images: found missing or infinite"),
    ],
)
def test_bad_input_is_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
