"""IDX files (MNIST's), `.npz` files and HDF5 files as collections of pictures, read a few pictures at a time."""

from __future__ import annotations

import gzip
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from core.data.collections.arrays import Arrays, Reader, Stack, choose, labels_of
from core.data.collections.collection import check_expansion
from core.errors import InputError

_IDX = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_BROKEN = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, RuntimeError, NotImplementedError, OSError, zlib.error)
_PIECE = 1 << 20  # bytes that are passed over at once


def is_idx(path: Path) -> bool:
    """Whether a file begins as an IDX file does, gzipped or not."""
    try:
        with _unpacked(path) as stream:
            head = stream.read(4)
    except _BROKEN:
        return False
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in _IDX and 1 <= head[3] <= 4


def read_idx(path: Path, files: dict[str, Path], axes: str | None = None) -> Arrays:
    """MNIST's files as one collection, with the labels that lie beside them.

    Args:
        path: what was named.
        files: part (train, t10k; empty for one file) -> file of its pictures.
        axes: order of the axes of a fourth.

    Raises:
        InputError: for a file of another form, or of another length than it says.
    """
    stacks, labels = [], []
    for part, file in files.items():
        shape, dtype = _idx_header(file)
        start = 4 + 4 * len(shape)
        stacks.append(Stack(file, "", part, shape, dtype, lambda f=file, s=start, a=shape, d=dtype: _idx(f, s, a, d)))  # type: ignore[misc]
        beside = file.with_name(file.name.replace("images", _LABEL).replace("idx3", "idx1"))
        if beside != file and beside.is_file():
            labels.append(_idx_labels(beside, shape[0]))
    whole = {"labels": np.concatenate(labels)} if len(labels) == len(stacks) else {}
    return Arrays(path, stacks, axes=axes, columns=whole)


_LABEL = "labels"


def _unpacked(path: Path) -> BinaryIO:
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb")) if packed else path.open("rb")


def _idx_header(path: Path) -> tuple[tuple[int, ...], np.dtype]:
    try:
        with _unpacked(path) as stream:
            head = stream.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX:
                raise InputError(
                    f"{path}: begins with {head.hex() or 'nothing'}, expected an IDX file (0000, type, axes)"
                )
            sizes = stream.read(4 * head[3])
    except _BROKEN as error:
        raise InputError(f"{path}: not a readable IDX file ({error})") from error
    if len(sizes) < 4 * head[3]:
        raise InputError(f"{path}: is cut short in its header")
    shape, dtype = struct.unpack(f">{head[3]}I", sizes), np.dtype(_IDX[head[2]])
    expected, found = 4 + len(sizes) + math.prod(shape) * dtype.itemsize, path.stat().st_size
    if path.open("rb").read(2) == b"\x1f\x8b":
        check_expansion(str(path), found, expected)
    elif found != expected:
        state = "is cut short" if found < expected else "is longer than it says"
        raise InputError(f"{path}: {state}: found {found:,} bytes, expected {expected:,} for {shape} of {dtype}")
    return shape, dtype


def _idx_labels(path: Path, n: int) -> np.ndarray:
    shape, dtype = _idx_header(path)
    if shape != (n,):
        raise InputError(f"{path}: found {shape} labels, expected {n:,}, one a picture")
    with _idx(path, 8, shape, dtype) as read:
        return read(0, n).astype(dtype.newbyteorder("="))


