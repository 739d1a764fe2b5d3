"""Who is in which group: lists or a table, read into integer codes that any check can count on.

A row says that one image (or recording, or scene) belongs to one group; the same image may stand in several rows.
Values become codes, 4 bytes a row and column, so that tables of ten million rows fit into memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from core.errors import InputError
from core.splits.arrow import integers
from core.splits.notes import Note

if TYPE_CHECKING:  # a second of import, which lists and tables do without
    import pandas as pd

OnUnknown = Literal["error", "skip"]


@dataclass(frozen=True, eq=False)
class Column:
    """One column as codes: `values[codes[row]]`, or nothing where the code is -1."""

    codes: np.ndarray  # (rows,) int32, -1 = missing
    values: Any  # (k,) list or array: the value of each code

    def examples(self, codes: np.ndarray, most: int = 5) -> list[str]:
        """The first few of these codes' values, as text."""
        return [str(_plain(self.values[int(code)])) for code in codes[:most]]

    def texts(self, codes: np.ndarray) -> np.ndarray:
        """(len(codes),) object: the values of these codes as text."""
        if isinstance(self.values, pa.Array | pa.ChunkedArray):
            values = self.values.take(integers(codes)).to_pylist()
        else:
            values = np.asarray(self.values, dtype=object)[codes].tolist()
        return np.array([str(value) for value in values], dtype=object)


@dataclass(frozen=True, eq=False)
class Membership:
    """Rows of all groups.

    Attributes:
        groups: names of the groups; `group` holds positions in it.
        group: (rows,) int32.
        image: one value an image, never missing.
        identity: one value a person (patient, speaker); None if none are known.
        attributes: name -> column with sorted values.
        notes: what was left out and why, with its count.
        said: what was assumed, guessed or passed over while reading.
    """

    groups: tuple[str, ...]
    group: np.ndarray
    image: Column
    identity: Column | None = None
    attributes: Mapping[str, Column] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    said: tuple[Note, ...] = ()


def from_lists(
    groups: Mapping[str, Sequence[str]],
    identities: pd.Series | None = None,
    attributes: pd.DataFrame | None = None,
    *,
    on_unknown: OnUnknown = "error",
) -> Membership:
    """Membership from one list of names a group.

    Args:
        groups: group name -> image names.
        identities: index = image name (`core.data.celeba.read_identities`).
        attributes: index = image name, one column an attribute (`core.data.celeba.read_attributes`).
        on_unknown: what to do about listed images that one of the two lacks: refuse, or count them and go on without
            their identity (attributes).

    Raises:
        InputError: for fewer than two groups, an empty one, or unknown images (unless skipped).
    """
    require_two_groups(groups)
    for name, names in groups.items():
        if not len(names):
            raise InputError(f"group {name}: found no image; expected one or more")
    everyone = np.concatenate([np.asarray(names, dtype=object) for names in groups.values()])
    group = np.repeat(np.arange(len(groups), dtype=np.int32), [len(names) for names in groups.values()])
    import pandas as pd

    codes, unique = pd.factorize(everyone)
    image = Column(codes.astype(np.int32), unique)
    membership = Membership(tuple(groups), group, image)
    return with_known(membership, identities, attributes, on_unknown=on_unknown)


def with_known(
    membership: Membership,
    identities: pd.Series | None = None,
    attributes: pd.DataFrame | None = None,
    *,
    on_unknown: OnUnknown = "error",
) -> Membership:
    """The same rows with what is known of their images; arguments and errors as in `from_lists`."""
    codes = membership.image.codes
    used = np.flatnonzero(np.bincount(codes, minlength=len(membership.image.values)))
    names = membership.image.texts(used)
    place = np.zeros(len(membership.image.values), dtype=np.int64)
    place[used] = np.arange(len(used))
    rows = place[codes]
    notes = dict(membership.notes)
    identity, columns = membership.identity, dict(membership.attributes)
    if identities is not None:
        at = _positions(identities.index, names, "identities", on_unknown, notes)
        identity = _spread(identities.to_numpy()[at], at < 0, rows)
    if attributes is not None:
        at = _positions(attributes.index, names, "attributes", on_unknown, notes)
        for name in attributes.columns:
            columns[str(name)] = _spread(attributes[name].to_numpy()[at], at < 0, rows, in_order=True)
    return replace(membership, identity=identity, attributes=columns, notes=notes)


