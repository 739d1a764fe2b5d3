"""When in training a UNet memorises a few images (Bonnaire et al. 2025, section 2), from the smallest honest size on.

The network of Topeza (2025), section 4, is trained by Adam at a constant rate, so that its steps are a time. Looked at
is its running average over a constant share of the steps so far (Karras et al. 2024), without which the noise of the
last steps makes copies come and go. Seen are its error on images held out, and how many of its samples are copies:
nearer to one training image than a third of the distance to the next, near-duplicates of one image counted once.
"""

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from core.denoisers.gradient import by_autograd, by_hand
from core.denoisers.oracles import Gaussian
from core.denoisers.sampling import heun
from core.denoisers.unet import Denoiser, UNet, denoise
from core.errors import InputError
from core.metrics.correlation import correlation_matrix
from core.metrics.neighbours import nearest_groups, nearest_l2, twin_groups
from core.metrics.replication import GAP, gap_ratio
from core.seeds import generator
from core.training.config import ImageDynamicsConfig
from core.training.schedule import noise_levels
from core.training.train import numerics

IMAGE_DYNAMICS_VERSION = 1  # raised with a change of the code that changes curves
LEVELS = (0.25, 0.5, 1.0)  # noise at which errors are measured: half of the range of training in factors of two
TWIN = 0.95  # correlation above which two training images count as one (Topeza 2025, section 3.3)
PATIENCE = 2  # looks in a row at which copies are seen before a training ends: the first crossing is what is wanted


@dataclass(frozen=True)
class ImageCurves:
    """What trainings on sets of one size did over time; rows are trainings, columns looks, NaN after a training ended.

    Attributes:
        steps: (e,) optimiser steps at each look.
        error, train_error: (r, e) squared error over that of doing nothing, on held-out and on training images.
        memorised: (r, e) share of samples that are copies.
    """

    steps: Tensor
    error: Tensor
    train_error: Tensor
    memorised: Tensor


def joined_images(curves: list[ImageCurves]) -> ImageCurves:
    """The rows of several trainings with the same looks."""
    rest = ("error", "train_error", "memorised")
    return ImageCurves(curves[0].steps, *(torch.cat([getattr(c, name) for c in curves]) for name in rest))


def linear_error(images: Tensor) -> float:
    """What `relative_error` is for the best linear denoiser of a population, from its mean and covariance exactly.

    A fixed mark between doing nothing (1) and the unknown optimum: (n, c, h, w) with n above the number of pixels.
    """
    rows = images.flatten(1).double()
    d = rows.shape[1]
    if len(rows) <= d:
        raise InputError(f"images: found {len(rows)} of {d} pixels; expected more images than pixels")
    covariance = torch.cov(rows.T) + 1e-9 * torch.eye(d, dtype=torch.float64)  # pixels that are always alike
    oracle = Gaussian.from_covariance(rows.mean(0), covariance)
    return sum(oracle.mse(sigma) / (d * sigma**2) for sigma in LEVELS) / len(LEVELS)


@torch.no_grad()
def relative_error(denoiser: Denoiser, images: Tensor, noise: Tensor) -> float:
    """Squared error over that of doing nothing, averaged over `LEVELS`, with the same unit noise (n, c, h, w)."""
    if noise.shape != images.shape:
        raise InputError(f"noise: found shape {tuple(noise.shape)}; expected that of the images {tuple(images.shape)}")
    parts = [
        float((denoiser(images + sigma * noise) - images).square().mean() / (sigma * noise).square().mean())
        for sigma in LEVELS
    ]
    return sum(parts) / len(parts)


def share_of_copies(samples: Tensor, train: Tensor, groups: np.ndarray) -> float:
    """Share of samples nearer to a training image than a third of the way to the next, twins counted once."""
    return float(
        (gap_ratio(nearest_groups(lambda k: nearest_l2(samples, train, k, value_range=None), groups, 2)) < GAP).mean()
    )


