"""The names of a table's columns, from its first lines alone."""

from collections.abc import Collection
from pathlib import Path

from core.errors import InputError


def columns_of(path: Path, known: Collection[str]) -> tuple[str, ...]:
    """Names of the columns; none for a list, a table without a header, or a file that cannot be read as a table.

    Args:
        path: a table of text, compressed or not, or a parquet file.
        known: words by which a header is recognised, in lower case, letters and digits only.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        import pyarrow as pa
        import pyarrow.parquet

        try:
            return tuple(pyarrow.parquet.read_schema(path).names)
        except (pa.ArrowException, OSError):
            return ()
    from core.splits.dialect import sniff
    from core.splits.text import read_text_of

    try:
        dialect = sniff(read_text_of(path), known=known)
    except InputError:
        return ()
    return dialect.names if dialect.headed else ()