def _idx(path: Path, start: int, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    return _sequential(lambda: _unpacked(path), str(path), start, shape, dtype)


@contextmanager
def _sequential(opening: Any, label: str, start: int, shape: tuple[int, ...], dtype: np.dtype) -> Iterator[Reader]:
    """Reads ranges, which never go back, of an array that begins `start` bytes into a stream."""
    image = math.prod(shape[1:]) * dtype.itemsize
    try:
        with opening() as stream:
            at = 0
            _pass(stream, start, label)

            def read(low: int, high: int) -> np.ndarray:
                nonlocal at
                _pass(stream, (low - at) * image, label)
                data = _exactly(stream, (high - low) * image, label)
                at = high
                if high == shape[0] and stream.read(1):
                    raise InputError(f"{label}: is longer than it says: expected {shape} of {dtype}")
                return np.frombuffer(data, dtype).reshape(high - low, *shape[1:])

            yield read
    except _BROKEN as error:
        raise InputError(f"{label}: cannot be unpacked ({error})") from error


def _pass(stream: BinaryIO, count: int, label: str) -> None:
    while count > 0:
        count -= len(_exactly(stream, min(count, _PIECE), label))


def _exactly(stream: BinaryIO, count: int, label: str) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise InputError(f"{label}: is cut short: found {len(data):,} bytes where {count:,} were expected")
    return data


def read_npz(path: Path, wanted: str = "", axes: str | None = None) -> Arrays:
    """The pictures of a `.npz` file: MedMNIST's keys, or its only array of pictures.

    Raises:
        InputError: for a file that is none, holds pickled objects, or no or several arrays of pictures.
    """
    shapes: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
    starts: dict[str, int] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = {item.filename.removesuffix(".npy"): item for item in archive.infolist()}
            check_expansion(str(path), path.stat().st_size, sum(item.file_size for item in members.values()))
            for key, item in members.items():
                with archive.open(item) as stream:
                    shapes[key], starts[key] = _npy_header(stream, f"{path}::{key}")
                    _check_length(f"{path}::{key}", item.file_size - starts[key], *shapes[key])
    except _BROKEN as error:
        raise InputError(f"{path}: not a readable .npz file ({error})") from error
    stacks = [
        Stack(path, key, part, *shapes[key], lambda k=key: _npz(path, members[k], starts[k], *shapes[k]))  # type: ignore[misc]
        for key, part in choose(path, shapes, wanted).items()
    ]

    def load(key: str) -> np.ndarray:
        with _npz(path, members[key], starts[key], *shapes[key]) as read:
            return read(0, shapes[key][0][0])

    return Arrays(path, stacks, axes=axes, columns=labels_of(stacks, shapes, load), part=wanted)


def _npz(path: Path, item: zipfile.ZipInfo, start: int, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    @contextmanager
    def member() -> Iterator[BinaryIO]:
        with zipfile.ZipFile(path) as archive, archive.open(item) as stream:
            yield cast(BinaryIO, stream)

    return _sequential(member, f"{path}::{item.filename.removesuffix('.npy')}", start, shape, dtype)


def _npy_header(stream: Any, label: str) -> tuple[tuple[tuple[int, ...], np.dtype], int]:
    """Shape and type of an array in numpy's format, and where its values begin."""
    try:
        version = np.lib.format.read_magic(stream)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = reader(stream)
    except (ValueError, KeyError) as error:
        raise InputError(f"{label}: not an array in numpy's format ({str(error)[:100]})") from error
    if dtype.hasobject:
        raise InputError(f"{label}: holds pickled Python objects, which are never loaded; expected numbers")
    if fortran and len(shape) > 1:
        raise InputError(f"{label}: is stored in Fortran order; expected C order (numpy.ascontiguousarray)")
    return (shape, dtype), stream.tell()


def _check_length(label: str, found: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
    expected = math.prod(shape) * dtype.itemsize
    if found != expected:
        raise InputError(f"{label}: found {found:,} bytes of values, expected {expected:,} for {shape} of {dtype}")


def read_hdf5(path: Path, wanted: str = "", axes: str | None = None) -> Arrays:
    """The pictures of an HDF5 file: its only data set of three or four axes, or those called images.

    Links to other files, and data sets stored in other files, are passed over.

    Raises:
        InputError: for a file that is none, or that holds no or several data sets of pictures; or without h5py.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path}: HDF5 needs h5py; pip install 'samenoise[hdf5]' brings it") from error
    shapes: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
    try:
        with h5py.File(path, "r") as file:

            def note(key: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset) and item.shape and not (item.external or item.is_virtual):
                    shapes[key] = item.shape, item.dtype
                    unpacked = math.prod(item.shape) * item.dtype.itemsize
                    check_expansion(f"{path}::{key}", path.stat().st_size, unpacked)

            file.visititems(note)  # does not follow links
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(f"{path}: not a readable HDF5 file ({str(error)[:150]})") from error

    @contextmanager
    def opened(key: str) -> Iterator[Reader]:
        try:
            with h5py.File(path, "r") as file:
                yield lambda low, high: file[key][low:high]
        except (OSError, RuntimeError, KeyError) as error:
            raise InputError(f"{path}::{key}: cannot be read ({str(error)[:150]})") from error

    def load(key: str) -> np.ndarray:
        with opened(key) as read:
            values = read(0, shapes[key][0][0])
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values

    chosen = choose(path, shapes, wanted)
    stacks = [Stack(path, key, part, *shapes[key], lambda k=key: opened(k)) for key, part in chosen.items()]  # type: ignore[misc]
    return Arrays(path, stacks, axes=axes, columns=labels_of(stacks, shapes, load), part=wanted)
