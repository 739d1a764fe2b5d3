"""How many of a run's verdicts would stand if all of them had to be right at once: Holm (1979) over the ledger.

Every verdict that rests on an interval is one test. Its p-value is that of the boundary which the interval was held
against: the one recorded with the evidence where a test was made, an exact binomial one for Clopper-Pearson, else by
inverting the interval (Student's t with n - 1 degrees of freedom, normal where n is not known; half width on the side
of the boundary). A verdict `reproduced` needs all of its checks, so that its p-value is the largest of them (Berger
1982); one failing check suffices for `refuted`, so that it is the smallest of the failing ones times their number.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from core.stats import clopper_pearson, holm
from reports.judge import Evidence, Judgement, judge_check
from reports.ledger import Check, Claim

ALPHA = 0.05
METHOD = (
    "Holm (1979) over the verdicts that rest on an interval. p: as recorded with the evidence, exact binomial for "
    "Clopper-Pearson intervals, otherwise from the interval's half width by Student's t. Of a verdict's checks the "
    "largest p counts where all must hold, the smallest times their number where one that fails decides."
)


def holm_over(records: Iterable[tuple[Claim, Sequence[Evidence], Judgement | None]]) -> dict[str, Any]:
    """What `audit.json` carries: method, level, size of the family, how many survive, and the rows, smallest p first.

    Rows: claim, kind, verdict, check (the evidence whose p that is), pvalue, adjusted and survives. Verdicts that the
    intervals left open are part of the family, and none of them survives.
    """
    rows: list[dict[str, Any]] = [
        {"claim": claim.id, "kind": kind, "verdict": verdict, "check": found[1], "pvalue": found[0]}
        for claim, evidence, judgement in records
        if judgement is not None
        for kind, verdict in judgement.by_kind.items()
        if (found := verdict_pvalue(claim, kind, verdict, evidence)) is not None
    ]
    rows.sort(key=lambda row: row["pvalue"])
    for row, value in zip(rows, holm([row["pvalue"] for row in rows]) if rows else (), strict=True):
        decided = row["verdict"] != "inconclusive"
        row |= {"adjusted": float(value), "survives": bool(decided and value < ALPHA)}
    kept = sum(row["survives"] for row in rows)
    return {"method": METHOD, "alpha": ALPHA, "family": len(rows), "survive": kept, "rows": rows}


def verdict_pvalue(claim: Claim, kind: str, verdict: str, evidence: Sequence[Evidence]) -> tuple[float, str] | None:
    """p-value of one verdict and the evidence whose p that is; None where no interval decides."""
    by_name: Mapping[str, Evidence] = {e.name: e for e in evidence if e.kind == kind}
    tested: list[tuple[float, str, str]] = []
    for check in claim.checks:
        if check.kind in (None, kind):
            item = by_name[check.evidence]
            outcome, _ = judge_check(check, item)
            found = check_pvalue(check, item, outcome)
            if found is None and outcome == "fails":
                return None  # refuted without any interval
            if found is not None:
                tested.append((found, check.evidence, outcome))
    if not tested:
        return None
    if verdict == "refuted":
        least = min(row for row in tested if row[2] == "fails")
        return min(1.0, least[0] * len(tested)), least[1]
    most = max(tested)
    return most[0], most[1]


def check_pvalue(check: Check, evidence: Evidence, outcome: str) -> float | None:
    """p-value of one check's boundary; None where the evidence is exact, its ends certain, or nothing was tested.

    It is two-sided and falls below 1 - level exactly where the interval decides; `within` is two one-sided tests at
    half of that, so that its p-value is compared with the same 5 % at an interval of 90 %.
    """
    if evidence.interval is None or check.op == "equals" or evidence.interval[0] == evidence.interval[1]:
        return None
    if evidence.level is None or evidence.level >= 1 or not isinstance(evidence.value, int | float):
        return None
    if evidence.pvalue is not None and outcome != "fails":
        return evidence.pvalue
    if check.op == "within":
        assert check.low is not None and check.high is not None
        edges = [boundary_pvalue(evidence, edge) for edge in (check.low, check.high)]
        inside = check.low <= evidence.value <= check.high
        if outcome == "fails":
            return min(edges)
        return max(edges) if inside else 1.0
    if check.op == "contains":
        if outcome == "fails":
            return boundary_pvalue(evidence, check.value)
        return None if check.excludes is None else boundary_pvalue(evidence, check.excludes)
    return boundary_pvalue(evidence, check.value)


def boundary_pvalue(evidence: Evidence, boundary: float) -> float:
    """p-value of the hypothesis that the truth is `boundary`: two-sided at 95 %, one-sided at an interval of 90 %."""
    assert evidence.interval is not None and evidence.level is not None
    low, high = evidence.interval
    sides = 2 if evidence.level > 0.925 else 1  # an interval of 90 % is that of two one-sided tests
    if (hits := _exact_count(evidence)) is not None and evidence.n is not None:
        tails = stats.binom.cdf(hits, evidence.n, boundary), stats.binom.sf(hits - 1, evidence.n, boundary)
        return float(min(1.0, sides * min(tails)))
    distance = abs(evidence.value - boundary)
    side = evidence.value - low if boundary < evidence.value else high - evidence.value
    half = side if side > 0 else (high - low) / 2  # a bootstrap interval need not hold its point
    law = stats.t(evidence.n - 1) if evidence.n is not None and evidence.n > 1 else stats.norm()
    critical = law.ppf((1 + evidence.level) / 2)
    return float(min(1.0, sides * law.sf(distance / half * critical)))


def _exact_count(evidence: Evidence) -> int | None:
    """Successes behind a Clopper-Pearson interval, where value and n give that very interval."""
    assert evidence.interval is not None
    if evidence.interval_method != "Clopper-Pearson" or not evidence.n or not 0 <= evidence.value <= 1:
        return None
    hits = round(evidence.value * evidence.n)
    again = clopper_pearson(hits, evidence.n)
    return hits if np.allclose((again.low, again.high), evidence.interval, atol=1e-9) else None
