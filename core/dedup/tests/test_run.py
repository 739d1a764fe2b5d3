"""The search on files: every input, every output, interruption, full disks, bad files, bounded memory."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from core.data.corpus import Corpus, save_corpus
from core.data.pictures import KEEP
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.dedup.on_disk.work import WORK
from core.dedup.search import near_duplicates
from core.dedup.tests.duplicates import pictures, told
from core.errors import InputError

FILES = ("pairs.parquet", "kept.txt", "removed.txt")


def test_every_kind_of_input_gives_the_same_pairs(tmp_path: Path) -> None:
    levels = np.round(pictures(60) * 255).astype(np.uint8)
    images = levels.astype(np.float32) / np.float32(255)
    names = tuple(f"{k:02d}.png" for k in range(60))
    save_corpus(Corpus(torch.from_numpy(images), names), tmp_path / "corpus")
    np.save(tmp_path / "x.npy", images)
    np.save(tmp_path / "bytes.npy", levels)
    torch.save(torch.from_numpy(images), tmp_path / "x.pt")
    (tmp_path / "folder").mkdir()
    for name, image in zip(names, levels, strict=True):
        Image.fromarray(image[0]).save(tmp_path / "folder" / name)
    truth = near_duplicates(images)
    pairs = {}
    for source in ("corpus", "x.npy", "bytes.npy", "x.pt", "folder"):
        run([find_input(tmp_path / source, fit=KEEP)], tmp_path / f"out-{source}", Options())
        pairs[source] = pd.read_parquet(tmp_path / f"out-{source}" / "pairs.parquet")
        assert pairs[source]["i"].tolist() == truth.i.tolist()
        assert pairs[source]["j"].tolist() == truth.j.tolist()
        assert not (tmp_path / f"out-{source}" / WORK).exists()
    assert pairs["corpus"]["correlation"].tolist() == truth.correlation.tolist()
    assert pairs["folder"].equals(pairs["corpus"])
    assert (
        told(tmp_path / "out-folder")["inputs"][0]["sha256_of_image_sha256s"]
        == (told(tmp_path / "out-x.pt")["inputs"][0]["sha256_of_image_sha256s"])
    )


def test_files_say_what_went_and_why(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pictures())
    result = run([find_input(tmp_path / "x.npy")], tmp_path / "later", Options())
    assert {(0, 1), (1, 2), (3, 7)} == set(
        pd.read_parquet(tmp_path / "later" / "pairs.parquet")[["i", "j"]].itertuples(index=False, name=None)
    )
    assert (tmp_path / "later" / "removed.txt").read_text().split()[:2] == ["1", "0"]
    assert result["counts"] == {
        "images": [300],
        "skipped": 0,
        "pairs": 3,
        "removed": 3,
        "removed_without_a_kept_likeness": 1,
        "kept": 297,
    }
    assert result["measured"]["peak_rss"] >= result["measured"]["peak_rss_before"] > 10**7
    run([find_input(tmp_path / "x.npy")], tmp_path / "some", Options(rule="representatives"))
    assert [line.split()[:2] for line in (tmp_path / "some" / "removed.txt").read_text().splitlines()] == [
        ["1", "0"],
        ["7", "3"],
    ]


def test_across_two_sets(tmp_path: Path) -> None:
    train, test = pictures(200, seed=0), pictures(100, seed=1)
    test[50], test[60] = train[120], 1 - train[130]
    np.save(tmp_path / "train.npy", train)
    np.save(tmp_path / "test.npy", test)
    run([find_input(tmp_path / f"{name}.npy") for name in ("train", "test")], tmp_path / "out", Options())
    pairs = pd.read_parquet(tmp_path / "out" / "pairs.parquet")
    assert pairs[["i", "j"]].to_numpy().tolist() == [[120, 50], [130, 60]]
    assert [line.split()[0] for line in (tmp_path / "out" / "removed.txt").read_text().splitlines()] == ["50", "60"]
    assert len((tmp_path / "out" / "kept.txt").read_text().splitlines()) == 98
    assert pairs.equals(pairs.assign(**{"correlation": near_duplicates(train, test).correlation}))


def test_bad_images_are_named_or_left_out(tmp_path: Path) -> None:
    images = pictures(80)
    images[5, 0, 3, 3] = np.nan
    images[40] = np.inf
    np.save(tmp_path / "x.npy", images)
    with pytest.raises(InputError, match=r"x\.npy: image 5 has a pixel that is NaN or infinite; 1 more such images"):
        run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options())
    assert [line.split("\t")[0] for line in (tmp_path / "out" / "unusable.txt").read_text().splitlines()] == ["5", "40"]
    result = run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options(skip_bad=True))
    assert result["counts"]["skipped"] == 2 and result["counts"]["pairs"] == 3
    kept = (tmp_path / "out" / "kept.txt").read_text().split()
    assert "5" not in kept and "40" not in kept and len(kept) == 80 - 2 - 3
    assert [line.split("\t")[0] for line in (tmp_path / "out" / "skipped.txt").read_text().splitlines()] == ["5", "40"]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: np.save(path, np.zeros((3, 5, 5, 5, 5), np.float32)), "expected shape"),
        (lambda path: np.save(path, np.zeros(5, np.float32)), "expected shape"),
        (lambda path: np.save(path, np.zeros((3, 4, 4, 4), np.float32)), "--axes nchw or --axes nhwc says which"),
        (lambda path: np.save(path, np.zeros((40, 40, 3), np.float32)), "is one picture"),
        (lambda path: np.save(path, np.array([["a"]])), "expected floating-point or whole-number pixels"),
        (lambda path: path.write_bytes(b"\x93NUMPY and nothing"), "not a readable tensor"),
        (lambda path: None, "expected a saved corpus, a CelebA directory, a folder of pictures"),
    ],
)
def test_bad_files(tmp_path: Path, write: object, message: str) -> None:
    write(tmp_path / "x.npy")  # type: ignore[operator]
    with pytest.raises(InputError, match=message) as error:
        run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options())
    assert "x.npy" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_images(tmp_path: Path, n: int) -> None:
    np.save(tmp_path / "x.npy", pictures(8)[:n])
    result = run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options())
    assert result["counts"]["kept"] == n and result["counts"]["pairs"] == 0
    assert (tmp_path / "out" / "kept.txt").read_text() == "0\n" * n


def test_an_output_that_is_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pictures(8))
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(InputError, match=r"out.*: .*cannot go on"):
        run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options())


def test_large_images_are_sampled_within_the_memory(tmp_path: Path) -> None:
    """Images of 1.2 MB each: neither the sample nor the rows may hold many at once."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.random((40, 3, 320, 320), dtype=np.float32))
    with pytest.raises(InputError, match="cannot hold a tile"):
        run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options(memory="4MB", threads=1))
    result = run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options(memory="16MB", threads=1))
    assert result["counts"]["pairs"] == 0


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    torch.save({"a": os.system}, tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"x\.pt: not a readable tensor"):
        run([find_input(tmp_path / "x.pt")], tmp_path / "out", Options())


