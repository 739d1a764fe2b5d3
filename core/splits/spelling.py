"""Names and identities that may be one and are spelled as two: said before anything is said to hold."""

import re
from collections.abc import Callable
from functools import reduce
from itertools import combinations
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.splits.arrow import positions, scalar, strings, taken
from core.splits.fingerprints import any_block, blocks, each_block, fingerprints, letters, one_shape, repeated
from core.splits.membership import Column, Membership
from core.splits.notes import Note
from core.splits.presence import present

Texts: TypeAlias = pa.Array | pa.ChunkedArray
Change: TypeAlias = Callable[[pa.Array], pa.Array]
_KIND = "spelling"
_MARKS = r"[:=@#>^~(?|&]"  # marks that can stand between a name and a label


def spelling_notes(membership: Membership) -> list[Note]:
    """What a comparison letter by letter may have missed between groups.

    Names and identities that differ only by case, blanks, leading zeros or `.0`; names that differ only by extension;
    groups whose names share no extension, or no folder.
    """
    notes = _loosely_equal(membership, membership.image, "names")
    if membership.identity is not None:
        notes += _loosely_equal(membership, membership.identity, "identities")
    used, names = _used_texts(membership.image)
    if names is not None:
        for look in (_last_words, _marked, _extensions, _folders):
            notes += look(membership, used, names)
    return notes


def _loosely_equal(membership: Membership, column: Column, what: str) -> list[Note]:
    used, values = _used_texts(column)
    if values is None:
        return []
    if one_shape(values):  # whatever is taken from one is taken from all: they stay apart
        return []
    found = _across(membership, column, used, *_loosened(values))
    if not found:
        return []
    (a, of_a), (b, of_b) = found[1]
    return [
        Note(
            _KIND,
            f"{found[0]:,} {what} are in two groups under spellings that differ only by case, blanks, quotes, "
            "invisible characters, signs, leading zeros or '.0', and count as different: "
            f"{a!r} in {of_a}, {b!r} in {of_b}",
        )
    ]


def _last_words(membership: Membership, used: np.ndarray, names: Texts) -> list[Note]:
    """Names with blanks may be a label and a name."""
    if not letters(names)[0][ord(" ")]:
        return []
    found = _across(membership, membership.image, used, names, _replaced(r"^.* ", ""))
    if not found:
        return []
    (a, of_a), (b, of_b) = found[1]
    but = f"{found[0]:,} names are in two groups but for what stands before their last blank"
    text = f"{but}: {a!r} in {of_a}, {b!r} in {of_b}"
    return [Note(_KIND, text)]


def _marked(membership: Membership, used: np.ndarray, names: Texts) -> list[Note]:
    """Names with a mark such as `:` or `@` in them may be a name and a label, or a label and a name."""
    if not letters(names)[0][list(_MARKS[1:-1].encode())].any():
        return []
    for pattern, where in ((rf"(.)-*{_MARKS}.*$", "behind"), (rf"^.*{_MARKS}(.)", "before")):
        found = _across(membership, membership.image, used, names, _replaced(pattern, r"\1"))
        if found:
            (a, of_a), (b, of_b) = found[1]
            but = f"{found[0]:,} names are in two groups but for what stands {where} a mark"
            return [Note(_KIND, f"{but}: {a!r} in {of_a}, {b!r} in {of_b}")]
    return []


def _extensions(membership: Membership, used: np.ndarray, names: Texts) -> list[Note]:
    if _one_extension(names):
        return []
    kinds = _kinds(names, _extension)
    if len(kinds.dictionary) < 2:
        return []
    found = _across(membership, membership.image, used, *_loosened(_apart(names, _stem)))
    count = found[0] if found else 0
    apart = _disjoint(membership, used, kinds)
    if apart:
        a, b, of_a, of_b, more = apart
        text = (
            f"{a} and {b} share no extension ({_dot(of_a)}, {_dot(of_b)}){more}; without it {count:,} names are in both"
        )
        return [Note(_KIND, text)]
    if found:
        (a, of_a), (b, of_b) = found[1]
        text = f"{count:,} names are in two groups but for their extension: {a!r} in {of_a}, {b!r} in {of_b}"
        return [Note(_KIND, text)]
    return []


