"""Images of a `.npy` or `.pt` file as rows of the definition, read a part at a time."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from core.dedup.definition import POOLED_SIZE, normalised_rows, pooled_dimension
from core.errors import InputError
from core.tensors import load_failure


@dataclass
class FileSource:
    """Images of a `.npy` or `.pt` file as float64 rows, read a part at a time.

    The file is mapped anew for every read, so that pages already read do not count as this process's memory, and so
    that the source can be sent to another process that sees the same file. An image with a pixel that is not finite
    is a row of zeros, like nothing, and stands in `bad` once `rows` has met it.

    Attributes:
        path: of an array or tensor (n, c, h, w) or (n, d).
        size: number of pooled rows; ignored for vectors.
        levels: whether 8-bit values are levels of decoded pictures, which stand for level / 255.
    """

    path: Path
    size: int = POOLED_SIZE
    label: str = ""
    levels: bool = False
    bad: set[int] = field(default_factory=set)
    digests: np.ndarray | None = None  # (n, 32) uint8, filled with the SHA-256 of the images that `rows` reads

    def __post_init__(self) -> None:
        self.label, self.path = self.label or str(self.path), self.path.resolve()
        array = self._map()
        check_layout(array.shape, array.dtype, self.label)
        vectors = array.ndim == 2
        self.shape = (len(array), 1, 1, array.shape[1]) if vectors else array.shape
        self.size = 1 if vectors else self.size
        self.dimension = pooled_dimension(self.shape, self.size, self.label)
        stored = 0 if array.dtype == np.float32 else array.itemsize
        self.image_bytes = (4 + stored) * math.prod(self.shape[1:])

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "digests": None}  # those that read rows elsewhere only decide pairs

    def _map(self) -> np.ndarray:
        try:
            if self.path.suffix == ".npy":
                return np.load(self.path, mmap_mode="r", allow_pickle=False)
            tensor = torch.load(self.path, map_location="cpu", mmap=True, weights_only=True)
        except Exception as error:  # both libraries raise many kinds for a file that is not theirs
            raise InputError(f"{self.path}: not a readable tensor: {load_failure(self.path, error)}") from error
        if not isinstance(tensor, torch.Tensor):
            raise InputError(f"{self.path}: found a {type(tensor).__name__}, expected one tensor")
        return as_array(tensor, str(self.path))

    def __len__(self) -> int:
        return self.shape[0]

    def pixels(self, index: slice | np.ndarray) -> np.ndarray:
        """(k, c, h, w) copies of the images at `index`, as stored."""
        return np.array(self._map()[index]).reshape(-1, *self.shape[1:])

    def _values(self, index: slice | np.ndarray) -> np.ndarray:
        pixels = self.pixels(index)
        return pixels.astype(np.float32) / np.float32(255) if self.levels and pixels.dtype == np.uint8 else pixels

    def rows(self, low: int, high: int) -> np.ndarray:
        """Float64 rows low..high; those with pixels that are not finite are noted."""
        pixels = self._values(slice(low, high))
        rows = normalised_rows(pixels, self.size)
        if self.digests is not None:
            for r, image in enumerate(pixels):
                self.digests[low + r] = np.frombuffer(hashlib.sha256(image.tobytes()).digest(), dtype=np.uint8)
        bad = ~np.isfinite(rows[:, 0])
        self.bad |= set((low + np.flatnonzero(bad)).tolist())
        rows[bad] = 0.0
        return rows

    def take(self, index: np.ndarray) -> np.ndarray:
        """Float64 rows of the images numbered `index`."""
        rows = normalised_rows(self._values(index), self.size)
        rows[~np.isfinite(rows[:, 0])] = 0.0
        return rows


class RowSource(Protocol):
    """Images seen as the float64 rows of the definition."""

    dimension: int
    image_bytes: int  # of one image as it is read, in float32

    def __len__(self) -> int: ...

    def rows(self, low: int, high: int) -> np.ndarray:
        """(high - low, d) float64 rows; InputError names the first image with a pixel that is not finite."""

    def take(self, index: np.ndarray) -> np.ndarray:
        """(len(index), d) float64 rows of the images numbered `index` (ascending)."""


class ArraySource:
    """Images in memory, or in an array mapped to memory.

    Args:
        images: (n, c, h, w) pixels, floating-point or uint8, or (n, d) vectors, which count as one-row images that
            need no pooling. Values are rounded to float32 and otherwise taken as they are.
        size: number of pooled rows; ignored for vectors.
        label: how errors call this input.
    """

    def __init__(self, images: np.ndarray | torch.Tensor, *, size: int = POOLED_SIZE, label: str = "images") -> None:
        array = as_array(images.cpu(), label) if isinstance(images, torch.Tensor) else np.asarray(images)
        check_layout(array.shape, array.dtype, label)
        self.images = array[:, None, None, :] if array.ndim == 2 else array
        self.size = 1 if array.ndim == 2 else size
        self.label = label
        self.dimension = pooled_dimension(self.images.shape, self.size, label)
        self.image_bytes = 4 * math.prod(self.images.shape[1:])

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


def as_array(tensor: torch.Tensor, label: str) -> np.ndarray:
    """A tensor in memory as an array, or InputError for a kind that numpy does not know, such as bfloat16."""
    try:
        return tensor.detach().numpy()
    except (TypeError, RuntimeError) as error:
        raise InputError(
            f"{label}: found a tensor of {tensor.dtype} ({tensor.layout}), expected a dense one of floating-point or "
            "uint8 pixels; tensor.float() makes one of bfloat16"
        ) from error


def check_layout(shape: tuple[int, ...], dtype: np.dtype, label: str) -> None:
    """InputError unless `shape` is (n, c, h, w) or (n, d), nothing but n is zero, and the values are pixels."""
    if len(shape) not in (2, 4) or 0 in shape[1:]:
        raise InputError(f"{label}: expected shape (n, c, h, w) or (n, d), got {tuple(shape)}")
    if dtype.kind != "f" and dtype != np.uint8:
        raise InputError(f"{label}: expected floating-point or uint8 pixels, got {dtype}")
