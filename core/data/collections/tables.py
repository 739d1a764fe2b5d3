"""Parquet tables and `datasets.save_to_disk` folders with Hugging Face's image column: a struct of bytes and path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.data.collections.collection import InFiles, numbered
from core.data.pictures import Stored
from core.errors import InputError

_AT_ONCE = 16  # rows of pictures held, at most
_BUFFER = 1 << 20  # bytes of a parquet file read at once: a column is not read whole
_PLAIN = (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_floating)


@dataclass(frozen=True)
class Shard:
    """One file of a table: a parquet file, or a stream of Arrow records.

    Attributes:
        file: that holds it.
        part: the split it belongs to (train, test), which its pictures' names begin with; empty where there is none.
    """

    file: Path
    part: str = ""

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile | pa.RecordBatchReader]:
        try:
            if self.file.suffix == ".arrow":
                with pa.memory_map(str(self.file)) as source, pa.ipc.open_stream(source) as reader:
                    yield reader
            else:
                with pq.ParquetFile(self.file, pre_buffer=False, buffer_size=_BUFFER) as table:
                    yield table
        except (pa.ArrowException, OSError) as error:
            kind = "Arrow" if self.file.suffix == ".arrow" else "parquet"
            raise InputError(f"{self.file}: not a readable {kind} file ({str(error).splitlines()[0][:150]})") from error

    def schema(self) -> pa.Schema:
        """Columns, with Hugging Face's description of them in the metadata."""
        with self._opened() as table:
            return table.schema_arrow if isinstance(table, pq.ParquetFile) else table.schema

    def batches(self, columns: Sequence[str], start: int = 0) -> Iterator[pa.RecordBatch]:
        """Some columns (`image.path` is a part of one) from a row on, a few rows at a time."""
        with self._opened() as table:
            if isinstance(table, pq.ParquetFile):
                groups, begin = _groups_from(table, start)
                for batch in table.iter_batches(_AT_ONCE, groups, columns=list(columns), use_threads=False):
                    begin, skip = begin + len(batch), max(0, start - begin)
                    if skip < len(batch):
                        yield batch.slice(skip)
                return
            begin = 0
            roots = [name.partition(".")[0] for name in columns]
            for batch in table:
                begin, skip = begin + len(batch), max(0, start - begin)
                chosen = batch.select(roots)
                for low in range(skip, len(batch), _AT_ONCE):
                    yield chosen.slice(low, _AT_ONCE)


def _groups_from(table: pq.ParquetFile, start: int) -> tuple[list[int], int]:
    """The row groups that hold a row or what follows it, and the first row of the first of them."""
    begin = 0
    for group in range(table.num_row_groups):
        rows = table.metadata.row_group(group).num_rows
        if begin + rows > start:
            return list(range(group, table.num_row_groups)), begin
        begin += rows
    return [], begin


class Table(InFiles):
    """The pictures of a table's image column, in the order of its rows.

    A picture is called by the path beside its bytes where every row has one that no other has, else by its row from 0;
    behind its split where there are several.
    """

    def __init__(self, path: Path, shards: Sequence[Shard], column: str, *, part: str, **known: Any) -> None:
        self.shards, self.column = list(shards), column
        self.lengths: list[int] = known.pop("lengths")
        super().__init__(path, known.pop("names"), [shard.file for shard in shards], f"{part}:{column}", **known)

    @classmethod
    def opened(cls, path: Path, shards: Sequence[Shard], wanted: str = "") -> Table:
        """Read paths and plain columns; the pictures are left where they are.

        Args:
            path: what was named.
            shards: its files, in order.
            wanted: the image column, or one split, that the user asks for.

        Raises:
            InputError: for a table without an image column, naming those it has.
        """
        parts = list(dict.fromkeys(shard.part for shard in shards))
        if wanted and wanted in parts:
            shards, column_wanted = [Shard(shard.file) for shard in shards if shard.part == wanted], ""
        else:
            column_wanted = wanted
        schema = shards[0].schema()
        column = _image_column(path, schema, column_wanted)
        for shard in shards[1:]:
            if (
                shard.schema().field(column).type != schema.field(column).type
                if column in shard.schema().names
                else True
            ):
                raise InputError(f"{shard.file}: found no column {column} as in {shards[0].file}")
        struct = pa.types.is_struct(schema.field(column).type)
        inside = [f"{column}.path"] if struct else []
        plain = [field.name for field in schema if any(kind(field.type) for kind in _PLAIN)]
        paths: list[list[str]] = []
        values: dict[str, list[Any]] = {name: [] for name in plain}
        lengths = []
        for shard in shards:
            paths.append([])
            rows = 0
            for batch in shard.batches([*inside, *plain]) if inside or plain else _lengths(shard, column):
                rows += len(batch)
                if struct:
                    paths[-1] += ["" if p is None else str(p) for p in batch.column(column).field("path").to_pylist()]
                for name in plain:
                    values[name] += batch.column(name).to_pylist()
            lengths.append(rows)
        names = _names(shards, lengths, paths)
        classes = _classes(schema)
        columns = {name: _column(found, classes.get(name)) for name, found in values.items()}
        return cls(path, shards, column, part=wanted, names=names, lengths=lengths, columns=columns)

    def stored(self, at: Sequence[int] | range) -> Iterator[Stored]:
        """The bytes of the pictures, a few rows at a time."""
        wanted = np.asarray(at, dtype=np.int64)
        begin = 0
        for shard, rows in zip(self.shards, self.lengths, strict=True):
            low, high = np.searchsorted(wanted, (begin, begin + rows))
            if high > low:
                yield from self._of_shard(shard, begin, wanted[low:high])
            begin += rows

    def _of_shard(self, shard: Shard, begin: int, wanted: np.ndarray) -> Iterator[Stored]:
        row, next_wanted = int(wanted[0]), 0
        for batch in shard.batches([self.column], row - begin):
            column = batch.column(self.column)
            stop = row + len(batch)
            while next_wanted < len(wanted) and wanted[next_wanted] < stop:
                k = int(wanted[next_wanted])
                next_wanted += 1
                yield self._picture(shard, k, k - begin, column[k - row].as_py())
            row = stop
            if next_wanted == len(wanted):
                return

    def _picture(self, shard: Shard, k: int, row: int, value: Any) -> Stored:
        label = f"{self.path}/{self.names[k]}"
        data = value.get("bytes") if isinstance(value, dict) else value
        if data is None:
            beside = value.get("path") if isinstance(value, dict) else None
            only = f"only the path {beside!r}" if beside else "no bytes"
            return Stored(label, InputError(f"{shard.file}, row {row}: holds {only}, expected the picture's bytes"))
        return Stored(label, data)


