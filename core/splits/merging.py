"""Groups made of others, as folds are used: `train=1-8,val=9,test=10`."""

import re
from dataclasses import replace

import numpy as np

from core.errors import InputError
from core.splits.membership import Column, Membership, require_two_groups
from core.splits.notes import Note

MOST = 10_000  # numbers of one range that are looked at
_RANGE = re.compile(r"(-?[0-9]+)-(-?[0-9]+)")


def merged(membership: Membership, spec: str) -> Membership:
    """The rows of some groups under new names; those of groups that nobody named are left out and counted.

    Args:
        membership: rows of all groups.
        spec: `NEW=OLD,OLD,...,NEW=OLD-OLD`; a range of whole numbers includes both ends.

    Raises:
        InputError: for another form, a group that is not there, or one that is named twice.
    """
    wanted = _parsed(membership.groups, spec)
    require_two_groups(wanted)
    place = np.full(len(membership.groups), -1, dtype=np.int32)
    for at, positions in enumerate(wanted.values()):
        place[positions] = at
    group = place[membership.group]
    kept = group >= 0
    said = list(membership.said)
    if not kept.all():
        left = ", ".join(g for i, g in enumerate(membership.groups) if place[i] < 0)
        said.append(Note("passed over", f"{int((~kept).sum()):,} rows of groups that --groups does not name: {left}"))

    if absent := _absent(membership.groups, spec):
        named = ", ".join(map(str, absent[:8])) + (", …" if len(absent) > 8 else "")
        said.append(Note("assumed", f"--groups takes in {len(absent):,} groups that are not there: {named}"))

    def cut(column: Column) -> Column:
        return Column(column.codes[kept], column.values)

    return replace(
        membership,
        groups=tuple(wanted),
        group=group[kept],
        image=cut(membership.image),
        identity=None if membership.identity is None else cut(membership.identity),
        attributes={name: cut(column) for name, column in membership.attributes.items()},
        said=tuple(said),
    )


def _parsed(groups: tuple[str, ...], spec: str) -> dict[str, list[int]]:
    """New name -> positions of the groups that it takes in."""
    wanted: dict[str, list[int]] = {}
    owner: dict[int, str] = {}
    name = None
    for part in spec.split(","):
        new, equals, old = part.rpartition("=")
        if equals:
            name = new.strip()
            if not name or name in wanted:
                raise InputError(f"--groups {spec}: found {part!r}; expected a new name once, as in train=1-8,test=9")
            wanted[name] = []
        if name is None or not old.strip():
            raise InputError(f"--groups {spec}: found {part!r}; expected NEW=OLD,OLD or NEW=1-8, by commas")
        for at in _positions(groups, old.strip(), spec):
            if at in owner:
                group = groups[at]
                raise InputError(f"--groups {spec}: {group} is in {owner[at]} and in {name}; expected each group once")
            owner[at] = name
            wanted[name].append(at)
    return wanted


def _positions(groups: tuple[str, ...], old: str, spec: str) -> list[int]:
    """Which groups one word of the specification means."""
    if old in groups:
        return [groups.index(old)]
    span = _RANGE.fullmatch(old)
    numbers = [_number(group) for group in groups]
    if span:
        low, high = int(span[1]), int(span[2])
        found = [i for i, number in enumerate(numbers) if number is not None and low <= number <= high]
    else:
        found = [i for i, number in enumerate(numbers) if number is not None and number == _number(old)]
    if not found:
        raise InputError(f"--groups {spec}: found no group {old!r}; the groups are {', '.join(groups[:20])}")
    return found


def _absent(groups: tuple[str, ...], spec: str) -> list[int]:
    """Numbers inside the ranges of the specification that no group has."""
    there = {_number(group) for group in groups}
    spans = (_RANGE.fullmatch(part.rpartition("=")[2].strip()) for part in spec.split(",") if part.strip())
    wide = [range(int(span[1]), int(span[2]) + 1)[:MOST] for span in spans if span and span[0] not in groups]
    return [number for numbers in wide for number in numbers if number not in there]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
