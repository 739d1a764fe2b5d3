"""Names and identities that may be one and are spelled as two: said before anything is said to hold."""

import re
from dataclasses import dataclass
from functools import reduce
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.splits.arrow import integers, positions, scalar, strings, taken
from core.splits.fingerprints import any_block, each_block, letters, one_shape
from core.splits.membership import Column, Membership
from core.splits.notes import Note
from core.splits.presence import present
from core.splits.spelled import Change, Spelled, Texts, across, is_text, spelled_texts

_KIND = "spelling"
_MARKS = r"[:=@#>^~(?|&]"  # marks that can stand between a name and a label


def spelling_notes(membership: Membership) -> list[Note]:
    """What a comparison letter by letter may have missed between groups.

    Names and identities that differ only by case, blanks, leading zeros or `.0`; names that differ only by extension;
    groups whose names share no extension, or no folder.
    """
    names = None
    notes = []
    if not _settled(membership.image):
        names = spelled_texts(membership.image)
        notes += _loosely_equal(membership, names, "names")
    if membership.identity is not None:
        notes += _loosely_equal(membership, spelled_texts(membership.identity), "identities")
    if names is not None:
        for look in (_last_words, _marked, _extensions, _folders):
            notes += look(membership, names)
    return notes


def _settled(names: Column) -> bool:
    """Whether names are of one shape in which no look could find anything: what is taken from one is taken from all."""
    values = names.values
    if not is_text(values) or (shape := one_shape(values)) is None:
        return False
    one = strings([shape])
    return (
        not letters(one)[0][list(b" \n" + _MARKS[1:-1].encode())].any()
        and _one_extension(one, shape)
        and re.fullmatch(r"(/?[^/0-9]+/.*|[^/]*)", shape) is not None
        and re.fullmatch(r".*\.[A-Za-z]+|[^.]*", shape) is not None
    )


def _loosely_equal(membership: Membership, spelled: Spelled | None, what: str) -> list[Note]:
    if spelled is None or one_shape(spelled.values) is not None:
        return []  # whatever is taken from one is taken from all: they stay apart
    found = across(membership, spelled, *_loosened(spelled.values, spelled.letters, spelled.at))
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


def _last_words(membership: Membership, names: Spelled) -> list[Note]:
    """Names with blanks may be a label and a name."""
    if not names.letters[0][ord(" ")]:
        return []
    found = across(membership, names, names.values, _replaced(r"^.* ", ""))
    if not found:
        return []
    (a, of_a), (b, of_b) = found[1]
    but = f"{found[0]:,} names are in two groups but for what stands before their last blank"
    text = f"{but}: {a!r} in {of_a}, {b!r} in {of_b}"
    return [Note(_KIND, text)]


def _marked(membership: Membership, names: Spelled) -> list[Note]:
    """Names with a mark such as `:` or `@` in them may be a name and a label, or a label and a name."""
    if not names.letters[0][list(_MARKS[1:-1].encode())].any():
        return []
    for pattern, where in ((rf"(.)-*{_MARKS}.*$", "behind"), (rf"^.*{_MARKS}(.)", "before")):
        found = across(membership, names, names.values, _replaced(pattern, r"\1"))
        if found:
            (a, of_a), (b, of_b) = found[1]
            but = f"{found[0]:,} names are in two groups but for what stands {where} a mark"
            return [Note(_KIND, f"{but}: {a!r} in {of_a}, {b!r} in {of_b}")]
    return []


def _extensions(membership: Membership, names: Spelled) -> list[Note]:
    if _one_extension(names.values, names.first):
        return []
    kinds = _kinds(names, _extension)
    if kinds.of_one:
        return []
    stems = _apart(names.values, _stem)
    found = across(membership, names, *_loosened(stems, letters(stems), names.at))
    count = found[0] if found else 0
    apart = _disjoint(membership, names, kinds)
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


def _one_extension(names: Texts, first: str) -> bool:
    """Whether all names end as the first does, or none has a dot: the usual case, told without a pattern."""
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


