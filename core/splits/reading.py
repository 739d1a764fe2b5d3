"""Everything that `samenoise verify` can be given, read into one membership with a note for whatever it rests on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core.errors import InputError
from core.splits.arrow import POOL
from core.splits.encode import cleaned, coded
from core.splits.grid import as_text
from core.splits.listed import Listed, read_listed, read_names_of_table
from core.splits.membership import (
    Column,
    Membership,
    OnUnknown,
    refuse_unless_skipped,
    require_two_groups,
    with_known,
)
from core.splits.merging import merged
from core.splits.notes import Note
from core.splits.spelling import spelling_notes
from core.splits.tables import MOST_DISTINCT, MOST_VALUES, read_table

_GROUP = re.compile(r"(?P<name>[^=]+)=(?P<path>.+?)(?P<slice>\[(?P<start>-?\d*):(?P<stop>-?\d*)\])?", re.DOTALL)


@dataclass(frozen=True)
class Given:
    """What the user gave: lists or tables with what is known of their images, and which columns are which.

    Attributes:
        groups: `NAME=FILE` or `NAME=FILE[start:stop]`, a list or a table each.
        tables: one table with a column of groups; several are its pieces if `group_column` is given, else a group each.
        identities: file of `name identity` lines, or a table.
        attributes: CelebA's attribute file, or a table.
        group_column, name_column, identity_column: columns of the tables; None is guessed where it can be.
        attribute: columns to count; None counts every small one.
        merge: `NEW=OLD,OLD` (`core.splits.merging.merged`).
        on_unknown: images without an identity: refuse, or count and go on.
    """

    groups: Sequence[str] = ()
    tables: Sequence[Path] = ()
    identities: Path | None = None
    attributes: Path | None = None
    group_column: str | None = None
    name_column: str | None = None
    identity_column: str | None = None
    attribute: Sequence[str] | None = None
    merge: str | None = None
    on_unknown: OnUnknown = "error"


def read_groups(given: Given) -> tuple[Membership, list[Note], dict[str, tuple[Path, str | None]]]:
    """Read what was given.

    Returns:
        The rows of all groups; every assumption, guess and thing passed over; and the files, by what they are, with the
        slice that was taken.

    Raises:
        InputError: for anything that cannot be read in exactly one way.
    """
    _refuse_mixed(given)
    inputs: dict[str, tuple[Path, str | None]] = {}
    if given.tables and (len(given.tables) == 1 or given.group_column is not None):
        for number, path in enumerate(given.tables, 1):
            inputs["table" if len(given.tables) == 1 else f"table {number}"] = path, None
        membership = read_table(
            given.tables,
            group_column=given.group_column,
            name_column=given.name_column,
            identity_column=None if given.identities else given.identity_column,
            attributes=given.attribute,
            on_unknown=given.on_unknown,
        )
    else:
        listed = _tables(given, inputs) if given.tables else _lists(given, inputs)
        membership = _joined(listed, given)
    POOL.release_unused()  # columns that are codes by now
    said = list(membership.said)
    membership = _with_files(membership, given, inputs, said)
    if given.merge is not None:
        membership = merged(replace(membership, said=()), given.merge)
        said += membership.said
    notes = [*dict.fromkeys(said), *spelling_notes(membership)]
    membership = replace(membership, said=tuple(notes))
    return membership, [Note("passed over", f"{n:,} {what}") for what, n in membership.notes.items()] + notes, inputs


def _refuse_mixed(given: Given) -> None:
    if given.tables and given.groups:
        raise InputError(
            "--table: the table has the groups; give no lists beside it (two tables as groups: --group NAME=FILE each)"
        )
    if given.groups and given.group_column:
        raise InputError("--group-column goes with --table; with --group every file is one group")


def _with_files(
    membership: Membership, given: Given, inputs: dict[str, tuple[Path, str | None]], said: list[Note]
) -> Membership:
    """The same rows with the identities and attributes of files of their own."""
    if given.identities is None and given.attributes is None:
        return membership
    from core.splits.known import read_attributes_of, read_identities_of  # pandas

    codes = np.unique(membership.image.codes)
    names = membership.image.texts(codes)
    who = attributes = None
    if given.identities is not None:
        inputs["identities"] = given.identities, None
        who, notes = read_identities_of(given.identities, names, given.identity_column)
        said += notes
    if given.attributes is not None:
        inputs["attributes"] = given.attributes, None
        attributes, notes = read_attributes_of(given.attributes, names)
        said += notes
    return with_known(membership, who, attributes, on_unknown=given.on_unknown)


def _lists(given: Given, inputs: dict[str, tuple[Path, str | None]]) -> dict[str, Listed]:
    found: dict[str, Listed] = {}
    for item in given.groups:
        parsed = _GROUP.fullmatch(item)
        if parsed is None:
            raise InputError(f"--group {item}: expected NAME=LIST")
        name, path, part = parsed["name"], Path(parsed["path"]), parsed["slice"]
        if part and not path.exists() and Path(parsed["path"] + part).exists():
            path, part = Path(parsed["path"] + part), None
        if name in found:
            raise InputError(f"--group {item}: the name {name} is taken; expected one list a group")
        listed = read_listed(path, given.name_column, on_unknown=given.on_unknown, beside=_taken(given))
        if part:
            cut = slice(*(int(parsed[end]) if parsed[end] else None for end in ("start", "stop")))
            listed = replace(listed, names=_cut(listed.names, cut), rows=cut)
        if not len(listed.names):
            raise InputError(f"group {name}: found no image; expected one or more")
        found[name] = listed
        inputs[f"group {name}"] = path, part
    return found


def _tables(given: Given, inputs: dict[str, tuple[Path, str | None]]) -> dict[str, Listed]:
    """Several tables, a group each, called by the shortest ends of their paths that differ."""
    paths = list(given.tables)
    if len({path.resolve() for path in paths}) < len(paths):
        raise InputError("--table: one file is given twice; expected each file once")
    stems = [path.name.partition(".")[0] for path in paths]
    if len(set(stems)) < len(stems):
        stems = [path.name for path in paths]
    if len(set(stems)) < len(stems):
        stems = [str(path) for path in paths]
    found = {}
    for stem, path in zip(stems, paths, strict=True):
        found[stem] = read_names_of_table(path, given.name_column, on_unknown=given.on_unknown, beside=_taken(given))
        inputs[f"group {stem}"] = path, None
    text = f"{len(paths)} tables are {len(paths)} groups, {', '.join(stems)}; --group-column makes them pieces of one"
    first = next(iter(found))
    found[first] = replace(found[first], notes=(Note("assumed", text), *found[first].notes))
    return found


def _joined(listed: dict[str, Listed], given: Given) -> Membership:
    """Membership of groups that have a file each."""
    require_two_groups(listed)
    grids = [item.grid for item in listed.values() if item.grid is not None]
    if (given.attribute or (given.identity_column and not given.identities)) and len(grids) < len(listed):
        raise InputError("--attribute and --identity-column go with --table; lists take --attributes, --identities")
    said = [note for item in listed.values() for note in item.notes]
    group = np.repeat(np.arange(len(listed), dtype=np.int32), [len(item.names) for item in listed.values()])
    image = coded(_stack([item.names for item in listed.values()]))
    kept = np.flatnonzero(image.codes >= 0)
    missing: dict[str, int] = {}
    identity, columns = None, {}
    if len(grids) == len(listed):
        if given.identity_column and not given.identities:
            identity = _shared(listed, given.identity_column, kept, said)
            _refuse_missing(identity, given, missing)
        columns = _attributes(listed, given, kept, said)
    image = Column(image.codes[kept], image.values)
    group = group[kept]
    if lost := [name for at, name in enumerate(listed) if not (group == at).any()]:
        raise InputError(f"group {lost[0]}: found no image; expected one or more")
    return Membership(tuple(listed), group, image, identity, columns, missing, tuple(said))


def _shared(
    listed: dict[str, Listed], column: str, kept: np.ndarray, said: list[Note], *, order: bool = False
) -> Column:
    """One column of every table, as text, so that 7 in one and '7' in another are equal."""
    parts = []
    for item in listed.values():
        assert item.grid is not None
        values, notes = cleaned(item.grid.column(column), f"column {column}", item.path)
        said += notes
        values = as_text(values).cast(pa.string())
        parts.append(values if item.rows is None else _cut(values, item.rows))
    found = coded(_stack(parts), in_order=order)
    return Column(found.codes[kept], found.values)


def _attributes(listed: dict[str, Listed], given: Given, kept: np.ndarray, said: list[Note]) -> dict[str, Column]:
    grids = [item.grid for item in listed.values() if item.grid is not None]
    taken = {given.identity_column, *(item.column for item in listed.values())}
    usual = [
        name
        for name in grids[0].names
        if name not in taken and name and all(g.names.count(name) == 1 and name not in g.nested for g in grids)
    ]
    columns = {}
    for name in usual if given.attribute is None else given.attribute:
        column = _shared(listed, name, kept, said if given.attribute is not None else [], order=True)
        if len(column.values) <= (MOST_VALUES if given.attribute is None else MOST_DISTINCT):
            columns[name] = column
        elif given.attribute is not None:
            raise InputError(f"--attribute {name}: {len(column.values):,} values; expected at most {MOST_DISTINCT}")
    nested = [(grid.path, name, kind) for grid in grids for name, kind in grid.nested.items() if name not in taken]
    said += [Note("passed over", f"column {name}: it holds {kind}", str(path)) for path, name, kind in nested]
    return columns


def _refuse_missing(identity: Column, given: Given, missing: dict[str, int]) -> None:
    lost = identity.codes < 0
    if lost.any():
        what = f"rows without {given.identity_column}"
        refuse_unless_skipped(f"{int(lost.sum()):,} of {len(lost):,} {what}", given.on_unknown)
        missing[what] = int(lost.sum())


def _stack(parts: Sequence[Any]) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.string())


def _cut(values: pa.ChunkedArray, rows: slice) -> pa.ChunkedArray:
    start, stop, _ = rows.indices(len(values))
    return values.slice(start, max(0, stop - start))


def _taken(given: Given) -> tuple[str, ...]:
    """Columns that were given for something else than the image."""
    return () if given.identity_column is None else (given.identity_column,)
