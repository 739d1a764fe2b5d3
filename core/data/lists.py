"""Lists of image names, one a line, and the text files that hold them, zipped or not."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from core.data.repeated import refuse_repeated
from core.errors import InputError
from core.files import read_bytes, write_atomic

_FILE_NAME = re.compile(r"(?!\.)[^/\\:\x00-\x1f\x7f]{1,255}")
_LARGEST = 1 << 30  # bytes of a table or list: CelebA's largest is 26 MB


def read_list(path: Path | str, *, encoding: str = "utf-8", skip_blank: bool = False) -> list[str]:
    """Read a list of image names, one a line; Windows line ends, trailing blanks and a byte order mark are dropped.

    Blank lines at the end are dropped; elsewhere they are refused, or dropped too if `skip_blank`.

    Raises:
        InputError: the file is missing or empty, is not text in `encoding` throughout, or holds a blank line, a
            name twice, a path, or names of several extensions.
    """
    names = [line.rstrip(" \t") for line in lines_of(read_text(path, encoding=encoding))]
    while names and not names[-1]:
        names.pop()
    numbered = [(line, name) for line, name in enumerate(names, 1) if name or not skip_blank]
    if not numbered:
        raise InputError(f"{path}: found no name, expected one a line")
    for line, name in numbered:
        if not name:
            raise InputError(f"{path}, line {line}: found a blank line, expected a name")
        if not _FILE_NAME.fullmatch(name):
            raise InputError(f"{path}, line {line}: found {name[:80]!r}, expected a bare file name without a path")
    lines, names = [line for line, _ in numbered], [name for _, name in numbered]
    extensions = {name.rpartition(".")[2].lower() if "." in name else "" for name in names}
    if len(extensions) > 1:
        raise InputError(f"{path}: found the extensions {sorted(extensions)}, expected one for all names")
    refuse_repeated(names, lines, path)
    return names


def write_list(path: Path | str, names: Iterable[str]) -> None:
    """Write names as `read_list` reads them: one a line, LF, with a final newline."""
    write_atomic(path, "".join(f"{name}\n" for name in names))


def lines_of(text: str) -> list[str]:
    """Split at LF, CR LF and CR only (`str.splitlines` also splits at form feeds and the like)."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_text(path: Path | str, encoding: str = "utf-8") -> str:
    """Read a text file, or the one `.txt` member of a `.zip` file, without a byte order mark.

    Raises:
        InputError: the file is missing or unreadable, the archive does not hold exactly one `.txt` file, or the
            contents are not text in `encoding` throughout (the line is named).
    """
    data = read_bytes(path)
    if data[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = [item for item in archive.infolist() if item.filename.lower().endswith(".txt")]
                members = [item for item in members if not item.filename.startswith("__MACOSX/")]
                if len(members) != 1:
                    raise InputError(f"{path}: found {len(members)} .txt files in the archive, expected one")
                if members[0].file_size > _LARGEST:
                    raise InputError(f"{path}: unpacks to {members[0].file_size} bytes, expected at most {_LARGEST}")
                data = archive.read(members[0])
        except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError, zlib.error) as error:
            raise InputError(f"{path}: not a readable zip file ({error})") from error
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = data[error.start : error.start + 1].hex()
        raise InputError(f"{path}, line {line}: found byte 0x{found}, expected {encoding} text") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{path}, line {line}: found a zero byte, expected {encoding} text")
    return text.removeprefix("\ufeff")
