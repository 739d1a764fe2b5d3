"""What differs between two audits: verdicts, judged values beyond their windows, rows that came or went."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import InputError
from reports.format import bounds, number, words
from reports.record import SCALE, SCALED

EXACT = 1e-6  # relative: float64 sums in another order
Claim = Mapping[str, Any]
Name = tuple[str, str]  # of evidence: kind and name
WHAT = {
    "verdict": "Verdicts that changed",
    "value": "Values that moved",
    "control": "Controls that do not pass any more",
    "vanished": "Not there any more",
    "appeared": "New",
}


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes:
        what: a key of `WHAT`.
        claim: its id.
        title: of the claim.
        about: kind of evidence and name of the value, as far as the difference has them.
        old: what it was, as text.
        new: what it is.
        why: which limit was passed; empty where there is none.
    """

    what: str
    claim: str
    title: str
    about: str
    old: str
    new: str
    why: str = ""


@dataclass(frozen=True)
class Difference:
    """All differences, and what they were looked for in.

    Attributes:
        changes: in the order of the new ledger, what vanished last.
        verdicts: how many verdicts by kind stand in both.
        values: how many values were compared.
        passed_over: values that stand in both and have neither window nor interval, and that no check judges.
        notes: sentences on what limits the comparison.
    """

    changes: tuple[Change, ...]
    verdicts: int
    values: int
    passed_over: int
    notes: tuple[str, ...]

    def of(self, what: str) -> list[Change]:
        """The differences of one sort."""
        return [change for change in self.changes if change.what == what]


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    """Hold a new audit against an old one.

    A judged value moves when it leaves the window that is recorded with its check; without one, and where no check
    judges it, when each of the two values lies outside the other's interval. A judged value without an interval is
    exact: it moves when it differs at all, floats by more than one part in a million.

    Raises:
        InputError: if no claim was measured in both, so that nothing can be compared.
    """
    before = {claim["id"]: claim for claim in old["claims"]}
    after = {claim["id"]: claim for claim in new["claims"]}
    same_scale = old["scale"] == new["scale"]
    windows = same_scale and new["scale"] == SCALE
    changes: list[Change] = []
    counts = dict.fromkeys(("verdicts", "values", "passed_over"), 0)
    for key, claim in after.items():
        if key not in before:
            changes.append(Change("appeared", key, claim["title"], "claim", "no such claim", claim["verdict"]))
            continue
        changes += _verdicts(before[key], claim, counts)
        changes += _controls(before[key], claim)
        changes += _values(before[key], claim, windows, counts)
    for key, claim in before.items():
        if key not in after:
            changes.append(Change("vanished", key, claim["title"], "claim", claim["verdict"], "no such claim"))
    if not counts["verdicts"]:
        raise InputError("the two audits: no claim was measured in both; expected two audits of one ledger")
    notes = [] if same_scale else [f"The scales differ: {old['scale']} before, {new['scale']} now."]
    both = before.keys() & after.keys()
    if reworded := sorted(key for key in both if not _same_rule(before[key], after[key])):
        notes.append(f"Rules that read otherwise: {', '.join(reworded)}.")
    inputs = [{item["name"]: item["sha256"] for item in audit["inputs"]} for audit in (old, new)]
    if others := sorted(name for name in inputs[0].keys() & inputs[1].keys() if inputs[0][name] != inputs[1][name]):
        notes.append(f"Inputs of other content: {', '.join(others)}.")
    return Difference(tuple(changes), notes=tuple(notes), **counts)


def _same_rule(old: Claim, new: Claim) -> bool:
    """Whether a claim is judged by the same words, and by the same checks where both audits tell them."""
    told = [[(c["kind"], c["evidence"], c["expected"]) for c in claim.get("checks", [])] for claim in (old, new)]
    words_of = [(claim["rule"], claim["threshold_source"]) for claim in (old, new)]
    return words_of[0] == words_of[1] and (not all(told) or told[0] == told[1])


def _verdicts(old: Claim, new: Claim, counts: dict[str, int]) -> Iterator[Change]:
    for kind in dict.fromkeys([*old["verdicts"], *new["verdicts"]]):
        was, now = old["verdicts"].get(kind), new["verdicts"].get(kind)
        counts["verdicts"] += was is not None and now is not None
        if was != now:
            missing = f"it ended in an error: {new['error']}" if new["error"] else "not measured"
            what = "verdict" if was and now else "appeared" if now else "vanished"
            yield Change(what, new["id"], new["title"], kind, was or "not measured", now or missing)


