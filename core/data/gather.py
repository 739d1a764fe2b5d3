"""Pictures of a collection become one `.npy` file: headers first, then pixels, within the memory limit, resumable."""

from __future__ import annotations

import io
import json
import math
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from core.data.collections.collection import Collection
from core.data.pictures import KEEP, Fit, Header, Stored, as_floats, read_header
from core.errors import InputError
from core.files import write_atomic
from core.progress import Progress

BATCH = 256  # pictures decoded between two notes of progress, at most
_HEADER = 256  # bytes kept for the header of the .npy file, whose number of images is known at the end
_DTYPES = ("|u1", "<f4")
Decode = Callable[[Stored], np.ndarray]
T = TypeVar("T")


@dataclass(frozen=True)
class Headers:
    """What the headers of a collection's pictures say, before any is decoded."""

    shape: tuple[int, int, int]  # of the pictures that are taken: the most common
    dtype: str  # 8-bit levels where all of them have no more, else float32; arrays that are kept: their own
    bytes: np.ndarray  # (n,) int64: what reading and decoding each picture takes
    trouble: dict[str, str]  # name -> why it cannot be taken
    notes: dict[str, int]  # key of core.data.pictures.NOTES -> pictures of which it is true


def read_headers(
    pictures: Collection, fit: Fit, *, threads: int, memory: int, progress: Progress | None = None
) -> Headers:
    """Look at every picture without decoding it.

    Pictures of another shape than most are trouble; so one odd picture, the first or not, never costs the others.

    Args:
        pictures: the collection.
        fit: how its pictures become arrays.
        threads: at work.
        memory: bytes of pictures held at a time, or one.
        progress: called with (pictures looked at, pictures in all).

    Raises:
        InputError: if none can be read.
    """
    if pictures.pixels is not None:
        return _of_arrays(pictures, fit)
    names = pictures.names
    shapes: list[tuple[int, int, int] | None] = []
    sizes, deep = np.zeros(len(names), dtype=np.int64), np.zeros(len(names), dtype=bool)
    trouble, notes = {}, Counter[str]()
    with ThreadPoolExecutor(threads) as pool:
        for stored, header in mapped(pool, lambda one: _header(one, fit), pictures.stored(range(len(names))), memory):
            at = len(shapes)
            if isinstance(header, InputError):
                trouble[names[at]] = str(header)
                shapes.append(None)
            else:
                sizes[at], deep[at] = header.bytes + bytes_of(stored), header.deep
                shapes.append(header.shape)
                notes.update(header.notes)
            if progress and (at + 1 == len(names) or at % BATCH == BATCH - 1):
                progress(at + 1, len(names))
    if not any(shapes):
        raise InputError(
            f"{pictures.path}: none of its {len(names)} pictures can be read; {next(iter(trouble.values()))}"
        )
    shape, count = Counter(what for what in shapes if what).most_common(1)[0]
    for name, what in zip(names, shapes, strict=True):
        if what is not None and what != shape:
            trouble[name] = (
                f"{pictures.path / name}: found {_by(what)} (channels, height, width), expected {_by(shape)} like "
                f"{count:,} of the {len(names):,} pictures; crop:N or squeeze:N instead of keep makes all equal"
            )
    dtype = _DTYPES[any(deep[k] for k, what in enumerate(shapes) if what == shape)]
    return Headers(shape, dtype, sizes, {name: trouble[name] for name in names if name in trouble}, dict(notes))


def _of_arrays(pictures: Collection, fit: Fit) -> Headers:
    """Arrays of pixels are all alike: what is true of one of zeros is true of all."""
    assert pictures.pixels is not None
    shape, dtype = pictures.pixels
    sample = Stored(str(pictures.path), np.zeros(shape, dtype))
    held = bytes_of(sample)
    if fit == KEEP:
        return Headers(shape, dtype.str, np.full(len(pictures), 2 * held, dtype=np.int64), {}, {})
    header = read_header(sample, fit)
    notes = {name: len(pictures) for name in header.notes}
    return Headers(
        header.shape, _DTYPES[header.deep], np.full(len(pictures), held + header.bytes, dtype=np.int64), {}, notes
    )


def bytes_of(stored: Stored) -> int:
    """Bytes that a picture takes that is held undecoded; none where it is left in its file."""
    if isinstance(stored.data, bytes):
        return len(stored.data)
    return stored.data.nbytes if isinstance(stored.data, np.ndarray) else 0


def mapped(
    pool: ThreadPoolExecutor, work: Callable[[Stored], T], pictures: Iterable[Stored], memory: int
) -> Iterator[tuple[Stored, T]]:
    """Each picture with what `work` makes of it, in order; those held at a time take `memory` bytes, or are one."""
    held: list[Stored] = []
    taken = 0
    for picture in pictures:
        held.append(picture)
        taken += bytes_of(picture)
        if len(held) == 16 * BATCH or taken > memory:
            yield from zip(held, pool.map(work, held), strict=True)
            held, taken = [], 0
    yield from zip(held, pool.map(work, held), strict=True)


def check_decoding(pictures: Collection, headers: Headers, memory: int) -> None:
    """InputError if a picture takes more than `memory` bytes while it is decoded."""
    largest = int(np.argmax(headers.bytes))
    if headers.bytes[largest] > memory:
        raise InputError(
            f"memory: {memory} bytes cannot hold {pictures.path / pictures.names[largest]} while it is decoded; "
            f"expected at least {headers.bytes[largest]} bytes"
        )


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _header(stored: Stored, fit: Fit) -> Header | InputError:
    try:
        return read_header(stored, fit)
    except InputError as error:
        return error


def gather(
    pictures: Collection,
    headers: Headers,
    decode: Decode,
    work: Path,
    *,
    memory: int,
    threads: int,
    progress: Progress | None = None,
) -> tuple[Path, dict[str, str]]:
    """Decode the pictures of a collection into `work`/images.npy; where an earlier run was stopped, go on from there.

    Args:
        pictures: the collection.
        headers: what is known of its pictures.
        decode: makes an array of the headers' shape of one picture.
        work: folder of the file, and of what is left of a stopped run.
        memory: bytes of pictures held and decoded at a time, or one picture.
        threads: at work.
        progress: called with (pictures read, pictures in all).

    Returns:
        the file, and name -> reason for those left out: what the headers said, and what decoding met.
    """
    names, note, target, partial = pictures.names, work / "pictures.json", work / "images.npy", work / "images.partial"
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
            wanted = [k for k in range(state["read"], len(names)) if names[k] not in skip]
            undecoded = pictures.stored(wanted)
            for low, high in _batches(headers.bytes, state["read"], memory):
                part = [name for name in names[low:high] if name not in skip]
                held = [next(undecoded) for _ in part]
                for name, picture in zip(part, pool.map(lambda one: _decoded(one, headers, decode), held), strict=True):
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
                first = next(iter((headers.trouble | trouble).values()))
                raise InputError(f"{pictures.path}: none of its {len(names)} pictures can be read; {first}")
            stream.seek(0)
            stream.write(_npy_header(headers.dtype, (written, *headers.shape)))
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)
    both = headers.trouble | trouble
    return target, {name: both[name] for name in names if name in both}


def _decoded(stored: Stored, headers: Headers, decode: Decode) -> np.ndarray | InputError:
    try:
        picture = decode(stored)
    except InputError as error:
        return error
    if picture.shape != headers.shape:
        return InputError(f"{stored.label}: changed while it was read, {_by(picture.shape)}")
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
