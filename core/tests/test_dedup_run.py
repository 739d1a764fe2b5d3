"""The search on files: every input, every output, interruption, full disks, bad files, bounded memory."""

import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from core import dedup_run
from core.corpus import Corpus, save_corpus
from core.dedup import near_duplicates
from core.dedup_input import find_input
from core.dedup_run import WORK, Options, run
from core.errors import InputError
from core.join import Join, Task, local_engine
from core.tests.duplicates import pictures

FILES = ("pairs.parquet", "kept.txt", "removed.txt", "index.html")


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def told(folder: Path) -> dict[str, Any]:
    about = json.loads((folder / "dedup.json").read_text())
    return {key: value for key, value in about.items() if key != "measured"}


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
        run([find_input(tmp_path / source)], tmp_path / f"out-{source}", Options())
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
        "pairs": 3,
        "removed": 3,
        "removed_without_a_kept_likeness": 1,
        "kept": 297,
        "skipped": 0,
    }
    assert result["measured"]["peak_rss"] > 10**7
    run([find_input(tmp_path / "x.npy")], tmp_path / "some", Options(rule="representatives"))
    assert [line.split()[:2] for line in (tmp_path / "some" / "removed.txt").read_text().splitlines()] == [
        ["1", "0"],
        ["7", "3"],
    ]
    page = (tmp_path / "some" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_names_are_escaped_on_the_page(tmp_path: Path) -> None:
    images = torch.from_numpy(pictures(10))
    save_corpus(Corpus(images, tuple(f"<script>{k}</script>" for k in range(10))), tmp_path / "corpus")
    run([find_input(tmp_path / "corpus")], tmp_path / "out", Options())
    assert "<script" not in (tmp_path / "out" / "index.html").read_text()


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
    with pytest.raises(InputError, match=r"x\.npy: image 5 has a pixel that is NaN or infinite"):
        run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options())
    result = run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options(skip_bad=True))
    assert result["counts"]["skipped"] == 2 and result["counts"]["pairs"] == 3
    kept = (tmp_path / "out" / "kept.txt").read_text().split()
    assert "5" not in kept and "40" not in kept and len(kept) == 80 - 2 - 3
    assert [line.split("\t")[0] for line in (tmp_path / "out" / "skipped.txt").read_text().splitlines()] == ["5", "40"]


def test_bad_pictures_are_named_or_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for k, image in enumerate(np.round(pictures(30) * 255).astype(np.uint8)):
        Image.fromarray(image[0]).save(folder / f"{k:02d}.png")
    (folder / "10.png").write_bytes(b"not a picture")
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(folder / "20.png")
    given = find_input(folder)
    with pytest.raises(InputError, match=r"10\.png: not a readable picture"):
        run([given], tmp_path / "out", Options())
    (folder / "10.png").unlink()
    with pytest.raises(InputError, match=r"20\.png: found 1x40x40 .* expected 1x20x20 like 00\.png"):
        run([find_input(folder)], tmp_path / "out", Options())
    (folder / "10.png").write_bytes(b"not a picture")
    result = run([find_input(folder)], tmp_path / "out", Options(skip_bad=True))
    assert result["counts"]["images"] == [28] and result["counts"]["skipped"] == 2
    pairs = pd.read_parquet(tmp_path / "out" / "pairs.parquet")
    assert set(zip(pairs["name_i"], pairs["name_j"], strict=True)) == {
        ("00.png", "01.png"),
        ("01.png", "02.png"),
        ("03.png", "07.png"),
    }
    (folder / "10.png").unlink()
    run([find_input(folder, resize=20)], tmp_path / "resized", Options())


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: np.save(path, np.zeros((3, 1, 25, 25), np.float32)), "cannot be pooled to 20 rows"),
        (lambda path: np.save(path, np.zeros((3, 5, 5), np.float32)), "expected shape"),
        (lambda path: np.save(path, np.array(["a"])), "expected shape"),
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
    [Options(threshold=0.0), Options(rule="none"), Options(memory="1kB"), Options(size=7), Options(device="abacus")],
)
def test_bad_options(tmp_path: Path, options: Options) -> None:
    np.save(tmp_path / "x.npy", pictures(20))
    with pytest.raises(InputError):
        run([find_input(tmp_path / "x.npy")], tmp_path / "out", options)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", pictures())
    given, out = [find_input(tmp_path / "x.npy")], tmp_path / "out"
    real = os.posix_fallocate

    def full(descriptor: int, start: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match="no space left on the disk; free some and run the same command again"):
        run(given, out, Options())
    monkeypatch.setattr(os, "posix_fallocate", real)
    run(given, out, Options())
    assert told(out)["counts"]["pairs"] == 3


