"""`samenoise report`: the page again from its JSON, the same bytes, and one clear line for whatever is no audit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.cli import main
from reports.render import render
from reports.tests.test_render import full


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["report", *map(str, words)])
    code = ended.value.code
    assert isinstance(code, int)
    return code


def write(tmp_path: Path, data: Any) -> Path:
    path = tmp_path / "audit.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def test_the_page_is_that_of_the_run_and_the_same_again(tmp_path: Path) -> None:
    data = full(tmp_path)
    path = write(tmp_path, data)
    pages = [tmp_path / "one.html", tmp_path / "else" / "two.html"]
    for page in pages:
        assert run(path, "--out", page) == 0
    assert pages[0].read_bytes() == pages[1].read_bytes() == render(data, tmp_path).encode()
    assert "data:image/png" in pages[0].read_text()  # figures lie beside the JSON, wherever the page goes


def test_missing_figures_are_named_and_the_page_is_made(tmp_path: Path) -> None:
    path = write(tmp_path, full(tmp_path))
    (tmp_path / "figures" / "a.png").unlink()
    assert run(path, "--out", tmp_path / "page.html") == 0
    assert "figures/a.png</code> is missing" in (tmp_path / "page.html").read_text()


def changed(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def made(data: dict[str, Any]) -> dict[str, Any]:
        change(data)
        return data

    return made


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda _: "{", "not JSON"),
        (lambda _: "[" * 100_000, "not JSON"),
        (lambda _: [1], "found schema 'list'; expected 'samenoise/audit/1'"),
        (lambda data: data | {"schema": "samenoise/audit/9"}, "found schema 'samenoise/audit/9'; expected"),
        (changed(lambda data: data.pop("counts")), "counts: found nothing; expected dict"),
        (lambda data: data | {"claims": {}}, "claims: found dict; expected list"),
        (lambda data: data | {"claims": [1]}, "claim 1: found int; expected an object"),
        (changed(lambda data: data["claims"][2].pop("statement")), "claim 3: statement: found nothing; expected str"),
        (
            changed(lambda data: data["claims"][0].update(verdict="true")),
            "claim 1: verdict: found 'true'; expected one",
        ),
        (changed(lambda data: data["claims"][0].update(topic="x")), "claim 1: topic: found 'x'; expected one of data"),
        (changed(lambda data: data["claims"][0]["evidence"][0].pop("value")), "evidence 'agreement' has no value"),
        (changed(lambda data: data["claims"][0]["evidence"].append(3)), "(T-a): evidence: found int; expected"),
        (
            changed(lambda data: data["claims"][0]["blocked"][0].pop("command")),
            "a field that the page shows is missing",
        ),
        (changed(lambda data: data["project"].pop("version")), "a field that the page shows is missing"),
    ],
)
def test_what_is_no_audit_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Any], Any], told: str
) -> None:
    path = write(tmp_path, spoil(full(tmp_path)))
    assert run(path, "--out", tmp_path / "page.html") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line and "audit.json" in line and not (tmp_path / "page.html").exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none.json") == 2
    assert "none.json" in capsys.readouterr().err
