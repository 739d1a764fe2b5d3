"""Names that occur twice where each must occur once."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from core.errors import InputError


def refuse_repeated(names: Sequence[str], lines: Sequence[int], path: Path | str) -> None:
    """Refuse names that occur twice; `lines` holds the line number of each.

    Raises:
        InputError: naming the first such name and two of its lines.
    """
    if (twice := first_repeated(names)) is not None:
        first, second = [line for line, name in zip(lines, names, strict=True) if name == twice][:2]
        n = len(names) - len(set(names))
        raise InputError(
            f"{path}, line {second}: found {n} repeated names, first {twice!r} (also on line {first}), "
            "expected each name once"
        )


def first_repeated(names: Iterable[str]) -> str | None:
    """Return the first name that has occurred before, or None."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
