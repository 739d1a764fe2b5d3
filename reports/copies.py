"""What `samenoise copies` found, as one HTML page that needs nothing but itself. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.copies.run import Copies
from core.copies.sentences import in_order, limit, percent, spread
from reports.duplicates import png
from reports.pages import filled

SETS = {"samples": "samples", "train": "training images", "held_out": "held-out images"}


def copies_page(found: Copies) -> str:
    """The page for one result of `samenoise copies`; all text is escaped."""
    result = found.result
    pairs = [
        {
            **pair,
            "pictures": [png(picture.clamp(0, 1).numpy()) for picture in pictures],
            "figures": _figures(result, pair),
        }
        for pair, pictures in zip(result["nearest"], found.pictures, strict=True)
    ]
    sets = [name for name in SETS.values() if result["any"][name] is not None]
    return filled(
        "copies.html",
        result=result,
        pairs=pairs,
        sets=sets,
        called=SETS,
        rows=in_order(result),
        limit=limit,
        percent=percent,
        spread=spread,
    )


def _figures(result: Mapping[str, Any], pair: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Name and figure of each criterion for one sample, and whether it calls that a copy."""
    rows = [row for row in result["criteria"] if row["key"] in pair]
    return [(row["name"], f"{pair[row['key']]:.3g}", row["key"] in pair["called_a_copy_by"]) for row in rows]
