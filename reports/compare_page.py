"""A comparison of two audits as one HTML page. Nothing is computed here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InputError
from reports.compare import WHAT, Difference, summary
from reports.pictures import Figures
from reports.render import template


def page(found: Difference, old: tuple[str, Mapping[str, Any]], new: tuple[str, Mapping[str, Any]]) -> str:
    """The page of a comparison; `old` and `new` are the two audits with the names they are called by.

    Raises:
        InputError: if one of them does not say which version wrote it.
    """
    for name, audit in (old, new):
        if "version" not in audit["project"]:
            raise InputError(f"{name}: project: found no version; expected that of samenoise")
    before, now = ({"name": name, "audit": audit} for name, audit in (old, new))
    made = template("diff.html", Figures(Path(), 0, 0))
    return made.render(found=found, old=before, new=now, titles=WHAT, summary=summary(found))
