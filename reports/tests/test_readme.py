"""The pages of the project: their links lead somewhere, their commands exist, and those of the front door run."""

import importlib
import re
import shlex
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from audit.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (ROOT / "README.md", *ROOT.glob("[acfr]*/**/README.md")) if ".venv" not in path.parts)
FOLDERS = (
    "audit", "audit/bench", "core", "core/compare", "core/copies", "core/data", "core/dedup", "core/splits",
    "core/theory", "core/training", "fixtures", "reports",
)  # fmt: skip


def commands(page: Path) -> list[list[str]]:
    """Every call of the program on a page, in a code block or in backticks, as words."""
    text = page.read_text(encoding="utf-8")
    fence = "`" * 3
    blocks = re.findall(rf"^{fence}\w*\n(.*?)^{fence}", text, re.M | re.S)
    plain = re.sub(rf"^{fence}\w*\n.*?^{fence}", "", text, flags=re.M | re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", plain)]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("samenoise ")]
    return [call for call in words if len(call) > 1]


@cache
def options(command: str) -> set[str]:
    """Names of all options of one command."""
    app = typer.Typer(add_completion=False)
    app.command()(importlib.import_module(COMMANDS[command]).command)
    return {name for option in typer.main.get_command(app).params for name in (*option.opts, *option.secondary_opts)}


def test_every_folder_of_the_house_has_its_page() -> None:
    for folder in FOLDERS:
        lines = (ROOT / folder / "README.md").read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("# ") and len(lines) <= 130, folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert "://" in link or (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_their_options_exist(page: Path) -> None:
    for _, command, *words in commands(page):
        if command == "COMMAND":
            continue
        assert command in COMMANDS
        for word in words:
            if word.startswith("--"):
                assert word.split("=")[0] in options(command) | {"--help"}, (command, word)


@pytest.fixture
def material(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the front door's commands name, small: lists, a folder of pictures with a copy, a corpus."""
    monkeypatch.chdir(tmp_path)
    Path("train.txt").write_text("1.png\n2.png\n", encoding="utf-8")
    Path("test.txt").write_text("3.png\n", encoding="utf-8")
    Path("FOLDER").mkdir()
    rng = np.random.default_rng(0)
    for k in range(4):
        Image.fromarray(rng.integers(0, 256, (40, 40), dtype=np.uint8)).save(f"FOLDER/{k}.png")
    shutil.copyfile("FOLDER/0.png", "FOLDER/9.png")
    for name, n in (("SAMPLES", 6), ("TRAIN", 12), ("HELD_OUT", 100)):
        Path(name).mkdir()
        for k in range(n):
            Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8)).save(f"{name}/{k}.png")
    main_ok("prepare --faces 60 --size 20 --out CORPUS")


def main_ok(words: str) -> None:
    """Run the program; it must end well."""
    try:
        main(shlex.split(words))
    except SystemExit as end:
        assert not end.code, words


def test_the_front_doors_commands_run(material: None, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"epochs": 1, "exposures": 8, "image_size": 20, "blocks": 1, "base_channels": 8}
    train = "--sizes 4 --device cpu " + " ".join(f"--set {name}={value}" for name, value in small.items())
    ran = []
    for _, command, *words in commands(ROOT / "README.md"):
        if command in ("prepare", "verify", "copies", "dedup", "split", "train"):
            main_ok(shlex.join([command, *words]) + " " + (train if command == "train" else ""))
            ran.append(command)
    assert ran == ["prepare", "verify", "copies", "dedup", "split", "train"]
    told = capsys.readouterr().out
    assert "holds: image" in told and "removed 1, kept 4" in told
    assert len(Path("halves/A.txt").read_text(encoding="utf-8").split()) > 20
