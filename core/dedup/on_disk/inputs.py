"""What `samenoise dedup` is given: saved corpora, tensor files, CelebA, and collections of pictures of any form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.collections.collection import Collection, stat_of
from core.data.collections.find import HOLDS, find_collection
from core.data.pictures import KEEP, Fit
from core.errors import InputError

TENSORS = (".npy", ".pt", ".pth", ".safetensors")


@dataclass(frozen=True)
class Input:
    """One set as the user named it.

    Attributes:
        path: what was named.
        file: the file of its images, of one of TENSORS; None while a collection's pictures are not gathered in one yet.
        names: one an image, in order; None for bare tensors, whose images are called by their number.
        fit: how pictures become arrays; None for tensors.
        axes: order of the axes of an array, where it is known.
        pictures: the collection; None for a tensor or a corpus.
    """

    path: Path
    file: Path | None
    names: tuple[str, ...] | None
    fit: Fit | None = None
    axes: str | None = None
    pictures: Collection | None = None

    @property
    def same(self) -> Mapping[str, str]:
        """Other names of a picture's file (links) -> the name under which it is read."""
        return {} if self.pictures is None else self.pictures.same

    @property
    def passed_over(self) -> Mapping[str, int]:
        """Kind -> number of things in the collection that are no pictures."""
        return {} if self.pictures is None else self.pictures.passed_over

    @property
    def signature(self) -> dict[str, Any]:
        """What tells, without reading the images, that this is the input of an earlier run.

        Raises:
            InputError: naming the file, if one is not there any more.
        """
        if self.pictures is not None:
            return {**self.pictures.signature, "fit": str(self.fit)}
        assert self.file is not None
        at = stat_of(self.file)
        found = {"path": str(self.file.resolve()), "bytes": at.st_size, "modified": at.st_mtime_ns}
        return {**found, "axes": self.axes}


def find_input(path: Path, *, fit: Fit | None = None, axes: str | None = None) -> Input:
    """Recognise a saved corpus, a CelebA directory, a tensor file, or a collection of pictures.

    Args:
        path: what is named.
        fit: how pictures become arrays. Unless given, files of pictures become squares of 40 grays, cropped to the
            centre, and arrays of pixels are kept as they are.
        axes: order of the axes of a tensor; inferred unless given (`core.data.layout`).

    Raises:
        InputError: if it is none of them.
    """
    if path.suffix in TENSORS and path.is_file():
        return Input(path, path, None, axes=axes)
    if (path / "corpus.json").is_file():
        return Input(path, path / "images.npy", _lines(path / "names.txt"), axes="nchw")
    folder = _celebas_pictures(path) if path.is_dir() else None
    if folder is not None and not folder.is_dir():
        raise InputError(f"{folder}: found a file, expected CelebA's folder of pictures")
    pictures = find_collection(folder or path, axes=axes)
    if pictures is None:
        raise InputError(
            f"{path}: expected a saved corpus, a CelebA directory, {HOLDS}, or a tensor in {', '.join(TENSORS)}"
        )
    chosen = fit or (Fit() if pictures.pixels is None else KEEP)
    return Input(pictures.path, None, pictures.names, chosen, pictures=pictures)


def _celebas_pictures(path: Path) -> Path | None:
    from core.data.celeba import find_file  # pandas

    return find_file(path, "img_align_celeba")


def _lines(path: Path) -> tuple[str, ...]:
    try:
        return tuple(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable list of names ({error})") from error
