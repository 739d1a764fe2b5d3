"""The third layer: `audit.json` becomes one HTML file that needs nothing but itself. Nothing is computed here."""

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from core.errors import InputError
from reports.format import bounds, day, duration, number, pvalue, slug, web, words
from reports.headline import headline
from reports.judge import VERDICTS
from reports.ledger import TOPICS

SCHEMA = "samenoise/audit/1"
LIMIT = 5_000_000  # bytes of the page; figures that do not fit are named instead of shown
PNG = b"\x89PNG\r\n\x1a\n"
TOPIC_TITLES = {
    "data": "Data and metadata",
    "duplicates": "Near-duplicate removal",
    "splits": "Splits",
    "model": "Model and training",
    "behaviour": "Behaviour",
    "theory": "Theory",
    "dynamics": "Training dynamics",
}
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
    "celeba": "the real images",
    "full": "training at the paper's scale",
}


def render(audit: Mapping[str, Any], folder: Path | str) -> str:
    """The page for one audit.

    Args:
        audit: the content of `audit.json`.
        folder: where `audit.json` lies; figures are read from inside it and from nowhere else.

    Raises:
        InputError: if `audit` is of another schema.
    """
    if audit.get("schema") != SCHEMA:
        raise InputError(f"audit.json: found schema {audit.get('schema')!r}; expected {SCHEMA!r}")
    budget = LIMIT
    while True:
        figures = Figures(Path(folder), budget)
        parts = {"headline": headline(audit), "topics": _topics(audit), "sections": _sections(audit)}
        page = template("report.html", figures).render(audit=audit, **parts)
        excess = len(page.encode("utf-8")) - LIMIT
        if excess <= 0 or not figures.used:
            return page
        budget = figures.used - excess


class Figures:
    """Pictures as data URIs, as long as they fit."""

    def __init__(self, folder: Path, budget: int) -> None:
        self.folder = folder.resolve()
        self.budget = budget
        self.used = 0

    def embed(self, relative: str) -> dict[str, str]:
        """`{"uri": ...}`, or `{"note": ...}` where the picture cannot be shown."""
        path = (self.folder / relative).resolve()
        if not path.is_relative_to(self.folder):
            return {"note": "is not inside the report's folder and was not read"}
        try:
            data = path.read_bytes()
        except (OSError, ValueError):
            return {"note": "is missing"}
        if not data.startswith(PNG):
            return {"note": "is not a PNG and is not shown"}
        uri = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
        if self.used + len(uri) > self.budget:
            return {"note": f"was left out to keep this page below {LIMIT // 1_000_000} MB; it lies beside it"}
        self.used += len(uri)
        return {"uri": uri}


def rerun(claim: Mapping[str, Any], audit: Mapping[str, Any]) -> str | None:
    """The command that measures one claim again."""
    if not claim.get("nodeid"):
        return None
    brings = {"published": "--published DIR", "celeba": "--celeba DIR", "full": "--runs DIR"}
    options = [option for kind, option in brings.items() if kind in claim["verdicts"]]
    chosen = {"scale": (audit["scale"], "desk"), "device": (audit["environment"].get("device"), "cpu")}
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


def by_kind(claim: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every kind of evidence that can judge the claim: its verdict here, what was measured, what it needs."""
    groups = []
    for kind in claim["kinds"]:
        needs = [b for b in claim["blocked"] if b["kind"] == kind]
        verdict = claim["verdicts"].get(kind) or ("blocked" if needs else "not yet tested")
        evidence = [e for e in claim["evidence"] if e["kind"] == kind]
        recorded = claim["recorded_by_kind"].get(kind)
        groups.append({"kind": kind, "verdict": verdict, "evidence": evidence, "needs": needs, "recorded": recorded})
    return groups


def reasons_of(claim: Mapping[str, Any], kind: str) -> list[str]:
    """The recorded reasons that speak of one kind of evidence."""
    return [text for key, text in claim["reasons"].items() if key in ("", kind)]


def pictures(claim: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Each figure of the claim once, with the evidence that it shows."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for item in in_card(claim["evidence"]):
        for path in item["figures"]:
            found.setdefault(path, []).append(item)
    return found


def in_card(evidence: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The evidence that is shown with its claim, not in a section of its own."""
    return [item for item in evidence if not item.get("section")]


def sections_of(claim: Mapping[str, Any]) -> list[str]:
    """Titles of the sections that hold evidence of the claim."""
    return list(dict.fromkeys(item["section"] for item in claim["evidence"] if item.get("section")))


def alt(claim: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> str:
    """What a figure shows, in words and numbers."""
    told = [
        f"{words(e['name'])} {number(e['value'], e['interval'])}"
        + (f", interval {bounds(e['interval'])}" if e["interval"] else "")
        for e in shown[:4]
    ]
    more = f"; and {len(shown) - 4} more" if len(shown) > 4 else ""
    return f"Figure for {claim['id']}, {claim['title']}: {'; '.join(told)}{more}. The table above holds the figures."


def cited(text: str, rules: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any] | None]]:
    """Text cut at its references `rules.name`: plain pieces with None, names with the rule they cite."""
    pieces = re.split(r"rules\.(\w+)", text)
    return [(piece, rules.get(piece) if i % 2 else None) for i, piece in enumerate(pieces)]


def table(value: Any) -> list[Mapping[str, Any]] | None:
    """The value if it is a list of records with the same fields, else None."""
    if not isinstance(value, list) or not value or not all(isinstance(row, Mapping) for row in value):
        return None
    return value if all(list(row) == list(value[0]) for row in value) else None


def _environment(figures: Figures) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    functions = (
        number, bounds, pvalue, duration, day, words, slug, web, rerun, choices, by_kind, pictures, alt, cited, table,
        in_card, sections_of, reasons_of,
    )  # fmt: skip
    environment.filters.update({function.__name__: function for function in functions})
    environment.globals.update(
        embed=figures.embed, verdicts=VERDICTS, verdict_words=VERDICT_WORDS, kind_words=KIND_WORDS
    )
    return environment


def template(name: str, figures: Figures) -> Template:
    """One of the templates beside this file, with this module's filters; `figures` embeds pictures."""
    return _environment(figures).get_template(name)


def _topics(audit: Mapping[str, Any]) -> list[tuple[str, str, list[Mapping[str, Any]]]]:
    """Topics that have claims, in the ledger's order: key, title, claims."""
    topics = []
    for topic in TOPICS:
        claims = [claim for claim in audit["claims"] if claim["topic"] == topic]
        if claims:
            topics.append((topic, TOPIC_TITLES[topic], claims))
    return topics


def _sections(audit: Mapping[str, Any]) -> list[tuple[str, list[tuple[Mapping[str, Any], list[Mapping[str, Any]]]]]]:
    """Evidence shown apart from its claims' cards: title, and by claim the items, in the order they were recorded."""
    titles = dict.fromkeys(title for claim in audit["claims"] for title in sections_of(claim))
    return [
        (
            title,
            [
                (claim, [item for item in claim["evidence"] if item.get("section") == title])
                for claim in audit["claims"]
                if title in sections_of(claim)
            ],
        )
        for title in titles
    ]
