"""The names of one group, from a list or from a table that was given as one. Whole rows are never taken for names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from core.errors import InputError
from core.splits.arrow import strings
from core.splits.columns import KNOWN, name_column
from core.splits.dialect import FILE_LIKE, WITH_EXTENSION, find_delimiter, plain, split_line
from core.splits.encode import clean_name, cleaned
from core.splits.grid import Grid, as_text, read_grid
from core.splits.json_table import looks_like_json
from core.splits.membership import OnUnknown, refuse_unless_skipped
from core.splits.notes import Note
from core.splits.plain_list import LABELLED, plain_names
from core.splits.text import read_text_of

WHOLE_LINE = "0"  # as a column: the line is the name, whatever is in it
_APART = {"\t": "a tab", ";": "a semicolon", "|": "a vertical bar", ",": "a comma"}


@dataclass(frozen=True, eq=False)
class Listed:
    """One group as it was given: its names in order, and the table they stand in if it is one."""

    path: Path
    names: pa.ChunkedArray  # (n,) text without missing values
    lines: Sequence[int] | None = None  # of a list: the line of each name
    grid: Grid | None = None
    column: str | None = None  # of the table: where the names stand
    rows: slice | None = None
    notes: tuple[Note, ...] = ()


def read_listed(
    path: Path | str, column: str | None = None, *, on_unknown: OnUnknown = "error", beside: Sequence[str] = ()
) -> Listed:
    """Read a list of names, one a line, or the names in a table.

    Args:
        path: the file.
        column: with a table, the column of the names; `0` takes whole lines.
        on_unknown: rows of a table without a name are refused or left out.
        beside: columns that are something else and are not guessed to be the names.

    Raises:
        InputError: naming the line that may be a name or a row, or the name that a list repeats.
    """
    path = Path(path)
    if path.is_file() and (path.suffix.lower() in (".parquet", ".pq") or path.open("rb").read(4) == b"PAR1"):
        return read_names_of_table(path, column, on_unknown=on_unknown, beside=beside)
    text = read_text_of(path)
    if looks_like_json(text) and column != WHOLE_LINE:
        return read_names_of_table(path, column, on_unknown=on_unknown, beside=beside)
    if column is None and (names_of_lines := plain_names(text)) is not None:
        return Listed(path, names_of_lines, range(1, len(names_of_lines) + 1), notes=tuple(text.notes))
    numbered = [(n, line) for n, line in enumerate(_lines(text.decoded()), 1) if line.strip()]
    if not numbered:
        raise InputError(f"{path}: found no name or row in it; expected a line an image")
    kept = _without_comments(numbered)
    notes = list(text.notes)
    if len(kept) < len(numbered):
        notes.append(Note("passed over", f"{len(numbered) - len(kept):,} comment lines", str(path)))
    if column != WHOLE_LINE and (column is not None or _is_table(path, kept)):
        return read_names_of_table(path, column, on_unknown=on_unknown, beside=beside)
    kept = _without_header(path, kept, notes)
    names = _names(path, kept, notes)
    numbers = [number for number, _ in kept]
    _refuse_repeated(path, names, numbers)
    return Listed(path, pa.chunked_array([strings(names)]), numbers, notes=tuple(notes))


def read_names_of_table(
    path: Path, column: str | None, *, on_unknown: OnUnknown = "error", beside: Sequence[str] = ()
) -> Listed:
    """The names in a table; arguments and errors as in `read_listed`."""
    grid = read_grid(path, [column] if column else [], KNOWN)
    choice = name_column(grid, column, beside=beside)
    names, notes = cleaned(grid.column(choice.column), f"column {choice.column}", path, names=True)
    names = as_text(names).cast(pa.string())
    if names.null_count:
        first = names.is_null().index(True).as_py() + 1
        found = (
            f"{path}: {names.null_count:,} of {len(names):,} rows have no {choice.column}, the first is row {first:,}"
        )
        refuse_unless_skipped(found, on_unknown)
        notes.append(Note("passed over", f"{names.null_count:,} rows without {choice.column}", str(path)))
    different = names.drop_null().unique()
    if not grid.headed and column is None and len(different) < len(names) - names.null_count:
        raise InputError(
            f"{path}: column {choice.column} holds {len(different):,} names in {len(names):,} rows; say which column "
            "names the image (--name-column 1), or which do together (--name-column 1+2)"
        )
    said = Note(
        "guessed", f"a table, not a list of names: {len(names):,} rows, named by column {choice.column}", str(path)
    )
    return Listed(path, names, None, grid, choice.column, notes=(*grid.notes, said, *choice.notes, *notes))


def _lines(content: str) -> list[str]:
    return content.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _without_comments(numbered: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Lines but those that begin with `#` and do not look like the name of a file."""
    rest = [
        (n, line)
        for n, line in numbered
        if not line.lstrip().startswith("#") or WITH_EXTENSION.fullmatch(line.split()[-1])
    ]
    return rest or numbered


