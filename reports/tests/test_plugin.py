"""The chain from a claim's test to verdict, exit code and `audit.json`, on small audits written on the spot."""

import json
from pathlib import Path
from typing import Any

import pytest

import reports.render  # noqa: F401  # a run inside this process takes back what it imports: half of it would be left

pytest_plugins = ["pytester"]

ROW = """
[[claim]]
id = "{id}"
title = "t"
topic = "data"
source = "T 1"
statement = "s"
evidence = ["published", "synthetic"]
rule = "r"
threshold_source = "rules.grows"
fixed = 2026-11-23
reason = "understood"
{more}
"""
RULES = """
[rules.grows]
word = "grows"
rule = "By the whole interval."
fixed = 2026-11-23
"""
ABOVE = 'checks = [{{ evidence = "x", op = "above", value = 0.0 }}]\nrecorded = {{ synthetic = "{verdict}" }}'
TEST = """
import pytest
from core.errors import InputError

@pytest.mark.claim("{id}")
def test_{name}(evidence):
    {body}
"""


class Audit:
    """A project of its own with the real options and plug-ins."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        root = Path(__file__).resolve().parents[2]
        pytester.makeconftest((root / "conftest.py").read_text(encoding="utf-8"))
        pytester.makeini("[pytest]\nmarkers =\n    claim(id): x\n    control(id, sign): x\njunit_family = xunit1\n")
        pytester.mkdir("audit")

    def write(self, rows: str, tests: str) -> None:
        (self.pytester.path / "audit" / "claims.toml").write_text(rows + RULES, encoding="utf-8")
        (self.pytester.path / "audit" / "test_claims.py").write_text(tests, encoding="utf-8")

    def one(self, body: str, recorded: str = "reproduced") -> tuple[pytest.RunResult, dict[str, Any]]:
        self.write(
            ROW.format(id="T-a", more=ABOVE.format(verdict=recorded)), TEST.format(id="T-a", name="a", body=body)
        )
        return self.run()

    def run(self, *options: str, inside: bool = True) -> tuple[pytest.RunResult, dict[str, Any]]:
        words = ("audit", "-rA", "-p", "no:cacheprovider", *options)
        if inside:
            result = self.pytester.runpytest_inprocess(*words, no_reraise_ctrlc=True)
        else:
            result = self.pytester.runpytest_subprocess(*words)
        path = self.pytester.path / "reports" / "out" / "audit.json"
        return result, json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@pytest.fixture
def audit(pytester: pytest.Pytester) -> Audit:
    return Audit(pytester)


def add(value: float, low: float, high: float) -> str:
    return f'evidence.add("x", {value}, kind="synthetic", n=9, interval=({low}, {high}), interval_method="known")'


@pytest.mark.parametrize(
    ("body", "recorded", "outcome", "verdict"),
    [
        (add(1, 0.5, 1.5), "reproduced", "passed", "reproduced"),
        (add(-1, -1.5, -0.5), "reproduced", "failed", "refuted"),
        (add(-1, -1.5, -0.5), "refuted", "xfailed", "refuted"),
        (add(1, 0.5, 1.5), "refuted", "failed", "reproduced"),
        (add(1, -0.5, 1.5), "inconclusive", "passed", "inconclusive"),
        (add(1, -0.5, 1.5), "reproduced", "failed", "inconclusive"),
        ('evidence.block(kind="published", needs="lists", command="bring them")', "reproduced", "skipped", "blocked"),
    ],
)
def test_a_verdict_is_held_against_the_recorded_one(
    audit: Audit, body: str, recorded: str, outcome: str, verdict: str
) -> None:
    result, written = audit.one(body, recorded)
    result.assert_outcomes(**{outcome: 1})
    (claim,) = written["claims"]
    assert claim["verdict"] == verdict
    assert claim["changed"] == (outcome == "failed")
    assert written["counts"] == {verdict: 1}


def test_the_report_carries_what_consumers_rely_on(audit: Audit) -> None:
    result, written = audit.one(add(1, 0.5, 1.5))
    keys = ("schema", "created", "project", "environment", "inputs", "scale", "seconds", "counts", "claims")
    assert all(key in written for key in keys)
    assert written["schema"] == "samenoise/audit/1"
    (claim,) = written["claims"]
    assert claim["evidence"][0]["interval"] == [0.5, 1.5]
    assert claim["nodeid"] == "audit/test_claims.py::test_a"
    out = audit.pytester.path / "reports" / "out"
    assert "T-a" in (out / "index.html").read_text(encoding="utf-8")
    assert "test_a" in (out / "junit.xml").read_text(encoding="utf-8")
    result.stdout.fnmatch_lines(["*claims: 1 reproduced*", "*reports/out/index.html*"])


def test_evidence_survives_a_failing_test_and_an_interruption(audit: Audit) -> None:
    rows = "".join(ROW.format(id=i, more=ABOVE.format(verdict="reproduced")) for i in ("T-a", "T-b", "T-c"))
    tests = TEST.format(id="T-a", name="a", body=add(1, 0.5, 1.5))
    tests += TEST.format(id="T-b", name="b", body='raise RuntimeError("broken measurement")')
    tests += TEST.format(id="T-c", name="c", body="raise KeyboardInterrupt")
    audit.write(rows, tests)
    result, written = audit.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    a, b, c = written["claims"]
    assert a["verdict"] == "reproduced"
    assert b["verdict"] == "not yet tested" and "broken measurement" in b["error"]
    assert c["verdict"] == "not yet tested"


def three_quick_claims(audit: Audit, last: str) -> None:
    """An audit of two claims that are judged at once, and of a third that does something else."""
    tests = ""
    for name, body in (("a", add(1, 0.5, 1.5)), ("b", add(1, 0.5, 1.5)), ("c", last)):
        tests += TEST.format(id=f"T-{name}", name=name, body=body)
    rows = "".join(ROW.format(id=i, more=ABOVE.format(verdict="reproduced")) for i in ("T-a", "T-b", "T-c"))
    audit.write(rows, tests)


def test_a_kill_takes_the_last_moment_only(audit: Audit) -> None:
    """Of two quick claims the first is written at once and the second a moment later; then the process is gone."""
    three_quick_claims(audit, "import os; os._exit(9)")
    audit.pytester.makepyfile(longer="import reports.record\n\nreports.record.MOMENT = 1e6")
    result, written = audit.run("-p", "longer", inside=False)
    assert result.ret == 9
    assert [claim["verdict"] for claim in written["claims"]] == ["reproduced", "not yet tested", "not yet tested"]


def test_what_took_longer_than_a_moment_is_written_at_once(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kill would leave is looked at while the last test runs."""
    monkeypatch.setattr("reports.record.MOMENT", -1.0)
    three_quick_claims(audit, "import shutil; shutil.copy('reports/out/audit.json', 'seen.json')")
    audit.run()
    seen = json.loads((audit.pytester.path / "seen.json").read_text(encoding="utf-8"))
    assert [claim["verdict"] for claim in seen["claims"]] == ["reproduced", "reproduced", "not yet tested"]


