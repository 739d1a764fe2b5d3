"""The number that decided: for every verdict the check that it hangs on, and no other."""

from dataclasses import replace
from datetime import date

import pytest

from reports.deciding import checks_of
from reports.judge import Evidence, judge_claim
from reports.ledger import Check, Claim


def row(*checks: Check) -> Claim:
    text = {"title": "t", "topic": "data", "source": "s", "statement": "s", "rule": "r", "threshold_source": "t"}
    return Claim(id="T-a", evidence=("synthetic",), fixed=date(2026, 11, 23), checks=checks, **text)  # type: ignore[arg-type]


def number(name: str, value: float, half: float | None) -> Evidence:
    interval = None if half is None else (value - half, value + half)
    return Evidence("synthetic", name, value, n=50, interval=interval, interval_method="t", level=0.95)


CHECKS = tuple(Check(name, "above", value=0.0) for name in "abc")


@pytest.mark.parametrize(
    ("values", "verdict", "decided"),
    [
        ({"a": (5, 1), "b": (1.1, 1), "c": (9, None)}, "reproduced", "b"),  # nearest to its boundary
        ({"a": (9, None), "b": (8, None), "c": (7, None)}, "reproduced", "a"),  # all certain: the first
        ({"a": (5, 1), "b": (-1.1, 1), "c": (-5, 1)}, "refuted", "c"),  # the clearest that fails
        ({"a": (0, 1), "b": (9, 1), "c": (0, 1)}, "inconclusive", "a"),  # the first that is open
    ],
)
def test_one_check_decides(values: dict[str, tuple[float, float | None]], verdict: str, decided: str) -> None:
    evidence = [number(name, *found) for name, found in values.items()]
    judgement = judge_claim(row(*CHECKS), evidence)
    assert judgement.verdict == verdict
    found = checks_of(row(*CHECKS), evidence, judgement)
    assert [check["evidence"] for check in found] == list("abc")
    assert [check["evidence"] for check in found if check["decided"]] == [decided]
    assert {check["expected"] for check in found} == {"above 0"}


def test_what_the_statement_is_about_decides_where_its_outcome_is_that_of_the_verdict() -> None:
    rows = row(*CHECKS[:2], Check("c", "above", value=0.0, decides=True))
    for values, decided in (((1.1, 9), "c"), ((-5, 9), "a"), ((1.1, -2), "c")):
        a, c = values
        evidence = [number("a", a, 1), number("b", 5, 1), number("c", c, 1)]
        found = checks_of(rows, evidence, judge_claim(rows, evidence))
        assert [check["evidence"] for check in found if check["decided"]] == [decided]


def test_every_kind_of_evidence_has_its_own_deciding_check() -> None:
    """Of two kinds, one refuted: the claim's number is of that kind, the other kind's verdict hangs on its own."""
    rows = row(*(Check(name, "above", value=0.0, decides=name == "b") for name in "ab"))
    values = {"synthetic": {"a": 1.1, "b": 9.0}, "published": {"a": -5.0, "b": 9.0}}
    evidence = [replace(number(k, v, 1), kind=kind) for kind, found in values.items() for k, v in found.items()]
    found = checks_of(rows, evidence, judge_claim(rows, evidence))
    told = {
        name: [(one["kind"], one["evidence"]) for one in found if one[name]] for name in ("decided", "decided_kind")
    }
    assert told == {"decided": [("published", "a")], "decided_kind": [("synthetic", "b"), ("published", "a")]}


@pytest.mark.parametrize(
    ("check", "interval", "why"),
    [
        (Check("a", "above", value=0.9), (0.8, 1.0), "its interval holds 0.9"),
        (Check("a", "excludes", value=0.0), (-1.0, 1.0), "its interval holds 0"),
        (Check("a", "within", low=-0.02, high=0.02), (0.0, 0.03), "its interval reaches over 0.02"),
        (Check("a", "within", low=-0.02, high=0.02), (-0.05, 0.03), "its interval reaches over -0.02 and 0.02"),
        (Check("a", "contains", value=1.333, max_width=0.3), (0.61, 1.02),
         "its interval is 0.41 wide, and one wider than 0.3 decides nothing"),
        (Check("a", "contains", value=1.0, excludes=0.5), (0.4, 1.1), "its interval holds 0.5 as well"),
        (Check("a", "above", value=0.9), None, "there is no interval to decide on"),
    ],
)  # fmt: skip
def test_what_is_left_open_says_by_which_part_of_the_rule(
    check: Check, interval: tuple[float, float] | None, why: str
) -> None:
    value = "undecided: two levels" if interval is None else sum(interval) / 2
    evidence = [Evidence("synthetic", "a", value, interval=interval, interval_method="t", level=0.95)]
    (found,) = checks_of(row(check), evidence, judge_claim(row(check), evidence))
    assert (found["outcome"], found["open_because"]) == ("open", why)


def test_what_is_decided_is_not_left_open_by_anything() -> None:
    evidence = [number("a", 5, 1)]
    (found,) = checks_of(row(CHECKS[0]), evidence, judge_claim(row(CHECKS[0]), evidence))
    assert found["open_because"] is None


def test_a_check_carries_its_window_and_what_the_page_calls_it() -> None:
    rows = row(Check("a", "above", value=0.0, shown="people in both", window={"synthetic": (4.0, 6.0)}), CHECKS[1])
    evidence = [number("a", 5, 1), number("b", 9, 1)]
    first, second = checks_of(rows, evidence, judge_claim(rows, evidence))
    assert (first["shown"], first["window"]) == ("people in both", [4.0, 6.0])
    assert (second["shown"], second["window"]) == (None, None)


def test_nothing_measured_decides_nothing() -> None:
    assert checks_of(row(*CHECKS), [], None) == []
    assert checks_of(row(*CHECKS), [], judge_claim(row(*CHECKS), [])) == []
