"""A table on disk, with a row an image, read into `core.splits.membership.Membership`.

CSV and parquet are read through Arrow and become integer codes a column at a time, so that ten million rows need less
than 4 GB.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from core.errors import InputError
from core.splits.membership import Column, Membership, OnUnknown, ordered, refuse_unless_skipped, require_two_groups

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")  # read as 'no value' in a CSV file
MOST_GROUPS = 100
MOST_DISTINCT = 1000  # values of a column that somebody named as an attribute
MOST_VALUES = 50  # distinct values up to which a column that nobody named counts as an attribute


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
            refuse_unless_skipped(f"{path}: {found}", on_unknown)
            notes[f"rows without {what}"] = int(rows.sum())

    group, image = table.column(group_column, in_order=True), table.column(name_column)
    if len(group.values) > MOST_GROUPS:
        raise InputError(f"{path}: {group_column} has {len(group.values):,} values; expected at most {MOST_GROUPS}")
    lost = (group.codes < 0) | (image.codes < 0)
    missing(lost, f"{group_column} or {name_column}")
    keep = np.flatnonzero(~lost) if lost.any() else slice(None)
    require_two_groups(group.values)
    identity = None
    if identity_column:
        identity = table.column(identity_column, keep)
        missing(identity.codes < 0, identity_column)
    columns = {}
    others = [name for name in table.names if name not in (group_column, name_column, identity_column)]
    for name in others if attributes is None else attributes:
        column = table.column(name, keep, in_order=True)
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

    def column(self, name: str, keep: np.ndarray | slice = slice(None), *, in_order: bool = False) -> Column:
        """The rows `keep` of one column; `in_order` sorts its values, numbers as numbers."""
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
        few = in_order and len(values) <= MOST_DISTINCT
        return ordered(codes, values.to_pylist()) if few else Column(codes, values)


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


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
