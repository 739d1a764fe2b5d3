import dataclasses
from datetime import date
from typing import Any

import pytest

from reports.judge import Evidence, combined, judge_check, judge_claim
from reports.ledger import Check, Claim


def measured(value: Any, interval: tuple[float, float] | None = None, kind: str = "synthetic") -> Evidence:
    return Evidence(kind, "x", value, interval=interval)


@pytest.mark.parametrize(
    ("check", "value", "interval", "outcome"),
    [
        ({"op": "equals", "value": 3}, 3, None, "holds"),
        ({"op": "equals", "value": 3}, 4, None, "fails"),
        ({"op": "equals", "value": [1, 2]}, [1, 2], None, "holds"),
        ({"op": "equals", "value": 1.0, "tolerance": 0.1, "tolerance_reason": "r"}, 1.05, None, "holds"),
        ({"op": "equals", "value": 1.0, "tolerance": 0.1, "tolerance_reason": "r"}, 1.2, None, "fails"),
        ({"op": "above", "value": 0.0}, 1.0, (0.1, 2.0), "holds"),
        ({"op": "above", "value": 0.0}, 1.0, (-0.1, 2.0), "open"),
        ({"op": "above", "value": 0.0}, 1.0, (0.0, 2.0), "open"),
        ({"op": "above", "value": 0.0}, -1.0, (-2.0, 0.0), "fails"),
        ({"op": "above", "value": 0.5}, 0.6, None, "holds"),
        ({"op": "at_least", "value": 0.5}, 0.5, None, "holds"),
        ({"op": "at_least", "value": 0.5}, 0.4, None, "fails"),
        ({"op": "at_least", "value": 0.5}, 0.6, (0.4, 0.8), "open"),
        ({"op": "below", "value": 0.0}, -1.0, (-2.0, -0.1), "holds"),
        ({"op": "below", "value": 0.0}, 1.0, (0.1, 2.0), "fails"),
        ({"op": "below", "value": 0.0}, 0.5, (-0.1, 2.0), "open"),
        ({"op": "excludes", "value": 0.0}, 0.5, (0.1, 2.0), "holds"),
        ({"op": "excludes", "value": 0.0}, 0.5, (-0.1, 2.0), "open"),
        ({"op": "within", "low": -1.0, "high": 1.0}, 0.0, (-0.5, 0.5), "holds"),
        ({"op": "within", "low": -1.0, "high": 1.0}, 0.0, (-0.5, 1.5), "open"),
        ({"op": "within", "low": -1.0, "high": 1.0}, 2.0, (1.5, 2.5), "fails"),
        ({"op": "contains", "value": 1.0}, 1.1, (0.9, 1.3), "holds"),
        ({"op": "contains", "value": 1.0}, 1.4, (1.1, 1.7), "fails"),
        ({"op": "contains", "value": 1.0, "excludes": 0.5}, 1.0, (0.4, 1.6), "open"),
        ({"op": "contains", "value": 1.0, "max_width": 0.3}, 1.0, (0.8, 1.2), "open"),
        ({"op": "contains", "value": 1.0, "max_width": 0.3}, 2.0, (1.8, 2.2), "open"),
        ({"op": "contains", "value": 1.0, "max_width": 0.3}, 2.0, (1.9, 2.1), "fails"),
    ],
)
def test_the_interval_decides(
    check: dict[str, Any], value: Any, interval: tuple[float, float] | None, outcome: str
) -> None:
    assert judge_check(Check(evidence="x", **check), measured(value, interval))[0] == outcome


def claim(*checks: Check) -> Claim:
    return Claim(
        "T-x", "t", "data", "T 1", "s", ("published", "synthetic"), "r", "t", date(2026, 11, 23), checks=checks
    )


def test_the_least_favourable_kind_counts() -> None:
    row = claim(Check("x", "above", value=0.0))
    both = [measured(1.0, (0.5, 1.5)), measured(-1.0, (-1.5, -0.5), "published")]
    judged = judge_claim(row, both)
    assert judged.verdict == "refuted"
    assert judged.by_kind == {"synthetic": "reproduced", "published": "refuted"}
    assert "x = -1 [-1.5, -0.5]; expected above 0" in judged.reasons[0]
    assert judge_claim(row, []).verdict == "blocked"


def test_missing_evidence_is_a_mistake_of_the_suite() -> None:
    with pytest.raises(LookupError, match="did not record"):
        judge_claim(claim(Check("y", "above", value=0.0)), [measured(1.0)])
    with pytest.raises(LookupError, match="no check"):
        judge_claim(claim(Check("x", "above", kind="published", value=0.0)), [measured(1.0)])


def test_the_recorded_verdict_is_combined_over_what_was_measured() -> None:
    recorded = {"published": "refuted", "synthetic": "reproduced"}
    assert combined(recorded, ["synthetic"]) == "reproduced"
    assert combined(recorded, ["synthetic", "published"]) == "refuted"
    assert combined(recorded, ["synthetic", "celeba"]) is None
    assert combined(recorded, []) is None


def test_a_check_that_is_not_finite_stays_open() -> None:
    open_interval = dataclasses.replace(measured(1.0), interval=(float("-inf"), float("nan")))
    assert judge_check(Check("x", "above", value=0.0), open_interval)[0] == "open"
