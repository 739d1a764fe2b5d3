"""A table on disk as Arrow columns, whatever its dialect, with a row an image and a note for whatever was guessed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from core.errors import InputError
from core.splits.arrow import POOL
from core.splits.dialect import Dialect, sniff
from core.splits.irregular import read_irregular
from core.splits.json_table import columns_of_json, looks_like_json
from core.splits.notes import Note
from core.splits.text import Text, read_text_of

# read as 'no value' in a text table
MISSING = ("", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "NaN", "nan", "-nan", "null", "NULL", "None")


@dataclass(frozen=True, eq=False)
class Grid:
    """The columns of one table.

    Attributes:
        path: the file.
        names: of the columns, in order.
        rows: how many.
        headed: whether the names stand in the file; if not they are `1`, `2`, ...
        line: line of the file at which the first row stands; None where rows are not lines.
        nested: columns that hold more than one value a row, with their type.
        notes: what was guessed or passed over while reading.
    """

    path: Path
    names: tuple[str, ...]
    rows: int
    headed: bool = True
    line: int | None = None
    nested: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    loaded: Mapping[int, pa.ChunkedArray] | None = None  # None: a parquet file, read a column at a time

    def resolve(self, asked: str) -> list[int]:
        """Positions of a column by name, by number from 1, or of several joined by `+`.

        Raises:
            InputError: for a column that is not there, stands twice or holds no single values.
        """
        if asked not in self.names and "+" in asked and all(asked.split("+")):
            return [self.resolve(part)[0] for part in asked.split("+")]
        there = [i for i, name in enumerate(self.names) if name == asked]
        if not there:
            there = [i for i, name in enumerate(self.names) if name.strip() == asked.strip()]
        if not there and asked.isascii() and asked.isdigit() and 1 <= int(asked) <= len(self.names):
            there = [int(asked) - 1]
        if not there and "." in asked and asked.partition(".")[0] in self.nested:
            return [self.names.index(asked.partition(".")[0])]
        if not there:
            shown = ", ".join(name or "(no name)" for name in self.names[:20])
            raise InputError(f"{self.path}: found no column {asked!r}; its columns are {shown}")
        if len(there) > 1:
            raise InputError(f"{self.path}: the column {asked!r} stands twice; expected unique names")
        return there

    def column(self, asked: str) -> pa.ChunkedArray:
        """The values of one column (or of several, joined by `/`), missing ones as null.

        Raises:
            InputError: as `resolve`, or for values that cannot be counted.
        """
        parts = [self._load(position, asked) for position in self.resolve(asked)]
        if len(parts) == 1:
            return parts[0]
        texts = [as_text(part) for part in parts]
        return pc.binary_join_element_wise(*texts, "/")

    def at(self, position: int) -> pa.ChunkedArray:
        """The values of one column by its position from 0."""
        return self._load(position, self.names[position])

    def _load(self, position: int, asked: str) -> pa.ChunkedArray:
        if self.loaded is not None:
            return self.loaded[position]
        name = self.names[position]
        try:
            found = pyarrow.parquet.read_table(
                self.path, columns=[asked if name in self.nested else name], pre_buffer=False
            )
            values = found.column(0)
            for part in asked.split(".")[1:]:
                if pa.types.is_struct(values.type):
                    values = pc.struct_field(values, part)
        except (pa.ArrowException, OSError, KeyError, IndexError) as error:
            raise InputError(f"{self.path}, column {asked}: {first_line(error)}") from error
        if pa.types.is_nested(values.type):
            way = (
                f"name one of its fields ({asked}.FIELD)" if pa.types.is_struct(values.type) else "name another column"
            )
            raise InputError(
                f"{self.path}, column {asked}: {values.type} cannot be counted, one value a row can; {way}"
            )
        return values


def read_grid(path: Path | str, wanted: Sequence[str] = (), known: Collection[str] = ()) -> Grid:
    """Read a table: CSV in any dialect, JSON or JSON lines, parquet, each compressed or not.

    Args:
        path: the file.
        wanted: columns that the user named; they hold many values.
        known: words by which a header is recognised (`core.splits.dialect.sniff`).

    Raises:
        InputError: for a file that cannot be read; where a line is to blame it is named.
    """
    path = Path(path)
    if path.is_file():
        with path.open("rb") as stream:
            head = stream.read(4)
        if head == b"PAR1" or path.suffix.lower() in (".parquet", ".pq"):
            return _parquet(path)
    text = read_text_of(path)
    if looks_like_json(text):
        columns, nested, rows, notes = columns_of_json(text)
        loaded = {i: pa.chunked_array([values]) for i, values in enumerate(columns.values())}
        return Grid(path, tuple(columns), rows, True, None, nested, (*text.notes, *notes), loaded)
    dialect = sniff(text, wanted, known)
    notes = [*text.notes, *dialect.notes]
    table = _fast(text, dialect, wanted)
    text.forget()
    POOL.release_unused()  # what reading took besides the columns
    if table is None or table.num_rows != text.lines(dialect.offset):
        table, more = read_irregular(text, dialect, MISSING)
        notes += more
    loaded = dict(enumerate(table.columns))
    return Grid(path, dialect.names, table.num_rows, dialect.headed, dialect.line, {}, tuple(notes), loaded)


def as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values as text: whole numbers without a decimal point."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
        whole = pc.all(pc.equal(values, pc.floor(values))).as_py() is not False
        small = pc.all(pc.less(pc.abs(values), 2.0**53)).as_py() is not False
        if whole and small:
            values = values.cast(pa.int64())
    if pa.types.is_large_string(values.type):
        return values
    return values.cast(pa.string())


def first_line(error: BaseException) -> str:
    """The first line of another library's message."""
    return (str(error).strip() or type(error).__name__).split("\n")[0][:200]


def _parquet(path: Path) -> Grid:
    try:
        file = pyarrow.parquet.ParquetFile(path)
        schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as parquet ({first_line(error)})") from error
    nested = {item.name: str(item.type)[:60] for item in schema if pa.types.is_nested(item.type)}
    return Grid(path, tuple(schema.names), rows, True, None, nested)


def _fast(text: Text, dialect: Dialect, wanted: Collection[str]) -> pa.Table | None:
    """All rows at once, or None where they are not all as the header says."""
    start = bytes(text.data[dialect.offset : dialect.offset + 1])
    if dialect.delimiter == " " or start == b"#":
        return None
    if not start:
        return pa.table(
            [pa.array([], pa.string()) for _ in dialect.names], [f"c{i}" for i in range(len(dialect.names))]
        )
    few = pa.dictionary(pa.int32(), pa.string())
    many = [name in wanted or str(i + 1) in wanted for i, name in enumerate(dialect.names)]
    try:
        with text.stream(dialect.offset) as stream:
            return pyarrow.csv.read_csv(
                stream,
                memory_pool=POOL,
                read_options=pyarrow.csv.ReadOptions(column_names=[f"c{i}" for i in range(len(dialect.names))]),
                parse_options=pyarrow.csv.ParseOptions(delimiter=dialect.delimiter),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types={f"c{i}": pa.string() if it else few for i, it in enumerate(many)},
                    null_values=list(MISSING),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
    except (pa.ArrowException, OSError):
        return None
