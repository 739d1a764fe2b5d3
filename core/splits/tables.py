"""A table on disk, with a row an image, read into `core.splits.membership.Membership`.

Text and parquet are read through Arrow and become integer codes a column at a time, so that ten million rows of names
of one shape need less than 1 GB. The groups are the values of one column, or columns of their own: of flags, or of
names.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from core.errors import InputError
from core.splits.columns import KNOWN
from core.splits.columns import group_column as choose_group
from core.splits.columns import name_column as choose_name
from core.splits.dialect import ROW_NAMES, plain
from core.splits.encode import MOST_DISTINCT, cleaned, coded
from core.splits.grid import Grid, as_text, read_grid
from core.splits.membership import Column, Membership, OnUnknown, refuse_unless_skipped, require_two_groups
from core.splits.notes import Note
from core.splits.presence import present

MOST_GROUPS = 100
MOST_VALUES = 50  # distinct values up to which a column that nobody named counts as an attribute
_YES = frozenset(["1", "1.0", "true", "yes", "y", "t", "x"])
_NO = frozenset(["0", "0.0", "false", "no", "n", "f"])


def read_table(
    path: Path | str | Sequence[Path | str],
    *,
    group_column: str | None = None,
    name_column: str | None = None,
    identity_column: str | None = None,
    attributes: Sequence[str] | None = None,
    on_unknown: OnUnknown = "error",
) -> Membership:
    """Membership from a table with a row an image, text in any dialect, JSON or parquet.

    Args:
        path: the file, or several files that are pieces of one table.
        group_column: the column that names the group; or several by commas, one a group, which hold flags (1 and 0, yes
            and no) or the names themselves. Guessed, with a note, where it is None.
        name_column: the column that identifies the image, `A+B` for two that do together; guessed in the same way.
        identity_column: the column that names the person; rows without one are refused or, with `skip`, counted.
        attributes: columns to count as attributes; None takes every other column with at most `MOST_VALUES` values.
        on_unknown: as in `from_lists`; rows without a group or a name are refused or left out in the same way.

    Raises:
        InputError: for an unreadable file, an unknown column, fewer than two groups, or missing values (unless
            skipped).
    """
    paths = [Path(path)] if isinstance(path, Path | str) else [Path(item) for item in path]
    wanted = [name for name in (name_column, identity_column) if name]
    asked = [*wanted, *(group_column or "").split(","), *(attributes or ())]
    grid = stacked([read_grid(item, [name for name in asked if name], KNOWN) for item in paths])
    named = choose_name(grid, name_column, beside=wanted) if not grid.headed and group_column is None else None
    group = choose_group(grid, group_column, beside=[*wanted, named.column] if named else wanted)
    wide = group.column.split(",") if "," in group.column and group.column not in grid.names else []
    if wide and name_column is None and not _flags(grid, wide):
        return _names_by_column(grid, wide, group.notes, identity_column)
    name = named or choose_name(grid, name_column, beside=[*(wide or [group.column]), identity_column or ""])
    said = [*grid.notes, *group.notes, *name.notes]
    notes: dict[str, int] = {}
    image = _column(grid, name.column, said, names=True)
    rows: np.ndarray | slice
    if wide:
        groups, codes, rows = _by_flags(grid, wide, name.column, image, on_unknown, notes)
    else:
        groups, codes, rows = _by_value(grid, group.column, name.column, image, on_unknown, notes, said)
    require_two_groups(groups)
    identity = None
    if identity_column:
        identity = _column(grid, identity_column, said, rows=rows)
        _refuse_missing(grid.path, identity.codes < 0, identity_column, on_unknown, notes)
    taken = _positions(grid, [name.column, identity_column, *(wide or [group.column])])
    columns = _attributes(grid, taken, attributes, rows, notes, said)
    image = Column(image.codes[rows], image.values)
    return Membership(groups, codes, image, identity, columns, notes, tuple(said))


def _positions(grid: Grid, asked: Sequence[str | None]) -> set[int]:
    """Where the columns stand that are no attributes, each part of those that do together."""
    parts = [part for item in asked if item for part in ([item] if item in grid.names else item.split("+"))]
    return {grid.resolve(part)[0] for part in parts}


def stacked(grids: Sequence[Grid]) -> Grid:
    """Several pieces of one table as one; they must have the same columns.

    Raises:
        InputError: naming the file whose columns differ.
    """
    if len(grids) == 1:
        return grids[0]
    first = grids[0]
    for other in grids[1:]:
        if sorted(other.names) != sorted(first.names):
            raise InputError(
                f"{other.path}: its columns are {', '.join(other.names[:12])}; {first.path} has "
                f"{', '.join(first.names[:12])}; pieces of one table need the same columns"
            )
    loaded = {
        i: pa.chunked_array(
            [c for grid in grids for c in as_text(grid.column(name)).cast(pa.string()).chunks], pa.string()
        )
        for i, name in enumerate(first.names)
        if name not in first.nested
    }
    notes = tuple(note for grid in grids for note in grid.notes)
    return replace(first, rows=sum(grid.rows for grid in grids), line=None, notes=notes, loaded=loaded)


def _column(
    grid: Grid, name: str, said: list[Note], *, rows: np.ndarray | slice = slice(None), names: bool = False,
    in_order: bool = False,
) -> Column:  # fmt: skip
    values, notes = cleaned(grid.column(name), f"column {name}", grid.path, names=names)
    said += notes
    column = coded(values, in_order=in_order)
    return Column(column.codes[rows], column.values)


def _by_value(
    grid: Grid,
    name: str,
    image_name: str,
    image: Column,
    on_unknown: OnUnknown,
    notes: dict[str, int],
    said: list[Note],
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray | slice]:
    """Names of the groups, (kept,) group of each row, and which rows are kept."""
    group = _column(grid, name, said, in_order=True)
    if len(group.values) > MOST_GROUPS:
        raise InputError(f"{grid.path}: {name} has {len(group.values):,} values; expected at most {MOST_GROUPS}")
    lost = (group.codes < 0) | (image.codes < 0)
    _refuse_missing(grid.path, lost, f"{name} or {image_name}", on_unknown, notes)
    keep = np.flatnonzero(~lost) if lost.any() else slice(None)
    codes = group.codes[keep]
    there = present(codes, len(group.values))
    place = (np.cumsum(there) - 1).astype(np.int32)
    return tuple(str(v) for v, here in zip(group.values, there, strict=True) if here), place[codes], keep


def _flags(grid: Grid, columns: Sequence[str]) -> bool:
    return all(set(map(str.lower, _texts(grid, name))) <= _YES | _NO for name in columns)


def _texts(grid: Grid, name: str) -> list[str]:
    """The distinct values of a column, up to a thousand of them."""
    values = coded(cleaned(grid.column(name), name, grid.path)[0]).values
    return [str(value) for value in values[:MOST_DISTINCT].to_pylist() if value is not None]


def _by_flags(
    grid: Grid, columns: Sequence[str], name: str, image: Column, on_unknown: OnUnknown, notes: dict[str, int]
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """One group a column of flags: a row may be in several, or in none."""
    members = []
    for name in columns:
        column = coded(as_text(cleaned(grid.column(name), name, grid.path)[0]))
        known = [str(value).lower() for value in column.values.to_pylist()]
        if other := [value for value in known if value and value not in _YES | _NO]:
            raise InputError(f"{grid.path}: column {name} holds {other[0]!r}; expected a flag such as 1 and 0")
        yes = np.array([value in _YES for value in known] + [False])
        members.append(np.flatnonzero(yes[column.codes]))
        if not len(members[-1]):
            raise InputError(f"{grid.path}: no row is in {name}; expected one or more")
    rows = np.concatenate(members)
    outside = grid.rows - len(np.unique(rows))
    if outside:
        notes[f"rows in none of {', '.join(columns)}"] = outside
    codes = np.repeat(np.arange(len(columns), dtype=np.int32), [len(m) for m in members])
    lost = image.codes[rows] < 0
    _refuse_missing(grid.path, lost, name, on_unknown, notes)
    return tuple(columns), codes[~lost], rows[~lost]


def _names_by_column(
    grid: Grid, columns: Sequence[str], chosen: tuple[Note, ...], identity_column: str | None
) -> Membership:
    """One group a column that holds the names themselves, the shorter ones filled up with nothing."""
    if identity_column:
        raise InputError(f"{grid.path}: columns of names have no identities beside them; use --identities")
    said = [*grid.notes, *chosen]
    parts = []
    for name in columns:
        values, notes = cleaned(grid.column(name), f"column {name}", grid.path, names=True)
        said += notes
        parts.append(as_text(values).cast(pa.string()).drop_null())
        if not len(parts[-1]):
            raise InputError(f"{grid.path}: column {name} holds no name; expected one or more")
    image = coded(pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.string()))
    lost = image.codes < 0
    group = np.repeat(np.arange(len(columns), dtype=np.int32), [len(part) for part in parts])
    said.append(Note("assumed", f"columns {', '.join(columns)} hold names, one group each", str(grid.path)))
    require_two_groups(columns)
    return Membership(tuple(columns), group[~lost], Column(image.codes[~lost], image.values), said=tuple(said))


def _attributes(
    grid: Grid, taken: set[int], asked: Sequence[str] | None, rows: np.ndarray | slice, notes: dict[str, int],
    said: list[Note],
) -> dict[str, Column]:  # fmt: skip
    """The columns that are counted, the asked ones or every small one."""
    columns: dict[str, Column] = {}
    others = [name for i, name in enumerate(grid.names) if i not in taken]
    for name in others if asked is None else asked:
        unnamed = name in ("", ROW_NAMES) or plain(name).startswith("unnamed")
        if asked is None and (name in grid.nested or grid.names.count(name) > 1 or unnamed):
            why = f"it holds {grid.nested[name]}" if name in grid.nested else "its name stands twice"
            why = "it has no name of its own" if unnamed else why
            said.append(Note("passed over", f"column {name or '(no name)'}: {why}", str(grid.path)))
            continue
        column = _column(grid, name, said, rows=rows, in_order=True)
        if len(column.values) <= (MOST_VALUES if asked is None else MOST_DISTINCT):
            columns[name] = column
        elif asked is None:
            notes[f"values in column {name}, not counted as an attribute"] = len(column.values)
        else:
            raise InputError(f"{grid.path}: {name} has {len(column.values):,} values; expected at most {MOST_DISTINCT}")
    return columns


def _refuse_missing(path: Path, rows: np.ndarray, what: str, on_unknown: OnUnknown, notes: dict[str, int]) -> None:
    if rows.any():
        found = f"{int(rows.sum()):,} of {len(rows):,} rows have no {what}, the first is row {rows.argmax() + 1:,}"
        refuse_unless_skipped(f"{path}: {found}", on_unknown)
        notes[f"rows without {what}"] = int(rows.sum())
