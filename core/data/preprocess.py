"""Implements the preprocessing of T 3.2: an aligned CelebA photograph becomes a small gray image.

The published code (`load_CelebA_dataset` and `prep_celeba` in `dataloader_func.py` of
github.com/LabForComputationalVision/memorization_generalization_in_diffusion_models, reused by the report) crops rows
29 to -29 and columns 9 to -9, resizes with Pillow's bicubic filter to 8-bit RGB, and averages the three channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from core.errors import InputError

if TYPE_CHECKING:
    import torch

ALIGNED = (178, 218)  # width, height of an aligned CelebA photograph
CROP_BOX = (9, 29, 169, 189)  # left, upper, right, lower: the central 160x160
# The mean of three 8-bit values, over 255: 766 possible grays, each correctly rounded, so equal on every platform.
_GRAY = (np.arange(3 * 255 + 1) / (3 * 255)).astype(np.float32)


def resize_rgb(image: Image.Image, size: int = 40) -> np.ndarray:
    """Crop to the central 160x160 and resize with the bicubic filter: (size, size, 3) uint8.

    Raises:
        InputError: the image is not 178x218 RGB, or `size` is not between 1 and 160.
    """
    if image.size != ALIGNED or image.mode != "RGB":
        found = f"{image.size[0]}x{image.size[1]} {image.mode}"
        raise InputError(f"image: found {found}, expected {ALIGNED[0]}x{ALIGNED[1]} RGB (width x height)")
    if not 1 <= size <= 160:
        raise InputError(f"size: found {size}, expected 1 to 160")
    return np.asarray(image.crop(CROP_BOX).resize((size, size), Image.Resampling.BICUBIC))


def preprocess(image: Image.Image, size: int = 40) -> torch.Tensor:
    """Return the (1, size, size) float32 gray image in [0, 1] of an aligned 178x218 RGB photograph.

    Raises:
        InputError: the image is not 178x218 RGB, or `size` is not between 1 and 160.
    """
    import torch  # a second, which the search for duplicates and lists of names need not wait for

    return torch.from_numpy(gray_of(resize_rgb(image, size)))[None]


def gray_of(levels: np.ndarray) -> np.ndarray:
    """The gray (h, w) float32 in [0, 1] of (h, w, 3) uint8 levels: the mean of the three channels."""
    return _GRAY[levels.sum(axis=2, dtype=np.intp)]
