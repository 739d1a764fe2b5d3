"""The second layer: one function turns a ledger row and its evidence into a verdict."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from reports.ledger import Check, Claim

Judge = Callable[..., str]  # the fixture `judge`: (claim, measures by name, kind=None) to the verdict
VERDICTS = ("reproduced", "refuted", "inconclusive", "blocked", "not yet tested")


@dataclass(frozen=True)
class Evidence:
    """One measured figure of one claim."""

    kind: str
    name: str
    value: Any
    n: int | None = None
    interval: tuple[float, float] | None = None
    interval_method: str | None = None
    level: float | None = None  # of the interval; 1 where its ends hold no chance: a range, the bound of an error
    pvalue: float | None = None  # of the test that the interval stands for, where one was made
    seeds: str | None = None
    varies: str | None = None
    unit: str | None = None
    note: str | None = None
    figures: tuple[str, ...] = ()
    section: str | None = None  # of the report, where it is shown apart from its claim
    counted: str | None = None  # what n counts, in words, where that is not what varies

    def as_json(self) -> dict[str, Any]:
        """The form that `audit.json` carries."""
        return {**asdict(self), "interval": list(self.interval) if self.interval else None}


@dataclass(frozen=True)
class Judgement:
    """Verdict by evidence kind, the verdict over all, and why."""

    verdict: str
    by_kind: Mapping[str, str]
    reasons: tuple[str, ...]


def judge_claim(claim: Claim, evidence: Sequence[Evidence]) -> Judgement:
    """Hold the evidence of one claim against the checks of its row.

    A kind is refuted if any of its checks fails, inconclusive if none fails but one cannot be decided at the width of
    its interval, reproduced if all hold. Over the kinds the least favourable measured one counts. Nothing measured:
    `blocked`.

    Raises:
        LookupError: if a check names evidence that the test did not record, or evidence is of a kind that no check
            covers: a mistake in the suite, not in the claim.
    """
    by_kind: dict[str, str] = {}
    reasons: list[str] = []
    for kind in dict.fromkeys(e.kind for e in evidence):
        checks = [c for c in claim.checks if c.kind in (None, kind)]
        if not checks:
            raise LookupError(f"{claim.id}: evidence of kind {kind} was recorded but no check of the row judges it")
        outcomes = []
        for check in checks:
            outcome, why = judge_check(check, _find(claim, check, kind, evidence))
            outcomes.append(outcome)
            if outcome != "holds":
                reasons.append(f"{kind}: {why}")
        by_kind[kind] = _worst(outcomes)
    for verdict in ("refuted", "inconclusive", "reproduced"):
        if verdict in by_kind.values():
            return Judgement(verdict, by_kind, tuple(reasons))
    return Judgement("blocked", by_kind, ("nothing could be measured here",))


def judge_check(check: Check, evidence: Evidence) -> tuple[str, str]:
    """Outcome of one check (`holds`, `fails`, `open`) and the sentence that explains it."""
    found = _describe(evidence)
    if check.op == "equals":
        return _equals(check, evidence, found)
    low, high = evidence.interval or (evidence.value, evidence.value)
    if not all(isinstance(x, int | float) and math.isfinite(x) for x in (low, high)):
        return "open", f"{found}: no finite interval to decide on"
    why = f"{found}; expected {expectation(check)}"
    if check.op == "above":
        return _side(low > check.value, high <= check.value, why)
    if check.op == "at_least":
        return _side(low >= check.value, high < check.value, why)
    if check.op == "below":
        return _side(high < check.value, low >= check.value, why)
    if check.op == "excludes":
        return _side(not low <= check.value <= high, False, why)
    if check.op == "within":
        assert check.low is not None and check.high is not None
        holds, fails = check.low <= low and high <= check.high, high < check.low or low > check.high
        return _side(holds, fails, why)
    sharp = check.max_width is None or high - low <= check.max_width
    apart = check.excludes is None or not low <= check.excludes <= high
    inside = low <= check.value <= high
    return _side(inside and sharp and apart, sharp and not inside, why)


def why_open(check: Check, evidence: Evidence) -> str:
    """Which part of a check leaves it open, in words that follow 'because': its interval holds 0."""
    if evidence.interval is None:
        return "there is no interval to decide on"
    low, high = evidence.interval
    if check.op == "contains" and check.max_width is not None and high - low > check.max_width:
        return f"its interval is {high - low:.3g} wide, and one wider than {check.max_width:g} decides nothing"
    if check.op == "contains":
        return f"its interval holds {check.excludes:g} as well"
    if check.op != "within":
        return f"its interval holds {check.value:g}"
    assert check.low is not None and check.high is not None
    over = [f"{end:g}" for end in (check.low, check.high) if low < end < high]
    return f"its interval reaches over {' and '.join(over)}"


def expectation(check: Check) -> str:
    """What a check expects of its evidence, in words: `above 0.9`."""
    if check.op == "equals":
        return f"{check.value!r}" + ("" if check.tolerance is None else f" within {check.tolerance:g}")
    if check.op == "within":
        return f"inside [{check.low:g}, {check.high:g}]"
    if check.op != "contains":
        words = {"above": "above", "at_least": "at least", "below": "below", "excludes": "to exclude"}
        return f"{words[check.op]} {check.value:g}"
    wanted = f"to contain {check.value:g}"
    wanted += "" if check.excludes is None else f" and to exclude {check.excludes:g}"
    return wanted + ("" if check.max_width is None else f", no wider than {check.max_width:g}")


def combined(recorded: Mapping[str, str], kinds: Sequence[str]) -> str | None:
    """The recorded verdict over the kinds that were measured; None where one of them has none."""
    verdicts = [recorded.get(kind) for kind in kinds]
    if not verdicts or None in verdicts:
        return None
    return next(v for v in ("refuted", "inconclusive", "reproduced") if v in verdicts)


def _equals(check: Check, evidence: Evidence, found: str) -> tuple[str, str]:
    value = evidence.value
    holds = value == check.value if check.tolerance is None else abs(value - check.value) <= check.tolerance
    return _side(holds, not holds, f"{found}; expected {expectation(check)}")


def _side(holds: bool, fails: bool, why: str) -> tuple[str, str]:
    return ("holds" if holds else "fails" if fails else "open"), why


def _worst(outcomes: Sequence[str]) -> str:
    if "fails" in outcomes:
        return "refuted"
    return "inconclusive" if "open" in outcomes else "reproduced"


def _find(claim: Claim, check: Check, kind: str, evidence: Sequence[Evidence]) -> Evidence:
    for item in evidence:
        if item.kind == kind and item.name == check.evidence:
            return item
    raise LookupError(f"{claim.id}: the row checks {check.evidence!r} of kind {kind}, which its test did not record")


def _describe(evidence: Evidence) -> str:
    text = f"{evidence.name} = {evidence.value:.6g}" if isinstance(evidence.value, float) else None
    text = text or f"{evidence.name} = {evidence.value!r}"
    if evidence.interval:
        text += f" [{evidence.interval[0]:.6g}, {evidence.interval[1]:.6g}]"
    return text
