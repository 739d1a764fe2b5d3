"""Parts of `audit.json` as the page's templates want them: chosen and grouped, never computed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from reports.format import bounds, number, signs, words
from reports.ledger import KINDS, TOPICS
from reports.own import OWN

FINDING = "finding: "  # what the title of a section begins with that no document claims
SURPRISES = ("refuted", "inconclusive")
UNASKED = ("clothes",)  # of which nothing is said where nothing was measured
TOPIC_TITLES = {
    "data": "Data and metadata",
    "duplicates": "Near-duplicate removal",
    "splits": "Splits",
    "model": "Model and training",
    "behaviour": "Behaviour",
    "theory": "Theory",
    "dynamics": "Training dynamics",
}
ASKED = "What is claimed about memorisation and generalisation in diffusion models, and what could be shown"
Claim = Mapping[str, Any]
Items = list[Mapping[str, Any]]


def owned(audit: Mapping[str, Any]) -> bool:
    """Whether the claims are those of somebody's own ledger."""
    return bool(audit.get("ledger"))


def asked(audit: Mapping[str, Any]) -> str:
    """What the page asks: as its ledger says, or what the project does."""
    return audit.get("title") or ("What is claimed, and what could be shown" if owned(audit) else ASKED)


def by_kind(claim: Claim) -> list[dict[str, Any]]:
    """Every kind of evidence that can judge the claim: its verdict here, what was measured, what it needs."""
    groups = []
    for kind in claim["kinds"]:
        needs = [b for b in claim["blocked"] if b["kind"] == kind]
        verdict = claim["verdicts"].get(kind) or ("blocked" if needs else "not yet tested")
        evidence = [e for e in claim["evidence"] if e["kind"] == kind]
        recorded = claim["recorded_by_kind"].get(kind)
        if kind in UNASKED and not (evidence or needs):
            continue
        groups.append({"kind": kind, "verdict": verdict, "evidence": evidence, "needs": needs, "recorded": recorded})
    return groups


def kinds_of(audit: Mapping[str, Any]) -> list[str]:
    """The kinds of evidence that some claim has, or could have, in the order in which all are explained."""
    found = {group["kind"] for claim in audit["claims"] for group in by_kind(claim)}
    return [kind for kind in (*KINDS, OWN) if kind in found]


def decided(claim: Claim) -> dict[str, Any] | None:
    """The check that decided the verdict, with the evidence it judged and how many checks there are."""
    checks = claim.get("checks", [])
    for check in checks:
        for item in claim["evidence"]:
            if check["decided"] and (item["kind"], item["name"]) == (check["kind"], check["evidence"]):
                return {"shown": None, "open_because": None, **check, "item": item, "of": len(checks)}
    return None


def decided_by(row: Mapping[str, Any], audit: Mapping[str, Any]) -> tuple[str, str | None]:
    """What the page calls the value that decided a verdict by kind, and the one that its p is of, where another.

    `row` is one of `multiplicity`; the value is that of the claim's card where it is of the same kind of evidence.
    """
    claim = next(one for one in audit["claims"] if one["id"] == row["claim"])
    checks = [check for check in claim["checks"] if check["kind"] == row["kind"]]
    decisive = next((check for check in checks if check.get("decided_kind") or check["decided"]), None)
    tested = next((check for check in checks if check["evidence"] == row["check"]), None)
    names = [str(check.get("shown") or words(check["evidence"])) if check else None for check in (decisive, tested)]
    about = names[1] or words(row["check"])
    return (names[0], None if names[0] == about else about) if names[0] else (about, None)


def called(item: Mapping[str, Any], claim: Claim) -> str:
    """What the page calls evidence: as its check says, also of what stands beside it under that name, or its name."""
    for check in claim.get("checks", []):
        name, shown = check["evidence"], check.get("shown")
        if shown and check["kind"] == item["kind"] and (item["name"] == name or item["name"].startswith(f"{name}, ")):
            return str(shown) + item["name"][len(name) :]
    return words(item["name"])


def reasons_of(claim: Claim, kind: str) -> list[str]:
    """The recorded reasons that speak of one kind of evidence."""
    return [text for key, text in claim["reasons"].items() if key in ("", kind)]


def pictures(claim: Claim) -> dict[str, Items]:
    """Each figure of the claim once, with the evidence that it shows."""
    found: dict[str, Items] = {}
    for item in in_card(claim["evidence"]):
        for path in item["figures"]:
            found.setdefault(path, []).append(item)
    return found


def first_picture(claim: Claim) -> str | None:
    """The figure of the evidence that decided, or else the claim's first."""
    found, found_by = decided(claim), pictures(claim)
    own = [path for path in found["item"]["figures"] if path in found_by] if found else []
    return next(iter([*own, *found_by]), None)


def in_card(evidence: Sequence[Mapping[str, Any]]) -> Items:
    """The evidence that is shown with its claim, not in a section of its own."""
    return [item for item in evidence if not item.get("section")]


def sections_of(claim: Claim) -> list[str]:
    """Titles of the sections that hold evidence of the claim."""
    return list(dict.fromkeys(item["section"] for item in claim["evidence"] if item.get("section")))


