"""Denoisers whose optimum is known, and images of the law that they are optimal for."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.compare.run import Pair
from core.copies.tests.made_up import images
from core.denoisers.oracles import Gaussian, Mixture
from core.denoisers.oracles.base import Oracle
from core.denoisers.protocol import SigmaDenoiser, Told

SHAPE = (1, 8, 8)
KINDS = 24
SPREAD = 0.15  # of images about their kind, a pixel


def told(oracle: Oracle) -> SigmaDenoiser:
    """An oracle in the form that samplers take."""
    return Told(
        lambda x, sigma: oracle.denoise(x, float(sigma[0])).to(x.dtype),
        shape=SHAPE,
        data_range=(0.0, 1.0),
        sigma_min=0.02,
        sigma_max=20.0,
    )


def kinds() -> Tensor:
    """The means of all kinds of images, (kinds, 1, 8, 8)."""
    return 0.25 + 0.5 * images(KINDS, 5, size=8)


def of_kinds(n: int, seed: int, *, first: int = 0, last: int = KINDS) -> Tensor:
    """Images of some of the kinds in [0, 1]: no Gaussian describes them."""
    g = torch.Generator().manual_seed(seed)
    which = torch.randint(first, last, (n,), generator=g)
    return (kinds()[which] + SPREAD * torch.randn(n, *SHAPE, generator=g)).clamp(0, 1)


def learnt(seed: int, *, first: int = 0, last: int = KINDS, error: float = 0.002) -> SigmaDenoiser:
    """The denoiser of some kinds, each known but for a small error that differs from seed to seed."""
    g = torch.Generator().manual_seed(seed)
    means = kinds()[first:last].flatten(1)
    means = means + error * torch.randn(means.shape, generator=g)
    variances = torch.full((means.shape[1],), SPREAD**2)
    parts = [Gaussian(mean, torch.eye(len(variances)), variances) for mean in means]
    return told(Mixture(parts, [1 / len(parts)] * len(parts)))


def pair_of(tmp: Path, denoisers: dict[str, SigmaDenoiser], a: Tensor, b: Tensor) -> Pair:
    """Denoisers beside their training images, saved as arrays."""
    np.save(tmp / "a.npy", a.numpy())
    np.save(tmp / "b.npy", b.numpy())
    named = dict.fromkeys(denoisers, "made up")
    return Pair(denoisers, named, {"A": tmp / "a.npy", "B": tmp / "b.npy"})
