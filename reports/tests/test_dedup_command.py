"""`samenoise dedup` as a user calls it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.cli import main
from audit.measures.duplicates import count_on_celeba
from fixtures.faces.corpus import write_celeba


def program(*words: object) -> int:
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture
def sets(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    train, test = (rng.random((n, 1, 40, 40), dtype=np.float32) for n in (50, 20))
    train[9] = train[4]
    train[30] = 1 - train[4]
    test[3] = train[7]
    for name, images in (("train", train), ("test", test)):
        np.save(tmp_path / f"{name}.npy", images)
    return tmp_path / "train.npy", tmp_path / "test.npy"


def test_one_set(sets: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program("dedup", sets[0], "--out", tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert "50 images, 3 pairs above 0.95" in told and "removed 2, kept 48 (drop-later)" in told
    assert "0 of 1 tiles pruned" in told
    assert (tmp_path / "out" / "removed.txt").read_text().split()[::3] == ["9", "30"]
    pairs = pd.read_parquet(tmp_path / "out" / "pairs.parquet")
    assert pairs[["i", "j"]].to_numpy().tolist() == [[4, 9], [4, 30], [9, 30]]
    assert pairs["correlation"].tolist() == pytest.approx([1, -1, -1])


def test_across_two_sets_on_a_cluster(sets: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    assert program("dedup", *sets, "--out", tmp_path / "out", "--engine", "dask", "--threads", 1) == 0
    about = json.loads((tmp_path / "out" / "dedup.json").read_text())
    assert about["counts"]["pairs"] == 1 and about["counts"]["images"] == [50, 20]
    assert (tmp_path / "out" / "removed.txt").read_text().split()[:2] == ["3", "7"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--threshold", "1.5"], "threshold: expected a number in (0, 1], got 1.5"),
        (["--rule", "newest"], "rule: expected one of drop-later, representatives, got 'newest'"),
        (["--memory", "100kB"], "memory: 100000 bytes"),
        (["--memory", "lots"], "memory: expected bytes or a size like 256MB, got 'lots'"),
        (["--pooled-size", "0"], "size: expected a positive number of pooled rows, got 0"),
        (["--axes", "hwc"], "axes: expected nchw or nhwc, got 'hwc'"),
        (["--fit", "crop"], "fit: got 'crop' with a side of None, expected crop:SIDE, squeeze:SIDE or keep"),
        (["--fit", "trim:9"], "fit: got 'trim:9', expected crop:SIDE"),
        (["--fit", "keep", "--resize", "9"], "--resize 9: the same as --fit crop:9; got --fit keep beside it"),
        (["--engine", "spark"], "--engine: expected local or dask, got 'spark'"),
        (["--scheduler", "tcp://localhost:1"], "--scheduler: goes with --engine dask"),
        (["--device", "abacus"], "device: cannot use 'abacus'"),
    ],
)
def test_bad_input_is_one_line(
    sets: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert program("dedup", sets[0], "--out", tmp_path / "out", *words) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1


def test_what_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program("dedup", tmp_path / "nothing", "--out", tmp_path / "out") == 2
    assert "nothing: expected a saved corpus" in capsys.readouterr().err


def test_celeba_is_counted_in_its_own_order_where_no_list_is_given(tmp_path: Path) -> None:
    write_celeba(tmp_path, 12, seed=0, duplicates=0.25)
    found, note = count_on_celeba(tmp_path, None)
    assert found["before"] == 12 and found["removed"] >= 3 and found["kept"] == 12 - found["removed"]
    assert "CelebA's own order" in note


def test_what_was_looked_at_is_said_before_the_counts_and_warnings_behind_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    images[9] = images[4]
    images[20] = images[21] = 7
    np.save(tmp_path / "x.npy", images)
    assert program("dedup", tmp_path / "x.npy", "--out", tmp_path / "out") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "\u2501" not in line]  # bars of progress
    assert lines[0].startswith("2 images are of one value (once pooled), which has no correlation")
    assert lines[1] == "30 images, 2 pairs above 0.95: removed 2, kept 28 (drop-later)"
    assert lines[2].startswith("read as channels last (n, h, w, c): images of 32x32, channels 3; --axes")
    assert program("dedup", tmp_path / "x.npy", "--out", tmp_path / "out", "--axes", "nchw") == 0
    assert json.loads((tmp_path / "out" / "dedup.json").read_text())["inputs"][0]["shape"] == [30, 32, 32, 3]


@pytest.mark.parametrize("side", [28, 32, 64, 224])
def test_folders_of_any_size_need_no_option(tmp_path: Path, side: int) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    pixels[4] = pixels[1]
    (tmp_path / "pics").mkdir()
    for k, image in enumerate(pixels):
        Image.fromarray(image).resize((side, side)).save(tmp_path / "pics" / f"{k}.png")
    for extra in ([], ["--fit", "keep"], ["--fit", "squeeze:50:colour"], ["--resize", "33"]):
        assert program("dedup", tmp_path / "pics", "--out", tmp_path / "out", *extra) == 0
        assert (tmp_path / "out" / "removed.txt").read_text().split("\t")[:2] == ["4.png", "1.png"]
