"""One set of pictures in every form through `dedup` and `verify --images`: the same pairs, under names one can read."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from audit.cli import main
from core.data.pictures import KEEP
from core.data.tests.test_bad_forms import png, write_tar
from core.data.tests.test_forms import FORMS, NAMES, PIXELS
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.looked_at import told
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.dedup.search import near_duplicates
from core.splits.membership import from_lists
from core.splits.near_duplicates import near_duplicates_across

THRESHOLD = 0.3  # the four pictures are not near-duplicates of one another
SETS = ("folder", "zip", "tar", "parquet", "saved", "npz", "hdf5")


def collection(form: str, tmp_path: Path) -> tuple[Path, list[str]]:
    """A collection of the four pictures in one form, and their names in it."""
    names, path = list(NAMES), tmp_path / f"x.{form}"
    if form == "folder":
        path.mkdir()
        for name, pixels in zip(NAMES, PIXELS, strict=True):
            Image.fromarray(pixels).save(path / name)
    elif form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for k, name in enumerate(NAMES):
                archive.writestr(f"in/{name}", png(k))
        names = [f"in/{name}" for name in names]
    elif form == "tar":
        write_tar(path, [(name, png(k)) for k, name in enumerate(NAMES)])
    elif form == "npz":
        np.savez(path, images=PIXELS)
        names = [f"{k:06d}" for k in range(4)]
    elif form == "hdf5":
        pytest.importorskip("h5py")
        path, names = FORMS / "h5py.h5", [f"{k:06d}" for k in range(4)]
    else:
        path = FORMS / {"parquet": "datasets.parquet", "saved": "saved"}[form]
    return path, names


def expected_pairs() -> set[tuple[int, int]]:
    """Numbers of the pictures that correlate, from their pixels in memory."""
    pairs = near_duplicates(PIXELS.transpose(0, 3, 1, 2) / np.float32(255), threshold=THRESHOLD, axes="nchw")
    return set(zip(pairs.i.tolist(), pairs.j.tolist(), strict=True))


@pytest.mark.parametrize("form", SETS)
def test_every_form_gives_the_same_pairs(form: str, tmp_path: Path) -> None:
    path, names = collection(form, tmp_path)
    expected = expected_pairs()
    assert 0 < len(expected) < 6
    result = run([find_input(path, fit=KEEP)], tmp_path / "out", Options(threshold=THRESHOLD))
    found = pd.read_parquet(tmp_path / "out" / "pairs.parquet")
    assert set(zip(found["name_i"], found["name_j"], strict=True)) == {(names[i], names[j]) for i, j in expected}
    assert result["looked_at"]["sets"][0]["pooled"] == "12x16 by squares of 1 pixels"
    listed = (tmp_path / "out" / "kept.txt").read_text() + (tmp_path / "out" / "removed.txt").read_text()
    assert {line.split("\t")[0] for line in listed.splitlines()} == set(names)
    membership = from_lists({"a": names[2:], "b": names[:2]})
    across = near_duplicates_across(membership, path, threshold=THRESHOLD, fit=KEEP)["a", "b"]
    called = {frozenset(membership.image.examples(np.array(pair), most=2)) for pair in across}
    assert called == {frozenset((names[i], names[j])) for i, j in expected if i < 2 <= j}


def test_arrays_are_kept_as_they_are_unless_a_fit_is_given(tmp_path: Path) -> None:
    path, _ = collection("npz", tmp_path)
    kept = run([find_input(path)], tmp_path / "1", Options())
    assert kept["inputs"][0]["shape"] == [4, 3, 12, 16] and kept["parameters"]["fit"] == "keep"
    assert any("read as channels last" in line for line in [kept["looked_at"]["sets"][0]["remark"]])
    assert next(iter(told(kept))).startswith("4 pictures read as keep")
    fitted = run([find_input(path, fit=find_input(FORMS / "saved").fit)], tmp_path / "2", Options())
    pictures = run([find_input(FORMS / "saved")], tmp_path / "3", Options())
    hashes = [result["inputs"][0]["sha256_of_image_sha256s"] for result in (fitted, pictures)]
    assert hashes[0] == hashes[1]


def test_wide_numbers_are_compared_as_they_are_stored(tmp_path: Path) -> None:
    """Float64 of a pedestal that float32 cannot hold: the pairs of the values above it."""
    values = np.random.default_rng(0).random((5, 20, 20))
    values[3] = values[1] + 1e-3 * values[0]
    np.savez(tmp_path / "x.npz", x=values + 1e9)
    result = run([find_input(tmp_path / "x.npz")], tmp_path / "out", Options())
    assert result["looked_at"]["sets"][0]["values"] == "float64" and result["counts"]["pairs"] == 1


def test_an_archive_given_twice_is_the_same_file(tmp_path: Path) -> None:
    path, _ = collection("tar", tmp_path)
    result = run([find_input(path, fit=KEEP), find_input(path, fit=KEEP)], tmp_path / "out", Options())
    assert result["looked_at"]["same_file_in_both_sets"] == 4 and result["counts"]["removed"] == 0


@pytest.mark.parametrize(
    "words",
    [
        ["dedup", FORMS / "no_image.parquet"],
        ["dedup", FORMS / "paths_only.parquet"],
        ["prepare", "--images", FORMS / "no_image.parquet"],
        ["verify", "--group", "a=a.txt", "--group", "b=b.txt", "--images", FORMS / "no_image.parquet"],
        ["prepare", "--images", FORMS / "saved", "--identity-from", "nobody"],
        ["prepare", "--images", FORMS / "saved", "--fit", "crop:8", "--size", 8],
        ["prepare", "--faces", 3, "--identity-from", "folder"],
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    words: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Path(f"{name}.txt").write_text(f"{name}.png\n")
    if words[0] != "verify":
        words = [*words, "--out", "out"]
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert ended.value.code == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("samenoise: ") and "\n" not in error and "unexpected" not in error


def test_the_commands_read_a_saved_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("n0_0.png\nn0_1.png\n")
    Path("b.txt").write_text("n1_2.png\nn1_3.png\n")
    saved = str(FORMS / "saved")
    for words in (
        ["prepare", "--images", saved, "--size", "8", "--color", "--identity-from", r"n(\d+)_", "--out", "corpus"],
        ["verify", "--group", "a=a.txt", "--group", "b=b.txt", "--images", saved, "--require", "image,duplicate"],
        ["verify", "--group", "a=a.txt", "--group", "b=b.txt", "--images", "corpus", "--require", "image,duplicate"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
    assert pd.read_parquet("corpus/table.parquet")["identity"].tolist() == [0, 0, 1, 1]
