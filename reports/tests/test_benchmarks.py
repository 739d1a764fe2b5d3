"""Benchmarks become a page of their own, with the versions of the peers; what is no such file is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.bench.conftest import pytest_benchmark_update_machine_info
from audit.cli import main
from reports.tests.test_render import Page, full

STATS = {"median": 1.234, "rounds": 3}


def benchmarks() -> dict[str, Any]:
    machine: dict[str, Any] = {"python_version": "3.11.7", "cpu": {"brand_raw": "A <fast> one", "count": 2}}
    pytest_benchmark_update_machine_info(machine)
    one = {"name": "test_join[1000]", "group": "near-duplicates, n = 1,000", "stats": STATS}
    return {
        "machine_info": machine,
        "commit_info": {"id": "0123abcd", "dirty": False},
        "datetime": "2026-11-28T10:00:00+00:00",
        "benchmarks": [
            one | {"extra_info": {"share_run": 0.5}},
            {"name": "test_alone", "group": None, "stats": STATS, "extra_info": {}},
        ],
    }


def run(tmp_path: Path, data: Any, *options: str) -> int:
    (tmp_path / "bench.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path / "bench.json"), "--out", str(tmp_path / "page.html"), *options])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_every_benchmark_and_the_versions_stand_on_the_page(tmp_path: Path) -> None:
    data = benchmarks()
    assert run(tmp_path, data) == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    told = " ".join(Page(text).text.split())
    for said in ("near-duplicates, n = 1,000", "test join[1000]", "1.2 s", "share run: 0.5", "without a group",
                 "A <fast> one", "commit 0123abcd."):  # fmt: skip
        assert said in told, said
    assert "<fast>" not in text
    versions = data["machine_info"]["packages"]
    assert {"torch", "lpips", "samenoise"} <= versions.keys()
    assert all(f"{name}{version}" in told for name, version in versions.items())


def test_versions_that_a_file_lacks_are_not_made_up(tmp_path: Path) -> None:
    data = benchmarks()
    del data["machine_info"]["packages"]
    assert run(tmp_path, data) == 0
    assert "does not say which versions took part" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "options", "told"),
    [
        (lambda data: data.update(benchmarks=[]), [], "found no benchmark"),
        (lambda data: data.pop("machine_info"), [], "machine_info: found None; expected dict"),
        (lambda data: data["benchmarks"][1].pop("stats"), [], "benchmark 2: expected name, extra_info, and stats"),
        (lambda data: data["benchmarks"].append(3), [], "benchmark 3: expected name"),
        (lambda data: None, ["--summary"], "--summary: "),
        (lambda data: None, ["--crate", "new"], "--crate: "),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Any], Any], options: list[str], told: str
) -> None:
    data = benchmarks()
    spoil(data)
    assert run(tmp_path, data, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line and "bench.json" in line and not (tmp_path / "page.html").exists()


def test_an_audit_is_still_an_audit(tmp_path: Path) -> None:
    assert run(tmp_path, full(tmp_path)) == 0
    assert "Title of T-a" in (tmp_path / "page.html").read_text(encoding="utf-8")
