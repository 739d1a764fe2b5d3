"""Which of a claim's numbers decided its verdict: every check with its outcome, and the one that decides."""

from collections.abc import Sequence
from typing import Any

from reports.judge import Evidence, Judgement, expectation, judge_check, why_open
from reports.ledger import Check, Claim
from reports.multiplicity import check_pvalue

DECIDES = {"reproduced": "holds", "refuted": "fails", "inconclusive": "open"}  # the outcome that a verdict comes from


def checks_of(claim: Claim, evidence: Sequence[Evidence], judgement: Judgement | None) -> list[dict[str, Any]]:
    """Every judged value: kind, evidence (its name), shown (its name in words), expected, outcome, window, decided.

    `window` is where the value was recorded to lie, or None; `expected` is in words, `open_because` says which part of
    the rule left the check open, or is None, `decided` says whether the claim's verdict hangs on it, and `decided_kind`
    whether that of its kind of evidence does.

    One of them decided: of those whose outcome is that of the verdict, and of these those that the row says decide,
    for `reproduced` the one with the least room to its boundary (the largest p-value), for `refuted` the clearest, for
    `inconclusive` the first. Values without an interval are certain.
    """
    if judgement is None:
        return []
    found = [
        (check, item, judge_check(check, item)[0])
        for kind in judgement.by_kind
        for check in claim.checks
        if check.kind in (None, kind)
        for item in evidence
        if (item.kind, item.name) == (kind, check.evidence)
    ]
    decided = _deciding(list(enumerate(found)), judgement.verdict)
    by_kind = {
        _deciding([(k, one) for k, one in enumerate(found) if one[1].kind == kind], verdict)
        for kind, verdict in judgement.by_kind.items()
    }
    return [
        {
            "kind": item.kind,
            "evidence": item.name,
            "shown": check.shown,
            "expected": expectation(check),
            "outcome": outcome,
            "open_because": why_open(check, item) if outcome == "open" else None,
            "window": list(check.window[item.kind]) if item.kind in check.window else None,
            "decided": k == decided,
            "decided_kind": k in by_kind,
        }
        for k, (check, item, outcome) in enumerate(found)
    ]


def _deciding(found: Sequence[tuple[int, tuple[Check, Evidence, str]]], verdict: str) -> int | None:
    """The number of the check that a verdict hangs on, among some of a claim's with their outcomes."""
    sure = [(k, one[0], check_pvalue(*one) or 0.0) for k, one in found if one[2] == DECIDES.get(verdict)]
    sure = [row for row in sure if row[1].decides] or sure
    if verdict == "inconclusive":
        sure = sure[:1]
    choose = max if verdict == "reproduced" else min
    return choose(sure, key=lambda row: row[2])[0] if sure else None
