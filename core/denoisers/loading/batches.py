"""Networks that were exported for one number of images, called with any number."""

from collections.abc import Callable

import torch
from torch import Tensor


def in_batches_of(network: Callable[..., Tensor], size: int | None) -> Callable[..., Tensor]:
    """The network called with `size` images at a time, the last repeated to fill up; itself where any number does."""
    if size is None:
        return network

    def called(x: Tensor, *level: Tensor) -> Tensor:
        missing = -len(x) % size
        filled = [torch.cat([part, part[-1:].expand(missing, *part.shape[1:])]) for part in (x, *level)]
        parts = zip(*(part.split(size) for part in filled), strict=True)
        return torch.cat([network(*part) for part in parts])[: len(x)]

    return called