def _one_extension(names: Texts) -> bool:
    """Whether all names end as the first does, or none has a dot: the usual case, told without a pattern."""
    first = names[0].as_py() if len(names) else ""
    ending = re.fullmatch(r".*[^/](\.[A-Za-z][A-Za-z0-9]{0,4})", first)
    if ending is None:
        return not any_block(lambda block: pc.match_substring(block, "."), names)
    end = ending[1]
    if any_block(lambda block: pc.invert(pc.ends_with(block, end)), names):
        return False
    bare = any_block(
        lambda block: pc.or_(pc.ends_with(block, f"/{end}"), pc.equal(block, scalar(end, names.type))), names
    )
    return not bare and not any_block(lambda block: pc.match_substring(block, "\n"), names)


def _extension(names: pa.Array) -> pa.Array:
    ends = pc.utf8_lower(pc.replace_substring_regex(names, r"^.*\.", ""))
    return pc.if_else(_dotted(names), ends, scalar("", names.type))


def _stem(names: pa.Array) -> pa.Array:
    return pc.if_else(_dotted(names), pc.replace_substring_regex(names, r"\.[A-Za-z][A-Za-z0-9]{0,4}$", ""), names)


def _dotted(names: pa.Array) -> pa.Array:
    return pc.match_substring_regex(names, r"[^/]\.[A-Za-z][A-Za-z0-9]{0,4}$")


def _folders(membership: Membership, used: np.ndarray, names: Texts) -> list[Note]:
    if _one_folder(names) or not any_block(lambda block: pc.match_substring(block, "/"), names):
        return []
    apart = _disjoint(membership, used, _kinds(names, _top))
    if not apart:
        return []
    a, b, of_a, of_b, more = apart
    files = _apart(names, _replaced(r"^.*/", ""))
    found = _across(membership, membership.image, used, *_loosened(files))
    said = f"{found[0]:,} file names are in both" if found else "no file name is in both"
    where = f"{of_a or 'no folder'}, {of_b or 'no folder'}"
    text = f"{a} and {b} share no folder ({where}){more}, so one image under two paths would not be seen; {said}"
    return [Note(_KIND, text)]


def _one_folder(names: Texts) -> bool:
    """Whether all names begin with the first one's folder."""
    top = re.match(r"/?[^/\n]+/", names[0].as_py() if len(names) else "")
    if top is None or any_block(lambda block: pc.invert(pc.starts_with(block, top[0])), names):
        return False
    return not any_block(lambda block: pc.match_substring(block, "\n"), names)


def _top(names: pa.Array) -> pa.Array:
    tops = pc.replace_substring_regex(names, r"^(/?[^/]*)/.*$", r"\1/")
    return pc.if_else(pc.match_substring(names, "/"), tops, scalar("", names.type))


def _replaced(pattern: str, by: str) -> Change:
    return lambda block: pc.replace_substring_regex(block, pattern, by)


def _apart(values: Texts, change: Change) -> pa.ChunkedArray:
    return pa.chunked_array(each_block(change, values), values.type)


def _loosened(values: Texts) -> tuple[Texts, Change]:
    """How values lose what a spreadsheet or a script may have changed: case, blanks, quotes, signs, zeros, `.0`.

    What some values hold is looked for in all of them first; the values come back as other forms of letters leave them.
    """
    steps: list[Change] = []
    inside, last = letters(values)
    if inside[128:].any():
        values = _apart(values, lambda block: pc.utf8_normalize(block, form="NFKC"))
        values = _apart(values, _replaced(r"\p{Cf}+", ""))
        inside, last = letters(values)
    quoted = inside[list(b"\"'+")].any()
    if quoted and any_block(lambda block: pc.match_substring_regex(block, r"^\s*[\"'+]"), values):
        values = _apart(values, _replaced(r"^\s*[\"']+|[\"']+\s*$", ""))
        values = _apart(values, _replaced(r"^\s*\+([0-9])", r"\1"))
    steps.append(pc.utf8_lower)
    if inside[:33].any() and any_block(lambda block: pc.match_substring_regex(block, r"\s"), values):
        values = _apart(values, _replaced(r"\s+", ""))
    whole = quoted or inside[:33].any() or last[list(b".0")].any()
    if whole and any_block(lambda block: pc.match_substring_regex(block, r"^-?[0-9]+\.0*$"), values):
        steps.append(_replaced(r"^(-?[0-9]+)\.0*$", r"\1"))
    if inside[ord("0")]:
        steps.append(_replaced(r"(^|[^0-9.])0+([0-9])", r"\1\2"))
    return values, lambda block: reduce(lambda found, step: step(found), steps, block)