def test_evidence_that_the_user_brings_needs_no_recorded_verdict(audit: Audit) -> None:
    more = 'checks = [{ evidence = "x", op = "above", value = 0.0 }]'
    for kind, outcome in (("celeba", "passed"), ("published", "failed")):
        rows = ROW.format(id="T-a", more=more).replace('"synthetic"', '"celeba"')
        audit.write(rows, TEST.format(id="T-a", name="a", body=f'evidence.add("x", 1, kind="{kind}")'))
        result, written = audit.run()
        result.assert_outcomes(**{outcome: 1})
        assert written["claims"][0]["verdict"] == "reproduced"
    audit.write(rows, TEST.format(id="T-a", name="a", body='evidence.add("x", -1, kind="celeba")'))
    result, written = audit.run()
    result.assert_outcomes(passed=1)  # not an expected failure: nothing was recorded to expect
    assert written["claims"][0]["verdict"] == "refuted"


def test_trained_evidence_is_held_at_the_scale_it_was_recorded_at(audit: Audit) -> None:
    rows = ROW.format(id="T-a", more=ABOVE.format(verdict="inconclusive"))
    audit.write(rows, TEST.format(id="T-a", name="a", body=add(1, 0.5, 1.5)))
    for scale, outcome in (("desk", "failed"), ("desk-long", "passed")):
        result, written = audit.run(f"--scale={scale}")
        result.assert_outcomes(**{outcome: 1})
        assert written["claims"][0]["verdict"] == "reproduced"


