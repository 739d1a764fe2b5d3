"""What `samenoise verify` counted, as one HTML page that needs nothing but itself. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.splits.requirements import MOST_PAIRED
from reports.leakage_text import place
from reports.pages import filled

if TYPE_CHECKING:
    from core.dedup.confirmed import Names, Seen

MOST_SHIFTS = 60  # rows of the table of shifts in a pair of groups


def page(result: Mapping[str, Any], seen: tuple[Seen, Names] | None = None) -> str:
    """The page for one result of `samenoise verify` (the content of its JSON); all text is escaped.

    Up to `MOST_PAIRED` groups have a section a pair; more are shown each against all others. The pairs of a second
    look at near-duplicates, `seen`, are shown as pictures, as on the page of a duplicate search.
    """
    pairs = result["pairs"] if len(result["groups"]) <= MOST_PAIRED else []
    shifts = {
        (pair["a"], pair["b"]): sorted(
            pair["attributes"].items(), key=lambda item: (-item[1]["total_variation"], item[0])
        )[:MOST_SHIFTS]
        for pair in pairs
    }
    means, pictures = _pictures(*seen) if seen is not None and len(seen[0].look.index) else ("", "")
    return filled(
        "leakage.html", result=result, pairs=pairs, shifts=shifts, place=place, means=means, pictures=pictures
    )


def _pictures(seen: Seen, names: Names) -> tuple[str, str]:
    """What a confirmed pair is, in words, and the pairs of each band of correlation as HTML."""
    from reports.duplicates import MEANS, band_pictures  # compiled code, which groups without images do without

    return MEANS, band_pictures(seen, names)
