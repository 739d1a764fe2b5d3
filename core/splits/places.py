"""Where leaks stand: the line of a list or table at which an image or identity of another group is met again."""

import gzip
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.splits.leakage import Leakage, PairCounts
from core.splits.membership import Column, Membership
from core.splits.presence import present

MOST_PLACES = 3  # places named of one kind of leak between two groups
MOST_PAIRS = 20  # pairs of groups, those that share most, whose leaks are placed
_EDGE = re.compile(r"[\s,;|\"'/\\]")
_PIECE = 1 << 20  # bytes
_LONGEST = 1 << 20  # characters of one line that are looked at
Near = Mapping[tuple[str, str], np.ndarray]


@dataclass(frozen=True)
class Place:
    """One image of the second group of a pair: the file that lists it, the line (from 1; None if unknown), why."""

    file: str
    line: int | None
    text: str


@dataclass(frozen=True)
class Leak:
    """One kind of leak between two groups: how many in all, and where the first few stand."""

    property: str
    a: str
    b: str
    total: int
    places: tuple[Place, ...]


def leaks(
    membership: Membership,
    found: Leakage,
    near: Near | None,
    files: Mapping[str, Sequence[Path]],
    pictures: Sequence[Path] | None = None,
) -> list[Leak]:
    """Every kind of leak of the pairs of groups that share most, with the places of the first few in the second group.

    Args:
        membership: the rows that were counted.
        found: what `count_leakage` made of them.
        near: as given to `count_leakage`.
        files: group -> the list or table (or tables) that its rows come from.
        pictures: the file of each row, where groups are folders of pictures; places are then these files.
    """
    position = {name: at for at, name in enumerate(membership.groups)}
    kinds: list[tuple[str, PairCounts, int, list[tuple[int, str]]]] = []
    for pair in sorted(found.pairs, key=_weight, reverse=True)[:MOST_PAIRS]:
        of_pair = _kinds(membership, pair, position[pair.a], position[pair.b], near, pictures is not None)
        kinds += [(name, pair, total, rows) for name, total, rows in of_pair if total]
    where: dict[int, tuple[str, int | None]]
    if pictures is not None:
        where = {row: (str(pictures[row]), None) for _, _, _, rows in kinds for row, _ in rows}
    else:
        where = _where(membership, sorted({(row, pair.b) for _, pair, _, rows in kinds for row, _ in rows}), files)
    return [
        Leak(name, pair.a, pair.b, total, tuple(Place(*where[row], text) for row, text in rows))
        for name, pair, total, rows in kinds
    ]


def find_lines(path: Path, wanted: Sequence[tuple[str, int]]) -> list[int | None]:
    """Lines of a text file (from 1) that hold names as whole fields or ends of paths, in one pass.

    Args:
        path: the file, compressed by gzip or not.
        wanted: names, each with the how-manieth line that holds it; where there are fewer the last one is given.

    Returns:
        A line for each; None where no line holds the name or the file is no text.
    """
    patterns = [_pattern(name) for name, _ in wanted]
    ends: dict[str, list[int]] = {}
    loose = []  # names whose end is more than one field
    for at, (name, _) in enumerate(wanted):
        end = name.rpartition("/")[2]
        if _EDGE.search(end) or not end:
            loose.append((end, at))
        else:
            ends.setdefault(end, []).append(at)
    found: list[int | None] = [None] * len(wanted)
    left = [nth for _, nth in wanted]
    for number, line in _lines(path, [*ends, *(end for end, _ in loose)]):
        near = [at for field in _EDGE.split(line) if field in ends for at in ends[field]]
        near += [at for end, at in loose if end in line]
        for at in dict.fromkeys(near):
            if left[at] and patterns[at].search(line):
                found[at] = number
                left[at] -= 1
        if near and not any(left):
            break
    return found


def _pattern(name: str) -> re.Pattern[str]:
    """A name as a file may write it: its parts may be apart by other signs than the reader makes of them."""
    path_like = r"[/\\]+(?:\.[/\\]+)*".join(map(re.escape, name.split("/")))
    return re.compile(rf"(?:^|{_EDGE.pattern}){path_like}(?:$|{_EDGE.pattern})")


