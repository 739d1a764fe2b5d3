"""A folder of pictures, its subfolders included."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

from core.data.collections.collection import Collection, file_of, stat_of
from core.data.pictures import Stored, suffixes
from core.errors import InputError


class Folder(Collection):
    """The pictures of a folder and its subfolders, called by their paths below it, in the order of these."""

    @classmethod
    def listed(cls, folder: Path) -> Folder:
        """List a folder. A file that has several names (links) is one picture, under the first of them.

        Raises:
            InputError: if it cannot be listed.
        """
        passed_over: Counter[str] = Counter()
        first: dict[tuple[int, int], str] = {}
        same = {}
        names = sorted(_pictures(folder, passed_over))
        for name in names:
            earlier = first.setdefault(file_of(folder / name), name)
            if earlier != name:
                same[name] = earlier
        once = [name for name in names if name not in same]
        return cls(folder, once, same=same, passed_over=dict(passed_over.most_common()))

    def stored(self, at: Sequence[int] | range) -> Iterator[Stored]:
        """The files, which are opened where they are decoded."""
        for k in at:
            path = self.path / self.names[k]
            yield Stored(str(path), path)

    def places(self) -> list[Hashable]:
        """Device and number of each file."""
        return [file_of(self.path / name) for name in self.names]

    @property
    def signature(self) -> dict[str, Any]:
        """Name, size and time of each file."""
        stats = [(name, stat_of(self.path / name)) for name in self.names]
        pictures = [[name, at.st_size, at.st_mtime_ns] for name, at in stats]
        return {"path": str(self.path.resolve()), "pictures": pictures}


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
            yield (inside / name).as_posix()
    for kind in ("hidden", "linked folder"):
        if not passed_over[kind]:
            del passed_over[kind]
