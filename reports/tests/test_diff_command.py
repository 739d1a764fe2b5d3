"""`samenoise diff`: what moved is named and ends with exit code 1, what did not with 0, what is no audit with 2."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.cli import main
from reports.compare import compare, moved
from reports.tests.test_render import Page, audit, check, claim, item

CONTROL = {"sign": "negative", "nodeid": "audit/test_a.py::test_defect", "outcome": "passed"}


def base() -> dict[str, Any]:
    """Two claims: a judged value with a window, one with an interval alone, an exact one, and one nobody judges."""
    evidence = [
        item("windowed", value=0.50, interval=[0.45, 0.55], interval_method="t"),
        item("interval", value=0.50, interval=[0.45, 0.55], interval_method="t"),
        item("exact", value=3),
        item("beside", value=0.50, interval=[0.45, 0.55], interval_method="t"),
        item("number beside", value=7),
    ]
    checks = [check(name, "above 0", "holds") for name in ("windowed", "interval", "exact")]
    checks[0]["window"] = [0.3, 0.7]
    found = {"verdict": "reproduced", "verdicts": {"synthetic": "reproduced"}}
    first = claim("T-a", evidence=evidence, checks=checks, controls=[CONTROL], **found)
    return audit(first, claim("T-b", evidence=[item()], checks=[check("agreement", "above 0", "holds")], **found))


def evidence(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(e for e in data["claims"][0]["evidence"] if e["name"] == name)


def move(name: str, value: Any, interval: Any = None) -> Callable[[dict[str, Any]], None]:
    return lambda data: evidence(data, name).update(value=value, interval=interval)


def refute(data: dict[str, Any]) -> None:
    data["claims"][0] |= {"verdict": "refuted", "verdicts": {"synthetic": "refuted"}}


def unmeasured(data: dict[str, Any]) -> None:
    data["claims"][0] |= {"verdict": "not yet tested", "verdicts": {}, "evidence": [], "error": "RuntimeError: x"}


def run(tmp_path: Path, new: Any, *options: str, old: Any = None) -> int:
    for name, data in (("old.json", base() if old is None else old), ("new.json", new)):
        (tmp_path / name).write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["diff", str(tmp_path / "old.json"), str(tmp_path / "new.json"), *options])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (refute, "T-a, synthetic: reproduced -> refuted"),
        (move("windowed", 0.8, [0.75, 0.85]), "T-a, windowed (synthetic): 0.500 [0.450, 0.550] -> 0.800 [0.750, 0.850]"
         "; recorded between 0.3 and 0.7"),
        (move("interval", 0.65, [0.6, 0.7]), "-> 0.650 [0.600, 0.700]; each is outside the other's interval"),
        (move("exact", 4), "T-a, exact (synthetic): 3 -> 4; it is exact"),
        (move("beside", 0.65, [0.6, 0.7]), "T-a, beside (synthetic)"),
        (move("exact", "three"), "T-a, exact (synthetic): 3 -> three; it is another"),
        (unmeasured, "T-a, synthetic: reproduced -> it ended in an error: RuntimeError: x"),
        (lambda data: data["claims"].pop(), "T-b, claim: reproduced -> no such claim"),
        (lambda data: data["claims"].append(claim("T-c")), "T-c, claim: no such claim -> not yet tested"),
        (lambda data: data["claims"][0]["evidence"].pop(2), "T-a, exact (synthetic): 3 -> not measured"),
        (lambda data: data["claims"][0]["controls"][0].update(outcome="failed"),
         "T-a, negative control audit/test_a.py::test_defect: passed -> failed"),
        (lambda data: data["claims"][0]["controls"].clear(),
         "T-a, negative control audit/test_a.py::test_defect: passed -> not run"),
        (move("exact", None), "T-a, exact (synthetic): 3 -> nothing; it is another"),
        (move("exact", [3]), "T-a, exact (synthetic): 3 -> a table; it is another"),
        (lambda data: data["claims"][0]["checks"].pop(), "T-a, check of exact (synthetic): above 0 -> not judged"),
    ],
)  # fmt: skip
def test_what_moved_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], None], told: str
) -> None:
    new = copy.deepcopy(base())
    change(new)
    assert run(tmp_path, new) == 1
    shown = capsys.readouterr().out
    assert told in shown and "1 difference: " in shown


@pytest.mark.parametrize(
    "change",
    [
        lambda data: None,
        move("windowed", 0.69, [0.68, 0.7]),  # inside its window, though beyond the interval
        move("interval", 0.54, [0.53, 0.55]),
        move("number beside", 8),  # no check judges it and it has no interval
    ],
)
def test_what_stays_within_its_limits_has_not_moved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], None]
) -> None:
    new = copy.deepcopy(base())
    change(new)
    assert run(tmp_path, new) == 0
    shown = capsys.readouterr().out
    assert "Nothing moved: 2 verdicts and 5 values compared; 1 values that no check judges have no interval" in shown


def test_windows_hold_at_the_scale_they_were_recorded_at(tmp_path: Path) -> None:
    old, new = base() | {"scale": "workstation"}, base() | {"scale": "workstation"}
    new = copy.deepcopy(new)
    move("windowed", 0.65, [0.6, 0.7])(new)
    assert [change.about for change in compare(old, new).changes] == ["windowed (synthetic)"]
    assert compare(base(), new).notes == ("The scales differ: desk before, workstation now.",)


def test_rounding_does_not_move_an_exact_value() -> None:
    assert moved(item(value=1.0), item(value=1.0 + 1e-9)) == ""
    assert moved(item(value=1.0), item(value=1.0 + 1e-5)) == "it is exact"
    assert moved(item(value=True), item(value=False)) == "it is another"


def test_the_page_says_the_same_and_escapes_what_it_shows(tmp_path: Path) -> None:
    new = copy.deepcopy(base())
    refute(new)
    new["claims"][0]["title"] = "<script>alert(1)</script>"
    assert run(tmp_path, new, "--html", str(tmp_path / "page.html")) == 1
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "1 difference: 2 verdicts" in page.text and "<script>alert(1)" in page.text and "<script" not in text


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ("{", "new.json: not JSON"),
        (base() | {"schema": "samenoise/audit/9"}, "new.json: found schema"),
        (audit(), "new.json: holds no claim"),
        (audit(claim("T-a"), claim("T-b")), "no claim was measured in both"),
        (audit(*base()["claims"], base()["claims"][0]), "claim 'T-a' stands 2 times; expected each once"),
        (audit(claim("T-a", evidence=[item(), item()])), "evidence 'agreement (synthetic)' stands 2 times"),
        (audit(base()["claims"][0] | {"verdict": "refuted"}), "verdict 'refuted' is not that of its kinds"),
        (audit(claim("T-a", controls=[{"sign": "x"}])), "controls: nodeid: found nothing; expected str"),
        (audit(claim("T-a", evidence=[item(interval=[1])])), "interval: found [1]; expected two numbers"),
    ],
)
def test_what_cannot_be_compared_is_an_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], new: Any, told: str
) -> None:
    assert run(tmp_path, new) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_rules_and_inputs_that_differ_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = copy.deepcopy(base())
    new["claims"][0]["rule"] = "Otherwise."
    new["inputs"][0]["sha256"] = "cd" * 32
    assert run(tmp_path, new) == 0
    shown = capsys.readouterr().out
    assert "Rules that read otherwise: T-a." in shown and "Inputs of other content: list.txt." in shown


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("diff", "old.json", "new.json", "--html", "new.json"), "--html: new.json is read by this command"),
        (("diff", "old.json", "new.json", "--html", "."), "--html: . is a folder"),
        (("report", "new.json", "--out", "new.json"), "--out: new.json is read by this command"),
        (("report", "new.json", "--out", "x", "--crate", "x"), "--crate: x is written by --out already"),
        (("copies", "a", "b", "--json", "a"), "--json: a is read by this command"),
        (("copies", "a", "b", "--json", "c", "--html", "c"), "--html: c is written by --json already"),
        (("copies", "a", "b", "--seed", "-1"), "--seed: got -1, expected 0 or more"),
        (("compare", "A", "B", "--train-a", "a", "--train-b", "b", "--html", "b"), "--html: b is read by this command"),
    ],
)
def test_no_output_takes_the_place_of_what_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("old.json", "new.json"):
        Path(name).write_text(json.dumps(base()), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main([*words])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and told in line
    assert json.loads(Path("new.json").read_text(encoding="utf-8")) == base()