def alt(claim: Claim, shown: Sequence[Mapping[str, Any]]) -> str:
    """What a figure shows, in words and numbers."""
    told = [
        f"{called(e, claim)} {number(e['value'], e['interval'])}"
        + (f", interval {bounds(e['interval'])}" if e["interval"] else "")
        for e in shown[:4]
        if table(e["value"]) is None
    ]
    more = f"; and {len(shown) - 4} more" if len(shown) > 4 else ""
    return signs(f"Figure for {claim['id']}, {claim['title']}: {'; '.join(told)}{more}. The tables hold the figures.")


def cited(text: str, rules: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any] | None]]:
    """Text cut at its references `rules.name`: plain pieces with None, names with the rule they cite."""
    pieces = re.split(r"rules\.(\w+)", text)
    return [(piece, rules.get(piece) if i % 2 else None) for i, piece in enumerate(pieces)]


def table(value: Any) -> Items | None:
    """The value if it is a list of records with the same fields, else None."""
    if not isinstance(value, list) or not value or not all(isinstance(row, Mapping) for row in value):
        return None
    return value if all(list(row) == list(value[0]) for row in value) else None


def topics_of(audit: Mapping[str, Any]) -> list[tuple[str, str, Items]]:
    """Topics that have claims, in the ledger's order: key, title, claims."""
    groups = [(topic, [claim for claim in audit["claims"] if claim["topic"] == topic]) for topic in TOPICS]
    return [(topic, TOPIC_TITLES[topic], claims) for topic, claims in groups if claims]


def sections(audit: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Evidence shown apart from its claims' cards, in the order it was recorded.

    Each: title, whether it is a finding of the project, and by claim the items.
    """
    found: dict[str, list[tuple[Claim, Items]]] = {}
    for claim in audit["claims"]:
        for title in sections_of(claim):
            items = [item for item in claim["evidence"] if item.get("section") == title]
            found.setdefault(title, []).append((claim, items))
    return [{"title": t, "finding": t.startswith(FINDING), "groups": groups} for t, groups in found.items()]


def unblocking(audit: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is missing, each with the command that brings it: the claims that wait for it, those with other evidence."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for claim in audit["claims"]:
        for block in claim["blocked"]:
            entry = found.setdefault((block["command"], block["needs"]), {**block, "waiting": {}, "more": {}})
            entry["waiting" if claim["verdict"] == "blocked" else "more"][claim["id"]] = claim["title"]
    return sorted(found.values(), key=lambda entry: (-len(entry["waiting"]), -len(entry["more"])))


def opened_by(audit: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Commands that bring evidence for blocked claims, and for how many; each claim once, so that they add up."""
    waiting: dict[str, set[str]] = {}
    for entry in unblocking(audit):
        waiting.setdefault(entry["command"], set()).update(entry["waiting"])
    counted: set[str] = set()
    found = []
    for command, claims in sorted(waiting.items(), key=lambda pair: -len(pair[1])):
        if new := claims - counted:
            found.append((command, len(new)))
            counted |= new
    return found


def partly(audit: Mapping[str, Any]) -> int:
    """How many claims have evidence and could have more."""
    return len([claim for claim in audit["claims"] if claim["blocked"] and claim["verdicts"]])


def verdict_counts(audit: Mapping[str, Any]) -> dict[str, int]:
    """How many verdicts by kind of evidence a run gave, and how those divide that rest on an interval.

    `verdicts` = `exact` + `survive` + `fall` + `open`: from exact values, and of the others those that stand after
    Holm's correction, those that do not, and those that their intervals left open.
    """
    many = audit["multiplicity"]
    given = sum(len(claim["verdicts"]) for claim in audit["claims"])
    opened = sum(row["verdict"] == "inconclusive" for row in many["rows"])
    stand = {"survive": many["survive"], "fall": many["family"] - many["survive"] - opened, "open": opened}
    return {"verdicts": given, "exact": given - many["family"], **stand}


def read_back(audit: Mapping[str, Any]) -> dict[str, Any] | None:
    """How many claims' figures an earlier run measured, how many controls passed in one, and when the oldest was.

    None where none was.
    """
    claims = [claim["measured"] for claim in audit["claims"] if claim.get("measured")]
    controls = {c["nodeid"]: c["measured"] for claim in audit["claims"] for c in claim["controls"] if "measured" in c}
    moments = [*claims, *controls.values()]
    return {"claims": len(claims), "controls": len(controls), "since": min(moments)} if moments else None


def surprises(audit: Mapping[str, Any]) -> list[tuple[str, Items]]:
    """Claims that surprise, as groups: changed first, then refuted, then inconclusive; none stands twice."""
    changed = [claim for claim in audit["claims"] if claim["changed"] or claim["outside"] or claim["error"]]
    known = {claim["id"] for claim in changed}
    groups = [("changed", changed)]
    for verdict in SURPRISES:
        groups.append((verdict, [c for c in audit["claims"] if c["verdict"] == verdict and c["id"] not in known]))
    return [(name, claims) for name, claims in groups if claims]
