"""Images of a `.npy` or `.pt` file as rows of the definition, read a part at a time."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.dedup_rows import POOLED_SIZE, as_array, check_layout, normalised_rows, pooled_dimension
from core.errors import InputError


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
            reason = str(error).split("\n")[0].split(" If you trust")[0][:200]  # no advice to load a pickle
            raise InputError(f"{self.path}: not a readable tensor ({reason})") from error
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
