"""What was found, in sentences: none says more than was looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.errors import InputError

BLIND = "a part of an image, a person or a style that is taken over leaves no trace in these criteria"


def percent(share: float) -> str:
    """A share in per cent, to three significant digits."""
    return f"{100 * share:.3g} %"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Words with commas between them, and one before the last."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def spread(share: Mapping[str, Any]) -> str:
    """A share's exact interval."""
    return f"{percent(share['low'])} to {percent(share['high'])}"


def answer(result: Mapping[str, Any]) -> str:
    """Whether samples are copies, by which criteria, and which copies those would not see."""
    together = result["criteria"][-1]
    share, names = together["samples"], listed(together["of"], "or")
    if not together["sees"]:
        return (
            f"Whether samples are copies cannot be told: {names} find no kind of planted copy of these training images "
            "reliably, not even exact ones."
        )
    if share["copies"]:
        first = (
            f"{share['copies']:,} of {share['n']:,} samples ({percent(share['share'])}; 95 % interval of what the "
            f"sampler makes: {spread(share)}) are copies of training images by {names}."
        )
    else:
        first = (
            f"No sample of {share['n']:,} is a copy of a training image by {names} (95 % interval of what the sampler "
            f"makes: {spread(share)})."
        )
    return " ".join([first, sight(together), *false_alarms(together)])


def sight(row: Mapping[str, Any]) -> str:
    """Which planted copies are found and which are not."""
    seen = f"On these training images they see copies that are {listed(row['sees'])}"
    unseen = f", not those that are {listed(row['does_not_see'], 'or')}" if row["does_not_see"] else ""
    return f"{seen}{unseen}; {BLIND}."


def false_alarms(row: Mapping[str, Any]) -> Iterator[str]:
    """How many images that are no copies are called copies."""
    for name in ("held-out images", "training images"):
        if (share := row[name]) is not None:
            what = "held-out images" if name == "held-out images" else "training images, beside the others,"
            yield (
                f"Of {share['n']:,} {what} they call {share['copies']:,} copies "
                f"({percent(share['share'])}; {spread(share)})."
            )
            return


def required(result: Mapping[str, Any], at_most: float | None) -> dict[str, Any]:
    """Whether at most the required share of samples are copies: the upper end of the interval decides.

    Raises:
        InputError: if something is required and no kind of copy would be seen.
    """
    if at_most is None:
        return {"at_most": None, "holds": None, "verdict": None}
    together = result["criteria"][-1]
    share = together["samples"]
    if not together["sees"]:
        raise InputError(f"--at-most {at_most:g}: cannot be told. {result['answer']}")
    if share["high"] <= at_most:
        seen = listed(together["sees"])
        verdict = f"holds: at most {percent(at_most)} of samples are copies that these criteria see ({seen})"
        return {"at_most": at_most, "holds": True, "verdict": verdict}
    if share["share"] > at_most:
        return {"at_most": at_most, "holds": False, "verdict": f"above {percent(at_most)}: {percent(share['share'])}"}
    verdict = (
        f"not shown: the interval reaches {percent(share['high'])}, above {percent(at_most)}; more samples narrow it"
    )
    return {"at_most": at_most, "holds": False, "verdict": verdict}


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Everything for a reader at a terminal: sets, notes, the table, what is not looked at, the answer."""
    for key, what in (("samples", "samples"), ("train", "training images"), ("held_out", "held-out images")):
        if (one := result["sets"].get(key)) is not None:
            size = "x".join(map(str, one["shape"]))
            how = f", read as {one['read_as']}" if one["read_as"] else ""
            yield f"{one['images']:,} {what} of {size}{how}: {one['path']}"
    twins = result["twins"]
    if twins["joined"]:
        yield (
            f"{twins['joined']:,} training images have a near-duplicate (correlation above "
            f"{twins['correlation_above']:g}): joined, {twins['groups']:,} remain"
        )
    for note in result["notes"]:
        yield f"note: {note}"
    yield ""
    yield from table(result)
    yield ""
    for name, why in result["not_looked_at"].items():
        yield f"not looked at, {name}: {why}"
    yield result["answer"]
    if result["verdict"]:
        yield result["verdict"]


def table(result: Mapping[str, Any]) -> list[str]:
    """One line a criterion: what it calls copies of each set, and which planted copies it sees."""
    sets = [name for name in ("samples", "training images", "held-out images") if result["criteria"][-1][name]]
    head = ["criterion", "threshold", *sets, "95 % interval of samples", "sees"]
    rows = [head]
    for row in result["criteria"]:
        shares = [_count(row[name]) for name in sets]
        rows.append([row["name"], limit(row), *shares, spread(row["samples"]), ", ".join(row["sees"]) or "nothing"])
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    right = range(1, len(head) - 1)
    padded = [
        [c.rjust(w) if k in right else c.ljust(w) for k, (c, w) in enumerate(zip(r, widths, strict=True))] for r in rows
    ]
    return ["  ".join(cells).rstrip() for cells in padded]


def limit(row: Mapping[str, Any]) -> str:
    """The threshold in use: a star stands where it is not the published one."""
    if "threshold" not in row:
        return ""
    star = "*" if row["published_not_used"] or row["published"] is None else ""
    return f"{'>' if row['copies_are'] == 'above' else '<'} {row['threshold']:.3g}{star}"


def _count(share: Mapping[str, Any] | None) -> str:
    return "" if share is None else f"{share['copies']:,} of {share['n']:,}"
