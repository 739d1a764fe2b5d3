"""Arrays of pixels in files: what IDX, `.npz` and HDF5 have in common, and which array of a file holds pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.data.collections.collection import InFiles, numbered
from core.data.layout import channels_first, check_pixels, find_axes
from core.data.pictures import Stored
from core.errors import InputError

_PART = re.compile(r"(?:(?P<part>.+?)[-_/])?images?", re.IGNORECASE)
_LABELS = "labels"
Reader = Callable[[int, int], np.ndarray]  # low, high -> (high - low, ...) pictures as they are stored


@dataclass(frozen=True)
class Stack:
    """One array of pictures in a file.

    Attributes:
        file: that holds it.
        key: what it is called in the file; empty where it has no name.
        part: train, val, ..., which its pictures' names begin with; empty where there is one array.
        shape: of the whole array, pictures first.
        dtype: of its values.
        opened: gives a reader of ranges that never go back.
    """

    file: Path
    key: str
    part: str
    shape: tuple[int, ...]
    dtype: np.dtype
    opened: Callable[[], AbstractContextManager[Reader]]

    @property
    def label(self) -> str:
        """How errors call it."""
        return f"{self.file}::{self.key}" if self.key else str(self.file)


class Arrays(InFiles):
    """Pictures that are arrays of one or several files, one after another, called by their numbers from 0."""

    def __init__(
        self,
        path: Path,
        stacks: Sequence[Stack],
        *,
        axes: str | None = None,
        columns: Mapping[str, np.ndarray] | None = None,
        part: str = "",
    ) -> None:
        looked = [self._look(stack, axes) for stack in stacks]
        self.axes = looked[0][0]
        first = looked[0][1], stacks[0].dtype
        for stack, (_, shape, _) in zip(stacks, looked, strict=True):
            if (shape, stack.dtype) != first:
                raise InputError(
                    f"{stack.label}: found {_by(shape)} (channels, height, width) of {stack.dtype}, expected "
                    f"{_by(first[0])} of {first[1]} like {stacks[0].label}"
                )
        names = [name for s in stacks for name in numbered(s.shape[0], f"{s.part}/" if s.part else "")]
        files = list(dict.fromkeys(stack.file for stack in stacks))
        native = stacks[0].dtype.newbyteorder("=")
        super().__init__(path, names, files, part, columns=columns, pixels=(first[0], native), remark=looked[0][2])
        self.stacks = list(stacks)

    @staticmethod
    def _look(stack: Stack, axes: str | None) -> tuple[str, tuple[int, int, int], str | None]:
        """The order of axes of an array, and the shape of a picture."""
        check_pixels(stack.dtype, stack.label)
        if len(stack.shape) not in (3, 4) or 0 in stack.shape:
            raise InputError(
                f"{stack.label}: expected pictures (n, h, w), (n, h, w, c) or (n, c, h, w), got {stack.shape}"
            )
        found, remark = find_axes(stack.shape, axes, stack.label)
        view = channels_first(np.broadcast_to(np.empty((), stack.dtype), stack.shape), found)
        return found, (view.shape[1], view.shape[2], view.shape[3]), remark

    @property
    def signature(self) -> dict[str, Any]:
        """Of the files, and how they are read."""
        return {**super().signature, "axes": self.axes, "arrays": [stack.key for stack in self.stacks]}

    def stored(self, at: Sequence[int] | range) -> Iterator[Stored]:
        """The pictures, read in runs of neighbours of at most a megabyte, or one."""
        assert self.pixels is not None
        shape, dtype = self.pixels
        most = max(1, (1 << 20) // (int(np.prod(shape)) * dtype.itemsize))
        wanted = np.asarray(at, dtype=np.int64)
        begin = 0
        for stack in self.stacks:
            n = stack.shape[0]
            low, high = np.searchsorted(wanted, (begin, begin + n))
            if high > low:
                with stack.opened() as read:
                    for first, stop in _runs(wanted[low:high] - begin, most):
                        pictures = channels_first(read(first, stop), self.axes)
                        for k, picture in enumerate(pictures, begin + first):
                            yield Stored(f"{self.path}/{self.names[k]}", picture.astype(dtype, copy=False))
            begin += n


def _runs(at: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of neighbouring positions, each of at most so many."""
    cuts = np.flatnonzero(np.diff(at) != 1) + 1
    for run in np.split(at, cuts):
        for low in range(0, len(run), most):
            piece = run[low : low + most]
            yield int(piece[0]), int(piece[-1]) + 1


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def choose(path: Path, shapes: Mapping[str, tuple[tuple[int, ...], np.dtype]], wanted: str) -> dict[str, str]:
    """Which arrays of a file hold pictures: key -> part (train, val, ...), empty where there is only one.

    Keys that end in `images` are (MedMNIST: `train_images`); else the only array of three or more axes.

    Args:
        path: of the file, for errors.
        shapes: key -> shape and type.
        wanted: one key, or one part, that the user asks for; empty for all.

    Raises:
        InputError: naming the arrays that are there, if none or several could be meant.
    """
    deep = [key for key, (shape, dtype) in shapes.items() if len(shape) in (3, 4) and dtype.kind in "fiu"]
    matched = {key: _PART.fullmatch(key) for key in deep}
    parts = {key: match["part"] or "" for key, match in matched.items() if match}
    if wanted:
        if wanted in deep:
            return {wanted: ""}
        if wanted in parts.values():
            return {key: "" for key, part in parts.items() if part == wanted}
    elif len(deep) == 1:
        return {deep[0]: ""}
    elif parts and len(set(parts.values())) == len(parts):
        return parts
    listed = ", ".join(f"{key} {_by(shape)} {dtype}" for key, (shape, dtype) in list(shapes.items())[:12]) or "nothing"
    asked = f"no array {wanted!r} of pictures" if wanted else f"{len(deep) or 'no'} arrays of three or four axes"
    raise InputError(f"{path}: found {asked}; it holds {listed}; {path.name}::KEY says which array holds the pictures")


def labels_of(
    stacks: Sequence[Stack],
    shapes: Mapping[str, tuple[tuple[int, ...], np.dtype]],
    load: Callable[[str], np.ndarray],
) -> dict[str, np.ndarray]:
    """What the file knows of each picture: `train_labels` beside `train_images`; of one array, all of its length.

    A column of several values a picture becomes one column each: `labels_0`, `labels_1`, ...
    """
    found: dict[str, list[np.ndarray]] = {}
    alone = len(stacks) == 1
    for stack in stacks:
        match = _PART.fullmatch(stack.key)
        for key, (shape, dtype) in shapes.items():
            beside = bool(match) and key == re.sub("images?$", _LABELS, stack.key, flags=re.IGNORECASE)
            if key == stack.key or len(shape) not in (1, 2) or shape[0] != stack.shape[0] or dtype.kind not in "biufSU":
                continue
            if not beside and (not alone or (len(shape) == 2 and shape[1] > 1)):
                continue
            values = load(key).reshape(shape[0], -1)
            called = _LABELS if beside else key
            for c in range(values.shape[1]):
                name = called if values.shape[1] == 1 else f"{called}_{c}"
                found.setdefault(name, []).append(values[:, c])
    return {name: np.concatenate(pieces) for name, pieces in found.items() if len(pieces) == len(stacks)}