def _kinds(
    membership: Membership, pair: PairCounts, a: int, b: int, near: Near | None, by_content: bool
) -> Iterator[tuple[str, int, list[tuple[int, str]]]]:
    """Kind of leak, how many there are, and the first few: a row of group b and what is wrong with it."""
    image, identity = membership.image, membership.identity
    rows = np.flatnonzero(membership.group == b)
    there = membership.group == a
    if pair.shared_images:
        found = _first_of_each(image, rows, image.codes[there])
        how = "the bytes of this file of {b} are those of {image}, also in {a}"
        how = how if by_content else "image {image} of {b} is also in {a}"
        told = [(row, how.format(image=_name(image, row), a=pair.a, b=pair.b)) for row in found]
        yield "image", pair.shared_images, told
    if identity is not None and pair.shared_identities:
        found = _first_of_each(identity, rows, identity.codes[there])
        yield (
            "identity",
            pair.shared_identities,
            [
                (row, f"image {_name(image, row)} of {pair.b} shows identity {_name(identity, row)}, also in {pair.a}")
                for row in found
            ],
        )
    if near is not None and pair.near_duplicate_pairs:
        twins = []
        for left, right in near[pair.a, pair.b][:MOST_PLACES].tolist():
            row = int(rows[np.flatnonzero(image.codes[rows] == right)[0]])
            names = image.examples(np.array([left, right]))
            twins.append((row, f"image {names[1]} of {pair.b} is a near-duplicate of {names[0]} of {pair.a}"))
        yield "duplicate", pair.near_duplicate_pairs, twins


def _first_of_each(column: Column, rows: np.ndarray, others: np.ndarray) -> list[int]:
    """Of `rows` whose value stands among `others` too, the first row of each of the first few values."""
    mine = column.codes[rows]
    shared = np.flatnonzero(np.append(present(others, len(column.values)), False)[mine])
    first = np.sort(np.unique(mine[shared], return_index=True)[1])[:MOST_PLACES]
    return [int(row) for row in rows[shared[first]]]


def _name(column: Column, row: int) -> str:
    return column.examples(column.codes[[row]])[0]


def _where(
    membership: Membership, wanted: Sequence[tuple[int, str]], files: Mapping[str, Sequence[Path]]
) -> dict[int, tuple[str, int | None]]:
    """Row -> its file and line: the n-th row that shows an image is the n-th line of the file that names it."""
    of_file: dict[Path, list[tuple[int, str, int]]] = {}
    codes = membership.image.codes
    for row, group in wanted:
        mine, name = list(files.get(group, ())), _name(membership.image, row)
        same = [at for at, other in enumerate(membership.groups) if list(files.get(other, ())) == mine]
        shown = np.flatnonzero(codes[: row + 1] == codes[row])
        nth = int(np.isin(membership.group[shown], same).sum())
        for path in mine:
            of_file.setdefault(path, []).append((row, name, nth if len(mine) == 1 else 1))
    where: dict[int, tuple[str, int | None]] = {row: ("", None) for row, _ in wanted}
    for path, rows in of_file.items():
        lines = find_lines(path, [(name, nth) for _, name, nth in rows])
        for (row, _, _), line in zip(rows, lines, strict=True):
            if where[row][1] is None and (line or not where[row][0]):
                where[row] = str(path), line
    return where


def _weight(pair: PairCounts) -> int:
    return pair.shared_images + (pair.shared_identities or 0) + (pair.near_duplicate_pairs or 0)


def _lines(path: Path, ends: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Numbered lines of a text file, compressed by gzip or not, among them all that hold one of these texts.

    A file that cannot be read has none.
    """
    keys = [end.encode("utf-8", "surrogatepass") for end in ends if "\ufffd" not in end]
    every = len(keys) < len(ends)  # other bytes may be read as this letter
    try:
        with path.open("rb") as raw:
            start = raw.read(4)
        if start in (b"PAR1", b"PK\x03\x04"):
            return
        opener: Any = gzip.open if start[:2] == b"\x1f\x8b" else open
        number = 1
        with opener(path, "rb") as stream:
            while piece := stream.read(_PIECE) + stream.readline():
                if every or any(key in piece for key in keys):
                    lines = io.TextIOWrapper(io.BytesIO(piece), "utf-8", "replace")
                    yield from ((at, line[:_LONGEST].rstrip("\n")) for at, line in enumerate(lines, number))
                number += piece.count(b"\n") + piece.count(b"\r") - piece.count(b"\r\n")
    except (OSError, EOFError):
        return
