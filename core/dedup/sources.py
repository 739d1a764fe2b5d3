"""Images in memory, or of a `.npy` or `.pt` file, as rows of the definition, read a part at a time."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from core.data.layout import channels_first, check_pixels, find_axes
from core.data.pictures import as_floats
from core.dedup.definition import POOLED_SIZE, normalised_rows, pooled_dimension, pooled_grid, pooling_window
from core.errors import InputError

if TYPE_CHECKING:
    import torch


@dataclass
class FileSource:
    """Images of a `.npy`, `.pt` or `.safetensors` file as float64 rows, read a part at a time.

    The file is mapped anew for every read, so that pages already read do not count as this process's memory, and so
    that the source can be sent to another process that sees the same file. An image with a pixel that is not finite
    is a row of zeros, like nothing, and stands in `bad` once `rows` has met it.

    Attributes:
        path: of an array or tensor (n, c, h, w), (n, h, w, c), (n, h, w) or (n, d).
        size: number of pooled rows; ignored for vectors.
        levels: whether 8-bit values are levels of decoded pictures, which stand for level / 255.
        axes: nchw or nhwc; inferred where it is None, and then `remark` says what was inferred.
    """

    path: Path
    size: int = POOLED_SIZE
    label: str = ""
    levels: bool = False
    axes: str | None = None
    remark: str | None = None
    bad: set[int] = field(default_factory=set)
    digests: np.ndarray | None = None  # (n, 32) uint8, filled with the SHA-256 of the images that `rows` reads

    def __post_init__(self) -> None:
        self.label, self.path = self.label or str(self.path), self.path.resolve()
        array = self._map()
        check_pixels(array.dtype, self.label)
        self.axes, self.remark = find_axes(array.shape, self.axes, self.label)
        self.shape = channels_first(array[:0], self.axes).shape
        self.shape = (len(array), *self.shape[1:])
        self.size = 1 if self.axes == "nd" else self.size
        self.dimension = pooled_dimension(self.shape, self.size)
        self.dtype = array.dtype
        self.image_bytes = bytes_of_image(self.shape, array.dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "digests": None}  # those that read rows elsewhere only decide pairs

    def _map(self) -> np.ndarray:
        try:
            if self.path.suffix == ".npy":
                return np.load(self.path, mmap_mode="r", allow_pickle=False)
            return _map_tensor(self.path)
        except InputError:
            raise
        except Exception as error:  # both libraries raise many kinds for a file that is not theirs
            from core.tensors import load_failure  # torch

            raise InputError(f"{self.path}: not a readable tensor: {load_failure(self.path, error)}") from error

    def __len__(self) -> int:
        return self.shape[0]

    def pixels(self, index: slice | np.ndarray) -> np.ndarray:
        """(k, c, h, w) copies of the images at `index`, as stored."""
        assert self.axes is not None
        return channels_first(np.array(self._map()[index]), self.axes)

    def values(self, index: slice | np.ndarray) -> np.ndarray:
        """(k, c, h, w) copies of the images at `index`, as they are compared."""
        return self._compared(self.pixels(index))

    def _compared(self, stored: np.ndarray) -> np.ndarray:
        return as_floats(stored) if self.levels else stored

    def rows(self, low: int, high: int) -> np.ndarray:
        """Float64 rows low..high; those with pixels that are not finite are noted."""
        assert self.axes is not None
        pixels = self._compared(channels_first(np.asarray(self._map()[low:high]), self.axes))  # mapped, not copied
        rows = normalised_rows(pixels, self.size)
        if self.digests is not None:
            hashes = [hashlib.sha256(image).digest() for image in np.ascontiguousarray(pixels)]
            self.digests[low:high] = np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, 32)
        bad = ~np.isfinite(rows[:, 0])
        self.bad |= set((low + np.flatnonzero(bad)).tolist())
        rows[bad] = 0.0
        return rows

    def take(self, index: np.ndarray) -> np.ndarray:
        """Float64 rows of the images numbered `index`."""
        rows = normalised_rows(self.values(index), self.size)
        rows[~np.isfinite(rows[:, 0])] = 0.0
        return rows


def _map_tensor(path: Path) -> np.ndarray:
    """The tensor of a `.safetensors` or `.pt` file, mapped; torch is loaded for these alone."""
    import torch

    from core.tensors import map_tensor

    if path.suffix == ".safetensors":
        return map_tensor(path)
    tensor = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    if not isinstance(tensor, torch.Tensor):
        raise InputError(f"{path}: found a {type(tensor).__name__}, expected one tensor")
    return as_array(tensor, str(path))


class RowSource(Protocol):
    """Images seen as the float64 rows of the definition."""

    shape: tuple[int, ...]  # (n, c, h, w)
    size: int  # pooled rows
    dimension: int
    image_bytes: int  # of one image as it is read and as it is converted

    def __len__(self) -> int: ...

    def rows(self, low: int, high: int) -> np.ndarray:
        """(high - low, d) float64 rows; InputError names the first image with a pixel that is not finite."""

    def take(self, index: np.ndarray) -> np.ndarray:
        """(len(index), d) float64 rows of the images numbered `index` (ascending)."""

    def values(self, index: np.ndarray) -> np.ndarray:
        """(len(index), c, h, w) pixels of the images numbered `index`, as they are compared."""


class ArraySource:
    """Images in memory, or in an array mapped to memory.

    Args:
        images: (n, c, h, w), (n, h, w, c) or (n, h, w) pixels, floating-point or whole numbers, or (n, d) vectors,
            which count as one-row images that need no pooling. Values are taken as they are.
        size: number of pooled rows; ignored for vectors.
        label: how errors call this input.
        axes: nchw or nhwc; inferred where it is None.
    """

    def __init__(
        self,
        images: np.ndarray | torch.Tensor,
        *,
        size: int = POOLED_SIZE,
        label: str = "images",
        axes: str | None = None,
    ) -> None:
        array = as_array(images.cpu(), label) if hasattr(images, "cpu") else np.asarray(images)
        check_pixels(array.dtype, label)
        self.axes, self.remark = find_axes(array.shape, axes, label)
        self.images = channels_first(array, self.axes)
        self.shape = self.images.shape
        self.size = 1 if self.axes == "nd" else size
        self.label = label
        self.dimension = pooled_dimension(self.shape, self.size)
        self.image_bytes = bytes_of_image(self.shape, array.dtype)

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, low: int, high: int) -> np.ndarray:
        """Float64 rows low..high, checked for pixels that are not finite."""
        rows = normalised_rows(self.images[low:high], self.size)
        bad = np.flatnonzero(~np.isfinite(rows[:, 0]))
        if len(bad):
            raise InputError(f"{self.label}: image {low + bad[0]} has a pixel that is NaN or infinite")
        return rows

    def take(self, index: np.ndarray) -> np.ndarray:
        """Float64 rows of the images numbered `index`."""
        return normalised_rows(self.images[index], self.size)

    def values(self, index: np.ndarray) -> np.ndarray:
        """(k, c, h, w) pixels of the images numbered `index`."""
        return self.images[index]


def as_array(tensor: torch.Tensor, label: str) -> np.ndarray:
    """A tensor in memory as an array, or InputError for a kind that numpy does not know, such as bfloat16."""
    try:
        return tensor.detach().numpy()
    except (TypeError, RuntimeError) as error:
        raise InputError(
            f"{label}: found a tensor of {tensor.dtype} ({tensor.layout}), expected a dense one of floating-point or "
            "whole-number pixels; tensor.float() makes one of bfloat16"
        ) from error


def bytes_of_image(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Bytes of one image of (n, c, h, w) as it is stored and as it is converted to be pooled."""
    converted = 4 if np.can_cast(dtype, np.float32) else 16  # a copy, and one less its pedestal
    return (converted + (0 if dtype == np.float32 else dtype.itemsize)) * math.prod(shape[1:])


