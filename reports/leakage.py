"""What `samenoise verify` counted, as one HTML page that needs nothing but itself. Nothing is computed here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from core.splits.requirements import MOST_PAIRED
from reports.leakage_text import place

MOST_SHIFTS = 60  # rows of the table of shifts in a pair of groups
_TEMPLATES = Path(__file__).parent / "templates"


def page(result: Mapping[str, Any]) -> str:
    """The page for one result of `samenoise verify` (the content of its JSON); all text is escaped.

    Up to `MOST_PAIRED` groups have a section a pair; more are shown each against all others.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    pairs = result["pairs"] if len(result["groups"]) <= MOST_PAIRED else []
    shifts = {
        (pair["a"], pair["b"]): sorted(
            pair["attributes"].items(), key=lambda item: (-item[1]["total_variation"], item[0])
        )[:MOST_SHIFTS]
        for pair in pairs
    }
    template = environment.get_template("leakage.html")
    return template.render(result=result, css=css, pairs=pairs, shifts=shifts, place=place)