def saved_shards(path: Path) -> list[Shard] | None:
    """The files of a folder that `datasets.save_to_disk` wrote, a data set or several splits; None for another folder.

    Raises:
        InputError: for such a folder that lacks a file.
    """
    if (path / "dataset_dict.json").is_file():
        splits = _json(path / "dataset_dict.json").get("splits", [])
        return [Shard(shard.file, part) for part in splits for shard in _saved(path / _bare(path, part))]
    return _saved(path) if (path / "state.json").is_file() else None


def _saved(path: Path) -> list[Shard]:
    state = _json(path / "state.json")
    files = [path / _bare(path, item["filename"]) for item in state.get("_data_files", [])]
    if not files or state.get("_indices_files"):
        raise InputError(f"{path / 'state.json'}: expected the data files of a saved data set, without indices of rows")
    return [Shard(file) for file in files]


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable JSON ({str(error)[:100]})") from error
    return found if isinstance(found, dict) else {}


def _bare(path: Path, name: Any) -> str:
    if not isinstance(name, str) or Path(name).name != name:
        raise InputError(f"{path}: names the file {name!r}, expected one that lies in it")
    return name


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Hugging Face's description of the columns."""
    try:
        found = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _image_column(path: Path, schema: pa.Schema, wanted: str) -> str:
    features = _features(schema)
    said = [name for name in schema.names if (features.get(name) or {}).get("_type") == "Image"] if features else []
    formed = [field.name for field in schema if _holds_pictures(field.type)]
    found = [name for name in said if name in formed] or formed
    if wanted in formed:
        return wanted
    if wanted or len(found) != 1:
        state = f"no image column {wanted!r}" if wanted else f"{len(found) or 'no'} image columns"
        columns = ", ".join(f"{field.name} ({str(field.type)[:60]})" for field in schema)
        more = f"; {path.name}::COLUMN says which" if len(found) > 1 else ""
        raise InputError(
            f"{path}: found {state}, expected one of struct<bytes, path> or of bytes; it has {columns}{more}"
        )
    return found[0]


def _holds_pictures(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return {"bytes", "path"} <= {kind.field(k).name for k in range(kind.num_fields)}
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _lengths(shard: Shard, column: str) -> Iterator[pa.RecordBatch]:
    """Rows of a table that has nothing but pictures."""
    return shard.batches([column])


def _names(shards: Sequence[Shard], lengths: Sequence[int], paths: Sequence[Sequence[str]]) -> list[str]:
    """Names of all rows, split by split."""
    names: list[str] = []
    for part in dict.fromkeys(shard.part for shard in shards):
        own = [k for k, shard in enumerate(shards) if shard.part == part]
        called = [Path(p).name for k in own for p in paths[k]]
        rows = sum(lengths[k] for k in own)
        good = len(called) == rows and all(called) and all(name.isprintable() for name in called)
        if not good or len(set(called)) != rows:
            called = numbered(rows)
        names += [f"{part}/{name}" if part else name for name in called]
    return names


def _classes(schema: pa.Schema) -> Mapping[str, list[str]]:
    """Column -> names of its classes, which Hugging Face keeps beside the numbers."""
    return {
        name: feature["names"]
        for name, feature in _features(schema).items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list)
    }


def _column(values: Sequence[Any], classes: Sequence[str] | None) -> np.ndarray:
    """(n,) values, classes by their names; what is missing is an empty text."""
    if classes is not None:
        named = [classes[v] if isinstance(v, int) and 0 <= v < len(classes) else "" for v in values]
        return np.array(named, dtype=object)
    if any(value is None for value in values):
        return np.array(["" if value is None else str(value) for value in values], dtype=object)
    return np.array(values, dtype=object) if values and isinstance(values[0], str) else np.array(values)
