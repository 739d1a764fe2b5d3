"""What `samenoise dedup` is given: saved corpora, CelebA, folders of pictures, tensor files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.data.celeba import find_file
from core.data.pictures import Fit, suffixes
from core.errors import InputError

TENSORS = (".npy", ".pt", ".pth")


@dataclass(frozen=True)
class Input:
    """One set as the user named it.

    Attributes:
        path: what was named.
        file: the `.npy` or `.pt` file of its images; None while a folder's pictures are not gathered in one yet.
        names: one an image, in order; None for bare tensors, whose images are called by their number.
        fit: how pictures become arrays; None for arrays.
        axes: order of the axes of an array, where it is known.
        same: other names of a picture's file (links) -> the name under which it is read.
        passed_over: kind -> number of files in the folder that are no pictures.
    """

    path: Path
    file: Path | None
    names: tuple[str, ...] | None
    fit: Fit | None = None
    axes: str | None = None
    same: Mapping[str, str] = field(default_factory=dict)
    passed_over: Mapping[str, int] = field(default_factory=dict)

    @property
    def signature(self) -> dict[str, Any]:
        """What tells, without reading the images, that this is the input of an earlier run.

        Raises:
            InputError: naming the file, if one is not there any more.
        """
        if self.file is not None:
            at = _stat(self.file)
            found = {"path": str(self.file.resolve()), "bytes": at.st_size, "modified": at.st_mtime_ns}
            return {**found, "axes": self.axes}
        stats = [(name, _stat(self.path / name)) for name in self.names or ()]
        listing = [[name, at.st_size, at.st_mtime_ns] for name, at in stats]
        return {"path": str(self.path.resolve()), "fit": str(self.fit), "pictures": listing}


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise InputError(f"{path}: was listed a moment ago and cannot be read now ({error.strerror})") from error


def find_input(path: Path, *, fit: Fit | None = None, axes: str | None = None) -> Input:
    """Recognise a saved corpus, a CelebA directory, a folder of pictures (subfolders included), or a tensor file.

    Args:
        path: what is named.
        fit: how pictures become arrays; squares of 40 grays, cropped to the centre, unless given.
        axes: order of the axes of a tensor; inferred unless given (`core.dedup.layout`).

    Raises:
        InputError: if it is none of them.
    """
    if path.suffix in TENSORS and path.is_file():
        return Input(path, path, None, axes=axes)
    if (path / "corpus.json").is_file():
        return Input(path, path / "images.npy", _lines(path / "names.txt"), axes="nchw")
    if not path.is_dir():
        raise InputError(f"{path}: expected a saved corpus, a CelebA directory, a folder of pictures, .npy or .pt")
    folder = find_file(path, "img_align_celeba") or path
    if not folder.is_dir():
        raise InputError(f"{folder}: found a file, expected CelebA's folder of pictures")
    passed_over: Counter[str] = Counter()
    names = sorted(_pictures(folder, passed_over))
    if not names:
        found = f"; found {', '.join(f'{n:,} {kind}' for kind, n in passed_over.most_common(5))}" if passed_over else ""
        raise InputError(f"{path}: found no picture there or in its folders, expected at least one{found}")
    first: dict[tuple[int, int], str] = {}
    same = {}
    for name in names:
        earlier = first.setdefault(file_of(folder / name), name)
        if earlier != name:
            same[name] = earlier
    once = tuple(name for name in names if name not in same)
    return Input(folder, None, once, fit or Fit(), same=same, passed_over=dict(passed_over.most_common()))


def file_of(path: Path) -> tuple[int, int]:
    """Device and number of the file that a name leads to: equal for links, hard ones too."""
    at = _stat(path)
    return at.st_dev, at.st_ino


def _pictures(folder: Path, passed_over: Counter[str]) -> Iterator[str]:
    """Names of all pictures below a folder, as paths from it.

    Links to folders are not followed. What is no picture is counted by its suffix, what is hidden by that word.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be listed ({error.strerror})") from error

    known = suffixes()
    for place, folders, files in os.walk(folder, onerror=refuse):
        inside = Path(place).relative_to(folder)
        passed_over["hidden"] += sum(name.startswith(".") for name in (*folders, *files))
        folders[:] = [name for name in folders if not name.startswith(".")]
        passed_over["linked folder"] += sum((Path(place) / name).is_symlink() for name in folders)
        for name in files:
            suffix = Path(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix not in known:
                passed_over[suffix or "without a suffix"] += 1
                continue
            if not name.isprintable():
                raise InputError(
                    f"{folder}: the name {name!r} holds a character that a list cannot show; rename the file"
                )
            yield (inside / name).as_posix()
    for kind in ("hidden", "linked folder"):
        if not passed_over[kind]:
            del passed_over[kind]


def _lines(path: Path) -> tuple[str, ...]:
    try:
        return tuple(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable list of names ({error})") from error
