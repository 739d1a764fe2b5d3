"""Hashes and atomic writes: nothing half-written is ever seen under its final name."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from core.errors import InputError


def write_atomic(path: Path | str, data: bytes | str) -> None:
    """Write `data` to `path` through a synced temporary file in the same directory; parents are made.

    Raises:
        OSError: if the file cannot be written; what stood at `path` before is then untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = data.encode("utf-8") if isinstance(data, str) else data
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | None] = ()) -> None:
    """Refuse, before any work, outputs (by option) that are a folder, each other, or a file that is read.

    Raises:
        InputError: naming the option and the path.
    """
    taken = {path.resolve(): "is read by this command" for path in inputs if path is not None}
    for option, path in outputs.items():
        if path is None:
            continue
        if path.is_dir():
            raise InputError(f"{option}: {path} is a folder; expected a file to write")
        if (place := path.resolve()) in taken:
            raise InputError(f"{option}: {path} {taken[place]}; expected another file to write")
        taken[place] = f"is written by {option} already"


def reserve(stream: BinaryIO, length: int) -> None:
    """Give an open file `length` bytes of the disk, so that a mapped page never finds it full.

    Raises:
        OSError: if there is no room.
    """
    if hasattr(os, "posix_fallocate"):  # macOS does not have it
        os.posix_fallocate(stream.fileno(), 0, length)
        return
    stream.seek(0, os.SEEK_END)
    piece = bytes(2**20)
    while (left := length - stream.tell()) > 0:
        stream.write(piece[:left])
    stream.flush()


def sha256_bytes(data: bytes) -> str:
    """Hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_text(text: str) -> str:
    """Hexadecimal SHA-256 of the UTF-8 form of `text`."""
    return sha256_bytes(text.encode("utf-8"))


def sha256_file(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def names_sha256(names: Iterable[str]) -> str:
    """Hash of an order of names: that of its list file, one name a line, LF, with a final newline."""
    return sha256_text("".join(f"{name}\n" for name in names))


def read_bytes(path: Path | str) -> bytes:
    """The contents of a file; an InputError names it where it is missing or cannot be read."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
