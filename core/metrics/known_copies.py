"""Copies of training images made on purpose, on which a criterion of replication is calibrated."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.errors import InputError
from core.metrics.neighbours import check_range


def perturb(
    images: Tensor, kind: Literal["noise", "shift", "crop", "brightness"], amount: float, *, seed: int
) -> Tensor:
    """Known copies of (n, c, h, w) images in [0, 1]: noisy, shifted, cropped or brighter, clipped to [0, 1].

    `amount`: standard deviation of the noise; whole pixels of a shift in a random diagonal direction (borders
    repeated); share of the side cut away, at a random place, before enlarging back; brightness added or subtracted
    at random.

    Raises:
        InputError: for images of another shape or range, or an unknown kind.
    """
    if images.ndim != 4 or len(images) == 0:
        raise InputError(f"images: found shape {tuple(images.shape)}, expected (n, c, h, w) with n >= 1")
    check_range(images, (0.0, 1.0), "images")
    rng = np.random.default_rng(seed)
    n, h, w = len(images), *images.shape[-2:]
    signs = rng.choice([-1, 1], size=(n, 2))
    if kind == "noise":
        result = images + amount * torch.from_numpy(rng.standard_normal(images.shape)).to(images.dtype)
    elif kind == "brightness":
        result = images + torch.from_numpy(amount * signs[:, 0]).to(images.dtype)[:, None, None, None]
    elif kind == "shift":
        p = int(amount)
        padded = functional.pad(images, (p, p, p, p), mode="replicate")
        corners = p + p * signs
        result = torch.stack([x[:, r : r + h, c : c + w] for x, (r, c) in zip(padded, corners, strict=True)])
    elif kind == "crop":
        side_h, side_w = round(h * (1 - amount)), round(w * (1 - amount))
        rows, columns = rng.integers(0, h - side_h + 1, n), rng.integers(0, w - side_w + 1, n)
        places = zip(images, rows, columns, strict=True)
        cut = torch.stack([x[:, r : r + side_h, c : c + side_w] for x, r, c in places])
        result = functional.interpolate(cut, (h, w), mode="bilinear", align_corners=False)
    else:
        raise InputError(f"kind: found {kind!r}, expected noise, shift, crop or brightness")
    return result.clamp(0, 1)


def check_held_out(queries: Tensor, train: Tensor) -> None:
    """Refuse 'held-out' images that stand, bit for bit, in the training set: they are copies."""
    known = {image.numpy().tobytes(): i for i, image in enumerate(train.cpu().float().contiguous())}
    for number, image in enumerate(queries.cpu().float().contiguous()):
        if (at := known.get(image.numpy().tobytes())) is not None:
            raise InputError(f"queries: image {number} is training image {at}, expected images held out")
