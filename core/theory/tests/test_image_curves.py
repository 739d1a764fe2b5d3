import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from core.denoisers.oracles import Empirical, Gaussian
from core.errors import InputError
from core.theory.image_curves import (
    LEVELS,
    generate_from,
    joined_images,
    linear_error,
    relative_error,
    share_of_copies,
    train_image_curve,
    twins,
)
from core.training.config import ImageDynamicsConfig

SMALL = ImageDynamicsConfig(base_channels=4, blocks=1, batch=8, samples=8, levels=6, evaluations=(0, 4, 60))
SOURCE = torch.Generator().manual_seed(5)
SMOOTH = functional.interpolate(torch.rand(300, 1, 4, 4, generator=SOURCE), (12, 12), mode="bilinear")
IMAGES = (0.1 + 0.8 * SMOOTH + 0.02 * torch.randn(SMOOTH.shape, generator=SOURCE)).clamp(0, 1)


def test_the_exact_memoriser_copies_and_the_exact_linear_denoiser_does_not() -> None:
    train = IMAGES[:16]
    config = ImageDynamicsConfig()
    noise = np.geomspace(0.02, 1.5, 24).tolist()
    copies = generate_from(Empirical(train).blind(noise), train.mean(0), config)
    assert share_of_copies(copies, train, twins(train)) == 1.0
    rows = IMAGES.flatten(1).double()
    spread = torch.cov(rows.T) + 1e-9 * torch.eye(144, dtype=torch.float64)
    gaussian = Gaussian.from_covariance(rows.mean(0), spread)
    assert share_of_copies(generate_from(gaussian.blind(noise), train.mean(0), config), train, twins(train)) == 0.0


def test_a_twin_hides_a_copy_until_it_is_joined() -> None:
    source = torch.Generator().manual_seed(0)
    train = torch.cat([IMAGES[:8], IMAGES[:8] + 0.002 * torch.randn(IMAGES[:8].shape, generator=source)])
    copies = IMAGES[:8] + 0.002 * torch.randn(IMAGES[:8].shape, generator=source)
    assert sorted(np.bincount(twins(train)).tolist()) == [2] * 8
    assert share_of_copies(copies, train, np.arange(16)) < 1.0 == share_of_copies(copies, train, twins(train))


def test_linear_error_is_what_the_linear_denoiser_makes() -> None:
    """The closed form on points of that Gaussian, and worse with one sigma squared forgotten."""
    rows = IMAGES.flatten(1).double()
    spread = torch.cov(rows.T) + 1e-9 * torch.eye(144, dtype=torch.float64)
    gaussian = Gaussian.from_covariance(rows.mean(0), spread)
    source = torch.Generator().manual_seed(0)
    points = gaussian.sample(4000, source)
    noise = torch.randn(points.shape, dtype=torch.float64, generator=source)
    found = [
        float((gaussian.denoise(points + s * noise, s) - points).square().mean() / (s * noise).square().mean())
        for s in LEVELS
    ]
    assert linear_error(IMAGES) == pytest.approx(sum(found) / len(found), rel=0.02)  # 576,000 squares: 0.2 % each
    assert relative_error(lambda y: y, IMAGES, torch.randn(IMAGES.shape)) == pytest.approx(1.0, abs=1e-6)


def test_training_learns_repeats_and_does_not_depend_on_looks() -> None:
    found = train_image_curve(SMALL, IMAGES[:4], IMAGES[-32:], seed=0, level=2.0)
    assert found.error.shape == found.memorised.shape == (1, 3) and found.error[0, 2] < 0.98 * found.error[0, 0]
    more = train_image_curve(SMALL.replace(evaluations=(4, 5, 6, 60)), IMAGES[:4], IMAGES[-32:], seed=0, level=2.0)
    for a, b in ((1, 0), (2, 3)):
        assert float(found.error[0, a]) == float(more.error[0, b])
        assert float(found.train_error[0, a]) == float(more.train_error[0, b])
    both = joined_images([found, train_image_curve(SMALL, IMAGES[:4], IMAGES[-32:], seed=1, level=2.0)])
    assert both.error.shape == (2, 3) and float(both.error[0, 2]) != float(both.error[1, 2])


def test_a_training_ends_after_copies_were_seen_twice() -> None:
    found = train_image_curve(SMALL, IMAGES[:4], IMAGES[-32:], seed=0, level=0.0)
    assert torch.isnan(found.memorised[0]).tolist() == [False, False, True]


def test_images_that_do_not_fit_and_divergence_are_refused() -> None:
    with pytest.raises(InputError, match=r"images: found shapes \(4, 1, 12, 12\) and \(3, 1, 8, 8\)"):
        train_image_curve(SMALL, IMAGES[:4], torch.zeros(3, 1, 8, 8), seed=0, level=0.1)
    with pytest.raises(InputError, match="at least 3"):
        train_image_curve(SMALL, IMAGES[:2], IMAGES[-32:], seed=0, level=0.1)
    with pytest.raises(InputError, match="not finite at step"):
        train_image_curve(SMALL.replace(learning_rate=1e30), IMAGES[:4], IMAGES[-32:], seed=0, level=0.1)
    with pytest.raises(InputError, match="noise: found shape"):
        relative_error(lambda y: y, IMAGES[:3], torch.zeros(2, 1, 12, 12))
    with pytest.raises(InputError, match="more images than pixels"):
        linear_error(IMAGES[:100])
    with pytest.raises(InputError, match="learning_rate"):
        SMALL.replace(learning_rate=math.inf)
