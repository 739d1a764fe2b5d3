"""The schema of `audit.json`: what a run writes keeps to it, what is broken does not, and a run says so."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reports.judge import VERDICTS
from reports.ledger import KINDS, TOPICS
from reports.own import OWN
from reports.read import AUDIT, CHECK, CLAIM, CONTROL, EVIDENCE
from reports.record import SCHEMA
from reports.schema import faults, validator
from reports.tests.test_plugin import ABOVE, ROW, TEST, Audit, add

pytest_plugins = ["pytester"]
CONTROL_TEST = """
@pytest.mark.control("T-a", "negative")
def test_control(judge):
    pass
"""


@pytest.fixture
def written(pytester: pytest.Pytester) -> dict[str, Any]:
    """What a small run wrote: a judged claim with a control, and one that nothing judges."""
    audit = Audit(pytester)
    checks = ABOVE.format(verdict="reproduced").replace("value = 0.0", "value = 0.0, window = { synthetic = [0, 2] }")
    rows = ROW.format(id="T-a", more=checks) + ROW.format(id="T-b", more="")
    body = add(1, 0.5, 1.5) + '; evidence.block(kind="published", needs="lists", command="bring them")'
    audit.write(rows, TEST.format(id="T-a", name="a", body=body) + CONTROL_TEST)
    result, found = audit.run()
    assert result.ret == 0
    return found


def test_what_a_run_writes_keeps_to_the_schema(written: dict[str, Any]) -> None:
    assert faults(written) == []
    assert written["claims"][0]["checks"][0]["window"] == [0, 2]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data: data.update(schema="samenoise/audit/2"), "$.schema: 'samenoise/audit/1' was expected"),
        (lambda data: data["claims"][0].pop("statement"), "$.claims[0]: 'statement' is a required property"),
        (lambda data: data["claims"][0].update(colour="red"), "'colour' was unexpected"),
        (lambda data: data["claims"][0].update(verdict="true"), "$.claims[0].verdict: 'true' is not one of"),
        (lambda data: data["claims"][0]["evidence"][0].update(interval=[1]), "$.claims[0].evidence[0].interval"),
        (lambda data: data["claims"][0]["checks"][0].update(outcome="yes"), "$.claims[0].checks[0].outcome"),
        (lambda data: data["counts"].update(lost=1), "'lost' is not one of"),
        (lambda data: data["claims"][0].update(fixed="soon"), "$.claims[0].fixed: 'soon' does not match"),
    ],
)
def test_what_departs_from_the_schema_is_named_with_its_place(
    written: dict[str, Any], spoil: Callable[[dict[str, Any]], Any], told: str
) -> None:
    data = copy.deepcopy(written)
    spoil(data)
    assert any(told in fault for fault in faults(data))


def test_a_run_that_writes_something_else_fails_and_says_where(pytester: pytest.Pytester) -> None:
    audit = Audit(pytester)
    checks = ABOVE.format(verdict="reproduced")
    body = add(1, 0.5, 1.5) + '; evidence.input("list", sha256="no hash")'
    audit.write(ROW.format(id="T-a", more=checks), TEST.format(id="T-a", name="a", body=body))
    result, found = audit.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED and found["claims"][0]["verdict"] == "reproduced"
    result.stdout.fnmatch_lines(["audit.json is not as its schema says: $.inputs*.sha256: 'no hash' does not match*"])


def test_schema_and_code_know_the_same_words() -> None:
    schema = validator().schema
    parts = schema["$defs"]
    assert schema["properties"]["schema"]["const"] == SCHEMA
    assert parts["verdict"]["enum"] == list(VERDICTS) and parts["kind"]["enum"] == [*KINDS, OWN]
    assert parts["claim"]["properties"]["topic"]["enum"] == list(TOPICS)
    reads = {"claim": CLAIM, "evidence": EVIDENCE, "check": CHECK}
    for name, fields in reads.items():
        assert fields.keys() <= parts[name]["properties"].keys(), name
    assert AUDIT.keys() <= schema["properties"].keys()
    assert list(CONTROL) == parts["claim"]["properties"]["controls"]["items"]["required"]


def test_the_schema_is_written_as_the_audit_is() -> None:
    text = (Path(__file__).parents[1] / "audit.schema.json").read_text(encoding="utf-8")
    assert json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n" == text
