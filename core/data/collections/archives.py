"""Archives of pictures: zip files, and the tar shards of WebDataset. Nothing is unpacked to the disk."""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from core.data.collections.collection import InFiles, check_expansion, check_inside
from core.data.pictures import Stored, suffixes
from core.errors import InputError

_BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, NotImplementedError, OSError, zlib.error)
_BESIDE = 1 << 16  # bytes of a member that says something of a picture, at most


def _kind(name: str, passed_over: Counter[str]) -> bool:
    """Whether a member is a picture by its suffix; one that is not is counted by its kind."""
    last = PurePosixPath(name).name
    if last.startswith(".") or name.startswith("__MACOSX/"):
        passed_over["hidden"] += 1
        return False
    if (suffix := PurePosixPath(last).suffix.lower()) in suffixes():
        return True
    passed_over[suffix or "without a suffix"] += 1
    return False


class Zip(InFiles):
    """The pictures of a zip file, called by their paths in it, in the order of these."""

    @classmethod
    def opened(cls, path: Path) -> Zip:
        """Read the archive's directory.

        Raises:
            InputError: for a file that is no zip file, holds a path that climbs, or would unpack to far more.
        """
        passed_over: Counter[str] = Counter()
        try:
            with zipfile.ZipFile(path) as archive:
                members = [item for item in archive.infolist() if not item.is_dir()]
        except _BROKEN as error:
            raise InputError(f"{path}: not a readable zip file ({error})") from error
        for item in members:
            check_inside(str(path), item.filename)
        check_expansion(str(path), path.stat().st_size, sum(item.file_size for item in members))
        names = sorted(item.filename for item in members if _kind(item.filename, passed_over))
        return cls(path, names, [path], passed_over=dict(passed_over.most_common()))

    def stored(self, at: Sequence[int] | range) -> Iterator[Stored]:
        """The files in the archive, unpacked in memory one by one."""
        with zipfile.ZipFile(self.path) as archive:
            for k in at:
                label = f"{self.path}/{self.names[k]}"
                try:
                    yield Stored(label, archive.read(self.names[k]))
                except _BROKEN as error:
                    yield Stored(label, InputError(f"{label}: cannot be unpacked ({error})"))


@dataclass(frozen=True)
class _Member:
    """Where a picture lies in a tar file."""

    shard: int
    name: str
    offset: int
    size: int


class Tar(InFiles):
    """The pictures of tar files, such as WebDataset's shards, in the order in which they are stored.

    A picture is called by its path; behind the name of its shard where there are several. A sample of WebDataset is
    what has one path up to the first dot of its last part: its `.cls` and the plain values of its `.json` are columns.
    """

    def __init__(self, path: Path, members: Sequence[_Member], files: Sequence[Path], **known: Any) -> None:
        several = len(files) > 1
        names = [f"{files[m.shard].stem}/{m.name}" if several else m.name for m in members]
        super().__init__(path, names, files, **known)
        self.members = list(members)

    @classmethod
    def opened(cls, path: Path, shards: Sequence[Path]) -> Tar:
        """Read the headers of all members; pictures are left where they are.

        Raises:
            InputError: for a file that is no plain tar file, is cut short, or holds a path that climbs.
        """
        passed_over: Counter[str] = Counter()
        members: list[_Member] = []
        beside: dict[tuple[int, str], dict[str, Any]] = {}
        for number, shard in enumerate(shards):
            for name, offset, size in _members(shard, passed_over):
                key, dot, kind = _sample(name)
                if dot and kind in ("cls", "json") and size <= _BESIDE:
                    beside.setdefault((number, key), {}).update(_said(shard, name, offset, size, kind))
                elif _kind(name, passed_over):
                    members.append(_Member(number, name, offset, size))
        found = [beside.get((m.shard, _sample(m.name)[0]), {}) for m in members]
        return cls(path, members, shards, columns=columns_of(found), passed_over=dict(passed_over.most_common()))

    def stored(self, at: Sequence[int] | range) -> Iterator[Stored]:
        """The files in the archives, read one by one."""
        shard, stream = -1, None
        try:
            for k in at:
                member = self.members[k]
                if member.shard != shard:
                    if stream is not None:
                        stream.close()
                    shard, stream = member.shard, self.files[member.shard].open("rb")
                assert stream is not None
                stream.seek(member.offset)
                yield Stored(f"{self.files[shard]}/{member.name}", stream.read(member.size))
        except OSError as error:
            raise InputError(f"{self.files[shard]}: cannot be read ({error.strerror})") from error
        finally:
            if stream is not None:
                stream.close()


def _members(path: Path, passed_over: Counter[str]) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of the plain files of a tar file."""
    length = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as archive:
            for item in archive:
                if item.isdir():
                    continue
                check_inside(str(path), item.name)
                if not item.isreg() or item.issparse():
                    passed_over["link or device"] += 1
                    continue
                if item.offset_data + item.size > length:
                    raise InputError(
                        f"{path}: is cut short inside {item.name!r}: found {length:,} bytes, expected at least "
                        f"{item.offset_data + item.size:,}"
                    )
                yield item.name.removeprefix("./"), item.offset_data, item.size
            _check_end(path, archive.offset)
    except _BROKEN as error:
        packed = " (gzip; gunzip it first)" if _magic(path) == b"\x1f\x8b" else f" ({error})"
        raise InputError(f"{path}: not a readable tar file{packed}") from error


def _check_end(path: Path, offset: int) -> None:
    """InputError unless zeros end a tar file: the library stops without a word where it finds anything else."""
    with path.open("rb") as stream:
        stream.seek(offset)
        block = stream.read(tarfile.BLOCKSIZE)
        if len(block) < tarfile.BLOCKSIZE:
            raise InputError(f"{path}: ends at byte {offset:,} without the zeros that end a tar file: is it cut short?")
        while block:
            if block.count(0) < len(block):
                raise InputError(f"{path}: holds something after byte {offset:,} that is no member of a tar file")
            block = stream.read(1 << 20)


def _magic(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(2)


def _sample(name: str) -> tuple[str, str, str]:
    """Key of a WebDataset sample, a dot, and what the member is: a path's last part is cut at its first dot."""
    folder, last = os.path.split(name)
    key, dot, kind = last.partition(".")
    return f"{folder}/{key}" if folder else key, dot, kind.lower()


def _said(path: Path, name: str, offset: int, size: int, kind: str) -> Mapping[str, Any]:
    with path.open("rb") as stream:
        stream.seek(offset)
        data = stream.read(size)
    try:
        text = data.decode("utf-8").strip()
        if kind == "cls":
            return {"cls": text}
        found = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}/{name}: not readable {kind} ({str(error)[:100]})") from error
    plain = found.items() if isinstance(found, dict) else ()
    return {str(key): value for key, value in plain if isinstance(value, str | int | float | bool)}


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """name -> (n,) texts of what is said of pictures; a column that a picture lacks holds an empty text there."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: np.array([str(row.get(key, "")) for row in rows], dtype=object) for key in keys}