@dataclass(frozen=True)
class Grid:
    """Size of the pooled image for images of one shape."""

    shape: tuple[int, ...]  # (n, c, h, w)
    size: int  # pooled rows asked for

    @property
    def pooled(self) -> tuple[int, int, int]:
        """Channels, rows and columns."""
        return (self.shape[1], *pooled_grid(self.shape, self.size))

    @property
    def dimension(self) -> int:
        """Number of pooled values of an image."""
        return math.prod(self.pooled)

    def __str__(self) -> str:
        rows, columns = self.pooled[1:]
        if (window := pooling_window(self.shape, self.size)) is not None:
            return f"{rows}x{columns} by squares of {window} pixels"
        height, width = self.shape[-2:]
        return f"{rows}x{columns} by windows of {height / rows:.4g}x{width / columns:.4g} pixels, by area"


def check_same_grid(first: Grid, second: Grid, label: str) -> None:
    """InputError unless images are pooled to the same channels, rows and columns, or one kind are vectors."""
    if second.dimension != first.dimension:
        raise InputError(f"{label}: found {second.dimension} pooled values an image, expected {first.dimension}")
    if first.pooled != second.pooled and (1, 1, first.dimension) not in (first.pooled, second.pooled):
        found, expected = ("x".join(map(str, grid.pooled)) for grid in (second, first))
        raise InputError(f"{label}: is pooled to {found} (channels, rows, columns), expected {expected}")
