"""A collection of pictures: their names, what is known of each, and the pictures themselves, not decoded, on demand."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.data.pictures import Fit, Stored, read_full
from core.data.repeated import first_repeated
from core.errors import InputError

# What unpacks to more than this, and to more than so many times its packed size, is no collection of pictures.
UNPACKED = 1 << 30  # bytes
EXPANSION = 200


class Collection(ABC):
    """Pictures under names, each once, in a fixed order.

    Attributes:
        path: what was named.
        names: one a picture, each a line of printable text that no other picture has.
        columns: name -> (n,) values that are stored with the pictures, such as classes.
        same: other names of a picture's file (links) -> the name under which it is read.
        passed_over: kind -> number of things in the collection that are no pictures.
        pixels: shape (channels, height, width) and type of its arrays of pixels; None where its pictures are files.
        remark: a sentence for what was assumed.
    """

    def __init__(
        self,
        path: Path,
        names: Sequence[str],
        *,
        columns: Mapping[str, np.ndarray] | None = None,
        same: Mapping[str, str] | None = None,
        passed_over: Mapping[str, int] | None = None,
        pixels: tuple[tuple[int, int, int], np.dtype] | None = None,
        remark: str | None = None,
    ) -> None:
        self.path, self.names = path, tuple(names)
        self.columns, self.same, self.passed_over = dict(columns or {}), dict(same or {}), dict(passed_over or {})
        self.pixels, self.remark = pixels, remark
        if (twice := first_repeated(self.names)) is not None:
            raise InputError(f"{path}: found two pictures called {twice!r}, expected each name once")
        odd = next((name for name in self.names if not name.isprintable() or name != name.strip()), None)
        if odd is not None:
            raise InputError(f"{path}: the name {odd!r} holds a character that a list cannot show; rename the picture")

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def stored(self, at: Sequence[int] | range) -> Iterator[Stored]:
        """The pictures at these positions, which ascend, not decoded; no more than a few are held at a time.

        Raises:
            InputError: naming the file, if what holds them cannot be read.
        """

    @abstractmethod
    def places(self) -> list[Hashable]:
        """What tells that a picture of another collection is the very same stored thing, one a picture."""

    @property
    @abstractmethod
    def signature(self) -> dict[str, Any]:
        """What tells, without reading the pictures, that this is the collection of an earlier run.

        Raises:
            InputError: naming the file, if one is not there any more.
        """


class Part(Collection):
    """Some pictures of a collection, in its order."""

    def __init__(self, whole: Collection, at: Sequence[int]) -> None:
        columns = {name: column[list(at)] for name, column in whole.columns.items()}
        super().__init__(
            whole.path,
            [whole.names[k] for k in at],
            columns=columns,
            same=whole.same,
            passed_over=whole.passed_over,
            pixels=whole.pixels,
            remark=whole.remark,
        )
        self.whole, self.at = whole, list(at)

    def stored(self, at: Sequence[int] | range) -> Iterator[Stored]:
        """Those of the whole collection."""
        return self.whole.stored([self.at[k] for k in at])

    def places(self) -> list[Hashable]:
        """Those of the whole collection."""
        places = self.whole.places()
        return [places[k] for k in self.at]

    @property
    def signature(self) -> dict[str, Any]:
        """That of the whole collection, and which pictures these are."""
        return {**self.whole.signature, "of": self.at}


class InFiles(Collection):
    """A collection in one or a few files, each of which holds many pictures: archives, tables, arrays."""

    def __init__(self, path: Path, names: Sequence[str], files: Sequence[Path], part: str = "", **known: Any) -> None:
        super().__init__(path, names, **known)
        self.files, self.part = list(files), part

    def places(self) -> list[Hashable]:
        """Device and number of the first file, and the picture's position."""
        first = file_of(self.files[0])
        return [(*first, self.part, k) for k in range(len(self))]

    @property
    def signature(self) -> dict[str, Any]:
        """Path, size and time of each file."""
        stats = [(str(file.resolve()), stat_of(file)) for file in self.files]
        return {"part": self.part, "files": [[name, at.st_size, at.st_mtime_ns] for name, at in stats]}


def stat_of(path: Path) -> os.stat_result:
    """Size and times of a file; an InputError where it has gone."""
    try:
        return path.stat()
    except OSError as error:
        raise InputError(f"{path}: was listed a moment ago and cannot be read now ({error.strerror})") from error


def file_of(path: Path) -> tuple[int, int]:
    """Device and number of the file that a name leads to: equal for links, hard ones too."""
    at = stat_of(path)
    return at.st_dev, at.st_ino


def check_expansion(label: str, packed: int, unpacked: int) -> None:
    """InputError if something of `packed` bytes says that it unpacks to far more than pictures do."""
    if unpacked > UNPACKED and unpacked > EXPANSION * packed:
        raise InputError(
            f"{label}: found {packed:,} bytes that unpack to {unpacked:,}, expected at most {EXPANSION} times their "
            f"size beyond {UNPACKED:,} bytes"
        )


def check_inside(label: str, name: str) -> None:
    """InputError unless the name of an archive's member is a path that stays inside it."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or (len(name) > 1 and name[1] == ":"):
        raise InputError(f"{label}: holds the path {name[:100]!r}, which leads out of it; expected paths inside it")


def numbered(n: int, prefix: str = "") -> list[str]:
    """Names for pictures that have none: their number from 0, six digits or more, behind `prefix`."""
    digits = max(6, len(str(max(n - 1, 0))))
    return [f"{prefix}{k:0{digits}d}" for k in range(n)]


def full_pictures(collection: Collection, names: Iterable[str], fit: Fit | None) -> Callable[[int], np.ndarray] | None:
    """What reads the picture of the k-th name at full size and in colour; None where only arrays are stored."""
    if collection.pixels is not None:
        return None
    at = positions(collection, names)

    def picture(k: int) -> np.ndarray:
        (stored,) = collection.stored([at[k]])
        return read_full(stored, fit or Fit())

    return picture


def positions(collection: Collection, names: Iterable[str]) -> list[int]:
    """Where pictures stand that are called by their whole names, or by the last part of a path where only one has it.

    Raises:
        InputError: for a name that the collection lacks, or that leads to several pictures.
    """
    wanted = list(names)
    whole = {name: k for k, name in enumerate(collection.names)}
    last: dict[str, list[int]] = {}
    if any(name not in whole for name in wanted):
        for k, name in enumerate(collection.names):
            last.setdefault(name.rpartition("/")[2], []).append(k)
    missing = [name for name in wanted if name not in whole and name not in last]
    if missing:
        known = f"; it has {collection.names[0]!r}" if len(collection) else ""
        raise InputError(
            f"{collection.path}: lacks {len(missing):,} of {len(wanted):,} pictures, first {missing[0]!r}{known}"
        )
    for name in wanted:
        if name not in whole and len(last[name]) > 1:
            both = " and ".join(repr(collection.names[k]) for k in last[name][:2])
            raise InputError(
                f"{collection.path}: {name!r} names {len(last[name])} pictures, {both}; expected the path of one"
            )
    return [whole[name] if name in whole else last[name][0] for name in wanted]
