"""`samenoise copies` as a user calls it, and its page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from audit.cli import main
from core.copies.tests.made_up import images
from core.metrics.known_copies import perturb


def program(*words: object) -> int:
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def folder(path: Path, pictures: torch.Tensor, suffix: str = "png", name: str = "{}") -> Path:
    path.mkdir()
    for k, image in enumerate((pictures[:, 0] * 255).round().byte().numpy()):
        Image.fromarray(image).save(path / f"{name.format(k)}.{suffix}")
    return path


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Samples, of which thirty are training images through a JPEG file, and the training folder."""
    monkeypatch.chdir(tmp_path)
    train = images(200, 0, size=40)
    samples = torch.cat([perturb(train[:30], "jpeg", 75, seed=0), images(70, 1, size=40)])
    return folder(tmp_path / "samples", samples), folder(tmp_path / "train", train)


def test_copies_in_a_folder(sets: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held_out = folder(tmp_path / "held", images(120, 2, size=40))
    words = ("--held-out", held_out, "--lpips", "off", "--html", "page.html", "--json", "all.json", "--at-most", 0.1)
    assert program("copies", *sets, *words) == 1
    told = capsys.readouterr().out
    assert "30 of 100 samples are copies of training images by gap ratio, Carlini or correlation: 30 %" in told
    assert "at most 10 % does not hold: 30 %" in told and "not looked at, LPIPS: left out as asked for" in told
    assert re.search(r"^gap ratio +< 0.333 +30 of 100 +0 of 200 +0 of 120 ", told, re.MULTILINE)
    result = json.loads(Path("all.json").read_text())
    assert result["holds"] is False and len(result["copies"]) == 30
    assert {pair["sample"] == pair["nearest"] for pair in result["copies"]} == {True}
    assert not Path(".samenoise-copies").exists()
    page = Path("page.html").read_text()
    assert page.count("data:image/png;base64,") == 48 and "<script" not in page
    assert not re.search(r'(src|href)="(?!data:)', page) and "url(" not in page and "@import" not in page


def test_at_most_is_shown_by_fresh_samples(
    sets: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = folder(tmp_path / "fresh", images(100, 1, size=40))
    assert program("copies", fresh, sets[1], "--at-most", 0.05) == 0
    told = capsys.readouterr().out
    assert "No sample of 100 is a copy that gap ratio, Carlini or correlation can see" in told
    assert "at most 5 % holds, of copies that these criteria see" in told
    assert program("copies", fresh, sets[1]) == 0


def test_names_are_escaped_on_the_page_and_in_the_terminal(
    sets: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = folder(tmp_path / "<b>samples", images(40, 0, size=40), name="<script>{}<i>")
    assert program("copies", odd, sets[1], "--html", "page.html") == 0
    page = Path("page.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page and "<b>" not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--at-most", "0"], "--at-most: got 0, expected a share above 0 and below 1"),
        (["--at-most", "0.01"], "found 100 samples, expected at least 368"),
        (["--range", "1"], "--range: got '1', expected LOW:HIGH"),
        (["--range", "1:0"], "--range: got 1:0, expected LOW:HIGH with LOW below HIGH"),
        (["--lpips", "some"], "'some' is not one of"),
        (["--twins", "2"], "threshold: expected a number in (0, 1], got 2.0"),
        (["--fit", "keep", "--size", "9"], "--fit keep: says size and colour"),
        (["--sscd", "gone.onnx"], "--sscd gone.onnx: "),
        (["--held-out", "samples"], "expected samples and held-out images in files of their own"),
        (["--held-out", "nothing"], "nothing: expected a saved corpus"),
        (["--threads", "0"], "--threads: got 0, expected at least one"),
        (["--color"], "samples without colour"),
    ],
)
def test_bad_input_is_one_line(
    sets: tuple[Path, Path], capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    if words == ["--color"]:
        rng = np.random.default_rng(0)
        for path in sets[1].iterdir():
            Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    assert program("copies", *sets, *words) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
