"""Who is in which group: lists or a table, read into integer codes that any check can count on.

A row says that one image (or recording, or scene) belongs to one group; the same image may stand in several rows.
Values become codes, 4 bytes a row and column, so that tables of ten million rows fit into memory.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from core.errors import InputError

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")  # read as 'no value' in a CSV file
MOST_GROUPS = 100
MOST_DISTINCT = 1000  # values of a column that somebody named as an attribute
MOST_VALUES = 50  # distinct values up to which a column that nobody named counts as an attribute
OnUnknown = Literal["error", "skip"]


@dataclass(frozen=True, eq=False)
class Column:
    """One column as codes: `values[codes[row]]`, or nothing where the code is -1."""

    codes: np.ndarray  # (rows,) int32, -1 = missing
    values: Any  # (k,) list or array: the value of each code

    def examples(self, codes: np.ndarray, most: int = 5) -> list[str]:
        """The first few of these codes' values, as text."""
        return [str(_plain(self.values[int(code)])) for code in codes[:most]]


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
    """

    groups: tuple[str, ...]
    group: np.ndarray
    image: Column
    identity: Column | None = None
    attributes: Mapping[str, Column] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)


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
        identities: index = image name (`core.celeba.read_identities`).
        attributes: index = image name, one column an attribute (`core.celeba.read_attributes`).
        on_unknown: what to do about listed images that one of the two lacks: refuse, or count them and go on without
            their identity (attributes).

    Raises:
        InputError: for fewer than two groups, an empty one, or unknown images (unless skipped).
    """
    _two_groups(groups)
    for name, names in groups.items():
        if not len(names):
            raise InputError(f"group {name}: found no image; expected one or more")
    everyone = np.concatenate([np.asarray(names, dtype=object) for names in groups.values()])
    group = np.repeat(np.arange(len(groups), dtype=np.int32), [len(names) for names in groups.values()])
    codes, unique = pd.factorize(everyone)
    image = Column(codes.astype(np.int32), unique)
    notes: dict[str, int] = {}
    identity, columns = None, {}
    if identities is not None:
        at = _positions(identities.index, unique, "identities", on_unknown, notes)
        identity = _spread(identities.to_numpy()[at], at < 0, codes)
    if attributes is not None:
        at = _positions(attributes.index, unique, "attributes", on_unknown, notes)
        for name in attributes.columns:
            columns[str(name)] = _spread(attributes[name].to_numpy()[at], at < 0, codes, ordered=True)
    return Membership(tuple(groups), group, image, identity, columns, notes)


def read_table(
    path: Path | str,
    *,
    group_column: str,
    name_column: str = "name",
    identity_column: str | None = None,
    attributes: Sequence[str] | None = None,
    on_unknown: OnUnknown = "error",
) -> Membership:
    """Membership from a CSV, TSV or parquet table with a row an image.

    Args:
        path: `.csv`, `.tsv` or `.parquet`.
        group_column: the column that names the group.
        name_column: the column that identifies the image.
        identity_column: the column that names the person; rows without one are refused or, with `skip`, counted.
        attributes: columns to count as attributes; None takes every other column with at most `MOST_VALUES` values.
        on_unknown: as in `from_lists`; rows without a group or a name are refused or left out in the same way.

    Raises:
        InputError: for an unreadable file, an unknown column, fewer than two groups, or missing values (unless
            skipped).
    """
    path = Path(path)
    table = _Table(path, texts=[name_column, *([identity_column] if identity_column else [])])
    notes: dict[str, int] = {}

    def missing(rows: np.ndarray, what: str) -> None:
        if rows.any():
            found = f"{int(rows.sum()):,} of {len(rows):,} rows have no {what}, the first is row {rows.argmax() + 1:,}"
            _unknown(f"{path}: {found}", on_unknown)
            notes[f"rows without {what}"] = int(rows.sum())

    group, image = table.column(group_column, ordered=True), table.column(name_column)
    if len(group.values) > MOST_GROUPS:
        raise InputError(f"{path}: {group_column} has {len(group.values):,} values; expected at most {MOST_GROUPS}")
    lost = (group.codes < 0) | (image.codes < 0)
    missing(lost, f"{group_column} or {name_column}")
    keep = np.flatnonzero(~lost) if lost.any() else slice(None)
    _two_groups(group.values)
    identity = None
    if identity_column:
        identity = table.column(identity_column, keep)
        missing(identity.codes < 0, identity_column)
    columns = {}
    others = [name for name in table.names if name not in (group_column, name_column, identity_column)]
    for name in others if attributes is None else attributes:
        column = table.column(name, keep, ordered=True)
        if len(column.values) <= (MOST_VALUES if attributes is None else MOST_DISTINCT):
            columns[name] = column
        elif attributes is None:
            notes[f"values in column {name}, not counted as an attribute"] = len(column.values)
        else:
            raise InputError(f"{path}: {name} has {len(column.values):,} values; expected at most {MOST_DISTINCT}")
    groups = tuple(str(value) for value in group.values)
    return Membership(groups, group.codes[keep], Column(image.codes[keep], image.values), identity, columns, notes)


