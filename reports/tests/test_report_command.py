"""`samenoise report`: the page again from its JSON, the same bytes, and one clear line for whatever is no audit."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.cli import main
from reports.render import render
from reports.tests.test_render import Page, full


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


def test_the_summary_has_a_line_a_claim_with_what_decided_it_and_its_cost(tmp_path: Path) -> None:
    data = full(tmp_path)
    data["claims"][1] |= {"title": "<script>alert(1)</script>", "measured": "2026-11-20T08:00:00+00:00"}
    assert run(write(tmp_path, data), "--summary", "--out", tmp_path / "form.html") == 0
    text = (tmp_path / "form.html").read_text(encoding="utf-8")
    page = Page(text)
    rows = [" ".join(row.split()) for row in re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", text)]
    assert len(rows) == len(data["claims"]) and "<script" not in text and "<img" not in text
    told = [" ".join(Page(f"<table><tr><th>{row}</tr></table>").text.split()) for row in rows]
    assert told[0].startswith(
        "Title of T-a (T 1)synthetic: agreement 0.411 [0.382, 0.440], n 64 seeds; expected above 0.5"
    )
    assert told[0].endswith("refuted1.5 s") and told[1].endswith("reproducedbefore")
    assert told[3].startswith("Title of T-d (T 1)needs the published lists")
    assert "12 min 31 s in all, without the figures of 1 claim" in " ".join(page.text.split())


def test_a_summary_of_what_lacks_a_field_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = full(tmp_path)
    del data["project"]["version"]
    assert run(write(tmp_path, data), "--summary", "--out", tmp_path / "form.html") == 2
    assert "a field that the page shows is missing" in capsys.readouterr().err
