"""Reads a list that has one reading without looking at its lines one by one, as lists of millions of names need it."""

import re

import pyarrow as pa
import pyarrow.csv

from core.splits.arrow import POOL, taken
from core.splits.dialect import FILE_LIKE
from core.splits.encode import other_forms
from core.splits.fingerprints import fingerprints, repeated
from core.splits.text import Text

# a name, a mark and a label; behind a slash a short number alone, as other words there are files of a folder
LABELLED = re.compile(r".*\.[A-Za-z][A-Za-z0-9]{1,4}(?P<mark>\s*[:=]\s*(?=[^/\\.]+$)|/(?=-?[0-9]{1,3}$)).+")
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+./~$%&()[]{}!@=:\n"
_PIECE = 1 << 20


def plain_names(text: Text) -> pa.ChunkedArray | None:
    """(n,) the lines of a list in which every line is surely a name, each once; None where any needs a closer look.

    Lines are names where they hold no blank, quote, comma or other mark that can stand between values, where the first
    is no header, count or name with a label, and where paths are written in one form only.
    """
    first = bytes(text.data[:_PIECE]).partition(b"\n")[0].decode("utf-8", "replace")
    if not _surely_name(first):
        return None
    ends = 0
    for at in range(0, len(text.data), _PIECE):
        piece = bytes(text.data[at : at + _PIECE])
        if piece.translate(None, _PLAIN):
            return None
        ends += piece.count(b"\n")
    text.forget()
    names = _lines(text)
    text.forget()
    if names is None or len(names) != ends + (text.data[-1] != 10):
        return None
    if other_forms(names):
        return None
    again = taken(names, repeated(fingerprints(names)))
    return None if len(again.unique()) < len(again) else names


def _surely_name(first: str) -> bool:
    """Whether a first line is like a file's name, with no label behind it: neither a header nor a count of lines."""
    return FILE_LIKE.fullmatch(first) is not None and LABELLED.fullmatch(first) is None


def _lines(text: Text) -> pa.ChunkedArray | None:
    """All lines but empty ones."""
    try:
        with text.stream() as stream:
            table = pyarrow.csv.read_csv(
                stream,
                memory_pool=POOL,
                read_options=pyarrow.csv.ReadOptions(column_names=["name"]),
                parse_options=pyarrow.csv.ParseOptions(delimiter="\x01", quote_char=False),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types={"name": pa.string()}, strings_can_be_null=False
                ),
            )
    except pa.ArrowException:
        return None
    return table.column(0)
