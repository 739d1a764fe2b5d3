"""Groups that are folders of pictures: which files hold the same bytes, whatever they are called."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.pictures import suffixes
from core.errors import InputError
from core.files import sha256_file
from core.splits.membership import Column, Membership
from core.splits.notes import Note

_KINDS = 5  # kinds of files passed over that are named


@dataclass(frozen=True, eq=False)
class FolderGroups:
    """The membership of folders: an image is a file's content, called by the first path that has it."""

    membership: Membership
    files: tuple[Path, ...]  # one a row
    notes: tuple[Note, ...]


def read_folders(folders: Mapping[str, Path], root: Path | str) -> FolderGroups:
    """Membership of groups that lie in folders of their own, subfolders included; equal bytes are one image.

    Args:
        folders: group -> folder.
        root: the folder that holds them all; images are called by their path below it.

    Raises:
        InputError: for a folder without a picture or a file that cannot be read.
    """
    root = Path(root)
    passed: Counter[str] = Counter()
    files: list[Path] = []
    group: list[int] = []
    for at, (name, folder) in enumerate(folders.items()):
        pictures = [path for path in _files(folder) if _counted(path.name, passed)]
        if not pictures:
            raise InputError(f"{folder}: group {name} has no picture in it; expected one or more")
        files += pictures
        group += [at] * len(pictures)
    codes, first = _by_content(files)
    values = [files[row].relative_to(root).as_posix() for row in first]
    membership = Membership(tuple(folders), np.array(group, dtype=np.int32), Column(codes, values))
    notes = []
    if passed:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in passed.most_common(_KINDS))
        more = f" and {len(passed) - _KINDS} kinds more" if len(passed) > _KINDS else ""
        notes.append(Note("passed over", f"{passed.total():,} files that are no pictures ({kinds}{more})", str(root)))
    return FolderGroups(membership, tuple(files), tuple(notes))


def is_picture(name: str) -> bool:
    """Whether a file is read as a picture, by its suffix; hidden ones are not."""
    return Path(name).suffix.lower() in suffixes() and not name.startswith(".")


def _files(folder: Path) -> list[Path]:
    """Every file below a folder; linked folders are entered too, each folder once."""
    found, entered = [], {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, followlinks=True):
        within = []
        for name in sorted(folders):
            real = os.path.realpath(Path(place) / name)
            if real not in entered:
                entered.add(real)
                within.append(name)
        folders[:] = within
        found += [Path(place) / name for name in sorted(names)]
    return found


def _counted(name: str, passed: Counter[str]) -> bool:
    """Whether a file is a picture; one that is not is counted by its kind."""
    if is_picture(name):
        return True
    passed["hidden" if name.startswith(".") else Path(name).suffix.lower() or "without a suffix"] += 1
    return False


def _by_content(files: list[Path]) -> tuple[np.ndarray, list[int]]:
    """(files,) int32 number of each file's content, and the first file of each; only files of one size are read."""
    try:
        sizes = [path.stat().st_size for path in files]
        often = Counter(sizes)
        contents = [sha256_file(path) if often[size] > 1 else path for path, size in zip(files, sizes, strict=True)]
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
    numbers: dict[str | Path, int] = {}
    codes = np.empty(len(files), dtype=np.int32)
    first: list[int] = []
    for row, content in enumerate(contents):
        if content not in numbers:
            numbers[content] = len(numbers)
            first.append(row)
        codes[row] = numbers[content]
    return codes, first
