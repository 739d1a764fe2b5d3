"""The text of a file as UTF-8 bytes: unpacked where it is compressed, without byte order mark, from UTF-16 too."""

import bz2
import gzip
import io
import lzma
import mmap
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core.errors import InputError
from core.files import read_bytes
from core.splits.notes import Note

_LARGEST = 1 << 33  # bytes that a compressed file may unpack to
_PIECE = 1 << 20
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"(\xb5/\xfd": "zstd", b"PK\x03\x04": "zip"}
_UNPACKING = (
    OSError, EOFError, RuntimeError, NotImplementedError, ValueError, LookupError, struct.error, zlib.error,
    lzma.LZMAError, zipfile.BadZipFile,
)  # fmt: skip
_OTHER = {
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save it as CSV",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"7z\xbc\xaf": "a 7z archive; unpack it",
    b"Rar!": "a RAR archive; unpack it",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; fetch it (git lfs pull)",
}


@dataclass(frozen=True, eq=False)
class Text:
    """UTF-8 bytes of a text file (`data` may be a mapped file) and what had to be done to get them."""

    path: Path
    data: Any  # a memoryview
    notes: list[Note] = field(default_factory=list)

    def decoded(self, start: int = 0) -> str:
        """The text from byte `start` on.

        Raises:
            InputError: naming the line whose bytes are not UTF-8.
        """
        try:
            return str(self.data[start:], "utf-8")
        except UnicodeDecodeError as error:
            at = start + error.start
            line = 1 + bytes(self.data[:at]).count(b"\n")
            found = f"found byte 0x{self.data[at]:02x}, expected UTF-8"
            raise InputError(f"{self.path}, line {line}: {found}; is the encoding mixed?") from error

    def lines(self, start: int = 0) -> int:
        """How many lines there are from byte `start` on, blank ones left out."""
        count, ended = 0, True
        for at in range(start, len(self.data), _PIECE):
            piece = np.frombuffer(self.data[at : at + _PIECE], np.uint8)
            end = (piece == 10) | (piece == 13)
            count += int(ended and not end[0]) + int(np.count_nonzero(end[:-1] > end[1:]))
            ended = bool(end[-1])
            del piece
            self.forget()
        return count

    def stream(self, start: int = 0) -> Any:
        """An open file at byte `start`: unlike a mapped one its pages do not count as memory in use."""
        if not isinstance(self.data.obj, mmap.mmap):
            return pa.BufferReader(pa.py_buffer(self.data[start:]))
        stream = self.path.open("rb")
        stream.seek(len(self.data.obj) - len(self.data) + start)
        return stream

    def forget(self) -> None:
        """Let the system take back the memory of a mapped file's pages; they are read again when they are asked for."""
        _forget(self.data)


def read_text_of(path: Path | str) -> Text:
    """Open a text file of any of the usual compressions and encodings.

    Raises:
        InputError: for a missing, empty or unreadable file, one that is no text, or an archive of several files.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: {'this is a folder; expected a file' if path.is_dir() else 'no such file'}")
    notes: list[Note] = []
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
            if not head:
                raise InputError(f"{path}: found no name or row in it; expected a line an image")
            packed = next((name for magic, name in _PACKED.items() if head.startswith(magic)), None)
            data = (
                memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
                if packed is None
                else memoryview(_unpack(path, packed))
            )
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if packed is not None:
        notes.append(Note("assumed", f"unpacked with {packed}", str(path)))
    start = bytes(data[:300])
    for magic, what in _OTHER.items():
        if start.startswith(magic):
            raise InputError(f"{path}: this is {what}; expected a list or a table of text")
    if start[257:262] == b"ustar":
        raise InputError(f"{path}: this is a tar archive; unpack it and name the list or table in it")
    if start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(f"{path}: this is a web page or XML; expected a list or a table of text")
    return _as_utf8(path, data, notes)


def _as_utf8(path: Path, data: memoryview, notes: list[Note]) -> Text:
    if bytes(data[:2]) in (b"\xff\xfe", b"\xfe\xff"):
        try:
            data = memoryview(bytes(data).decode("utf-16").encode("utf-8"))
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: begins as UTF-16 and is not, from byte {error.start + 1} on") from error
        notes.append(Note("assumed", "read as UTF-16, as its first bytes say", str(path)))
    if bytes(data[:3]) == b"\xef\xbb\xbf":
        data = data[3:]
    for at in range(0, len(data), _PIECE):
        zero = bytes(data[at : at + _PIECE]).find(b"\0")
        if zero >= 0:
            raise InputError(f"{path}: found a zero byte at {at + zero + 1:,}; expected UTF-8 text")
        _forget(data)
    if not bytes(data[:_PIECE]).strip():
        raise InputError(f"{path}: found no name or row but blanks in it; expected a line an image")
    return Text(path, data, notes)


def _forget(data: memoryview) -> None:
    if isinstance(data.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        data.obj.madvise(mmap.MADV_DONTNEED)


def _unpack(path: Path, how: str) -> bytes:
    raw = read_bytes(path)
    try:
        stream: Any
        if how == "zip":
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                member = _only_member(path, archive)
                if member.file_size > _LARGEST:
                    raise InputError(f"{path}: unpacks to more than {_LARGEST:,} bytes")
                return archive.read(member)
        if how == "zstd":
            stream = pa.CompressedInputStream(pa.BufferReader(raw), "zstd")
        else:
            stream = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}[how](io.BytesIO(raw))  # type: ignore[operator]
        found = bytes(stream.read(_LARGEST + 1))
    except _UNPACKING as error:
        why = (str(error) or type(error).__name__).splitlines()[0][:120]  # a library may quote the whole file
        raise InputError(f"{path}: cannot be unpacked with {how} ({why})") from error
    except pa.ArrowException as error:
        raise InputError(f"{path}: cannot be unpacked with {how}") from error
    if len(found) > _LARGEST:
        raise InputError(f"{path}: unpacks to more than {_LARGEST:,} bytes")
    return found


def _only_member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    names = [item for item in archive.infolist() if not item.is_dir() and not item.filename.startswith("__MACOSX/")]
    if any(item.filename == "xl/workbook.xml" for item in names):
        raise InputError(f"{path}: this is an Excel workbook; save it as CSV")
    if len(names) != 1:
        shown = ", ".join(item.filename for item in names[:4])
        raise InputError(f"{path}: found {len(names)} files in the archive ({shown}); expected one list or table")
    return names[0]