def _used_texts(column: Column) -> tuple[np.ndarray, Texts | None]:
    """The codes that rows show and their values; no values where they are numbers, which have one spelling."""
    there = present(column.codes, len(column.values))
    used = np.flatnonzero(there).astype(np.int32)
    if isinstance(column.values, pa.Array | pa.ChunkedArray):
        text = pa.types.is_string(column.values.type) or pa.types.is_large_string(column.values.type)
        return used, _kept(column.values, there) if text else None
    values = np.asarray(column.values, dtype=object)[used]
    if not all(isinstance(value, str) for value in values):
        return used, None
    return used, strings(values.tolist())


def _kept(values: Texts, there: np.ndarray) -> pa.ChunkedArray:
    """The values that are marked, without a copy of blocks that are whole."""
    parts, start = [], 0
    for block in blocks(values):
        mine = there[start : start + len(block)]
        parts.append(block if mine.all() else taken(block, np.flatnonzero(mine)))
        start += len(block)
    return pa.chunked_array(parts, values.type)


def _across(
    membership: Membership, column: Column, used: np.ndarray, values: Texts, change: Change
) -> tuple[int, tuple[tuple[str, str], tuple[str, str]]] | None:
    """How many changed values stand for two values in two groups, and the first two such values with their groups."""
    again = repeated(fingerprints(values, change))
    if not len(again):
        return None
    used = used[again]
    encoded = change(taken(values, again)).dictionary_encode()
    key_of_used = positions(encoded.indices)
    values_a_key = np.bincount(key_of_used)
    if len(values_a_key) == len(used):
        return None
    key = np.full(len(column.values) + 1, -1, dtype=np.int32)  # the last entry is for the code -1
    key[used] = np.where(values_a_key[key_of_used] > 1, key_of_used, -1)
    rows = np.flatnonzero(key[column.codes] >= 0)
    keys_of_rows, groups, codes = key[column.codes[rows]], membership.group[rows], column.codes[rows]
    low = np.full(len(values_a_key), len(membership.groups), dtype=np.int64)
    high = np.full(len(values_a_key), -1, dtype=np.int64)
    np.minimum.at(low, keys_of_rows, groups)
    np.maximum.at(high, keys_of_rows, groups)
    spread = np.flatnonzero(high > low)
    if not len(spread):
        return None
    mine = np.flatnonzero(keys_of_rows == spread[0])
    first = mine[0]
    different = mine[codes[mine] != codes[first]]
    elsewhere = different[groups[different] != groups[first]]
    second = (elsewhere if len(elsewhere) else different)[0]
    shown = [(column.examples(codes[[at]])[0], membership.groups[groups[at]]) for at in (first, second)]
    return len(spread), (shown[0], shown[1])


def _kinds(names: Texts, kind: Change) -> pa.DictionaryArray:
    parts = each_block(lambda block: kind(block).dictionary_encode(), names)
    return pa.concat_arrays(pa.chunked_array(parts).unify_dictionaries().chunks)


def _disjoint(
    membership: Membership, used: np.ndarray, kinds: pa.DictionaryArray
) -> tuple[str, str, str, str, str] | None:
    """The first two groups that share none of the kinds: their names, a kind of each, and how many more pairs do."""
    place = np.zeros(len(membership.image.values), dtype=np.int32)
    place[used] = positions(kinds.indices)
    codes, group = membership.image.codes, membership.group
    seen = [
        np.flatnonzero(present(place[codes[group == g]], len(kinds.dictionary))) for g in range(len(membership.groups))
    ]
    sets = [set(kind.tolist()) for kind in seen]
    apart = [(a, b) for a, b in combinations(range(len(sets)), 2) if sets[a] and sets[b] and not sets[a] & sets[b]]
    if not apart:
        return None
    a, b = apart[0]
    more = f", nor do {len(apart) - 1:,} more pairs of groups" if len(apart) > 1 else ""
    shown = [kinds.dictionary[int(seen[g][0])].as_py() for g in (a, b)]
    return membership.groups[a], membership.groups[b], shown[0], shown[1], more


def _dot(extension: str) -> str:
    return f".{extension}" if extension else "none"
