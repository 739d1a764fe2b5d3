"""Windows of judged values, as they are recorded in the ledger."""

import tomllib
from typing import Any

import pytest

from core.errors import InputError
from reports.windows import record_windows, window

LEDGER = """# kept as it is
[[claim]]
id = "T-a"
checks = [
    { evidence = "x", op = "above", value = 0.0 },  # a comment
    { evidence = "count", kind = "arithmetic", op = "equals", value = 3 },
]
"""


def measured(value: Any, kind: str, interval: list[float] | None = None, unit: str | None = None) -> dict[str, Any]:
    return {"name": "x", "value": value, "kind": kind, "interval": interval, "unit": unit}


@pytest.mark.parametrize(
    ("check", "evidence", "expected"),
    [
        ({"op": "above", "value": 0}, measured(0.5, "synthetic", [0.3, 0.6]), (-0.1, 0.8)),
        ({"op": "above", "value": 0}, measured(0.5, "synthetic", [0.49, 0.51]), (0.45, 0.55)),
        ({"op": "above", "value": 0}, measured(2.0, "synthetic", [1.9, 2.2], "dB"), (1.7, 2.6)),
        ({"op": "above", "value": 0}, measured(400.0, "synthetic", None, "steps"), (300.0, 500.0)),
        ({"op": "above", "value": 0}, measured(0.5, "published", [0.0, 1.0]), (0.49, 0.51)),
        ({"op": "above", "value": 0}, measured(0.5, "property", [0.4, 0.6]), (0.2, 0.8)),
        ({"op": "below", "value": 1}, measured(3e-15, "property"), None),
        ({"op": "equals", "value": 400}, measured(200, "arithmetic"), (199.9998, 200.0002)),
        ({"op": "equals", "value": 400}, measured(400, "arithmetic"), None),
        ({"op": "equals", "value": 0.0, "tolerance": 1e-8}, measured(1e-9, "published"), None),
        ({"op": "equals", "value": "memorised"}, measured("not memorised", "published"), None),
        ({"op": "above", "value": 0}, measured(0.5, "celeba", [0.3, 0.6]), None),
    ],
)
def test_a_window_is_as_wide_as_its_kind_may_move(check: dict, evidence: dict, expected: tuple | None) -> None:
    found = window(check, evidence)
    assert found == (None if expected is None else pytest.approx(expected))


def audit(**more: Any) -> dict[str, Any]:
    evidence = [measured(0.5, "synthetic", [0.3, 0.6]), {**measured(4, "arithmetic"), "name": "count"}]
    claim = {"id": "T-a", "changed": False, "error": None, "evidence": evidence}
    return {"schema": "samenoise/audit/1", "scale": "desk", "claims": [claim | more]}


def test_windows_are_written_and_nothing_else_moves() -> None:
    text, count = record_windows(audit(), LEDGER)
    checks = tomllib.loads(text)["claim"][0]["checks"]
    assert count == 2
    assert checks[0]["window"] == {"synthetic": pytest.approx([-0.1, 0.8])}
    assert checks[1]["window"] == {"arithmetic": [3.999996, 4.000004]}
    assert "# kept as it is" in text and "# a comment" in text
    assert record_windows(audit(), text)[0] == text


@pytest.mark.parametrize("more", [{"changed": True}, {"error": "ValueError"}])
def test_a_run_that_is_not_understood_records_nothing(more: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="T-a changed"):
        record_windows(audit(**more), LEDGER)
    with pytest.raises(InputError, match="at scale desk-long; expected"):
        record_windows(audit() | {"scale": "desk-long"}, LEDGER)