def twins(images: Tensor) -> np.ndarray:
    """Group of each of (n, c, h, w) images when near-duplicates are joined, (n,) int."""
    alike = correlation_matrix(images, images).abs() > TWIN
    return twin_groups(alike.triu(1).nonzero().numpy(), len(images))


def generate_from(denoiser: Denoiser, mean: Tensor, config: ImageDynamicsConfig) -> Tensor:
    """Samples (s, c, h, w) by the probability flow from noise about `mean`; the noise is the same at every look."""
    sigmas = np.geomspace(1.0, config.sigma_end, config.levels).tolist()
    return heun(denoiser, range(config.samples), mean, sigmas=sigmas, order=1, chunk=config.samples).images


@numerics("32")
def train_image_curve(
    config: ImageDynamicsConfig, images: Tensor, held_out: Tensor, *, seed: int, level: float, device: str = "cpu"
) -> ImageCurves:
    """Train on (n, 1, size, size) images and look at the steps of the config until copies were seen or they end.

    Args:
        config: options.
        images: training images in [0, 1].
        held_out: others of the same kind.
        seed: of weights, order and noise of the training; looks draw from generators of their own.
        level: share of copies from which on copies count as seen.
        device: where it is computed; all that is random is drawn on the CPU, so that a seed means the same anywhere.

    Raises:
        InputError: for images that do not fit the options, or if the network diverges.
    """
    wanted = (1, config.image_size, config.image_size)
    if tuple(images.shape[1:]) != wanted or tuple(held_out.shape[1:]) != wanted or len(images) < 3:
        raise InputError(
            f"images: found shapes {tuple(images.shape)} and {tuple(held_out.shape)}; expected at least 3 of {wanted}"
        )
    model = UNet(config.base_channels, config.blocks, generator=generator("cpu", seed, "weights"))
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    shown = copy.deepcopy(model).eval()  # what is looked at
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    gradient = by_hand(model) if device == "cpu" else by_autograd(model)
    source = generator("cpu", seed, "training")
    groups, mean = twins(images), images.mean(dim=0).to(device)
    fixed = [
        (x.to(device), torch.randn(x.shape, generator=generator("cpu", seed, "evaluation")).to(device))
        for x in (images, held_out)
    ]
    looks = sorted(set(config.evaluations))
    found: list[tuple[float, float, float]] = []
    seen = 0
    for step in range(looks[-1] + 1):
        if step == looks[len(found)]:
            samples = generate_from(_denoiser(shown), mean, config)
            if not bool(torch.isfinite(samples).all()):
                raise InputError(f"learning_rate: with {config.learning_rate:g} samples are not finite at step {step}")
            copies = share_of_copies(samples, images, groups)
            train_error, error = (relative_error(_denoiser(shown), x, z) for x, z in fixed)
            found.append((error, train_error, copies))
            seen = seen + 1 if copies >= level else 0
            if seen == PATIENCE:
                break
        batch = images[torch.randint(len(images), (config.batch,), generator=source)]
        sigma = noise_levels(len(batch), "uniform", source)
        noise = (torch.randn(batch.shape, generator=source) * sigma).to(device)
        optimizer.zero_grad()
        gradient(batch.to(device) + noise, noise, 1 / config.batch)
        optimizer.step()
        _average(shown, model, min(1.0, 1 / (config.average * (step + 1))))
    columns = torch.tensor(found + [(math.nan,) * 3] * (len(looks) - len(found)), dtype=torch.float64)
    return ImageCurves(torch.tensor(looks), *columns.T[:, None])


@torch.no_grad()
def _average(shown: nn.Module, model: nn.Module, rate: float) -> None:
    """Move every weight and running deviation of the first a part of the way to the second."""
    pairs = zip(shown.state_dict().values(), model.state_dict().values(), strict=True)
    for to, value in pairs:
        to.lerp_(value, rate)


def _denoiser(model: nn.Module) -> Denoiser:
    return lambda y: denoise(model, y)
