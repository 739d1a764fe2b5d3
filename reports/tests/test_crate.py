"""A report as an RO-Crate: complete, valid by an independent validator, and nothing from outside its folder."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from audit.cli import main
from reports.crate import PROFILE, write_crate
from reports.render import render
from reports.tests.test_render import full

rocrate = pytest.importorskip("rocrate")


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["report", *map(str, words)])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report's folder: `audit.json`, a figure, JUnit's file."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "audit.json").write_text(json.dumps(full(folder)), encoding="utf-8")
    (folder / "junit.xml").write_text("<testsuites/>", encoding="utf-8")
    (tmp_path / "secret.png").write_bytes(b"not of this report")
    return folder


@pytest.fixture
def crate(report: Path) -> Path:
    """The crate that the command writes of it."""
    out = report.parent / "crate"
    assert run(report / "audit.json", "--out", report.parent / "page.html", "--crate", out) == 0
    return out


def graph(crate: Path) -> dict[str, dict[str, Any]]:
    data = json.loads((crate / "ro-crate-metadata.json").read_text(encoding="utf-8"))
    return {entity["@id"]: entity for entity in data["@graph"]}


def test_it_holds_the_report_and_says_what_each_file_is(report: Path, crate: Path) -> None:
    found = graph(crate)
    files = sorted(str(path.relative_to(crate)) for path in crate.rglob("*") if path.is_file())
    assert files == ["audit.json", "figures/a.png", "index.html", "junit.xml", "ro-crate-metadata.json"]
    assert {part["@id"] for part in found["./"]["hasPart"]} == {*files} - {"ro-crate-metadata.json"}
    assert (crate / "audit.json").read_bytes() == (report / "audit.json").read_bytes()
    data = json.loads((report / "audit.json").read_text())
    assert (crate / "index.html").read_text(encoding="utf-8") == render(data, report)
    assert found["audit.json"]["encodingFormat"] == "application/json"
    assert found["figures/a.png"]["encodingFormat"] == "image/png"
    assert found["./"]["datePublished"] == data["created"] and found["./"]["conformsTo"] == {"@id": PROFILE}
    assert found["#audit"]["instrument"] == {"@id": "#samenoise"} and found["#samenoise"]["version"] == "0.1.0"
    assert found["#input-0"]["identifier"] == "sha256:" + "ab" * 32
    assert found["https://example.org/a"]["name"] == "A report"


def test_the_same_report_gives_the_same_metadata(report: Path, crate: Path, tmp_path: Path) -> None:
    write_crate(json.loads((report / "audit.json").read_text()), report, tmp_path / "again")
    for name in ("ro-crate-metadata.json", "index.html"):
        assert (tmp_path / "again" / name).read_bytes() == (crate / name).read_bytes()


def test_a_folder_that_holds_something_is_left_alone(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(report / "audit.json", "--out", report.parent / "page.html", "--crate", report) == 2
    assert "holds something; expected a new or an empty folder" in capsys.readouterr().err
    assert not (report / "ro-crate-metadata.json").exists()


class Offline:
    """Answers with the JSON-LD context that the package rocrate carries, so that no network is asked."""

    status_code = 200
    headers: ClassVar[dict[str, str]] = {"Content-Type": "application/ld+json"}

    def __init__(self, url: str) -> None:
        assert url.startswith("https://w3id.org/ro/"), url
        self.text = (Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_text(encoding="utf-8")

    def json(self) -> Any:
        return json.loads(self.text)


@pytest.mark.parametrize("profile", ["ro-crate-1.1", "process-run-crate-0.5"])
def test_a_validator_of_others_finds_it_valid_and_a_broken_one_not(
    crate: Path, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    services = pytest.importorskip("rocrate_validator.services")
    from rocrate_validator.models import Severity
    from rocrate_validator.utils.http import HttpRequester

    monkeypatch.setattr(HttpRequester, "get", lambda self, url, **_: Offline(url), raising=False)

    def issues() -> list[str]:
        settings = services.ValidationSettings(
            rocrate_uri=str(crate), profile_identifier=profile, requirement_severity=Severity.REQUIRED, offline=True
        )
        return [f"{issue.check.identifier}: {issue.message}" for issue in services.validate(settings).get_issues()]

    assert issues() == []
    path = crate / "ro-crate-metadata.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    for entity in data["@graph"]:
        if entity["@id"] == "./":
            del entity["datePublished"]
        entity.pop("instrument", None)
    path.write_text(json.dumps(data), encoding="utf-8")
    assert issues() != []
