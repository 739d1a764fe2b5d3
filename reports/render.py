"""The third layer: `audit.json` becomes one HTML file that needs nothing but itself. Nothing is computed here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, Template, UndefinedError

from core.errors import InputError
from reports import pages
from reports.format import bounds, day, duration, expected, maths, number, pvalue, slug, unit_of_n, web, words
from reports.headline import headline
from reports.judge import VERDICTS
from reports.own import OPTIONS as OWN_OPTIONS
from reports.parts import (
    FINDING,
    alt,
    asked,
    by_kind,
    called,
    cited,
    decided,
    decided_by,
    first_picture,
    in_card,
    kinds_of,
    opened_by,
    owned,
    partly,
    pictures,
    read_back,
    reasons_of,
    sections,
    sections_of,
    surprises,
    table,
    topics_of,
    unblocking,
    verdict_counts,
)
from reports.pictures import Figures
from reports.record import SCHEMA

LIMIT = 4_000_000  # bytes of the page; figures that do not fit are named instead of shown
VERDICT_WORDS = {
    "reproduced": "The evidence meets the rule, by the whole interval.",
    "refuted": "The evidence contradicts the rule, by the whole interval.",
    "inconclusive": "The interval does not decide.",
    "blocked": "What the measurement needs is not here; the card says what, and how to bring it.",
    "not yet tested": "No measurement was made in this run.",
}
KIND_WORDS = {
    "arithmetic": "the document alone",
    "property": "generated data with a known answer",
    "published": "what the authors published",
    "synthetic": "the project's own corpus, trained on the spot",
    "photographs": "photographs that a package index carries",
    "clothes": "photographs of clothes, where they are installed",
    "celeba": "the real images",
    "full": "training at the paper's scale",
    "own": "a pair of denoisers that was brought",
}


def render(audit: Mapping[str, Any], folder: Path | str) -> str:
    """The page for one audit.

    Args:
        audit: the content of `audit.json`.
        folder: where `audit.json` lies; figures are read from inside it and from nowhere else.

    Raises:
        InputError: if `audit` is of another schema, or lacks what the page shows.
    """
    if audit.get("schema") != SCHEMA:
        raise InputError(f"audit.json: found schema {audit.get('schema')!r}; expected {SCHEMA!r}")
    try:
        parts: dict[str, Any] = {"headline": headline(audit), "topics": topics_of(audit), "sections": sections(audit)}
        parts |= {"surprises": surprises(audit), "unblocking": unblocking(audit), "read_back": read_back(audit)}
        parts |= {"opened_by": opened_by(audit), "partly": partly(audit)}
        return _below_limit(audit, Path(folder), parts)
    except (KeyError, UndefinedError) as error:
        raise InputError(
            f"audit.json: a field that the page shows is missing ({error}); expected {SCHEMA!r}"
        ) from error


def summarise(audit: Mapping[str, Any]) -> str:
    """The short form of one audit, a line a claim: what is claimed, on what evidence, the verdict, what it cost.

    Raises:
        InputError: if `audit` lacks what the page shows.
    """
    try:
        made = template("summary.html", Figures(Path(), 0, 0))
        return made.render(audit=audit, headline=headline(audit), read_back=read_back(audit))
    except (KeyError, UndefinedError) as error:
        raise InputError(
            f"audit.json: a field that the page shows is missing ({error}); expected {SCHEMA!r}"
        ) from error


def _below_limit(audit: Mapping[str, Any], folder: Path, parts: Mapping[str, Any]) -> str:
    """The page with as many of its figures as fit."""
    budget = LIMIT
    while True:
        figures = Figures(folder, LIMIT, budget)
        page = template("report.html", figures).render(audit=audit, **parts)
        excess = len(page.encode("utf-8")) - LIMIT
        if excess <= 0 or excess > figures.used:  # words alone may be over the limit
            return page
        budget = figures.used - excess


def rerun(claim: Mapping[str, Any], audit: Mapping[str, Any]) -> str | None:
    """The command that measures one claim again."""
    if not claim.get("nodeid"):
        return None
    brings = {
        "published": "--published DIR",
        "clothes": "--idx DIR",
        "celeba": "--celeba DIR",
        "full": "--runs DIR",
        "own": OWN_OPTIONS,
    }
    options = [option for kind, option in brings.items() if kind in claim["verdicts"]]
    chosen = {"scale": (audit["scale"], "desk"), "device": (audit["environment"].get("device"), "cpu")}
    own = audit.get("ledger")
    options += [f"--ledger {own['file']} --claims {own['claims']}"] if own else []
    options += [f"--{key} {value}" for key, (value, default) in chosen.items() if value not in (None, default)]
    return " ".join(["pytest audit/ -k", str(claim["nodeid"]).split("::")[-1].split("[")[0], *options])


def choices(audit: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the scale's networks are and how they were trained, where documents differ the choice that was made."""
    preset = audit.get("preset")
    if not preset:
        return []
    train = preset["train"]
    network = f"{train['base_channels']} base channels, {train['blocks']} blocks"
    if preset.get("parameters"):
        network = f"{number(preset['parameters'])} parameters ({network})"
    exposures = number(train["exposures"] * train["epochs"])
    return [
        ("network", network),
        ("images", f"{train['image_size']}x{train['image_size']}"),
        ("training", f"{exposures} exposures: {train['epochs']} epochs, batch {train['batch']}"),
        ("noise law", train["noise"]),
        ("repetition", train["repetition"]),
        ("random halves", preset["definition"]),
        ("start of sampling", preset["start"]),
        ("precision", train["precision"]),
    ]


def _environment(figures: Figures) -> Environment:
    environment = pages.environment()
    functions = (
        number, bounds, pvalue, duration, day, words, slug, web, rerun, choices, by_kind, pictures, alt, cited, table,
        in_card, sections_of, reasons_of, decided, first_picture,
        asked, owned, verdict_counts, called, decided_by, unit_of_n, expected, maths, kinds_of,
    )  # fmt: skip
    environment.filters.update({function.__name__: function for function in functions})
    environment.filters["finding"] = lambda title: str(title).removeprefix(FINDING)
    environment.tests["records"] = lambda value: table(value) is not None
    environment.globals.update(
        embed=figures.embed, verdicts=VERDICTS, verdict_words=VERDICT_WORDS, kind_words=KIND_WORDS
    )
    return environment


def template(name: str, figures: Figures) -> Template:
    """One of the templates beside this file, with this module's filters; `figures` embeds pictures."""
    return _environment(figures).get_template(name)
