"""What `samenoise dedup` is given: saved corpora, CelebA, folders of pictures, tensor files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.celeba import find_file
from core.data.pictures import SUFFIXES
from core.errors import InputError


@dataclass(frozen=True)
class Input:
    """One set as the user named it.

    Attributes:
        path: what was named.
        file: the `.npy` or `.pt` file of its images; None while a folder's pictures are not gathered in one yet.
        names: one an image, in order; None for bare tensors, whose images are called by their number.
        resize: pictures only: side of the square to which each is cropped and resized.
    """

    path: Path
    file: Path | None
    names: tuple[str, ...] | None
    resize: int | None = None

    @property
    def signature(self) -> dict[str, Any]:
        """What tells, without reading the images, that this is the input of an earlier run.

        Raises:
            InputError: naming the file, if one is not there any more.
        """
        if self.file is not None:
            at = _stat(self.file)
            return {"path": str(self.file.resolve()), "bytes": at.st_size, "modified": at.st_mtime_ns}
        stats = [(name, _stat(self.path / name)) for name in self.names or ()]
        listing = [[name, at.st_size, at.st_mtime_ns] for name, at in stats]
        return {"path": str(self.path.resolve()), "resize": self.resize, "pictures": listing}


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise InputError(f"{path}: was listed a moment ago and cannot be read now ({error.strerror})") from error


def find_input(path: Path, *, resize: int | None = None) -> Input:
    """Recognise a saved corpus, a CelebA directory, a folder of pictures (subfolders included), or a tensor file.

    Raises:
        InputError: if it is none of them.
    """
    if path.suffix in (".npy", ".pt", ".pth") and path.is_file():
        return Input(path, path, None)
    if (path / "corpus.json").is_file():
        return Input(path, path / "images.npy", _lines(path / "names.txt"))
    if not path.is_dir():
        raise InputError(f"{path}: expected a saved corpus, a CelebA directory, a folder of pictures, .npy or .pt")
    folder = find_file(path, "img_align_celeba") or path
    if not folder.is_dir():
        raise InputError(f"{folder}: found a file, expected CelebA's folder of pictures")
    names = _pictures(folder)
    if not names:
        raise InputError(
            f"{path}: found no picture ({', '.join(sorted(SUFFIXES))}) there or in its folders, expected at least one"
        )
    return Input(folder, None, names, resize)


def _pictures(folder: Path) -> tuple[str, ...]:
    """Names of all pictures below a folder, as paths from it; what is hidden is passed over, links are not followed."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be listed ({error.strerror})") from error

    found = []
    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(place).relative_to(folder)
        found += [
            (inside / name).as_posix()
            for name in files
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
    for name in found:
        if not name.isprintable():
            raise InputError(f"{folder}: the name {name!r} holds a character that a list cannot show; rename the file")
    return tuple(sorted(found))


def _lines(path: Path) -> tuple[str, ...]:
    try:
        return tuple(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable list of names ({error})") from error
