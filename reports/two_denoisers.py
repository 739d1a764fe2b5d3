"""What `samenoise compare` found, as one HTML page that needs nothing but itself. Nothing is computed here."""

from __future__ import annotations

from typing import Any

from core.compare.run import SHOWN, Comparison
from core.compare.sentences import table
from reports.duplicates import png
from reports.pages import filled

NEAREST = 8  # samples of each denoiser shown beside their nearest training image
GOOD = ("yes", "nearly", "none found", "no more than false alarms")
COLOURS = {**dict.fromkeys(GOOD, "reproduced"), "no": "refuted", "means little": "refuted"}
BAD = {"Do they copy?", "Do the training sets overlap?"}  # to which `yes` is bad news
WHO = {"A": "A", "B": "B", "ceiling": "second training on A's images"}


def compare_page(found: Comparison) -> str:
    """The page for one result of `samenoise compare`; all text is escaped."""
    result = found.result
    head, *rows = table(result)
    return filled(
        "compare.html",
        result=result,
        questions=[{**one, "colour": _colour(one)} for one in result["questions"]],
        head=head,
        rows=rows,
        strips=_strips(found),
        nearest={name: _nearest(found, name) for name in found.copies},
    )


def _colour(one: dict[str, str]) -> str:
    if one["question"] in BAD and one["verdict"] not in (*GOOD[2:], "cannot be told"):
        return "refuted"
    return COLOURS.get(one["verdict"], "inconclusive")


def _strips(found: Comparison) -> list[tuple[str, list[str]]]:
    """Images of the first seeds, a row a denoiser: column k is the same noise."""
    if found.drawn is None:
        return []
    rows = {WHO[name]: images for name, images in found.drawn.samples.items()}
    rows |= {f"linear denoiser of {name}'s images": found.drawn.wiener[name] for name in ("A", "B")}
    return [(name, [png(image.clamp(0, 1).numpy()) for image in images[:SHOWN]]) for name, images in rows.items()]


def _nearest(found: Comparison, name: str) -> list[dict[str, Any]]:
    """Samples beside their nearest training image, those that most criteria call copies first."""
    copies = found.copies[name]
    pairs = list(zip(copies.result["nearest"], copies.pictures, strict=True))[:NEAREST]
    return [
        {
            "seed": pair["sample"],
            "nearest": pair["nearest"],
            "called": bool(pair["called_a_copy_by"]),
            "pictures": [png(picture.clamp(0, 1).numpy()) for picture in pictures],
        }
        for pair, pictures in pairs
    ]
