"""How a text table is written: what stands between its values, where its header is, what its columns are called."""

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from core.errors import InputError
from core.splits.notes import Note
from core.splits.text import Text

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars", " ": "blanks"}
ROW_NAMES = "(row names)"  # the column of a table whose rows are one value longer than its header
FILE_LIKE = re.compile(r"\S.*\.[A-Za-z][A-Za-z0-9]{1,4}$|.*[^/\\][/\\][^/\\].*")  # a name with an extension or a path
WITH_EXTENSION = re.compile(r".*\.[A-Za-z][A-Za-z0-9]{1,4}")
_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?")
_POSITION = re.compile(r"[0-9]+(\+[0-9]+)*")
_SAMPLE = 1 << 20  # bytes that are looked at
_LINES = 400


@dataclass(frozen=True)
class Dialect:
    """How to read a text table.

    Attributes:
        delimiter: a key of `DELIMITERS`; a blank stands for any run of blanks and tabs.
        names: of the columns, in order; `1`, `2`, ... where there is no header.
        headed: whether the names stand in the file.
        offset: byte at which the first row begins.
        line: line, from 1, at which the first row begins.
        notes: what was guessed.
    """

    delimiter: str
    names: tuple[str, ...]
    headed: bool
    offset: int
    line: int
    notes: tuple[Note, ...] = ()


def sniff(text: Text, wanted: Collection[str] = (), known: Collection[str] = ()) -> Dialect:
    """Look at the first lines of a table.

    Args:
        text: the file.
        wanted: names of columns that the user gave: a first row that holds one is a header.
        known: words in lower case, letters and digits only, that a header is recognised by.

    Raises:
        InputError: where the file is not UTF-8, or begins with nothing but blanks.
    """
    lines, file = _first_lines(text), str(text.path)
    notes: list[Note] = []
    at, comments, forced = _opening(lines, file, notes)
    body = [line for _, line in lines[at:] if line.strip()]
    delimiter = forced or find_delimiter(body, text.path.name)
    rows = [split_line(line, delimiter) for line in body]
    hashed = [cell.strip() for cell in split_line(lines[at - 1][1].lstrip().lstrip("#"), delimiter)] if comments else []
    if hashed and len(hashed) == len(rows[0]) and (_named(hashed, wanted) or _known([hashed, *rows], known)):
        names, headed = hashed, True
        comments -= 1
    elif has_header(rows, wanted, known):
        if not _named(rows[0], wanted) and not _known(rows, known):
            text_of = f"line taken for the header: {', '.join(rows[0])[:60]}"
            notes.append(Note("guessed", text_of, file, at + 1))
        names, headed = [cell.strip() for cell in rows[0]], True
        at, rows = at + 1, rows[1:]
        while at < len(lines) and not lines[at][1].strip():
            at += 1
    else:
        names, headed = [str(i + 1) for i in range(len(rows[0]))], False
    if comments:
        notes.append(Note("passed over", f"{comments} comment lines", file))
    if headed and rows:
        ended = {len(row) for row in rows} == {len(names) + 1} and not any(row[-1].strip() for row in rows)
        names, said = (names, []) if ended else _fitted(names, [len(row) for row in rows])
        if not said and not ended and '"' in "".join(body) and delimiter != " ":
            names, said = _fitted(names, _quoted_widths([line for _, line in lines[at:]], delimiter))
        notes += [Note("guessed", sentence, file) for sentence in said]
    notes += _unusual(text, delimiter, names, headed)
    offset = lines[at][0] if at < len(lines) else len(text.data)
    return Dialect(delimiter, tuple(names), headed, offset, at + 1, tuple(notes))


def _opening(lines: list[tuple[int, str]], file: str, notes: list[Note]) -> tuple[int, int, str | None]:
    """How many lines stand before the table, how many of them are comments, and the delimiter if one line says it."""
    if not any(line.strip() for _, line in lines):
        raise InputError(f"{file}: found no name or row in its first {_SAMPLE:,} bytes")
    forced = re.fullmatch(r"sep=(.)", lines[0][1].strip("\r\n"))
    at = int(forced is not None)
    while at < len(lines) - 1 and (not lines[at][1].strip() or lines[at][1].lstrip().startswith("#")):
        at += 1
    comments = sum(line.lstrip().startswith("#") for _, line in lines[:at])
    body = [line for _, line in lines[at:] if line.strip()]
    if len(body) > 2 and body[0].strip().isdigit() and len(_words(body[1])) > 1:
        notes.append(Note("passed over", f"{body[0].strip()!r} alone on its line: a count of rows", file, at + 1))
        at += 1
    return at, comments, forced[1] if forced and forced[1] in DELIMITERS else None


def _unusual(text: Text, delimiter: str, names: Sequence[str], headed: bool) -> list[Note]:
    """Notes for a delimiter that the file's name does not promise, and for a missing header."""
    usual = {"csv": ",", "tsv": "\t"}.get(text.path.name.rpartition(".")[2].lower(), ",")
    notes = []
    if len(names) > 1 and delimiter != usual:
        notes.append(Note("guessed", f"the values of a row are apart by {DELIMITERS[delimiter]}", str(text.path)))
    if len(names) > 1 and not headed:
        notes.append(Note("guessed", f"there is no header; columns are called 1 to {len(names)}", str(text.path)))
    return notes