def _folders(membership: Membership, names: Spelled) -> list[Note]:
    if not names.letters[0][ord("/")] or _one_folder(names.values, names.first):
        return []
    apart = _disjoint(membership, names, _kinds(names, _top))
    if not apart:
        return []
    a, b, of_a, of_b, more = apart
    files = _apart(names.values, _replaced(r"^.*/", ""))
    found = across(membership, names, *_loosened(files, letters(files), names.at))
    said = f"{found[0]:,} file names are in both" if found else "no file name is in both"
    where = f"{of_a or 'no folder'}, {of_b or 'no folder'}"
    text = f"{a} and {b} share no folder ({where}){more}, so one image under two paths would not be seen; {said}"
    return [Note(_KIND, text)]


def _one_folder(names: Texts, first: str) -> bool:
    """Whether all names begin with the first one's folder."""
    top = re.match(r"/?[^/\n]+/", first)
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


def _loosened(values: Texts, held: tuple[np.ndarray, np.ndarray], at: np.ndarray) -> tuple[Texts, Change]:
    """How values lose what a spreadsheet or a script may have changed: case, blanks, quotes, signs, zeros, `.0`.

    What some values hold is looked for in all of them first; the values come back as other forms of letters leave them.

    Args:
        values: the texts.
        held: their letters, as `letters` gives them.
        at: (n,) ascending positions of those that are compared: quotes are taken off where one of these begins so.
    """
    steps: list[Change] = []
    inside, last = held
    if inside[128:].any():
        seen = _replaced(r"\p{Cf}+", "")
        values = _apart(values, lambda block: seen(pc.utf8_normalize(block, form="NFKC")))
        inside, last = letters(values)
    quoted = inside[list(b"\"'+")].any()
    if quoted and _begins_quoted(values) and (len(at) == len(values) or _begins_quoted(taken(values, at))):
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


def _begins_quoted(values: Texts) -> bool:
    return any_block(lambda block: pc.match_substring_regex(block, r"^\s*[\"'+]"), values)


@dataclass(frozen=True, eq=False)
class _Kinds:
    """A kind of each name that rows show: (n,) positions in `words`, which stand as these names show them first."""

    of: np.ndarray
    words: pa.Array

    @property
    def of_one(self) -> bool:
        """Whether all are of one kind."""
        return not len(self.of) or bool((self.of == self.of[0]).all())


def _kinds(names: Spelled, kind: Change) -> _Kinds:
    parts = each_block(lambda block: kind(block).dictionary_encode(), names.values)
    joined = pa.concat_arrays(pa.chunked_array(parts).unify_dictionaries().chunks)
    of = positions(joined.indices)
    if len(names.at) == len(of):
        return _Kinds(of, joined.dictionary)
    of = of[names.at]
    first = np.full(len(joined.dictionary), len(of))
    first[of[::-1]] = np.arange(len(of))[::-1]
    order = np.argsort(first, kind="stable")
    return _Kinds(np.argsort(order)[of], joined.dictionary.take(integers(order)))


def _disjoint(membership: Membership, names: Spelled, kinds: _Kinds) -> tuple[str, str, str, str, str] | None:
    """The first two groups that share none of the kinds: their names, a kind of each, and how many more pairs do."""
    place = np.zeros(len(membership.image.values), dtype=np.int32)
    place[names.codes] = kinds.of
    codes, group = membership.image.codes, membership.group
    seen = [np.flatnonzero(present(place[codes[group == g]], len(kinds.words))) for g in range(len(membership.groups))]
    sets = [set(kind.tolist()) for kind in seen]
    apart = [(a, b) for a, b in combinations(range(len(sets)), 2) if sets[a] and sets[b] and not sets[a] & sets[b]]
    if not apart:
        return None
    a, b = apart[0]
    more = f", nor do {len(apart) - 1:,} more pairs of groups" if len(apart) > 1 else ""
    shown = [kinds.words[int(seen[g][0])].as_py() for g in (a, b)]
    return membership.groups[a], membership.groups[b], shown[0], shown[1], more


def _dot(extension: str) -> str:
    return f".{extension}" if extension else "none"
