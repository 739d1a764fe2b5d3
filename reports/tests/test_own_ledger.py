"""A ledger of one's own is judged by the same judge and shown on the same page; the README's example is one."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from reports.tests.test_plugin import ABOVE, ROW, RULES, TEST, Audit, add

pytest_plugins = ["pytester"]
ROOT = Path(__file__).resolve().parents[2]
CONTROL = """
@pytest.mark.control("W-quadruple", "negative")
def test_biases_among_the_weights_are_noticed(judge):
    assert judge("W-quadruple", {"ratio of weights": ratio(bias=True)}) == "refuted"
"""


def example() -> tuple[str, str]:
    """The ledger and the test of the README's last section."""
    text = (ROOT / "audit" / "README.md").read_text(encoding="utf-8").split("## Claims about another paper")[1]
    (rows,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tests,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return rows, tests + CONTROL


@pytest.fixture
def own(pytester: pytest.Pytester, tmp_path: Path) -> tuple[Audit, Path]:
    """An audit of the project's with one claim, and the README's ledger in a folder elsewhere."""
    audit = Audit(pytester)
    audit.write(
        ROW.format(id="T-a", more=ABOVE.format(verdict="reproduced")),
        TEST.format(id="T-a", name="a", body=add(1, 0.5, 1.5)),
    )
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, text in zip(("claims.toml", "test_wide.py"), example(), strict=True):
        (mine / name).write_text(text, encoding="utf-8")
    return audit, mine


def test_the_readmes_example_runs_in_the_project_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, tests = example()
    (tmp_path / "claims.toml").write_text(rows, encoding="utf-8")
    (tmp_path / "test_wide.py").write_text(tests, encoding="utf-8")
    project = ("--rootdir", ROOT, "-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider")
    options = ("--ledger", tmp_path / "claims.toml", "--claims", tmp_path, "--report", tmp_path / "out")
    words = (ROOT / "audit", *project, *options, "--runs", tmp_path / "runs")
    assert pytest.main([str(word) for word in words]) == 0
    del sys.modules["test_wide"]  # others of that name stand elsewhere
    written = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))
    (claim,) = written["claims"]
    assert (claim["verdict"], claim["controls"][0]["outcome"]) == ("reproduced", "passed")
    lines = capsys.readouterr().out.splitlines()
    assert "Of 1 claim: 1 reproduced." in lines and any(re.fullmatch(r"W  A. Author \(2020\).*1", x) for x in lines)
    assert re.search(r"\b2 passed\b", lines[-1])


def test_it_takes_the_place_of_the_projects_claims(own: tuple[Audit, Path]) -> None:
    audit, mine = own
    result, written = audit.run("--ledger", str(mine / "claims.toml"), "--claims", str(mine))
    result.assert_outcomes(passed=2)
    assert [claim["id"] for claim in written["claims"]] == ["W-quadruple"]
    assert written["ledger"] == {"file": str(mine / "claims.toml"), "claims": str(mine)}
    page = (audit.pytester.path / "reports" / "out" / "index.html").read_text(encoding="utf-8")
    assert "<h1>What is claimed about wide networks, and what could be shown</h1>" in page
    assert '<p class="answer">Of 1 claim: 1 reproduced.</p>' in page and "memorisation" not in page
    assert f"--ledger {mine / 'claims.toml'} --claims {mine}</code>" in page  # how to measure it again


def test_its_folder_is_that_of_the_ledger_where_none_is_named(own: tuple[Audit, Path]) -> None:
    audit, mine = own
    result, written = audit.run("--ledger", str(mine / "claims.toml"))
    assert result.ret == 0 and len(written["claims"]) == 1


def test_a_claim_that_changed_fails_there_too(own: tuple[Audit, Path]) -> None:
    audit, mine = own
    tests = (mine / "test_wide.py").read_text(encoding="utf-8").replace("(64, 32)", "(64, 16)")
    (mine / "test_wide.py").write_text(tests, encoding="utf-8")
    result, written = audit.run("--ledger", str(mine / "claims.toml"))
    result.assert_outcomes(passed=1, failed=1)
    assert written["claims"][0]["changed"] and written["claims"][0]["verdict"] == "refuted"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.replace('source = "W 3.1"\n', ""), "row W-quadruple: found no source; expected one"),
        (lambda rows: rows.replace('"equality"', '"rules.much"'), "row W-quadruple: threshold_source cites rules.much"),
        (lambda rows: rows.replace("[[claim]]", "[[claims]]"), "found claims; expected ?[[]claim"),
        (lambda rows: "title = 3\n", "title: found 3; expected title = TEXT"),
        (lambda rows: "claim = 3\n", "claim: found 3; expected"),
        (lambda rows: "title = 'nothing'\n", "found no row; expected"),
        (lambda rows: rows + ROW.format(id="W-more", more=ABOVE.format(verdict="reproduced")) + RULES,
         "row W-more has checks, but no test in *mine/ judges it"),
    ],
)  # fmt: skip
def test_a_ledger_that_is_not_sound_is_refused(own: tuple[Audit, Path], change: Any, told: str) -> None:
    audit, mine = own
    path = mine / "claims.toml"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    result, written = audit.run("--ledger", str(path))
    assert result.ret == pytest.ExitCode.USAGE_ERROR and not written
    result.stderr.fnmatch_lines([f"ERROR: *{told}*"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--ledger", "none.toml"], "--ledger: found no file at none.toml; expected a ledger"),
        (["--ledger", "audit/claims.toml", "--claims", "nowhere"], "--claims: found no directory at nowhere"),
        (["--claims", "audit"], "--claims: found audit without a ledger; expected --ledger FILE"),
    ],
)
def test_what_is_not_there_is_named(own: tuple[Audit, Path], options: list[str], told: str) -> None:
    result, _ = own[0].run(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {told}*"])