def find_delimiter(lines: Sequence[str], file_name: str = "") -> str:
    """What stands between the values of these lines: the one that cuts them most evenly, a comma where nothing does."""
    suffix = re.sub(r"\.(gz|bz2|xz|zst|zip)$", "", file_name.lower()).rpartition(".")[2]
    best, chosen = 0.0, ""
    for delimiter in ",\t;|":
        widths = [len(split_line(line, delimiter)) for line in lines]
        if widths[0] < 2:
            continue
        even = _evenness(widths)
        if even < 1 and any('"' in line for line in lines):
            even = max(even, _evenness(_quoted_widths(lines, delimiter)))
        even += 0.25 * ({"csv": ",", "tsv": "\t"}.get(suffix) == delimiter) + 0.001 * min(widths[0], 99)
        if even > max(best, 0.5):
            best, chosen = even, delimiter
    if chosen:
        return chosen
    words = [len(_words(line)) for line in lines]
    level = len(set(words[1:] or words)) == 1 and words[-1] > 1 and words[0] in (words[-1], words[-1] - 1)
    return " " if level else ","


def _evenness(widths: Sequence[int]) -> float:
    """The share of rows about as wide as the first."""
    rest = widths[1:] or widths
    return sum(abs(width - widths[0]) < 2 and width > 1 for width in rest) / max(len(rest), 1)


def split_line(line: str, delimiter: str) -> list[str]:
    """The values of one line, quotes around them taken off."""
    if delimiter == " ":
        return _words(line)
    try:
        return next(csv.reader([line.strip("\r\n")], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return line.strip("\r\n").split(delimiter)


def has_header(rows: Sequence[Sequence[str]], wanted: Collection[str] = (), known: Collection[str] = ()) -> bool:
    """Whether the first of these rows names the columns and is no row itself."""
    first = [cell.strip() for cell in rows[0]]
    if _named(first, wanted) or _known(rows, known):
        return True
    if any(_POSITION.fullmatch(name) for name in wanted):  # columns are called by their numbers
        return False
    filled = [cell for cell in first if cell]
    if not filled or len(set(filled)) < len(filled) or len(filled) < len(first) - 1:
        return False
    if any(_NUMBER.fullmatch(cell) or FILE_LIKE.fullmatch(cell) for cell in filled):
        return False
    again = any(cell and i < len(row) and row[i].strip() == cell for row in rows[1:] for i, cell in enumerate(first))
    return len(rows) > 1 and len(first) > 1 and not again


def plain(name: str) -> str:
    """A column's name for comparison: lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _known(rows: Sequence[Sequence[str]], known: Collection[str]) -> bool:
    """Whether the first row holds a usual name of a column that stands nowhere below it, and no name of a file."""
    first = [cell.strip() for cell in rows[0]]
    if any(WITH_EXTENSION.fullmatch(cell) for cell in first):
        return False
    words = [i for i, cell in enumerate(first) if cell and plain(cell) in known]
    return any(all(i >= len(row) or row[i].strip() != first[i] for row in rows[1:]) for i in words)


def _named(cells: Sequence[str], wanted: Collection[str]) -> bool:
    words = {part for name in wanted for part in (name, *name.split("+")) if not _POSITION.fullmatch(part)}
    return any(cell.strip() in words for cell in cells)


def _quoted_widths(lines: Sequence[str], delimiter: str) -> list[int]:
    """How many values rows have, those of several lines too; the last few may be cut."""
    try:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return []
    return widths[:-1] if len(lines) >= _LINES // 2 else widths


def _fitted(names: list[str], of_rows: Sequence[int]) -> tuple[list[str], list[str]]:
    """The names of the columns where the rows are all one value longer or shorter than the header."""
    widths = set(of_rows)
    if widths == {len(names) + 1} and names[-1:] != [""]:
        return [ROW_NAMES, *names], ["rows are one value longer than the header: the first is taken for row names"]
    if widths == {len(names) - 1} and names[-1] == "":
        return names[:-1], ["the header ends in a delimiter that the rows do not have"]
    return names, []


def _first_lines(text: Text) -> list[tuple[int, str]]:
    """The first lines with the byte at which each begins."""
    sample = bytes(text.data[:_SAMPLE])
    if len(sample) == _SAMPLE:
        sample = sample[: max(sample.rfind(b"\n"), sample.rfind(b"\r")) + 1] or sample
    pieces = re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", sample)[:_LINES]
    lines, at = [], 0
    for piece in pieces:
        try:
            lines.append((at, piece.decode("utf-8")))
        except UnicodeDecodeError:
            text.decoded()
            raise
        at += len(piece)
    return lines


def _words(line: str) -> list[str]:
    """The values of a line apart by blanks; quotes around a value keep its blanks and are taken off."""
    if '"' not in line:
        return line.split()
    return [quoted if whole.startswith('"') and whole.endswith('"') and len(whole) > 1 else whole
            for whole, quoted in re.findall(r'("((?:[^"]|"")*)"(?!\S)|\S+)', line)]  # fmt: skip