def test_a_value_that_leaves_its_window_fails_though_the_verdict_stays(audit: Audit) -> None:
    """So that a broken trainer is noticed by rows whose verdict it cannot change."""
    window = 'window = { synthetic = [0.9, 1.1] } }]\nrecorded = { synthetic = "reproduced" }'
    rows = ROW.format(id="T-a", more='checks = [{ evidence = "x", op = "above", value = 0.0, ' + window)
    for value, outcome in ((1.0, "passed"), (1.2, "failed"), (0.8, "failed")):
        audit.write(rows, TEST.format(id="T-a", name="a", body=add(value, 0.5, 1.5)))
        result, written = audit.run()
        result.assert_outcomes(**{outcome: 1})
        claim = written["claims"][0]
        assert claim["verdict"] == "reproduced" and not claim["changed"]
        said = f"synthetic: x = {value}, recorded between 0.9 and 1.1"
        assert claim["outside"] == ([said] if outcome == "failed" else [])
        if outcome == "failed":
            result.stdout.fnmatch_lines([f"*a value of T-a left its window: {said}*"])
    result, _ = audit.run("--scale=desk-long")  # windows are those of the scale that they were recorded at
    result.assert_outcomes(passed=1)


def test_bad_input_is_one_line_and_a_usage_error_at_the_end(audit: Audit) -> None:
    rows = "".join(ROW.format(id=i, more=ABOVE.format(verdict="reproduced")) for i in ("T-a", "T-b"))
    tests = TEST.format(id="T-a", name="a", body='raise InputError("list.txt: found nothing; expected names")')
    audit.write(rows, tests + TEST.format(id="T-b", name="b", body=add(1, 0.5, 1.5)))
    result, written = audit.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*bad input: *list.txt: found nothing; expected names*"])
    assert written["counts"] == {"not yet tested": 1, "reproduced": 1}


@pytest.mark.parametrize(
    ("rows", "tests", "message"),
    [
        (["T-a", "T-a"], ["T-a"], "T-a stands in two rows"),
        (["T-a"], ["T-a", "T-b"], "T-b, which has no row"),
        (["T-a", "T-b"], ["T-a"], "row T-b has checks, but no test"),
        (["T-a"], ["T-a", "T-a"], "judges T-a, which"),
    ],
)
def test_ledger_and_tests_match_one_to_one(audit: Audit, rows: list[str], tests: list[str], message: str) -> None:
    body = add(1, 0.5, 1.5)
    audit.write(
        "".join(ROW.format(id=i, more=ABOVE.format(verdict="reproduced")) for i in rows),
        "".join(TEST.format(id=i, name=k, body=body) for k, i in enumerate(tests)),
    )
    result, _ = audit.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}*"])


