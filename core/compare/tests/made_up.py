"""Denoisers whose optimum is known, and images of the law that they are optimal for."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.compare.run import Pair
from core.copies.tests.made_up import images
from core.denoisers.oracles.base import Oracle
from core.denoisers.protocol import SigmaDenoiser, Told

SHAPE = (1, 8, 8)
LEVELS: dict[str, Any] = {"data_range": (0.0, 1.0), "sigma_min": 0.02, "sigma_max": 20.0}
KINDS = 24
SPREAD = 0.15  # of images about their kind, a pixel


def told(oracle: Oracle) -> SigmaDenoiser:
    """An oracle in the form that samplers take."""
    return Told(lambda x, sigma: oracle.denoise(x, float(sigma[0])).to(x.dtype), shape=SHAPE, **LEVELS)


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
    means = means.double()

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        """The posterior mean of an even mixture of normal laws of one spread, one about each kind."""
        rows, total = x.flatten(1).double(), SPREAD**2 + float(sigma[0]) ** 2
        likely = (-torch.cdist(rows, means).square() / (2 * total)).softmax(dim=1) @ means
        return (likely + SPREAD**2 / total * (rows - likely)).reshape(x.shape).to(x.dtype)

    return Told(denoise, shape=SHAPE, **LEVELS)


def pair_of(tmp: Path, denoisers: dict[str, SigmaDenoiser], a: Tensor, b: Tensor) -> Pair:
    """Denoisers beside their training images, saved as arrays."""
    np.save(tmp / "a.npy", a.numpy())
    np.save(tmp / "b.npy", b.numpy())
    named = dict.fromkeys(denoisers, "made up")
    return Pair(denoisers, named, {"A": tmp / "a.npy", "B": tmp / "b.npy"})