def _controls(old: Claim, new: Claim) -> Iterator[Change]:
    passed = {control["nodeid"]: control for control in old["controls"] if control["outcome"] == "passed"}
    if new["controls"] or new["verdicts"]:  # else the claim was not run at all, which its verdicts say
        for nodeid in passed.keys() - {control["nodeid"] for control in new["controls"]}:
            yield Change(
                "control", new["id"], new["title"], f"{passed[nodeid]['sign']} control {nodeid}", "passed", "not run"
            )
    for control in new["controls"]:
        if control["outcome"] != "passed" and control["nodeid"] in passed:
            about = f"{control['sign']} control {control['nodeid']}"
            yield Change("control", new["id"], new["title"], about, "passed", control["outcome"])


def _values(old: Claim, new: Claim, windows: bool, counts: dict[str, int]) -> Iterator[Change]:
    judged: dict[Name, Any] = {}
    for check in [*new.get("checks", []), *old.get("checks", [])]:  # the old one's window is the reference
        name = (check["kind"], check["evidence"])
        judged[name] = check.get("window") or judged.get(name)
    before = {(item["kind"], item["name"]): item for item in old["evidence"]}
    checks = {(check["kind"], check["evidence"]) for check in new.get("checks", [])}
    for check in old.get("checks", []):
        if check["kind"] in new["verdicts"] and (check["kind"], check["evidence"]) not in checks:
            about = f"check of {words(check['evidence'])} ({check['kind']})"
            yield Change("vanished", new["id"], new["title"], about, check["expected"], "not judged")
    gone = before.keys() - {(item["kind"], item["name"]) for item in new["evidence"]}
    for name in judged:
        if name in gone and name[0] in new["verdicts"]:  # of a kind that is missing as a whole the verdict says so
            about = f"{words(name[1])} ({name[0]})"
            yield Change("vanished", new["id"], new["title"], about, _shown(before[name]), "not measured")
    for item in new["evidence"]:
        name = (item["kind"], item["name"])
        was = before.get(name)
        if was is None:
            continue
        window = judged.get(name) if windows or item["kind"] not in SCALED else None
        known = all(isinstance(one["value"], str | bool | int | float) for one in (was, item))
        if name in judged and not known:
            counts["values"] += 1
            if was["value"] != item["value"]:
                about = f"{words(item['name'])} ({item['kind']})"
                yield Change("value", new["id"], new["title"], about, _shown(was), _shown(item), "it is another")
            continue
        if not known or (name not in judged and not (was["interval"] and item["interval"])):
            counts["passed_over"] += 1
            continue
        counts["values"] += 1
        if why := moved(was, item, window):
            about = f"{words(item['name'])} ({item['kind']})"
            yield Change("value", new["id"], new["title"], about, _shown(was), _shown(item), why)


def moved(old: Mapping[str, Any], new: Mapping[str, Any], window: Any = None) -> str:
    """Which limit a value has passed, in words; empty where it has not moved."""
    values = [item["value"] for item in (old, new)]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return "" if values[0] == values[1] else "it is another"
    if window:
        low, high = window
        return "" if low <= values[1] <= high else f"recorded between {number(float(low))} and {number(float(high))}"
    ends = [item["interval"] or (item["value"], item["value"]) for item in (old, new)]
    if all(low == high for low, high in ends):
        return "" if math.isclose(*values, rel_tol=EXACT) else "it is exact"
    inside = ends[0][0] <= values[1] <= ends[0][1] or ends[1][0] <= values[0] <= ends[1][1]
    return "" if inside or math.isclose(*values, rel_tol=EXACT) else "each is outside the other's interval"


def _shown(item: Mapping[str, Any]) -> str:
    if not isinstance(item["value"], str | bool | int | float):
        return "nothing" if item["value"] is None else "a table"
    text = number(item["value"], item["interval"])
    return f"{text} {bounds(item['interval'])}" if item["interval"] else text


def lines(found: Difference, old: str, new: str) -> Iterator[str]:
    """A comparison as text; `old` and `new` name the two audits."""
    yield f"{old} -> {new}"
    yield from found.notes
    for what, title in WHAT.items():
        if changes := found.of(what):
            yield f"{title}: {len(changes)}"
            for change in changes:
                why = f"; {change.why}" if change.why else ""
                yield f"  {change.claim}, {change.about}: {change.old} -> {change.new}{why}"
    yield summary(found)


def summary(found: Difference) -> str:
    """How much was compared, and whether anything moved."""
    looked = f"{found.verdicts:,} verdicts and {found.values:,} values compared"
    if found.passed_over:
        looked += f"; {found.passed_over:,} values that no check judges have no interval, or are tables: not compared"
    count = f"{len(found.changes):,} difference{'s' if len(found.changes) > 1 else ''}"
    return f"{count}: {looked}" if found.changes else f"Nothing moved: {looked}"
