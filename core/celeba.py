"""Reads CelebA's own files: attributes (broken rows repaired, T 3.1), identities, partition, lists, images (T 3.2)."""

import io
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from core.corpus import Corpus, first_repeated, shuffled
from core.errors import InputError
from core.files import write_atomic
from core.preprocess import preprocess

# fmt: off
ATTRIBUTES: tuple[str, ...] = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache",
    "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick",
    "Wearing_Necklace", "Wearing_Necktie", "Young",
)
# fmt: on
NAME = re.compile(r"[0-9]{6}\.(?:jpg|png)")
_NAME_LENGTH = 10
_VALUE_OR_NAME = re.compile(rf"-?1?|{NAME.pattern}")
_PAIR = re.compile(r"\s*\S+\s+-?[0-9]{1,18}\s*")
_FILE_NAME = re.compile(r"(?!\.)[^/\\:\x00-\x1f\x7f]{1,255}")
_LARGEST = 1 << 30  # bytes of a table or list: CelebA's largest is 26 MB


@dataclass(frozen=True, eq=False)
class AttributeTable:
    """An attribute file, read and repaired.

    Attributes:
        attributes: the names of the columns, in the file's order.
        names: image names, one a row, unique.
        values: (rows, columns) int8, each -1 or +1.
        repaired: line numbers (from 1) at which a row that needed repair begins.
    """

    attributes: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray
    repaired: tuple[int, ...]

    def frame(self) -> pd.DataFrame:
        """Return the values as a table with the image names as its index."""
        return pd.DataFrame(self.values, index=pd.Index(self.names, name="name"), columns=pd.Index(self.attributes))


def repair_attribute_text(text: str, *, source: str) -> AttributeTable:
    """Read an attribute file in CelebA's layout (a count, the attribute names, a row an image), repairing broken rows.

    Line ends may stand anywhere: between tokens, inside a name, inside a `-1`, in the count or in CelebA's own header,
    several times in a row. A repair is exact because a name has a fixed form and a row a fixed number of values, so
    that at most one reading of the tokens exists; what has none is refused.

    Raises:
        InputError: a row cannot be repaired (the message names its line), a name occurs twice, or the count on
            the first line is not the number of rows.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    if not text.isascii():
        line = next(number for number, row in enumerate(text.split("\n"), 1) if not row.isascii())
        raise InputError(f"{source}, line {line}: found a character outside ASCII, expected names and values")
    if not text.endswith("\n"):
        text += "\n"
    count, attributes, offset = _read_header(text, source)
    first_line = text.count("\n", 0, offset) + 1
    body = text[offset:].encode("ascii")
    starts, visible, clean, values = _read_clean_rows(np.frombuffer(body, np.uint8), len(attributes))
    rows = [
        (first_line + int(line), body[starts[line] : starts[line] + _NAME_LENGTH].decode(), row)
        for line, row in zip(np.flatnonzero(clean), values, strict=True)
    ]
    stops = np.append(starts[1:], len(body))
    broken: list[tuple[int, str, np.ndarray]] = []
    run: list[tuple[int, str]] = []  # broken lines with no unbroken row between them
    previous = -1
    for line in np.flatnonzero(visible & ~clean):
        if run and clean[previous:line].any():
            broken += _repair_run(run, len(attributes), source)
            run = []
        run.append((first_line + int(line), body[starts[line] : stops[line]].decode()))
        previous = int(line)
    broken += _repair_run(run, len(attributes), source)
    rows = sorted(rows + broken, key=lambda row: row[0])
    names = tuple(name for _, name, _ in rows)
    _refuse_repeated(names, [line for line, _, _ in rows], source)
    if len(rows) != count or not rows:
        raise InputError(f"{source}, line 1: says {count} rows, found {len(rows)}")
    return AttributeTable(
        attributes,
        names,
        np.stack([row for _, _, row in rows]) if broken else values,
        tuple(line for line, _, _ in broken),
    )


def _read_header(text: str, source: str) -> tuple[int, tuple[str, ...], int]:
    """Return the count, the attribute names and the offset of the first row's line."""
    # CelebA's own header is known letter by letter, so line ends inside it, or inside the count, do no harm
    letters = r"\s*".join(map(re.escape, "".join(ATTRIBUTES)))
    if known := re.match(rf"\s*((?:[0-9]\s*)+?){letters} *\n", text):
        return int(re.sub(r"\s", "", known[1])), ATTRIBUTES, known.end()
    count = re.match(r"\s*([0-9]+) *\n", text)
    if not count:
        found = text[:40].split("\n")[0]
        raise InputError(f"{source}, line 1: found {found!r}, expected the number of images")
    header = re.compile(r"[^\n]*\n").match(text, count.end())
    words = tuple(header[0].split()) if header else ()
    if not header or not words or len(set(words)) < len(words) or any(map(_VALUE_OR_NAME.fullmatch, words)):
        line = text.count("\n", 0, count.end()) + 1
        raise InputError(f"{source}, line {line}: found {len(words)} words, expected unique attribute names")
    return int(count[1]), words, header.end()