def test_a_row_without_checks_is_reported_and_a_control_must_name_a_row(audit: Audit) -> None:
    rows = ROW.format(id="T-a", more=ABOVE.format(verdict="reproduced")) + ROW.format(id="T-b", more="")
    tests = TEST.format(id="T-a", name="a", body=add(1, 0.5, 1.5))
    control = "\n@pytest.mark.control('{id}', 'negative')\ndef test_control(judge):\n"
    control += "    assert judge('T-a', {{'x': (-1, (-2, -0.5))}}, 'synthetic') == 'refuted'\n"
    audit.write(rows, tests + control.format(id="T-a"))
    result, written = audit.run()
    assert result.ret == 0
    assert written["counts"] == {"reproduced": 1, "not yet tested": 1}
    assert written["claims"][0]["controls"][0]["outcome"] == "passed"
    audit.write(rows, tests + control.format(id="T-c"))
    result, _ = audit.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    "body",
    [
        'evidence.add("x", float("nan"), kind="synthetic")',
        'evidence.add("x", 1, kind="celeba")',
        'evidence.add("x", 1, kind="synthetic", interval=(0, 1))',
        'evidence.add("y", 1, kind="synthetic")',
        'evidence.add("x", 1, kind="synthetic"); evidence.add("x", 1, kind="synthetic")',
    ],
)
def test_unsound_evidence_fails_the_test(audit: Audit, body: str) -> None:
    result, written = audit.one(body)
    result.assert_outcomes(failed=1)
    assert written["claims"][0]["error"]


@pytest.mark.parametrize(
    "option",
    [
        "--published=nowhere",
        "--celeba=nowhere",
        "--scale=huge",
        "--device=banana",
        "--report=conftest.py",
        "--runs=conftest.py",
    ],
)
def test_a_wrong_option_stops_before_anything_runs(audit: Audit, option: str) -> None:
    audit.write(
        ROW.format(id="T-a", more=ABOVE.format(verdict="reproduced")),
        TEST.format(id="T-a", name="a", body=add(1, 0.5, 1.5)),
    )
    result, written = audit.run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert written == {}
    result.stderr.fnmatch_lines([f"*{option.split('=')[0]}*{option.split('=')[1]}*expected*"])


def test_claims_and_controls_are_chosen_by_the_id_of_their_row(audit: Audit) -> None:
    rows = "".join(ROW.format(id=i, more=ABOVE.format(verdict="reproduced")) for i in ("T-a", "T-b"))
    tests = "".join(TEST.format(id=i, name=k, body=add(1, 0.5, 1.5)) for k, i in enumerate(("T-a", "T-b")))
    control = "\n@pytest.mark.control('T-b', 'negative')\ndef test_of_it():\n    pass\n"
    audit.write(rows, tests + control)
    result, written = audit.run("-k", "T-b")
    result.assert_outcomes(passed=2, deselected=1)
    assert [claim["verdict"] for claim in written["claims"]] == ["not yet tested", "reproduced"]


def test_a_run_without_claims_leaves_the_report_alone(audit: Audit) -> None:
    audit.one(add(1, 0.5, 1.5))
    (audit.pytester.path / "audit" / "test_other.py").write_text("def test_other():\n    pass\n", encoding="utf-8")
    result, written = audit.run("-k", "other")
    result.assert_outcomes(passed=1, deselected=1)
    assert written["counts"] == {"reproduced": 1}


BOTH = ROW.replace('"published", "synthetic"', '"celeba", "synthetic", "full"')
JUDGED = 'checks = [{ evidence = "x", op = "above", value = 0.0 }]\nrecorded = { synthetic = "reproduced" }'


def test_what_is_missing_blocks_its_kind_and_the_others_are_judged(audit: Audit) -> None:
    body = """evidence.add("x", 1, kind="celeba")
    evidence.add("x", 1, kind="synthetic")
    with evidence.attempt("full"):
        evidence.add("x", 1, kind="full")
        raise Missing("larger pairs", "train them")
    raise Missing("models", "pytest audit/ --scale desk")"""
    tests = TEST.replace("InputError", "InputError, Missing").format(id="T-a", name="a", body=body)
    control = "\n@pytest.mark.control('T-a', 'negative')\ndef test_control():\n    raise Missing('models', 'train')\n"
    audit.write(BOTH.format(id="T-a", more=JUDGED), tests + control)
    result, written = audit.run()
    result.assert_outcomes(passed=1, skipped=1)
    (claim,) = written["claims"]
    assert claim["verdicts"] == {"celeba": "reproduced"} and {e["kind"] for e in claim["evidence"]} == {"celeba"}
    assert claim["blocked"] == [
        {"kind": "full", "needs": "larger pairs", "command": "train them"},
        {"kind": "synthetic", "needs": "models", "command": "pytest audit/ --scale desk"},
    ]
    assert claim["controls"][0]["outcome"] == "skipped" and claim["error"] is None