def test_what_was_finished_is_not_done_again(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pictures(2500))
    given, options = [find_input(tmp_path / "x.npy")], Options(memory="16MB", threads=1)
    run(given, tmp_path / "whole", options)
    done: list[Task] = []

    def stops(join: Join, tasks: Iterable[Task]):  # type: ignore[no-untyped-def]
        for task, found in local_engine(join, tasks):
            done.append(task)
            yield task, found
            if task == (0, join.strips - 1):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(given, tmp_path / "out", options, engine=stops)
    first = len(done)
    result = run(given, tmp_path / "out", options, engine=stops)
    assert result["measured"]["resumed"]
    assert first > 1 and not set(done[first:]) & set(done[:first])
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert told(tmp_path / "out") == told(tmp_path / "whole")


def test_another_question_does_not_take_up_old_work(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pictures())
    given, out = [find_input(tmp_path / "x.npy")], tmp_path / "out"

    def dies(join: Join, tasks: Iterable[Task]):  # type: ignore[no-untyped-def]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(given, out, Options(), engine=dies)
    assert not run(given, out, Options(threshold=0.5))["measured"]["resumed"]
    with pytest.raises(KeyboardInterrupt):
        run(given, out, Options(), engine=dies)
    np.save(tmp_path / "x.npy", pictures(seed=4))
    assert not run([find_input(tmp_path / "x.npy")], out, Options())["measured"]["resumed"]


_RUN = """
import sys
from pathlib import Path
from core.dedup_input import find_input
from core.dedup_run import Options, run
run([find_input(Path(sys.argv[1]))], Path(sys.argv[2]), Options(memory=sys.argv[3], threads=1))
if len(sys.argv) > 4:
    from core.memory import peak_rss
    print(peak_rss())
"""


def test_killed_at_random_moments_and_run_again(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for k, image in enumerate(np.round(pictures(900) * 255).astype(np.uint8)):
        Image.fromarray(image[0]).save(folder / f"{k:03d}.png")
    run([find_input(folder)], tmp_path / "whole", Options(memory="8MB", threads=1))
    command = [sys.executable, "-c", _RUN, str(folder), str(tmp_path / "out"), "8MB"]
    root = Path(dedup_run.__file__).parents[1]
    random_moment = random.Random(0)
    for _ in range(2):
        process = subprocess.Popen(command, cwd=root)
        while not (tmp_path / "out" / WORK).exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(random_moment.uniform(0.0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, cwd=root, check=True)
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert told(tmp_path / "out")["counts"] == told(tmp_path / "whole")["counts"]


def test_scratch_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """Peak memory of fresh processes at two sizes grows by the pooled rows, not by the images."""
    sizes, peaks, rng = (2000, 8000), [], np.random.default_rng(0)
    for n in sizes:
        path = tmp_path / f"{n}.npy"
        array = np.lib.format.open_memmap(path, "w+", np.float32, (n, 1, 40, 40))
        for low in range(0, n, 1000):
            array[low : low + 1000] = rng.random((1000, 1, 40, 40), dtype=np.float32)
        del array
        command = [sys.executable, "-c", _RUN, str(path), str(tmp_path / f"out-{n}"), "16MB", "peak"]
        done = subprocess.run(
            command, cwd=Path(dedup_run.__file__).parents[1], check=True, capture_output=True, text=True
        )
        peaks.append(int(done.stdout))
    more = sizes[1] - sizes[0]
    columns = 400  # of noise: nothing is cut off
    pooled = more * (4 * columns + 64)  # and remainders, order and digests
    images = more * 6400
    assert peaks[1] - peaks[0] < pooled + 16e6  # at most the scratch once more, for noise in the measurement
    assert pooled + 16e6 < images
