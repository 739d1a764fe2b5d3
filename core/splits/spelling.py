"""Names and identities that may be one and are spelled as two: said before anything is said to hold."""

from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.splits.arrow import integers, positions, scalar, strings
from core.splits.membership import Column, Membership
from core.splits.notes import Note

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
        notes += _last_words(membership, used, names)
        notes += _marked(membership, used, names)
        notes += _extensions(membership, used, names)
        notes += _folders(membership, used, names)
    return notes


def _loosely_equal(membership: Membership, column: Column, what: str) -> list[Note]:
    used, values = _used_texts(column)
    if values is None:
        return []
    found = _across(membership, column, used, _loose(values))
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


def _last_words(membership: Membership, used: np.ndarray, names: pa.Array) -> list[Note]:
    """Names with blanks may be a label and a name."""
    if not pc.any(pc.match_substring(names, " ")).as_py():
        return []
    found = _across(membership, membership.image, used, pc.replace_substring_regex(names, r"^.* ", ""))
    if not found:
        return []
    (a, of_a), (b, of_b) = found[1]
    but = f"{found[0]:,} names are in two groups but for what stands before their last blank"
    text = f"{but}: {a!r} in {of_a}, {b!r} in {of_b}"
    return [Note(_KIND, text)]


def _marked(membership: Membership, used: np.ndarray, names: pa.Array) -> list[Note]:
    """Names with a mark such as `:` or `@` in them may be a name and a label, or a label and a name."""
    if not pc.any(pc.match_substring_regex(names, _MARKS)).as_py():
        return []
    for pattern, where in ((rf"(.)-*{_MARKS}.*$", "behind"), (rf"^.*{_MARKS}(.)", "before")):
        found = _across(membership, membership.image, used, pc.replace_substring_regex(names, pattern, r"\1"))
        if found:
            (a, of_a), (b, of_b) = found[1]
            but = f"{found[0]:,} names are in two groups but for what stands {where} a mark"
            return [Note(_KIND, f"{but}: {a!r} in {of_a}, {b!r} in {of_b}")]
    return []


def _extensions(membership: Membership, used: np.ndarray, names: pa.Array) -> list[Note]:
    dotted = pc.match_substring_regex(names, r"[^/]\.[A-Za-z][A-Za-z0-9]{0,4}$")
    ends = pc.if_else(dotted, pc.utf8_lower(pc.replace_substring_regex(names, r"^.*\.", "")), scalar("", pa.string()))
    kinds = ends.dictionary_encode()
    if len(kinds.dictionary) < 2:
        return []
    stems = pc.if_else(dotted, pc.replace_substring_regex(names, r"\.[A-Za-z][A-Za-z0-9]{0,4}$", ""), names)
    found = _across(membership, membership.image, used, _loose(stems))
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


def _folders(membership: Membership, used: np.ndarray, names: pa.Array) -> list[Note]:
    if not pc.any(pc.match_substring(names, "/")).as_py():
        return []
    inside = pc.match_substring(names, "/")
    tops = pc.if_else(inside, pc.replace_substring_regex(names, r"^(/?[^/]*)/.*$", r"\1/"), scalar("", pa.string()))
    apart = _disjoint(membership, used, tops.dictionary_encode())
    if not apart:
        return []
    a, b, of_a, of_b, more = apart
    found = _across(membership, membership.image, used, _loose(pc.replace_substring_regex(names, r"^.*/", "")))
    said = f"{found[0]:,} file names are in both" if found else "no file name is in both"
    where = f"{of_a or 'no folder'}, {of_b or 'no folder'}"
    text = f"{a} and {b} share no folder ({where}){more}, so one image under two paths would not be seen; {said}"
    return [Note(_KIND, text)]


def _loose(values: pa.Array) -> pa.Array:
    """Values without what a spreadsheet or a script may have changed: case, blanks, quotes, signs, zeros, `.0`."""
    if not pc.all(pc.string_is_ascii(values)).as_py():
        values = pc.utf8_normalize(values, form="NFKC")
        values = pc.replace_substring_regex(values, r"\p{Cf}+", "")
    if pc.any(pc.match_substring_regex(values, r"^\s*[\"'+]")).as_py():
        values = pc.replace_substring_regex(values, r"^\s*[\"']+|[\"']+\s*$", "")
        values = pc.replace_substring_regex(values, r"^\s*\+([0-9])", r"\1")
    values = pc.utf8_lower(values)
    if pc.any(pc.match_substring_regex(values, r"\s")).as_py():
        values = pc.replace_substring_regex(values, r"\s+", "")
    if pc.any(pc.match_substring_regex(values, r"^-?[0-9]+\.0*$")).as_py():
        values = pc.replace_substring_regex(values, r"^(-?[0-9]+)\.0*$", r"\1")
    return pc.replace_substring_regex(values, r"(^|[^0-9.])0+([0-9])", r"\1\2")


def _used_texts(column: Column) -> tuple[np.ndarray, pa.Array | None]:
    """The codes that rows show and their values; no values where they are numbers, which have one spelling."""
    codes = column.codes[column.codes >= 0]
    used = np.flatnonzero(np.bincount(codes, minlength=len(column.values)))
    if isinstance(column.values, pa.Array):
        text = pa.types.is_string(column.values.type) or pa.types.is_large_string(column.values.type)
        return used, (column.values.take(integers(used)) if text else None)
    values = np.asarray(column.values, dtype=object)[used]
    if not all(isinstance(value, str) for value in values):
        return used, None
    return used, strings(values.tolist())


def _across(
    membership: Membership, column: Column, used: np.ndarray, keys: pa.Array
) -> tuple[int, tuple[tuple[str, str], tuple[str, str]]] | None:
    """How many keys stand for two values in two groups, and the first two such values with their groups."""
    encoded = keys.dictionary_encode()
    key_of_used = positions(encoded.indices)
    values_a_key = np.bincount(key_of_used)
    if len(values_a_key) == len(used):
        return None
    key = np.full(len(column.values) + 1, -1, dtype=np.int64)  # the last entry is for the code -1
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


def _disjoint(
    membership: Membership, used: np.ndarray, kinds: pa.DictionaryArray
) -> tuple[str, str, str, str, str] | None:
    """The first two groups that share none of the kinds: their names, a kind of each, and how many more pairs do."""
    place = np.zeros(len(membership.image.values), dtype=np.int64)
    place[used] = positions(kinds.indices)
    n = len(kinds.dictionary)
    pairs = np.unique(membership.group.astype(np.int64) * n + place[membership.image.codes])
    there = [pairs[pairs // n == g] % n for g in range(len(membership.groups))]
    sets = [set(kind.tolist()) for kind in there]
    apart = [(a, b) for a, b in combinations(range(len(sets)), 2) if sets[a] and sets[b] and not sets[a] & sets[b]]
    if not apart:
        return None
    a, b = apart[0]
    more = f", nor do {len(apart) - 1:,} more pairs of groups" if len(apart) > 1 else ""
    shown = [kinds.dictionary[int(there[g][0])].as_py() for g in (a, b)]
    return membership.groups[a], membership.groups[b], shown[0], shown[1], more


def _dot(extension: str) -> str:
    return f".{extension}" if extension else "none"
