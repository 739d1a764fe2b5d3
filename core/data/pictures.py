"""Reads one picture file into pixels: the one place where an image file is decoded.

Every caller says by a `Fit` how a picture becomes an array, and two callers that say the same get the same pixels:
turned as the EXIF orientation says, transparency composed on white, the first frame where there are several, gray of
16 bits at its full depth, and CelebA's aligned photographs cropped as the report prepares them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from core.data.preprocess import ALIGNED, CROP_BOX, gray_of, preprocess
from core.errors import InputError
from core.files import read_bytes

if TYPE_CHECKING:
    import torch

BACKGROUND = "white"  # on which transparency is composed
# Pillow gives these a suffix and does not decode them by itself: it starts another program for PostScript, asks
# Windows for metafiles, and knows of the others only their names.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
# Pillow keeps a colour pixel in four bytes; file buffers, a converted copy and the array stand beside it.
_DECODING = 24  # bytes a pixel while a picture is decoded, at most
NOTES = {
    "turned": "turned as their EXIF orientation says",
    "transparent": f"with transparency, composed on {BACKGROUND}",
    "frames": "of several frames or pages, read by their first",
    "cut to 8 bits": "of 16 bits a colour, read at 8",
    "inks": "of four inks (CMYK), turned to red, green and blue without a colour profile",
    "aligned": "of 178x218, cropped as aligned photographs of CelebA",
}
_HOW = ("crop", "squeeze", "keep")
_CHANNELS = {"gray": False, "colour": True}


@cache
def suffixes() -> frozenset[str]:
    """Suffixes, with their dot and in lower case, of the files that this installation of Pillow decodes by itself."""
    Image.init()
    known = Image.registered_extensions().items()
    return frozenset(suffix for suffix, kind in known if kind in Image.OPEN and kind not in _NOT_DECODED)


@dataclass(frozen=True)
class Fit:
    """How a picture becomes an array: the central square resized, the whole squeezed to a square, or its own size.

    Aligned photographs of CelebA (178x218) are cropped as the report prepares them, whatever is asked for; where their
    size would be kept they become 40x40 grays.

    Attributes:
        how: crop, squeeze or keep.
        side: pixels a side of the square; None to keep the size.
        colour: three channels, or the gray mean of three; None, only where the size is kept: as the picture has them.

    Raises:
        InputError: for values that do not go together.
    """

    how: str = "crop"
    side: int | None = 40
    colour: bool | None = False

    def __post_init__(self) -> None:
        square = self.how in ("crop", "squeeze") and self.side is not None and self.side > 0 and self.colour is not None
        if not square and (self.how != "keep" or self.side is not None):
            raise InputError(
                f"fit: got {self.how!r} with a side of {self.side}, expected crop:SIDE, squeeze:SIDE or keep"
            )

    @classmethod
    def parse(cls, text: str) -> Fit:
        """The fit of a text: `crop:40`, `squeeze:64:colour`, `keep`, `keep:gray`.

        Raises:
            InputError: if it cannot be read.
        """
        how, *rest = text.split(":")
        channels = rest.pop() if rest and rest[-1] in _CHANNELS else None
        side = rest.pop() if rest else None
        if rest or how not in _HOW or not (side is None or (side.isascii() and side.isdigit())):
            raise InputError(
                f"fit: got {text!r}, expected crop:SIDE, squeeze:SIDE or keep, each with :gray or :colour behind it"
            )
        colour = _CHANNELS[channels] if channels else (None if how == "keep" else False)
        return cls(how, None if side is None else int(side), colour)

    def __str__(self) -> str:
        parts = [self.how, "" if self.side is None else str(self.side)]
        parts.append("" if self.colour is None else ("gray", "colour")[self.colour])
        return ":".join(part for part in parts if part)


KEEP = Fit("keep", None, None)


@dataclass(frozen=True)
class Stored:
    """A picture that is not decoded yet, wherever it lies.

    Attributes:
        label: how errors call it.
        data: its file; the bytes of that file; its pixels (channels, height, width); or why it cannot be had.
    """

    label: str
    data: Path | bytes | np.ndarray | InputError


@dataclass(frozen=True)
class Header:
    """What a picture will be, known without decoding it."""

    shape: tuple[int, int, int]  # channels, height, width
    deep: bool  # float32 in [0, 1]; otherwise 8-bit levels
    bytes: int  # that decoding takes, at most
    notes: tuple[str, ...]  # keys of NOTES


def read_picture(picture: Path | str | Stored, fit: Fit) -> np.ndarray:
    """One picture (c, h, w): 8-bit levels where its colours or its own size are kept, else float32 in [0, 1].

    Pixels that are stored as an array and are to be kept stay as they are.

    Raises:
        InputError: naming the file, if it is no picture, is cut short, or has 32 bits a channel.
    """
    if fit == KEEP and isinstance(picture, Stored) and isinstance(picture.data, np.ndarray):
        return picture.data
    with _opened(picture) as image:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _fitted(_flat(image), fit, gray=_is_gray(image))


def read_header(picture: Path | str | Stored, fit: Fit) -> Header:
    """What `read_picture` will make of a picture; raises what it does for what the header already shows."""
    with _opened(picture) as image:
        deep, gray = _is_deep(image), _is_gray(image)
        # The reader of PNG would decode everything, in case the tag stands behind the pixels.
        orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
        sideways = orientation in (5, 6, 7, 8) and image.format != "TIFF"  # which Pillow turns by itself
        width, height = image.size[::-1] if sideways else image.size
        aligned = (width, height) == ALIGNED
        notes = {
            "turned": orientation in range(2, 9),
            "transparent": image.has_transparency_data,
            "frames": getattr(image, "is_animated", False),
            "cut to 8 bits": not deep and any("16" in str(tile.args) for tile in getattr(image, "tile", ())),
            "inks": image.mode == "CMYK",
            "aligned": aligned,
        }
        side = fit.side or (40 if aligned else None)
        gray = (gray or aligned) if fit.colour is None else not fit.colour
        kept_levels = not deep and (side is None or not gray) and not (fit.colour is False and not _is_gray(image))
        shape = (1 if gray else 3, side or height, side or width)
        taken = _DECODING * width * height
        return Header(shape, not kept_levels, taken, tuple(name for name, so in notes.items() if so))


def read_full(picture: Path | str | Stored, fit: Fit) -> np.ndarray:
    """A picture in colour after the crop of `fit` and before it is resized: (3, h, w) 8-bit levels.

    Raises:
        InputError: as `read_picture`.
    """
    with _opened(picture) as image:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        whole = _cropped(_flat(image), fit)
        if whole.mode == "F":
            return np.rint(np.asarray(whole)[None].repeat(3, axis=0) * 255).astype(np.uint8)
        return np.ascontiguousarray(np.asarray(whole.convert("RGB")).transpose(2, 0, 1))


def as_floats(pixels: np.ndarray) -> np.ndarray:
    """What `read_picture` gave as float32 in [0, 1]: 8-bit levels stand for level / 255."""
    return pixels.astype(np.float32) / np.float32(255) if pixels.dtype == np.uint8 else pixels


def read_image(picture: Path | str | Stored, size: int = 40) -> torch.Tensor:
    """Decode one aligned photograph and preprocess it: (1, size, size) float32 in [0, 1].

    Raises:
        InputError: the file is missing, not an image, truncated, or not 178x218 RGB.
    """
    stored = picture if isinstance(picture, Stored) else Stored(str(picture), Path(picture))
    data = read_bytes(stored.data) if isinstance(stored.data, Path) else stored.data
    if isinstance(data, bytes) and data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise InputError(f"{stored.label}: truncated JPEG, found no end marker after the image data")
    with _opened(Stored(stored.label, data), "found no readable image, expected a JPEG or PNG") as image:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        try:
            return preprocess(image, size)
        except InputError as error:
            raise InputError(f"{stored.label}: {error}") from error


@contextmanager
def _opened(picture: Path | str | Stored, trouble: str = "not a readable picture") -> Iterator[Image.Image]:
    """A picture whose header is read; what fails while it is open becomes an InputError that names it."""
    label, data = (picture.label, picture.data) if isinstance(picture, Stored) else (str(picture), Path(picture))
    if isinstance(data, InputError):
        raise data
    try:
        if isinstance(data, np.ndarray):
            yield _image_of(data)
            return
        # As a stream: Pillow 13 maps a file that it has by name, and so shears gray TIFF with a turned orientation.
        with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as stream, Image.open(stream) as image:
            yield image
    except (InputError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise InputError(f"{label}: no such image") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{label}: {trouble} (of no format that is known)") from error
    except Exception as error:  # Pillow's decoders raise many kinds for a file that is not theirs
        reason = str(error).split("\n")[0][:200] or type(error).__name__
        raise InputError(f"{label}: {trouble} ({reason})") from error


def _image_of(pixels: np.ndarray) -> Image.Image:
    """Pixels (c, h, w) as a picture: gray of 8 or 16 bits, or colours of 8.

    Raises:
        ValueError: for others, which have no known range or meaning.
    """
    if len(pixels) == 3 and pixels.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    if len(pixels) == 1 and pixels.dtype in (np.uint8, np.uint16):
        return Image.fromarray(np.ascontiguousarray(pixels[0]))
    raise ValueError(f"{pixels.dtype} in {len(pixels)} channels can only be kept as they are (--fit keep)")


def _is_deep(image: Image.Image) -> bool:
    """Whether a picture is gray with 16 bits, which Pillow's own conversions would cut off at 255.

    Raises:
        ValueError: for 32 bits a pixel: nothing says which value is white.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return True
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel, of an unknown range; expected 8 or 16, or a tensor in a .npy file")
    return False


