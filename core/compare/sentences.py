"""A comparison as lines for a terminal: the answer first, then one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.copies.sentences import percent, spread


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Everything for a reader at a terminal: the answer, the four questions, the table, notes, what was required."""
    yield result["answer"]
    yield ""
    for one in result["questions"]:
        yield f"{one['question']} {one['verdict']}. {one['why']}"
    yield ""
    yield from _padded(table(result))
    yield ""
    for problem in result["not_admitted"]:
        yield f"not admitted, {problem}"
    for note in result["notes"]:
        yield f"note: {note}"
    for one in result["required"]:
        yield f"{one['asked']} {one['verdict']}"


def table(result: Mapping[str, Any]) -> list[list[str]]:
    """One row a quantity: what, value, its 95 % interval, and beside what it is read."""
    rows = [["", "value", "95 % interval", "beside"]]
    for row in result["agreement"]:
        beside = f"mismatched seeds {row['mismatched']:.3f}, 95 % below {row['mismatched_95']:.3f}"
        rows.append([row["measure"], f"{row['value']:.3f}", f"{row['low']:.3f} to {row['high']:.3f}", beside])
    for name, found in result["copies"].items():
        together = found["any"]
        share = together["samples"]
        kind = "held-out images" if together["held-out images"] else "training images"
        other = together[kind]
        beside = "" if other is None else f"{kind} called copies: {other['copies']:,} of {other['n']:,}"
        rows.append([f"copies drawn by {name}", f"{share['copies']:,} of {share['n']:,}", spread(share), beside])
    images, near, people = (result["overlap"][key] for key in ("images", "near_duplicates", "identities"))
    rows.append(["images of B in A", f"{images['images_of_b']:,}", "", f"of {images['of_b']:,}"])
    looked = near["not_looked"] or f"{near['confirmed']:,} of {near['looked_at']:,} confirmed at a second look"
    rows.append(["near-duplicates across", f"{near['pairs']:,}", "", looked])
    if people is None:
        rows.append(["identities in both", "not looked at", "", "--identities FILE"])
    else:
        share = people["images_of_b"] / images["of_b"]
        rows.append(["identities in both", f"{people['shared_identities']:,}", "", f"{percent(share)} of B's images"])
    return rows


def _padded(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    padded = [
        [
            cell.rjust(width) if k == 1 else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
    return ["  ".join(cells).rstrip() for cells in padded]
