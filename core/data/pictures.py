"""Reads one picture file into pixels: the one place where an image file is decoded."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from core.data.preprocess import ALIGNED, preprocess
from core.errors import InputError
from core.files import read_bytes

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
UNREADABLE = (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError)
SQUEEZED = 40  # pixels a side of a picture that is squeezed to a square


def read_image(path: Path | str, size: int = 40) -> torch.Tensor:
    """Decode one aligned photograph and preprocess it: (1, size, size) float32 in [0, 1].

    Raises:
        InputError: the file is missing, not an image, truncated, or not 178x218 RGB.
    """
    data = read_bytes(path)
    if data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise InputError(f"{path}: truncated JPEG, found no end marker after the image data")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return preprocess(image, size)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: found no readable image ({error}), expected a JPEG or PNG") from error


def read_picture(path: Path, size: int) -> torch.Tensor:
    """One picture, cropped to its central square, resized (bicubic), mean of RGB: (1, size, size) in [0, 1].

    Raises:
        InputError: naming the file, if it is no picture, it is truncated, or it has more than 16 bits a channel.
    """
    try:
        with Image.open(path) as image:
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            whole = Image.fromarray(deep_levels(image)) if is_deep(image) else image.convert("RGB")
            square = whole.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BICUBIC)
    except UNREADABLE as error:
        raise InputError(f"{path}: not a readable picture ({error})") from error
    pixels = np.asarray(square, dtype=np.float64)
    gray = pixels.clip(0, 1) if pixels.ndim == 2 else pixels.mean(axis=2) / 255  # bicubic weights overshoot
    return torch.from_numpy(gray.astype(np.float32))[None]


def is_deep(image: Image.Image) -> bool:
    """Whether a picture is gray with 16 bits, which Pillow's own conversions would cut off at 255.

    Raises:
        ValueError: for 32 bits a pixel: nothing says which value is white.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return True
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel, of an unknown range; expected 8 or 16, or a tensor in a .npy file")
    return False


def deep_levels(image: Image.Image) -> np.ndarray:
    """(h, w) float32 in [0, 1] of a 16-bit gray picture."""
    return np.asarray(image, dtype=np.float32) / np.float32(65535)


def is_gray(image: Image.Image) -> bool:
    """Whether a picture has no colour by its mode."""
    return image.mode in ("1", "L", "LA")


def read_any(path: Path, resize: int | None) -> np.ndarray:
    """One picture (c, h, w): 8-bit levels where it has no more than that, else float32 in [0, 1].

    Aligned CelebA photographs become 40x40 grays as the report prepares them, any other picture stays as it is, gray
    or RGB, unless it is to be resized.

    Raises:
        InputError: naming the file, if it cannot be read.
    """
    if resize is not None:
        return read_picture(path, resize).numpy()
    try:
        with Image.open(path) as image:
            if image.size == ALIGNED and image.mode == "RGB":
                aligned = True
            elif is_deep(image):
                return deep_levels(image)[None]
            else:
                aligned, mode = False, "L" if is_gray(image) else "RGB"
                pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    except UNREADABLE as error:
        raise InputError(f"{path}: not a readable picture ({error})") from error
    if aligned:
        return read_image(path).numpy()
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_squeezed(path: Path) -> torch.Tensor:
    """Grey pixels: CelebA's aligned photographs as the report prepares them, any other picture squeezed to a square."""
    try:
        with Image.open(path) as image:
            if image.size == (178, 218) and image.mode == "RGB":
                return preprocess(image, SQUEEZED)
            whole = Image.fromarray(deep_levels(image)) if is_deep(image) else image.convert("RGB")
            small = np.asarray(whole.resize((SQUEEZED, SQUEEZED), Image.Resampling.BICUBIC), dtype=np.float32)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such image") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: found no readable image ({error})") from error
    grey = small.clip(0, 1) if small.ndim == 2 else small.mean(axis=2) / 255.0  # bicubic weights overshoot
    return torch.from_numpy(grey)[None]