def _is_table(path: Path, numbered: list[tuple[int, str]]) -> bool:
    """Whether lines are rows of several values.

    Raises:
        InputError: naming the line that may be a name or a row.
    """
    lines = [line for _, line in numbered]
    if lines[0].startswith("sep=") or any(_wide(line, find_delimiter(lines, path.name)) for line in lines[:1]):
        delimiter = find_delimiter(lines, path.name)
        if delimiter != " ":
            return True
    for number, line in numbered:
        if marks := [said for mark, said in _APART.items() if _wide(line, mark)]:
            raise InputError(
                f"{path}, line {number}: found {line.strip()[:60]!r}, with {marks[0]} that other lines lack; expected "
                "one name a line, or a table (--name-column COLUMN; --name-column 0 takes whole lines)"
            )
    if all(marked := [LABELLED.fullmatch(line.strip()) for line in lines]) and (mark := marked[0]):
        raise InputError(
            f"{path}, line {numbered[0][0]}: found {lines[0].strip()[:60]!r}, a name and a label apart by "
            f"{mark['mark'].strip()!r}; expected one name a line, or a comma or a tab between the two (--name-column 0 "
            "takes whole lines)"
        )
    words = [[line] if line.strip()[0] == line.strip()[-1] == '"' else line.split() for line in lines]
    if all(len(row) == 1 for row in words):
        return False
    if find_delimiter(lines, path.name) == " " and _is_table_of_words(words):
        return True
    alike = len(words[0]) > 1 and len({len(row) for row in words}) == 1  # a label before each name has this form too
    for (number, line), row in zip(numbered, words, strict=True):
        if alike or (len(row) > 1 and (not WITH_EXTENSION.fullmatch(row[-1]) or WITH_EXTENSION.fullmatch(row[0]))):
            raise InputError(
                f"{path}, line {number}: found {line.strip()[:60]!r}; is this a name with blanks or a name and more? "
                "Say --name-column 1 (the first word), 1+2 (two that do together) or 0 (the whole line)"
            )
    return False


def _is_table_of_words(words: Sequence[Sequence[str]]) -> bool:
    """Whether lines of equally many words are rows of values; False where they may be names with blanks."""
    first, rest = words[0], words[1:] or words
    if len(first) < len(rest[0]):  # a count of the rows, or a header of names with blanks
        if not (len(first) == 1 and first[0].isdigit() and int(first[0]) == len(rest)):
            return False
        first, rest = rest[0], rest[1:] or rest
    files = [all(FILE_LIKE.fullmatch(row[at]) for row in rest) for at in range(len(rest[0]))]
    known = [plain(cell) in KNOWN for cell in first]
    numbered = len(files) == 2 and all(row[0].isdigit() for row in rest)
    named = any(known) and not any(map(WITH_EXTENSION.fullmatch, first)) and not FILE_LIKE.fullmatch(first[0])
    if named and (not files[-1] or numbered or known.count(True) == 1):
        return True
    return files[0] or (files[-1] and numbered)


def _wide(line: str, delimiter: str) -> bool:
    return delimiter != " " and len(split_line(line.strip(" "), delimiter)) > 1


def _without_header(path: Path, numbered: list[tuple[int, str]], notes: list[Note]) -> list[tuple[int, str]]:
    """Names without the line above them that names the column or counts them."""
    (line, first), rest = numbered[0], [name for _, name in numbered[1:]]
    first = first.strip().strip('"')
    if not rest:
        return numbered
    files = all(WITH_EXTENSION.fullmatch(name.strip().strip('"')) for name in rest)
    known = plain(first) in KNOWN and not FILE_LIKE.fullmatch(first)
    word = files and not FILE_LIKE.fullmatch(first) and re.fullmatch(r"[A-Za-z][A-Za-z_ ]*", first) is not None
    if known or word:
        notes.append(Note("guessed", f"{first!r} is taken for a header, not for a name", str(path), line))
        return numbered[1:]
    if first.isdigit() and int(first) == len(rest) and not any(name.strip().isdigit() for name in rest):
        notes.append(Note("passed over", f"{first!r} counts the names below it", str(path), line))
        return numbered[1:]
    return numbered


def _names(path: Path, numbered: list[tuple[int, str]], notes: list[Note]) -> list[str]:
    names, quoted, changed = [], 0, 0
    if blank := sum(line[:1].isspace() for _, line in numbered):
        notes.append(Note("assumed", f"blanks before {blank:,} names are not part of them", str(path)))
    for number, line in numbered:
        name = line.strip()
        if len(name) > 2 and name[0] == name[-1] and name[0] in "\"'":
            name = name[1:-1].strip()
            quoted += 1
        made = clean_name(name)
        changed += made != name
        if not made:
            raise InputError(f"{path}, line {number}: found {line.strip()[:60]!r}, expected a name")
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in made):
            raise InputError(f"{path}, line {number}: found a control character in {made[:60]!r}, expected a name")
        names.append(made)
    if spaced := sum(" " in name for name in names):
        notes.append(
            Note("assumed", f"blanks inside {spaced:,} names are part of them (--name-column 1: a word)", str(path))
        )
    if quoted:
        notes.append(Note("assumed", f"quotes around {quoted:,} names are not part of them", str(path)))
    if changed:
        notes.append(
            Note("assumed", f"{changed:,} names are written with './', '\\' or '//'; read as plain paths", str(path))
        )
    return names


def _refuse_repeated(path: Path, names: Sequence[str], lines: Sequence[int]) -> None:
    seen: dict[str, int] = {}
    for name, line in zip(names, lines, strict=True):
        if name in seen:
            raise InputError(
                f"{path}, line {line}: found {len(names) - len(set(names))} repeated names, first {name!r} (also on "
                f"line {seen[name]}), expected each name once"
            )
        seen[name] = line
