"""Recognises what a path holds: a folder of pictures, an archive, a table, arrays of pixels."""

from __future__ import annotations

import re
from pathlib import Path

from core.data.collections.archives import Tar, Zip
from core.data.collections.array_files import is_idx, read_hdf5, read_idx, read_npz
from core.data.collections.collection import Collection
from core.data.collections.folder import Folder
from core.data.pictures import suffixes
from core.errors import InputError

HOLDS = (
    "a folder of pictures (its subfolders included), a .zip or .tar of them, WebDataset's shards, a parquet file or a "
    "saved data set of Hugging Face, .npz, HDF5 or IDX (MNIST's files, gzipped or not)"
)
_HDF5 = (".h5", ".hdf5", ".he5")
_FORMS = (".zip", ".tar", ".parquet", ".npz", *_HDF5)
_IDX_NAME = re.compile(r"(?:(?P<part>.+?)[-_])?images[-.]idx[34]-ubyte(?P<packed>\.gz)?")
_SPLIT = re.compile(r"(?P<part>[^-]+)-\d+-of-\d+")


def find_collection(path: Path, *, axes: str | None = None) -> Collection | None:
    """The pictures that a path leads to; None for a file that is of no known form.

    A file may be followed by `::` and what it should be read for: an array's key, an image column, a split.

    Args:
        path: file or folder.
        axes: order of the axes of arrays of pixels, nchw or nhwc; inferred unless given (`core.data.layout`).

    Raises:
        InputError: naming the file, for what is broken, holds no picture, or needs a package that is not installed.
    """
    wanted = ""
    if "::" in path.name and not path.exists():
        name, _, wanted = path.name.partition("::")
        path = path.with_name(name)
    found = _of_folder(path, wanted, axes) if path.is_dir() else _of_file(path, wanted, axes)
    if found is not None and not len(found):
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in list(found.passed_over.items())[:5])
        where = "there or in its folders" if path.is_dir() else "in it"
        raise InputError(
            f"{path}: found no picture {where}, expected at least one{f'; found {kinds}' if kinds else ''}"
        )
    return found


def open_collection(path: Path, *, axes: str | None = None) -> Collection:
    """The same, where nothing but a collection will do.

    Raises:
        InputError: as `find_collection`; or for a path that leads to none.
    """
    found = find_collection(path, axes=axes)
    if found is None:
        state = "found a file of no known form" if path.exists() else "found no such file or folder"
        raise InputError(f"{path}: {state}, expected {HOLDS}")
    return found


def _of_file(path: Path, wanted: str, axes: str | None) -> Collection | None:
    if not path.is_file():
        return None
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return read_npz(path, wanted, axes)
    if suffix in _HDF5:
        return read_hdf5(path, wanted, axes)
    if suffix == ".parquet":
        return _table(path, [path], wanted)
    if wanted:
        raise InputError(f"{path}::{wanted}: `::` goes with .npz, HDF5, parquet and saved data sets")
    if suffix == ".zip":
        return Zip.opened(path)
    if suffix in (".tar", ".tgz") or path.name.lower().endswith((".tar.gz", ".tar.xz", ".tar.bz2")):
        return Tar.opened(path, [path])
    return read_idx(path, {"": path}, axes) if suffix not in suffixes() and is_idx(path) else None


def _of_folder(path: Path, wanted: str, axes: str | None) -> Collection:
    from core.data.collections.tables import Table, saved_shards  # pyarrow

    if (shards := saved_shards(path)) is not None:
        return Table.opened(path, shards, wanted)
    folder = Folder.listed(path)
    if len(folder):
        if wanted:
            raise InputError(f"{path}::{wanted}: `::` goes with .npz, HDF5, parquet and saved data sets")
        return folder
    inside = sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith("."))
    if tables := [entry for entry in inside if entry.suffix.lower() == ".parquet"]:
        return _table(path, tables, wanted)
    if tars := [entry for entry in inside if entry.suffix.lower() == ".tar"]:
        return Tar.opened(path, tars)
    if idx := _idx_files(inside):
        return read_idx(path, idx, axes)
    raw = path / "raw"  # where torchvision unpacks MNIST
    return (
        _of_folder(raw, wanted, axes)
        if raw.is_dir() and any(_IDX_NAME.fullmatch(e.name) for e in raw.iterdir())
        else folder
    )


def _table(path: Path, files: list[Path], wanted: str) -> Collection:
    """Parquet files as one table; `train-00000-of-00002.parquet`, as Hugging Face names them, belongs to a split."""
    from core.data.collections.tables import Shard, Table  # pyarrow

    matched = [_SPLIT.fullmatch(file.stem) for file in files]
    parts = [match["part"] if match else "" for match in matched]
    several = len(set(parts)) > 1
    if several and "" in parts:
        raise InputError(
            f"{path}: found {files[parts.index('')].name} beside pieces of splits, expected one or the other"
        )
    return Table.opened(
        path, [Shard(f, p if several or wanted == p else "") for f, p in zip(files, parts, strict=True)], wanted
    )


def _idx_files(files: list[Path]) -> dict[str, Path]:
    """Part (train, t10k) -> file of its pictures; of a file and its gzipped copy the unpacked one."""
    found: dict[str, Path] = {}
    for file in files:  # `x` comes before `x.gz`
        if match := _IDX_NAME.fullmatch(file.name):
            found.setdefault(match["part"] or "", file)
    return found
