"""Pictures that cannot be used: the first is named and the others listed, or all are left out on request."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from core.errors import InputError
from core.files import write_atomic

LISTED = "skipped.txt"  # images left out, each with its reason
REFUSED = "unusable.txt"  # the same, of a run that stopped because of them


def refuse(bad: Sequence[Mapping[str, str]], out: Path) -> None:
    """InputError if an image of any set cannot be used: the first is named, all stand in a list beside the results."""
    found = [reason for left_out in bad for reason in left_out.values()]
    if len(found) == 1:
        raise InputError(f"{found[0]}; --skip-bad leaves it out")
    if found:
        write_atomic(out / REFUSED, reasons(bad))
        raise InputError(
            f"{found[0]}; {len(found) - 1:,} more such images are listed in {out / REFUSED}; --skip-bad leaves them out"
        )


def reasons(bad: Sequence[Mapping[str, str]]) -> str:
    """A line an image: name and reason; across two sets the number of the set, 1 or 2, comes first."""
    lines = []
    for k, left_out in enumerate(bad, 1):
        first = [str(k)] if len(bad) > 1 else []
        lines += ["\t".join([*first, name, reason]) + "\n" for name, reason in left_out.items()]
    return "".join(lines)