def _read_clean_rows(body: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read the unbroken rows among the lines of `body`, (bytes,) uint8 that ends in a line end, all at once.

    Returns:
        starts, visible, clean: (lines,), the offset of each line, whether it is not blank, whether it is an
        unbroken row; values: (unbroken rows, width) int8.
    """
    if not len(body):
        none = np.zeros(0, dtype=bool)
        return np.zeros(0, dtype=np.int64), none, none, np.zeros((0, width), dtype=np.int8)
    starts = np.concatenate([[0], np.flatnonzero(body == ord("\n"))[:-1] + 1])
    head = body[np.minimum(starts[:, None] + np.arange(_NAME_LENGTH + 1), len(body) - 1)]
    named = ((head[:, :6] >= ord("0")) & (head[:, :6] <= ord("9"))).all(axis=1)
    suffixes = [np.frombuffer(suffix, np.uint8) for suffix in (b".jpg ", b".png ")]
    named &= np.any([(head[:, 6:] == suffix).all(axis=1) for suffix in suffixes], axis=0)
    blank, one, dash = body == ord(" "), body == ord("1"), body == ord("-")
    space = blank | (body == ord("\n"))
    visible = np.logical_or.reduceat(~space, starts)
    fault = ~(space | one | dash)
    fault[1:] |= one[1:] & ~(blank | dash)[:-1]
    fault[:-1] |= one[:-1] & ~space[1:]
    fault[1:] |= dash[1:] & ~blank[:-1]
    fault[:-1] |= dash[:-1] & ~one[1:]
    in_name = starts[named][:, None] + np.arange(_NAME_LENGTH)
    fault[in_name] = False
    one[in_name] = False
    clean = named & ~np.logical_or.reduceat(fault, starts)
    clean &= np.add.reduceat(one, starts, dtype=np.int64) == width
    if not clean.all():
        one &= np.repeat(clean, np.diff(starts, append=len(body)))
    values = np.where(dash[np.flatnonzero(one) - 1], np.int8(-1), np.int8(1))
    return starts, visible, clean, values.reshape(-1, width)


def _repair_run(run: list[tuple[int, str]], width: int, source: str) -> list[tuple[int, str, np.ndarray]]:
    """Parse consecutive broken lines (number, text) into whole rows (line number, name, values)."""
    rows: list[tuple[int, str, list[int]]] = []
    name, values, dash, begin = "", [], False, 0  # type: str, list[int], bool, int

    def refuse(line: int, found: str) -> InputError:
        row = f"the row of {name!r} that begins at line {begin}"
        return InputError(f"{source}, line {line}: {found} in {row}, expected a name and {width} values")

    for line, text in run:
        for position, token in enumerate(text.split()):
            if not name or (len(values) == width and not dash):
                if position:
                    raise refuse(line, f"found {token!r} after {len(values)} values")
                name, values, begin = token, [], line
                rows.append((begin, name, values))
            elif not NAME.fullmatch(name):  # a line end stood inside the name
                if position:
                    raise refuse(line, f"found the name {name!r}")
                name += token
                rows[-1] = (begin, name, values)
            elif dash and position == 0 and token == "1":  # a line end stood inside a -1
                values.append(-1)
                dash = False
            elif not dash and token in ("1", "-1"):
                values.append(int(token))
            elif not dash and token == "-":
                dash = True
            else:
                raise refuse(line, f"found {token!r} after {len(values)} values")
            if len(name) > _NAME_LENGTH or (len(name) == _NAME_LENGTH and not NAME.fullmatch(name)):
                raise refuse(line, f"found the name {name!r}")
    if rows and (len(values) != width or dash):
        raise refuse(begin, f"found {len(values)} values")
    return [(line, name, np.array(values, dtype=np.int8)) for line, name, values in rows]


def read_attributes(path: Path | str) -> pd.DataFrame:
    """Read an attribute file, `.txt` or a `.zip` that holds one, broken rows repaired.

    Returns:
        One int8 column an attribute, values -1 and +1, the image names as index.

    Raises:
        InputError: the file is missing, unreadable, or cannot be repaired (the line is named).
    """
    return repair_attribute_text(_read_text(path), source=str(path)).frame()


def read_identities(path: Path | str) -> pd.Series:
    """Read the identity file (`name identity` a line): int64 identities with the image names as index.

    Raises:
        InputError: the file is missing or empty, a line has another form, or a name occurs twice.
    """
    return _read_pairs(path, "identity")


def read_partition(path: Path | str) -> pd.Series:
    """Read the partition file (`name 0|1|2` a line, for train, validation, test), with the names as index.

    Raises:
        InputError: as `read_identities`; or a value other than 0, 1 and 2.
    """
    partition = _read_pairs(path, "partition")
    other = partition[~partition.isin((0, 1, 2))]
    if len(other):
        raise InputError(f"{path}: {other.index[0]} has the value {other.iloc[0]}, expected 0, 1 or 2")
    return partition


def read_list(path: Path | str, *, encoding: str = "utf-8", skip_blank: bool = False) -> list[str]:
    """Read a list of image names, one a line; Windows line ends, trailing blanks and a byte order mark are dropped.

    Blank lines at the end are dropped; elsewhere they are refused, or dropped too if `skip_blank`.

    Raises:
        InputError: the file is missing or empty, is not text in `encoding` throughout, or holds a blank line, a
            name twice, a path, or names of several extensions.
    """
    names = [line.rstrip(" \t") for line in _lines(_read_text(path, encoding=encoding))]
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
    _refuse_repeated(names, lines, path)
    return names


def write_list(path: Path | str, names: Iterable[str]) -> None:
    """Write names as `read_list` reads them: one a line, LF, with a final newline."""
    write_atomic(path, "".join(f"{name}\n" for name in names))


def read_celeba(
    directory: Path | str,
    *,
    size: int = 40,
    order: Sequence[str] | int | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Corpus:
    """Read a directory in CelebA's layout into a corpus of (n, 1, size, size) images (T 3.2).

    The directory holds `img_align_celeba/` and, if they are known, `list_attr_celeba.txt` (or `.zip`) and
    `identity_CelebA.txt`, beside it or in the `Anno` folder of the official distribution.

    Args:
        directory: the data set's root.
        size: pixels a side; the report uses 40.
        order: the names to read in this order; a seed for a shuffle of all images (`core.corpus.shuffled`); or
            None for all images in the order of their names.
        threads: decoding threads, by default one a core.
        progress: called with (images done, images in all).

    Raises:
        InputError: a directory or image is missing, an image is truncated or not 178x218 RGB, or a table lacks
            an image; the message names the file.
    """
    root = Path(directory)
    folder = _find(root, "img_align_celeba", ("", "Img"))
    if folder is None or not folder.is_dir():
        raise InputError(f"{root}: found no folder img_align_celeba, expected a directory in CelebA's layout")
    present = sorted(entry.name for entry in os.scandir(folder) if NAME.fullmatch(entry.name))
    if order is None:
        names = present
    elif isinstance(order, int):
        names = shuffled(present, order)
    else:
        names = list(order)
    if not names:
        raise InputError(f"{folder}: found no image, expected NNNNNN.jpg")
    attributes = identities = None
    if attribute_file := _find(root, "list_attr_celeba.txt", ("", "Anno")) or _find(
        root, "list_attr_celeba.zip", ("", "Anno")
    ):
        table = read_attributes(attribute_file)
        attributes = table.iloc[_positions(table.index, names, attribute_file)].reset_index(drop=True)
    if identity_file := _find(root, "identity_CelebA.txt", ("", "Anno")):
        links = read_identities(identity_file)
        identities = links.to_numpy()[_positions(links.index, names, identity_file)]
    images = torch.empty(len(names), 1, size, size)

    def fill(at: int) -> None:
        images[at] = read_image(folder / names[at], size)

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        try:
            for done, _ in enumerate(pool.map(fill, range(len(names))), 1):
                if progress is not None:
                    progress(done, len(names))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Corpus(images, tuple(names), identities, attributes)


def read_image(path: Path | str, size: int = 40) -> torch.Tensor:
    """Decode one aligned photograph and preprocess it: (1, size, size) float32 in [0, 1].

    Raises:
        InputError: the file is missing, not an image, truncated, or not 178x218 RGB.
    """
    data = _read_bytes(path)
    if data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise InputError(f"{path}: truncated JPEG, found no end marker after the image data")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return preprocess(image, size)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: found no readable image ({error}), expected a JPEG or PNG") from error


def _read_pairs(path: Path | str, what: str) -> pd.Series:
    """Read `name integer` lines into an int64 series."""
    text = _read_text(path)
    lines = [(number, line) for number, line in enumerate(_lines(text), 1) if line.strip()]
    if not lines:
        raise InputError(f"{path}: found no line, expected `name {what}` lines")
    for number, line in lines:
        if not _PAIR.fullmatch(line):
            raise InputError(f"{path}, line {number}: found {line[:80]!r}, expected `name {what}`")
    words = text.split()
    _refuse_repeated(words[::2], [number for number, _ in lines], path)
    return pd.Series(np.array(words[1::2], dtype=np.int64), index=pd.Index(words[::2], name="name"), name=what)


def _refuse_repeated(names: Sequence[str], lines: Sequence[int], path: Path | str) -> None:
    """Refuse names that occur twice; `lines` holds the line number of each."""
    if (twice := first_repeated(names)) is not None:
        first, second = [line for line, name in zip(lines, names, strict=True) if name == twice][:2]
        n = len(names) - len(set(names))
        raise InputError(
            f"{path}, line {second}: found {n} repeated names, first {twice!r} (also on line {first}), "
            "expected each name once"
        )


def _positions(index: pd.Index, names: Sequence[str], path: Path) -> np.ndarray:
    """Return where `names` stand in a table's index, or refuse those that it lacks."""
    at = index.get_indexer(pd.Index(names))
    if (at < 0).any():
        missing = [name for name, position in zip(names, at, strict=True) if position < 0]
        raise InputError(f"{path}: lacks {len(missing)} of {len(names)} images, first {missing[0]!r}")
    return at


def _find(root: Path, name: str, folders: Iterable[str]) -> Path | None:
    return next((path for folder in folders if (path := root / folder / name).exists()), None)


def _lines(text: str) -> list[str]:
    """Split at LF, CR LF and CR only (`str.splitlines` also splits at form feeds and the like)."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _read_bytes(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _read_text(path: Path | str, encoding: str = "utf-8") -> str:
    """Read a text file, or the one `.txt` member of a `.zip` file, without a byte order mark."""
    data = _read_bytes(path)
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
