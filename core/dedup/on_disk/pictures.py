"""A folder of pictures becomes one `.npy` file: headers first, then the pixels, within the memory limit, resumable."""

from __future__ import annotations

import io
import json
import math
import os
import struct
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.data.pictures import Header, as_floats, read_header, read_picture
from core.dedup.on_disk.inputs import Input
from core.errors import InputError
from core.files import write_atomic
from core.progress import Progress

BATCH = 256  # pictures decoded between two notes of progress, at most
_HEADER = 256  # bytes kept for the header of the .npy file, whose number of images is known at the end
_DTYPES = ("|u1", "<f4")


@dataclass(frozen=True)
class Headers:
    """What the headers of a folder's pictures say, before any is decoded."""

    shape: tuple[int, int, int]  # of the pictures that are taken: the most common
    dtype: str  # 8-bit levels where all of them have no more, else float32
    bytes: np.ndarray  # (n,) int64: what decoding each picture takes
    trouble: dict[str, str]  # name -> why it cannot be taken
    notes: dict[str, int]  # key of core.data.pictures.NOTES -> pictures of which it is true


def read_headers(given: Input, *, threads: int, progress: Progress | None = None) -> Headers:
    """Look at every picture without decoding it.

    Pictures of another shape than most are trouble; so one odd picture, the first or not, never costs the others.

    Raises:
        InputError: if none can be read.
    """
    assert given.names is not None
    names = given.names
    shapes: list[tuple[int, int, int] | None] = []
    sizes, deep = np.zeros(len(names), dtype=np.int64), np.zeros(len(names), dtype=bool)
    trouble, notes = {}, Counter[str]()
    with ThreadPoolExecutor(threads) as pool:
        for low in range(0, len(names), 16 * BATCH):
            part = names[low : low + 16 * BATCH]
            for name, header in zip(part, pool.map(lambda name: _header(given, name), part), strict=True):
                if isinstance(header, InputError):
                    trouble[name] = str(header)
                    shapes.append(None)
                else:
                    sizes[len(shapes)], deep[len(shapes)] = header.bytes, header.deep
                    shapes.append(header.shape)
                    notes.update(header.notes)
            if progress:
                progress(len(shapes), len(names))
    if not any(shapes):
        raise InputError(f"{given.path}: none of its {len(names)} pictures can be read; {next(iter(trouble.values()))}")
    shape, count = Counter(what for what in shapes if what).most_common(1)[0]
    for name, what in zip(names, shapes, strict=True):
        if what is not None and what != shape:
            trouble[name] = (
                f"{given.path / name}: found {_by(what)} (channels, height, width), expected {_by(shape)} like "
                f"{count:,} of the {len(names):,} pictures; --resize N makes all equal"
            )
    dtype = _DTYPES[any(deep[k] for k, what in enumerate(shapes) if what == shape)]
    return Headers(shape, dtype, sizes, {name: trouble[name] for name in names if name in trouble}, dict(notes))


def check_decoding(given: Input, headers: Headers, memory: int) -> None:
    """InputError if a picture of the folder takes more than `memory` bytes while it is decoded."""
    assert given.names is not None
    largest = int(np.argmax(headers.bytes))
    if headers.bytes[largest] > memory:
        raise InputError(
            f"memory: {memory} bytes cannot hold {given.path / given.names[largest]} while it is decoded; "
            f"expected at least {headers.bytes[largest]} bytes"
        )


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _header(given: Input, name: str) -> Header | InputError:
    assert given.fit is not None
    try:
        return read_header(given.path / name, given.fit)
    except InputError as error:
        return error


def gather(
    given: Input, headers: Headers, work: Path, *, memory: int, threads: int, progress: Progress | None = None
) -> tuple[Path, dict[str, str]]:
    """Decode the pictures of a folder into `work`/images.npy; where an earlier run was stopped, go on from there.

    Returns:
        the file, and name -> reason for those left out: what the headers said, and what decoding met.
    """
    assert given.names is not None
    names, note, target, partial = given.names, work / "pictures.json", work / "images.npy", work / "images.partial"
    state: dict[str, Any] = {"read": 0, "trouble": {}}
    if note.exists():
        state = json.loads(note.read_text())
    trouble: dict[str, str] = state["trouble"]
    skip = headers.trouble.keys()
    if not target.exists():
        image = math.prod(headers.shape) * np.dtype(headers.dtype).itemsize
        with partial.open("r+b" if partial.exists() else "w+b") as stream, ThreadPoolExecutor(threads) as pool:
            written = sum(name not in skip for name in names[: state["read"]]) - len(trouble)
            stream.truncate(_HEADER + written * image)
            stream.seek(0, os.SEEK_END)
            for low, high in _batches(headers.bytes, state["read"], memory):
                part = [name for name in names[low:high] if name not in skip]
                for name, picture in zip(
                    part, pool.map(lambda name: _decoded(given, headers, name), part), strict=True
                ):
                    if isinstance(picture, InputError):
                        trouble[name] = str(picture)
                    else:
                        stream.write(picture.data)
                        written += 1
                stream.flush()
                os.fsync(stream.fileno())
                state["read"] = high
                write_atomic(note, json.dumps(state))
                if progress:
                    progress(high, len(names))
            if not written:
                raise InputError(f"{given.path}: none of its {len(names)} pictures can be read")
            stream.seek(0)
            stream.write(_npy_header(headers.dtype, (written, *headers.shape)))
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)
    both = headers.trouble | trouble
    return target, {name: both[name] for name in names if name in both}


def _decoded(given: Input, headers: Headers, name: str) -> np.ndarray | InputError:
    assert given.fit is not None
    try:
        picture = read_picture(given.path / name, given.fit)
    except InputError as error:
        return error
    if picture.shape != headers.shape:
        return InputError(f"{given.path / name}: changed while it was read, {_by(picture.shape)}")
    if picture.dtype == np.uint8 and headers.dtype != "|u1":
        picture = as_floats(picture)
    return np.ascontiguousarray(picture, dtype=headers.dtype)


def _batches(sizes: np.ndarray, start: int, memory: int) -> Iterator[tuple[int, int]]:
    """Runs (low, high) of at most BATCH pictures from `start` on, which take at most `memory` bytes (or are one)."""
    while start < len(sizes):
        within = np.cumsum(sizes[start : start + BATCH]) <= memory
        stop = start + max(1, int(within.sum()))
        yield start, stop
        start = stop


def _npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Header of version 1.0 of numpy's format, padded to _HEADER bytes."""
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape})
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", _HEADER - 10) + text.ljust(_HEADER - 11).encode() + b"\n"


def save_headers(headers: Headers, path: Path) -> None:
    """Keep headers for a run that goes on."""
    stream = io.BytesIO()
    about = json.dumps(
        {"shape": headers.shape, "dtype": headers.dtype, "trouble": headers.trouble, "notes": headers.notes}
    )
    np.savez(stream, bytes=headers.bytes, about=about)
    write_atomic(path, stream.getvalue())


def load_headers(path: Path) -> Headers:
    """What `save_headers` kept."""
    with np.load(path, allow_pickle=False) as saved:
        about = json.loads(str(saved["about"]))
        return Headers(tuple(about["shape"]), about["dtype"], saved["bytes"], about["trouble"], about["notes"])