def _is_gray(image: Image.Image) -> bool:
    """Whether a picture has no colour by its mode."""
    return image.mode in ("1", "L", "LA", "La", "I") or image.mode.startswith("I;16")


def _flat(image: Image.Image) -> Image.Image:
    """A picture of mode L, RGB, or F with 16-bit gray in [0, 1]; transparency is composed on the background."""
    if _is_deep(image):
        levels = np.asarray(image, dtype=np.float32) / np.float32(65535)
        if (hidden := image.info.get("transparency")) is not None:
            levels[np.asarray(image) == hidden] = 1
        return Image.fromarray(levels)
    gray = _is_gray(image)
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", seen.size, BACKGROUND), seen).convert("RGB")
    return image.convert("L" if gray else "RGB")


def _fitted(whole: Image.Image, fit: Fit, *, gray: bool) -> np.ndarray:
    """The (c, h, w) pixels of a flat picture; `gray` says that it has no colour of its own."""
    aligned = whole.size == ALIGNED
    side = fit.side or (40 if aligned else None)
    colour = fit.colour if fit.colour is not None else not (gray or aligned)
    whole = _cropped(whole, fit)
    if side is not None:
        whole = whole.resize((side, side), Image.Resampling.BICUBIC)
    if whole.mode == "F":
        pixels = np.asarray(whole).clip(0, 1)[None]  # bicubic weights overshoot
        return pixels.repeat(3, axis=0) if colour else pixels
    if whole.mode == "L" and side is None and not colour:
        return np.asarray(whole)[None]
    levels = np.asarray(whole.convert("RGB"))
    return np.ascontiguousarray(levels.transpose(2, 0, 1)) if colour else gray_of(levels)[None]


def _cropped(whole: Image.Image, fit: Fit) -> Image.Image:
    """What of a picture is looked at: of CelebA's aligned ones the report's crop, else what `fit` says."""
    if whole.size == ALIGNED:
        return whole.crop(CROP_BOX)
    if fit.how != "crop":
        return whole
    edge = min(whole.size)
    left, top = (whole.width - edge) // 2, (whole.height - edge) // 2
    return whole.crop((left, top, left + edge, top + edge))