def test_what_a_full_scale_trains_is_full_evidence(audit: Audit) -> None:
    audit.write(
        BOTH.format(id="T-a", more=JUDGED) + ROW.format(id="T-b", more=ABOVE.format(verdict="reproduced")),
        "".join(TEST.format(id=f"T-{x}", name=x, body='evidence.add("x", 1, kind="synthetic")') for x in "ab"),
    )
    _, written = audit.run("--scale=workstation")
    a, b = written["claims"]
    assert a["verdicts"] == {"full": "reproduced"} and [x["kind"] for x in a["blocked"]] == ["synthetic"]
    assert b["verdicts"] == {"synthetic": "reproduced"}, "a row without that kind keeps its own"
    assert written["preset"]["train"]["base_channels"] == 64 and written["preset"]["name"] == "workstation"
    _, written = audit.run()
    assert written["claims"][0]["verdicts"] == {"synthetic": "reproduced"}
    page = (audit.pytester.path / "reports" / "out" / "index.html").read_text(encoding="utf-8")
    for shown in ("114,496 parameters", "20x20", "20,000 exposures", "uniform", "exact", "ends", "group"):
        assert shown in page, shown


@pytest.mark.parametrize(
    ("options", "trains"),
    [((), True), (("--scale=desk",), True), (("--runs=r", "--scale=desk"), True), (("--runs=r",), False)],
)
def test_a_store_that_is_brought_is_not_added_to_unless_asked(
    audit: Audit, options: tuple[str, ...], trains: bool
) -> None:
    test = TEST.replace("(evidence)", "(evidence, desk, trained_or_none)")
    body = 'assert trained_or_none is None\n    desk.begin("random N=4 A")\n    evidence.add("x", 1, kind="synthetic")'
    audit.write(BOTH.format(id="T-a", more=JUDGED), test.format(id="T-a", name="a", body=body))
    _, written = audit.run(*options)
    (claim,) = written["claims"]
    blocked = {item["kind"]: item for item in claim["blocked"]}
    assert claim["verdicts"] == ({"synthetic": "reproduced"} if trains else {})
    assert blocked.keys() == ({"full"} if trains else {"full", "synthetic"})
    assert "no accelerator was at hand when the evidence was recorded" in blocked["full"]["needs"]
    for part in ("samenoise train --scale workstation", "samenoise import --checkpoints", "pytest audit/ --runs DIR"):
        assert part in blocked["full"]["command"]
    if not trains:
        assert blocked["synthetic"]["command"] == "pytest audit/ --runs r --scale desk"


def test_what_is_missing_for_an_extra_takes_nothing_else_away(audit: Audit) -> None:
    body = """evidence.add("x", 1, kind="synthetic")
    with evidence.beside("synthetic"):
        raise Missing("models for a table", "pytest audit/ --scale desk")"""
    tests = TEST.replace("InputError", "InputError, Missing").format(id="T-a", name="a", body=body)
    audit.write(BOTH.format(id="T-a", more=JUDGED), tests)
    result, written = audit.run()
    result.assert_outcomes(passed=1)
    (claim,) = written["claims"]
    assert claim["verdicts"] == {"synthetic": "reproduced"} and [e["name"] for e in claim["evidence"]] == ["x"]
    assert claim["blocked"] == [
        {"kind": "synthetic", "needs": "models for a table", "command": "pytest audit/ --scale desk"}
    ]