class _Table:
    """A table on disk whose columns become codes one at a time; `texts` are expected to hold many values."""

    def __init__(self, path: Path, texts: Sequence[str]) -> None:
        self.path = path
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        self._csv = path.suffix.lower() in (".csv", ".tsv")
        try:
            if self._csv:
                self._data = _read_csv(path, texts)
                self.names = self._data.column_names
            elif path.suffix.lower() in (".parquet", ".pq"):
                self.names = pyarrow.parquet.read_schema(path).names
            else:
                raise InputError(f"{path}: expected a table named .csv, .tsv or .parquet")
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path}: {_first_line(error)}") from error
        twice = [name for name in self.names if self.names.count(name) > 1]
        if twice:
            raise InputError(f"{path}: the column {twice[0]!r} stands twice; expected unique names")

    def column(self, name: str, keep: np.ndarray | slice = slice(None), *, ordered: bool = False) -> Column:
        """The rows `keep` of one column; `ordered` sorts its values, numbers as numbers."""
        if name not in self.names:
            shown = ", ".join(self.names[:20])
            raise InputError(f"{self.path}: found no column {name!r}; its columns are {shown}")
        try:
            chunks = self._data[name] if self._csv else pyarrow.parquet.read_table(self.path, columns=[name])[name]
            encoded = _dictionary(chunks)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.path}, column {name}: {_first_line(error)}") from error
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
        values = encoded.dictionary
        text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
        if text and (empty := pc.index(values, "").as_py()) >= 0:
            codes = np.where(codes == empty, np.int32(-1), codes)
        codes = codes[keep]
        few = ordered and len(values) <= MOST_DISTINCT
        return _ordered(codes, values.to_pylist()) if few else Column(codes, values)


def _read_csv(path: Path, texts: Sequence[str]) -> pa.Table:
    with path.open("rb") as stream:
        head = stream.readline(1 << 20)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path}: this is UTF-16; expected UTF-8")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        names = next(csv.reader(io.StringIO(head.decode("utf-8-sig")), delimiter=delimiter), [])
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, line 1: byte {error.start + 1} is not UTF-8") from error
    few = pa.dictionary(pa.int32(), pa.string())
    try:
        return pyarrow.csv.read_csv(
            path,
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() if name in texts else few for name in names},
                null_values=list(MISSING),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        _check_utf8(path)
        raise


def _check_utf8(path: Path) -> None:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                found = f"byte 0x{line[error.start]:02x}"
                raise InputError(f"{path}, line {number}: {found} is not UTF-8; is the encoding mixed?") from error


def _dictionary(chunks: pa.ChunkedArray) -> pa.DictionaryArray:
    if pa.types.is_dictionary(chunks.type):
        return _one(chunks.unify_dictionaries())
    if pa.types.is_nested(chunks.type):
        raise InputError(f"a column of {chunks.type} cannot be counted; expected one value a row")
    if pa.types.is_floating(chunks.type):
        chunks = pc.if_else(pc.is_nan(chunks), None, chunks)
    return _one(chunks.dictionary_encode())


def _one(chunks: pa.ChunkedArray) -> pa.DictionaryArray:
    joined = chunks.combine_chunks()
    return joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined


def _ordered(codes: np.ndarray, values: list[Any]) -> Column:
    """The same column with its values sorted, those that no row has left out, and small codes."""
    used = np.bincount(codes + 1, minlength=len(values) + 1)[1:] > 0
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


def _spread(values: np.ndarray, missing: np.ndarray, rows: np.ndarray, *, ordered: bool = False) -> Column:
    """A column of unique images, some without a value, seen by the rows that show these images."""
    codes, unique = pd.factorize(values)
    codes = np.where(missing, -1, codes).astype(np.int32)[rows]
    return _ordered(codes, unique.tolist()) if ordered else Column(codes, unique)


def _positions(
    index: pd.Index, names: np.ndarray, what: str, on_unknown: OnUnknown, notes: dict[str, int]
) -> np.ndarray:
    """Where each name stands in the index; -1 where it does not."""
    at = index.get_indexer(pd.Index(names))
    unknown = np.flatnonzero(at < 0)
    if len(unknown):
        first = str(names[unknown[0]])
        stem = {str(name).rpartition("/")[2].rpartition(".")[0]: name for name in index[:1000]}
        near = stem.get(first.rpartition("/")[2].rpartition(".")[0])
        like = f" (names there look like {str(index[0])!r})" if len(index) else ""
        like = f" (there it is called {near!r})" if near is not None else like
        _unknown(
            f"{what}: {len(unknown):,} of {len(names):,} images are not there, the first is {first!r}{like}", on_unknown
        )
        notes[f"images without {what}"] = len(unknown)
    return at


def _unknown(found: str, on_unknown: OnUnknown) -> None:
    if on_unknown == "error":
        raise InputError(f"{found}; give them one, or choose to go on without them (--on-unknown skip)")


def _two_groups(groups: Any) -> None:
    if len(groups) < 2:
        raise InputError(f"groups: found {len(groups)} ({', '.join(map(str, groups))}); expected two or more")


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]


def _plain(value: Any) -> Any:
    return value.as_py() if isinstance(value, pa.Scalar) else value
