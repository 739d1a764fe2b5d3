"""Copies of training images made on purpose, on which a criterion of replication is calibrated."""

import io
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from core.errors import InputError
from core.metrics.neighbours import check_range

Kind = Literal["noise", "shift", "crop", "brightness", "flip", "jpeg"]


def perturb(images: Tensor, kind: Kind, amount: float, *, seed: int) -> Tensor:
    """Known copies of (n, c, h, w) images in [0, 1]: noisy, shifted, cropped, brighter, flipped or through a JPEG file.

    `amount`: standard deviation of the noise; whole pixels of a shift in a random diagonal direction (borders
    repeated); share of the side cut away, at a random place, before enlarging back; brightness added or subtracted
    at random; quality of the JPEG file, as Pillow counts it, of gray images or those of three colours; nothing for a
    flip, which mirrors left and right. All are clipped to [0, 1].

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
    elif kind == "flip":
        result = images.flip(-1)
    elif kind == "jpeg":
        result = torch.stack([_through_jpeg(x, int(amount)) for x in images])
    else:
        raise InputError(f"kind: found {kind!r}, expected noise, shift, crop, brightness, flip or jpeg")
    return result.clamp(0, 1)


def _through_jpeg(image: Tensor, quality: int) -> Tensor:
    """An image (c, h, w) as it comes back from a JPEG file."""
    if len(image) not in (1, 3):
        raise InputError(f"images: found {len(image)} channels, expected 1 or 3 for a JPEG file")
    levels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    stream = io.BytesIO()
    Image.fromarray(levels[:, :, 0] if len(image) == 1 else levels).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as picture:
        back = np.array(picture, dtype=np.float32) / 255
    return torch.from_numpy(back.reshape(levels.shape)).permute(2, 0, 1).to(image.dtype)


def check_held_out(queries: Tensor, train: Tensor) -> None:
    """Refuse 'held-out' images that stand, bit for bit, in the training set: they are copies."""
    known = {image.numpy().tobytes(): i for i, image in enumerate(train.cpu().float().contiguous())}
    for number, image in enumerate(queries.cpu().float().contiguous()):
        if (at := known.get(image.numpy().tobytes())) is not None:
            raise InputError(f"queries: image {number} is training image {at}, expected images held out")
