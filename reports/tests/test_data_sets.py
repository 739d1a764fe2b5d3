"""Each line of the table in `core/splits/README.md`: clean files hold, one planted leak is found."""

import re
import shlex
from pathlib import Path

import pytest

from audit.cli import main
from core.splits import notes
from reports.tests.data_sets import MAKERS

README = Path(notes.__file__).with_name("README.md")
LINES = {
    row[1]: row[2] for row in re.finditer(r"^\| ([^|`]+?) \| `(--[^`]+)` \|", README.read_text(encoding="utf-8"), re.M)
}


def verify(command: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(["verify", *shlex.split(command)])
    return int(done.value.code or 0)


def test_the_table_and_the_makers_name_the_same_data_sets() -> None:
    assert sorted(LINES) == sorted(MAKERS) and len(LINES) >= 31


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_planted_leak_is_found_and_clean_files_hold(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    required = LINES[name].rpartition("--require ")[2].split(",")
    MAKERS[name](tmp_path, False)
    assert verify(LINES[name]) == 0
    out = capsys.readouterr().out
    assert "VIOLATED" not in out
    assert all(f"holds: {item} (" in out for item in required)
    MAKERS[name](tmp_path, True)
    assert verify(LINES[name]) == 1
    assert "VIOLATED" in capsys.readouterr().out
