"""What is known of the images of lists: whose each is, and its attributes, from files of any of the usual forms."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from core.data.attributes import repair_attribute_text
from core.data.lists import read_text
from core.errors import InputError
from core.splits.columns import KNOWN, described
from core.splits.dialect import plain
from core.splits.encode import clean_name, cleaned
from core.splits.grid import Grid, as_text, read_grid
from core.splits.notes import Note
from core.splits.tables import MOST_VALUES
from core.splits.text import read_text_of

_WHO_WORDS = "identity person personid subject subjectid patient patientid speaker speakerid clientid celebid"
_WHO = frozenset(_WHO_WORDS.split())


def read_identities_of(path: Path | str, names: np.ndarray, column: str | None = None) -> tuple[pd.Series, list[Note]]:
    """Read whose each image is: `name identity` a line, with or without a header, or a table of any dialect.

    Args:
        path: the file.
        names: (n,) the images that are asked about; they tell which column holds names.
        column: the column of the identities, where there are more than two.

    Returns:
        Identities, numbers where all are whole numbers and text otherwise, with the image names as index.

    Raises:
        InputError: for a file of another form, or an image with two identities.
    """
    path = Path(path)
    wanted = set(names.tolist())
    by_words = _by_words(path, wanted) if column is None else None
    grid = by_words or read_grid(path, [column] if column else [], KNOWN | _WHO)
    notes = list(grid.notes)
    if len(grid.names) < 2:
        raise InputError(f"{path}: found one value a line, expected `name identity`")
    free = [i for i, name in enumerate(grid.names) if name not in grid.nested]
    texts = {i: _cleaned(grid, i, notes, names=True) for i in free}
    at = max(free, key=lambda i: (len(wanted & set(texts[i][:200_000].to_pylist())), plain(grid.names[i]) in KNOWN, -i))
    if by_words is None and not grid.headed and len(grid.names) == 2 and at == 0:  # `name identity` is no guess
        notes = [note for note in notes if note.kind != "guessed"]
    if column is not None:
        who = grid.resolve(column)[0]
    elif len(free) == 2:
        who = next(i for i in free if i != at)
    else:
        named = [i for i in free if i != at and plain(grid.names[i]) in _WHO]
        if len(named) != 1:
            raise InputError(f"{path}: say which column is the identity (--identity-column): {described(grid)}")
        who = named[0]
        notes.append(Note("guessed", f"column {grid.names[who]} is taken for the identity", str(path)))
    if who == at:
        raise InputError(f"{path}: column {column} holds the names of the images; expected identities")
    return _series(path, texts[at], _cleaned(grid, who, notes, names=False), notes), notes


def read_attributes_of(path: Path | str, names: np.ndarray) -> tuple[pd.DataFrame, list[Note]]:
    """Read attributes: CelebA's file (repaired where it is broken), or a table with a row an image.

    Raises:
        InputError: for a file of another form, or an image that stands in two rows.
    """
    path = Path(path)
    wanted = set(names.tolist())
    try:
        table = repair_attribute_text(read_text(path), source=str(path))
    except InputError as celeba:
        return _attribute_table(path, wanted, celeba)
    notes = []
    if table.repaired:
        notes.append(
            Note("repaired", f"{len(table.repaired):,} rows broken by line ends", str(path), table.repaired[0])
        )
    if not table.counted:
        notes.append(Note("assumed", "the line that counts the images is missing", str(path)))
    return table.frame(), notes


def _attribute_table(path: Path, wanted: set[str], celeba: InputError) -> tuple[pd.DataFrame, list[Note]]:
    grid = read_grid(path, [], KNOWN)
    notes = list(grid.notes)
    if not grid.headed or len(grid.names) < 2 or len(set(grid.names)) < len(grid.names):
        raise celeba
    texts = {i: _cleaned(grid, i, notes, names=True) for i, name in enumerate(grid.names) if name not in grid.nested}
    at = max(texts, key=lambda i: (len(wanted & set(texts[i][:200_000].to_pylist())), -i))
    if not wanted & set(texts[at].to_pylist()):
        raise celeba
    found = {}
    for i, name in enumerate(grid.names):
        if i == at or i not in texts:
            continue
        values = as_text(grid.at(i))
        if len(values.unique()) > MOST_VALUES:
            notes.append(Note("passed over", f"column {name}: more than {MOST_VALUES} values", str(path)))
            continue
        found[name or "(no name)"] = values.to_pylist()
    frame = pd.DataFrame(found, index=pd.Index(texts[at].to_pylist(), name="name"), dtype=object)
    if frame.index.has_duplicates:
        twice = frame.index[frame.index.duplicated()][0]
        raise InputError(f"{path}: {twice!r} stands in two rows; expected one row an image")
    return frame, notes


def _by_words(path: Path, wanted: set[str]) -> Grid | None:
    """Names that hold blanks, or identities that do: cut at the first or the last blank, whichever finds the images."""
    if not path.is_file() or path.suffix.lower() in (".parquet", ".pq") or path.open("rb").read(4) == b"PAR1":
        return None
    text = read_text_of(path)
    lines = [line.strip() for line in text.decoded().replace("\r", "\n").split("\n") if line.strip()]
    if not any(len(line.split()) > 2 for line in lines[:1000]) or any(
        mark in line for line in lines[:1000] for mark in ",;|\t"
    ):
        return None
    cuts = [[line.split(None, 1) for line in lines], [line.rsplit(None, 1) for line in lines]]
    cuts = [[row for row in rows if len(row) == 2] for rows in cuts]
    hits = [sum(clean_name(row[0]) in wanted for row in rows) for rows in cuts]
    if max(hits) == 0:
        return None
    rows = cuts[0] if hits[0] >= hits[1] else cuts[1]
    left = len(lines) - len(rows)
    notes = [
        *text.notes,
        Note("guessed", f"lines are cut at the {'first' if rows is cuts[0] else 'last'} blank", str(path)),
    ]
    if left:
        notes.append(Note("passed over", f"{left:,} lines of one word", str(path)))
    loaded = {i: pa.chunked_array([[row[i].strip() for row in rows]], pa.string()) for i in (0, 1)}
    return Grid(path, ("1", "2"), len(rows), False, None, {}, tuple(notes), loaded)


def _cleaned(grid: Grid, position: int, notes: list[Note], *, names: bool) -> pa.ChunkedArray:
    values, said = cleaned(grid.at(position), f"column {grid.names[position]}", grid.path, names=names)
    if not names:
        notes += said
    return as_text(values).cast(pa.string())


def _series(path: Path, names: pa.ChunkedArray, who: pa.ChunkedArray, notes: list[Note]) -> pd.Series:
    table = pd.DataFrame({"name": names.to_pylist(), "who": who.to_pylist()}, dtype=object)
    without = int((table["name"].isna() | table["who"].isna()).sum())
    if without:
        notes.append(Note("passed over", f"{without:,} rows without a name or an identity", str(path)))
        table = table.dropna()
    again = table.duplicated()
    if again.any():
        notes.append(Note("passed over", f"{int(again.sum()):,} rows that say again what another says", str(path)))
        table = table[~again]
    if table["name"].duplicated().any():
        twice = table["name"][table["name"].duplicated()].iloc[0]
        both = " and ".join(table["who"][table["name"] == twice].iloc[:2])
        raise InputError(f"{path}: {twice!r} has two identities, {both}; expected one an image")
    if not len(table):
        raise InputError(f"{path}: found no line with a name and an identity, expected `name identity`")
    values = table["who"]
    if values.str.fullmatch(r"-?[0-9]{1,18}").all():
        values = values.astype(np.int64)
    return pd.Series(values.to_numpy(), index=pd.Index(table["name"].to_numpy(), name="name"), name="identity")