@pytest.mark.parametrize(
    "options",
    [{"threshold": 0.0}, {"rule": "none"}, {"memory": "1kB"}, {"size": 0}, {"device": "abacus"}],
)
def test_bad_options(tmp_path: Path, options: dict[str, Any]) -> None:
    np.save(tmp_path / "x.npy", pictures(20))
    with pytest.raises(InputError):
        run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options(**options))


def test_bad_images_are_like_nothing_at_any_threshold(tmp_path: Path) -> None:
    """Below the rounding margin every pair is decided in float64, and there a bad image is still a row of zeros."""
    images = pictures(40)
    images[5, 0, 3, 3], images[30] = np.nan, np.inf
    np.save(tmp_path / "x.npy", images)
    run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options(threshold=1e-6, skip_bad=True))
    pairs = pd.read_parquet(tmp_path / "out" / "pairs.parquet")
    assert len(pairs) > 700 and np.isfinite(pairs["correlation"]).all()
    assert not {5, 30} & {*pairs["i"], *pairs["j"]}


def test_left_out_images_of_two_sets_keep_their_set(tmp_path: Path) -> None:
    """Images called by their number have the same names in both sets."""
    for name, bad in (("train", 3), ("test", 3)):
        images = pictures(30, seed=len(name))
        images[bad] = np.nan
        np.save(tmp_path / f"{name}.npy", images)
    given = [find_input(tmp_path / f"{name}.npy") for name in ("train", "test")]
    result = run(given, tmp_path / "out", Options(skip_bad=True))
    assert result["counts"]["skipped"] == 2 and result["counts"]["images"] == [30, 30]
    lines = [line.split("\t") for line in (tmp_path / "out" / "skipped.txt").read_text().splitlines()]
    assert [line[:2] for line in lines] == [["1", "3"], ["2", "3"]]
    assert "train.npy" in lines[0][2] and "test.npy" in lines[1][2]


def test_a_list_of_left_out_images_does_not_outlive_them(tmp_path: Path) -> None:
    images = pictures(30)
    images[4] = np.nan
    np.save(tmp_path / "x.npy", images)
    run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options(skip_bad=True))
    assert (tmp_path / "out" / "skipped.txt").exists()
    np.save(tmp_path / "x.npy", pictures(30))
    run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options())
    assert not (tmp_path / "out" / "skipped.txt").exists()


def test_what_was_asked_and_what_ran_is_written(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pictures(300))
    result = run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options(tile=64))
    parameters, search = result["parameters"], result["search"]
    assert parameters["engine"] == "local" and parameters["resize"] is None and parameters["tile"] == 64
    assert parameters["versions"]["numpy"] == np.__version__
    assert search["tiles_pruned"] == search["tiles_tested"] - search["tiles_compared"]


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(3, 1, 20, 20, dtype=torch.bfloat16), "found a tensor of torch.bfloat16"),
        (torch.zeros(3, 20).to_sparse(), "expected a dense one|not a readable tensor"),
        (
            torch.zeros(3, 1, 20, 20, dtype=torch.complex64),
            "expected floating-point or whole-number pixels, got complex",
        ),
    ],
)
def test_tensors_of_another_kind(tmp_path: Path, tensor: torch.Tensor, message: str) -> None:
    torch.save(tensor, tmp_path / "x.pt")
    with pytest.raises(InputError, match=message) as error:
        run([find_input(tmp_path / "x.pt")], tmp_path / "out", Options())
    assert "x.pt" in str(error.value) and "\n" not in str(error.value)
    if not tensor.is_sparse:
        with pytest.raises(InputError):
            near_duplicates(tensor)


def test_systems_without_affinity_or_reservation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has neither `os.sched_getaffinity` nor `os.posix_fallocate`."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    np.save(tmp_path / "x.npy", pictures())
    assert run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options())["counts"]["pairs"] == 3
