"""Values as integer codes, made equal first where they certainly are: blanks around them, `./a` and `a`."""

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.splits.arrow import bits, positions, scalar, strings, taken
from core.splits.fingerprints import any_block, fingerprints, letters, one_shape, repeated
from core.splits.grid import as_text
from core.splits.membership import Column, ordered
from core.splits.notes import Note

MOST_DISTINCT = 1000  # values up to which they are sorted
_SEEN = 1 << 16  # rows by which a column is taken for one of names


def cleaned(
    values: pa.ChunkedArray, what: str, path: Path | str, *, names: bool = False
) -> tuple[pa.ChunkedArray, list[Note]]:
    """Values without blanks around them; `names` are paths too: `./` at the start, `\\` and `//` are made one form.

    Returns:
        The values and a note for every change that was made; numbers are returned as they are.
    """
    notes: list[Note] = []
    if not _is_text(values.type):
        return (as_text(values) if names else values), notes
    probe = _distinct(values)
    inside, _ = letters(_some(probe))
    if _blank(inside) and (changed := _changed(pc.utf8_trim_whitespace(probe), probe)):
        values = pc.utf8_trim_whitespace(as_text(values))
        notes.append(Note("assumed", f"blanks around {changed:,} values of {what} are not part of them", str(path)))
    if names:
        if inside[ord("\\")]:
            values = pc.replace_substring(as_text(values), "\\", "/")
            notes.append(Note("assumed", f"'\\' in {what} is read as '/'", str(path)))
        if (inside[ord("/")] or inside[ord("\\")]) and other_forms(_distinct(values)):
            values = pc.replace_substring_regex(as_text(values), r"/(\./)+|//+", "/")
            values = pc.replace_substring_regex(values, r"^(\./+)+|/+$", "")
            notes.append(
                Note("assumed", f"'./a', 'a//b' and 'a/b/' in {what} are read as 'a', 'a/b' and 'a/b'", str(path))
            )
    return values, notes


def other_forms(values: pa.Array | pa.ChunkedArray) -> bool:
    """Whether any path holds `./` where a part begins, `//`, or `/` as its last letter."""
    values = _some(values)
    ends = any_block(lambda block: pc.ends_with(block, "/"), values)
    if not ends and not any(any_block(partial(pc.match_substring, pattern=part), values) for part in ("./", "//")):
        return False
    return any_block(lambda block: pc.match_substring_regex(block, r"(^|/)\./|//|/$"), values)


def coded(values: pa.ChunkedArray, *, in_order: bool = False) -> Column:
    """The codes of a column, -1 where there is no value; `in_order` sorts its values, numbers as numbers.

    Of a long column of texts that hardly repeat the codes are rows, the first that shows a text for all that do.
    """
    if not in_order and _mostly_once(values):
        return _by_row(values)
    encoded = _dictionary(values)
    codes = positions(encoded.indices)
    found = encoded.dictionary
    if _is_text(found.type) and (empty := pc.index(found, scalar("", found.type)).as_py()) >= 0:
        codes = np.where(codes == empty, np.int32(-1), codes)
    few = in_order and len(found) <= MOST_DISTINCT
    return ordered(codes, found.to_pylist()) if few else Column(codes, found)


def clean_name(name: str) -> str:
    """One name as `cleaned` makes it."""
    name = re.sub(r"/(\./)+|//+", "/", name.strip().replace("\\", "/"))
    return re.sub(r"^(\./+)+|/+$", "", name)


def _some(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Texts by which a question about other letters than digits can be answered: one where all have one shape."""
    shape = one_shape(values)
    return values if shape is None else strings([shape])


def _blank(inside: np.ndarray) -> bool:
    """Whether any byte may be part of a blank."""
    return bool(inside[:33].any() or inside[127:].any())


def _mostly_once(values: pa.ChunkedArray) -> bool:
    """Whether the first rows of a long column of texts hardly repeat."""
    if len(values) <= _SEEN or pa.types.is_dictionary(values.type) or not _is_text(values.type):
        return False
    return len(np.unique(fingerprints(values.slice(0, _SEEN)))) > 0.98 * _SEEN


def _by_row(values: pa.ChunkedArray) -> Column:
    """Each text by the first row that shows it; only rows that may repeat another are compared."""
    again = repeated(fingerprints(values))
    codes = np.arange(len(values), dtype=np.int32)
    if len(again):
        encoded = _one(pa.chunked_array([taken(values, again)]).dictionary_encode())
        same = positions(encoded.indices)
        first = np.unique(same, return_index=True)[1][-len(encoded.dictionary) :]
        codes[again] = np.append(codes[again[first]], np.int32(-1))[same]
    lost = values.null_count or any_block(lambda block: pc.equal(block, scalar("", block.type)), values)
    if lost:
        none = [pc.or_kleene(pc.is_null(chunk), pc.equal(chunk, scalar("", chunk.type))) for chunk in values.chunks]
        codes[np.flatnonzero(bits(none))] = -1
    return Column(codes, values)


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def _distinct(values: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Values that hold every distinct one: of a dictionary its entries."""
    return _one(values.unify_dictionaries()).dictionary if pa.types.is_dictionary(values.type) else values


def _changed(after: pa.ChunkedArray, before: pa.ChunkedArray) -> int:
    return int(pc.sum(pc.not_equal(after, before)).as_py() or 0)


def _dictionary(chunks: pa.ChunkedArray) -> pa.DictionaryArray:
    if pa.types.is_dictionary(chunks.type):
        return _one(chunks.unify_dictionaries())
    if pa.types.is_floating(chunks.type):
        chunks = pc.if_else(pc.is_nan(chunks), None, chunks)
    if len(chunks) <= _SEEN:
        return _one(chunks.dictionary_encode())
    half = len(chunks) // 2  # each on a core of its own; the second's new values come behind the first's
    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        both = list(pool.map(lambda part: _one(part.dictionary_encode()), (chunks.slice(0, half), chunks.slice(half))))
    return _one(pa.chunked_array(both).unify_dictionaries())


def _one(chunks: pa.ChunkedArray) -> pa.DictionaryArray:
    joined = chunks.combine_chunks()
    return joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined
