"""Images that are drawn for tests of copies."""

import torch
from torch import Tensor


def images(n: int, seed: int, *, size: int = 20, channels: int = 1) -> Tensor:
    """Smooth images (n, c, size, size) in [0, 1], like faces: neighbours at many distances."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, channels, 5, 5, generator=g)
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    return (0.9 * smooth + 0.1 * torch.rand(n, channels, size, size, generator=g)).clamp(0, 1)