def from_frame(
    frame: pd.DataFrame,
    *,
    group_column: str,
    name_column: str = "name",
    identity_column: str | None = None,
    attributes: Sequence[str] = (),
) -> Membership:
    """Membership from a table in memory, every value of which must be there.

    Raises:
        InputError: for an unknown column, a missing value, or fewer than two groups.
    """
    wanted = [group_column, name_column, *([identity_column] if identity_column else []), *attributes]
    for name in wanted:
        if name not in frame.columns:
            raise InputError(f"table: found no column {name!r}; its columns are {', '.join(map(str, frame.columns))}")
        if frame[name].isna().any():
            raise InputError(f"table: {int(frame[name].isna().sum()):,} rows have no {name}; expected one in every row")
    every, none = np.arange(len(frame)), np.zeros(len(frame), dtype=bool)
    columns = {
        name: _spread(frame[name].to_numpy(), none, every, in_order=name not in (name_column, identity_column))
        for name in wanted
    }
    group = columns[group_column]
    require_two_groups(group.values)
    return Membership(
        tuple(str(value) for value in group.values),
        group.codes,
        columns[name_column],
        columns[identity_column] if identity_column else None,
        {name: columns[name] for name in attributes},
    )


def ordered(codes: np.ndarray, values: list[Any]) -> Column:
    """A column with its values sorted, those that no row has left out, and small codes."""
    used = np.zeros(len(values) + 1, dtype=bool)
    used[codes] = True  # the last entry is for the code -1
    order = [i for i in sorted(range(len(values)), key=lambda i: _sort_key(values[i])) if used[i]]
    small = np.int8 if len(order) < 128 else np.int32
    rank = np.full(len(values) + 1, -1, dtype=small)  # the last entry is for the code -1
    rank[order] = np.arange(len(order), dtype=small)
    return Column(rank[codes], [values[i] for i in order])


def _sort_key(value: Any) -> tuple[bool, float, str]:
    try:
        return (False, float(value), str(value))
    except (TypeError, ValueError):
        return (True, 0.0, str(value))


def _spread(values: np.ndarray, missing: np.ndarray, rows: np.ndarray, *, in_order: bool = False) -> Column:
    """A column of unique images, some without a value, seen by the rows that show these images."""
    import pandas as pd

    codes, unique = pd.factorize(values)
    codes = np.where(missing, -1, codes).astype(np.int32)[rows]
    return ordered(codes, unique.tolist()) if in_order else Column(codes, unique)


def _positions(
    index: pd.Index, names: np.ndarray, what: str, on_unknown: OnUnknown, notes: dict[str, int]
) -> np.ndarray:
    """Where each name stands in the index; -1 where it does not."""
    import pandas as pd

    at = index.get_indexer(pd.Index(names))
    unknown = np.flatnonzero(at < 0)
    if len(unknown):
        first = str(names[unknown[0]])
        stem = {str(name).rpartition("/")[2].rpartition(".")[0]: name for name in index[:1000]}
        near = stem.get(first.rpartition("/")[2].rpartition(".")[0])
        like = f" (names there look like {str(index[0])!r})" if len(index) else ""
        like = f" (there it is called {near!r})" if near is not None else like
        refuse_unless_skipped(
            f"{what}: {len(unknown):,} of {len(names):,} images are not there, the first is {first!r}{like}", on_unknown
        )
        notes[f"images without {what}"] = len(unknown)
    elsewhere = len(index) - (len(names) - len(unknown))
    if elsewhere:
        notes[f"images with {what} that are in no group"] = elsewhere
    return at


def refuse_unless_skipped(found: str, on_unknown: OnUnknown) -> None:
    """The user's choice about rows that lack something: an error with the way out, or nothing."""
    if on_unknown == "error":
        raise InputError(f"{found}; give them one, or choose to go on without them (--on-unknown skip)")


def require_two_groups(groups: Any) -> None:
    """Leakage is between groups."""
    if len(groups) < 2:
        raise InputError(f"groups: found {len(groups)} ({', '.join(map(str, groups))}); expected two or more")


def _plain(value: Any) -> Any:
    return value.as_py() if isinstance(value, pa.Scalar) else value
