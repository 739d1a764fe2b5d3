"""Reads a text table whose lines are not all alike: short rows, stray quotes, line ends inside values, comments.

Nothing is lost in silence: every line is a row, part of a quoted value, or counted in a note; what has two readings
is refused by its line.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from core.errors import InputError
from core.splits.dialect import DELIMITERS, Dialect, split_line
from core.splits.notes import Note
from core.splits.text import Text

_FIELD = 1 << 28  # characters of one value


@dataclass
class _Reading:
    """The rows of one way to read the quotes; `broken` says at which line, from 1, it fails and why."""

    rows: list[list[str]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    comments: int = 0
    trimmed: int = 0
    broken: tuple[int, str] | None = None

    def exact(self, width: int) -> bool:
        return self.broken is None and all(len(row) == width for row in self.rows)

    def spread(self) -> int:
        """How many rows take several lines."""
        return sum(end > start for start, end in zip(self.starts, self.ends, strict=True))


def read_irregular(text: Text, dialect: Dialect, missing: Sequence[str]) -> tuple[pa.Table, list[Note]]:
    """Read a table whose rows differ in length, one by one; short rows are padded with missing values as in pandas.

    Args:
        text: the file.
        dialect: what `core.splits.dialect.sniff` found.
        missing: unquoted values that stand for none.

    Raises:
        InputError: naming the line of a row that is too long, or of a quote that can be read in two ways.
    """
    content, width, file = text.decoded(dialect.offset), len(dialect.names), str(text.path)
    lines = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    notes: list[Note] = []
    if dialect.delimiter == " ":
        chosen = _by_words(lines, width)
    elif '"' not in content:
        chosen = _read(content, dialect, width, quoted=False)
    else:
        chosen = _quotes(content, lines, dialect, file, notes)
    if chosen.broken:
        line, why = chosen.broken
        raise InputError(f"{file}, line {dialect.line + line - 1}: {why}")
    _refuse_numbered(chosen, dialect, file)
    rows = _kept(chosen, width, dialect, file, notes)
    none = set(missing)
    columns = [
        pa.array([None if i >= len(row) or row[i] in none else row[i] for row in rows], pa.string())
        for i in range(width)
    ]
    return pa.table([pa.chunked_array([c]) for c in columns], names=[f"c{i}" for i in range(width)]), notes


def _refuse_numbered(chosen: _Reading, dialect: Dialect, file: str) -> None:
    """Refuse rows that all end in a delimiter and begin with their number: either may be what the header lacks."""
    first = [row[0].strip() for row in chosen.rows]
    counts = any(first == [str(k) for k in range(low, low + len(first))] for low in (0, 1))
    if first and chosen.trimmed == len(first) and counts:
        raise InputError(
            f"{file}, line {dialect.line + chosen.starts[0] - 1}: every row has a value more than the header, a "
            "number in front or nothing at its end; expected a header that names all columns"
        )


def _kept(chosen: _Reading, width: int, dialect: Dialect, file: str, notes: list[Note]) -> list[list[str]]:
    """The rows that hold a value, with a note for whatever is not as the header says."""
    rows = chosen.rows
    short = [at for at, row in enumerate(rows) if len(row) < width]
    if short:
        where = dialect.line + chosen.starts[short[0]] - 1
        said = f"{len(short):,} rows are shorter than the header; the values they lack are read as missing"
        notes.append(Note("assumed", said, file, where))
    empty = [at for at, row in enumerate(rows) if not any(cell.strip() for cell in row)]
    if empty:
        where = dialect.line + chosen.starts[empty[0]] - 1
        notes.append(Note("passed over", f"{len(empty):,} rows without any value", file, where))
        gone = set(empty)
        rows = [row for at, row in enumerate(rows) if at not in gone]
    if chosen.comments:
        notes.append(Note("passed over", f"{chosen.comments:,} comment lines among the rows", file))
    if chosen.trimmed:
        notes.append(Note("passed over", f"{chosen.trimmed:,} rows end in delimiters that the header lacks", file))
    return rows


def _by_words(lines: list[str], width: int) -> _Reading:
    found = _Reading()
    for number, line in enumerate(lines, 1):
        if line.strip():
            _take(found, split_line(line, " "), number, number, width, " ")
            if found.broken:
                break
    return found


def _read(content: str, dialect: Dialect, width: int, *, quoted: bool) -> _Reading:
    """One pass with or without quotes; stops at the first row that does not fit."""
    found, before = _Reading(), 0
    csv.field_size_limit(_FIELD)
    reader = csv.reader(
        io.StringIO(content, newline=""),
        delimiter=dialect.delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=quoted,
    )
    try:
        for row in reader:
            if row and not (len(row) == 1 and not row[0].strip()):
                _take(found, row if quoted else [_bare(cell) for cell in row], before + 1, reader.line_num, width,
                      dialect.delimiter)  # fmt: skip
                if found.broken:
                    return found
            before = reader.line_num
    except csv.Error:
        found.broken = (before + 1, "a quote opens or closes in the middle of a value; expected quotes around values")
    return found


def _take(found: _Reading, row: list[str], start: int, end: int, width: int, delimiter: str) -> None:
    """Add a row, or count it as a comment, or say that it is too long."""
    if row[0].lstrip().startswith("#") and len(row) != width:
        found.comments += 1
        return
    if len(row) > width:
        if any(cell.strip() for cell in row[width:]):
            apart = DELIMITERS[delimiter]
            found.broken = (start, f"found {len(row)} values apart by {apart}; expected {width} as in the first line")
            return
        row = row[:width]
        found.trimmed += 1
    found.rows.append(row)
    found.starts.append(start)
    found.ends.append(end)


def _bare(cell: str) -> str:
    """A value read without quoting, less the pair of quotes around the whole of it."""
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


def _quotes(content: str, lines: list[str], dialect: Dialect, file: str, notes: list[Note]) -> _Reading:
    """The one reading of the quotes that fits; two that fit and differ, or none, are refused by line."""
    width = len(dialect.names)
    quoted, bare = (_read(content, dialect, width, quoted=it) for it in (True, False))
    swallowed = None if quoted.broken else _swallowed(quoted, lines, dialect.delimiter, width)
    fits = quoted.broken is None and swallowed is None
    if fits and not quoted.spread() and (quoted.exact(width) or not bare.exact(width)):
        return quoted
    if bare.exact(width) or (not fits and bare.broken is None and dialect.delimiter == "\t"):
        said = f"quotes do not pair up: read without quoting, {len(bare.rows):,} rows from as many lines"
        where = swallowed or (quoted.broken[0] if quoted.broken else None)
        notes.append(Note("assumed", said, file, None if where is None else dialect.line + where - 1))
        return bare
    if fits:
        if quoted.spread():
            said = f"{len(quoted.rows):,} rows from {sum(bool(x.strip()) for x in lines):,} lines: {quoted.spread():,} "
            notes.append(Note("assumed", said + "rows hold line ends inside quotes", file))
        return quoted
    if swallowed is not None:
        quoted.broken = (swallowed, "a quote opens here and closes in another row; double it, or quote the whole value")
    elif bare.broken and quoted.broken and bare.broken[0] < quoted.broken[0]:
        return quoted
    return quoted


def _swallowed(found: _Reading, lines: list[str], delimiter: str, width: int) -> int | None:
    """The line of the first row of several lines that are rows by themselves: a stray quote has swallowed them."""
    for start, end in zip(found.starts, found.ends, strict=True):
        if end == start:
            continue
        whole = [line.count(delimiter) == width - 1 for line in lines[start - 1 : end]]
        if any(whole[1:-1]) or (whole[0] and whole[-1]):
            return start
    return None
