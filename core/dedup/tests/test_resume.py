"""A search that is stopped: by a kill at any moment, a full disk, other cores, other questions; and its memory."""

import errno
import os
import random
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.pictures import KEEP
from core.dedup.join.budget import AT_ONCE
from core.dedup.join.tiles import Join, Task, local_engine
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.dedup.tests.duplicates import files, pictures, told
from core.errors import InputError
from core.machine import return_freed_memory
from core.tests.children import child_search, in_child, peak_in_child


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

    stops.name = "local"  # type: ignore[attr-defined]
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


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1)])
def test_another_number_of_cores_goes_on_with_the_same_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    images = pictures(2500)
    places = np.random.default_rng(1).permutation(2500)[:600].reshape(300, 2)
    images[places[:, 0]] = images[places[:, 1]]
    np.save(tmp_path / "x.npy", images)
    given, options = [find_input(tmp_path / "x.npy")], Options(memory="8MB")
    blocks: list[int] = []

    def engine(join: Join, tasks: Iterable[Task]):  # type: ignore[no-untyped-def]
        blocks.append(join.budget.block)
        assert join.budget.threads * join.budget.block**2 * 16 <= 8e6  # what the products of a tile take
        for task, found in local_engine(join, tasks):
            yield task, found
            if len(blocks) == 2 and task == (1, join.strips - 1):
                raise KeyboardInterrupt

    def has(cores: int) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)

    has(after)
    run(given, tmp_path / "whole", options, engine=engine)
    has(before)
    with pytest.raises(KeyboardInterrupt):
        run(given, tmp_path / "out", options, engine=engine)
    has(after)
    assert run(given, tmp_path / "out", options, engine=engine)["measured"]["resumed"]
    assert blocks[0] != blocks[1] == blocks[2]  # by itself this machine would have cut other tiles
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def full(*arguments: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_without_room_for_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", pictures())
    given, out = [find_input(tmp_path / "x.npy")], tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full, raising=False)
        with pytest.raises(InputError, match="no space left on the disk; free some and run the same command again"):
            run(given, out, Options())
    run(given, out, Options())
    assert told(out)["counts"]["pairs"] == 3


def picture_folder(folder: Path, n: int) -> Path:
    folder.mkdir()
    for k, image in enumerate(np.round(pictures(n) * 255).astype(np.uint8)):
        Image.fromarray(image[0]).save(folder / f"{k:03d}.png")
    return folder


class FullStream:
    """A file on a disk that is full after so many writes."""

    def __init__(self, stream: Any, writes: int) -> None:
        self.stream, self.left = stream, writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __enter__(self) -> "FullStream":
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()

    def write(self, data: Any) -> int:
        self.left -= 1
        if self.left < 0:
            full()
        return int(self.stream.write(data))


def test_a_disk_that_fills_while_pictures_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, options = [find_input(picture_folder(tmp_path / "folder", 300))], Options()
    run(given, tmp_path / "whole", options)
    opened = Path.open
    for writes in (0, 100, 290):
        with monkeypatch.context() as patch:
            patch.setattr(
                Path,
                "open",
                lambda self, *a, writes=writes, **k: (
                    FullStream(opened(self, *a), writes) if self.name == "images.partial" else opened(self, *a, **k)
                ),
            )
            with pytest.raises(InputError, match="no space left on the disk"):
                run(given, tmp_path / "out", options)
    assert run(given, tmp_path / "out", options)["measured"]["resumed"]
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_disk_that_is_full_at_any_of_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is synced before it gets its name: each sync in turn finds the disk full."""
    given, options = [find_input(picture_folder(tmp_path / "folder", 300))], Options(tile=64, threads=1)
    run(given, tmp_path / "whole", options)
    sync, failures = os.fsync, 0
    for _ in range(100):
        calls = 0

        def once(descriptor: int) -> None:
            nonlocal calls
            calls += 1
            if calls == 2:  # one file further each time
                full()
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", once)
        try:
            run(given, tmp_path / "out", options)
            break
        except InputError as error:
            assert "no space left on the disk" in str(error)
            failures += 1
    assert failures > 5
    monkeypatch.setattr(os, "fsync", sync)
    run(given, tmp_path / "out", options)
    assert files(tmp_path / "out") == files(tmp_path / "whole")


STAGES = ("looking", "reading", "pooling", "comparing", "writing")


def test_killed_ten_times_at_random_moments_of_every_stage(tmp_path: Path) -> None:
    folder, options = picture_folder(tmp_path / "folder", 900), Options(memory="8MB", threads=1, tile=64)
    run([find_input(folder)], tmp_path / "whole", options)
    log, moment, died = tmp_path / "log", random.Random(0), []
    for attempt in range(60):
        stage = STAGES[attempt % len(STAGES)]
        delay = moment.uniform(1e-4, moment.choice([0.002, 0.02]))
        code = in_child(child_search, str(folder), str(tmp_path / "out"), options, str(log), stage, delay)
        if code == 0:  # faster than the alarm, or nothing left to do in that stage
            assert files(tmp_path / "out") == files(tmp_path / "whole")
            continue
        assert code == -signal.SIGALRM
        died.append(log.read_text().split()[-1])
        if len(died) >= 10 and {"comparing", "writing"} <= set(died):
            break
    assert len(died) >= 10 and {"comparing", "writing"} <= set(died)
    assert in_child(child_search, str(folder), str(tmp_path / "out"), options, str(log)) == 0
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert told(tmp_path / "out") == told(tmp_path / "whole")


def child_keeping(source: str, out: str, memory: str) -> None:
    """As the command does it."""
    return_freed_memory(AT_ONCE)
    run([find_input(Path(source), fit=KEEP)], Path(out), Options(memory=memory, threads=1))


def test_scratch_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """Peak memory of fresh processes at two sizes grows by the pooled rows, not by the images."""
    sizes, peaks, rng = (2000, 8000), [], np.random.default_rng(0)
    for n in sizes:
        path = tmp_path / f"{n}.npy"
        array = np.lib.format.open_memmap(path, "w+", np.float32, (n, 1, 40, 40))
        for low in range(0, n, 1000):
            array[low : low + 1000] = rng.random((1000, 1, 40, 40), dtype=np.float32)
        del array
        peaks.append(peak_in_child(tmp_path, child_keeping, str(path), str(tmp_path / f"out-{n}"), "16MB"))
    more = sizes[1] - sizes[0]
    columns = 400  # of noise: nothing is cut off
    pooled = more * (4 * columns + 64)  # and remainders, order and digests
    images = more * 6400
    assert peaks[1] - peaks[0] < pooled + 16e6  # at most the scratch once more, for noise in the measurement
    assert pooled + 16e6 < images


def test_a_folder_of_large_pictures_is_read_within_the_memory(tmp_path: Path) -> None:
    """Pictures of 0.75 MB as bytes, 3 MB as float32: neither a batch nor the gathered file may count."""
    sizes, peaks, side = (10, 70), [], 500
    y, x = np.mgrid[:side, :side] / side
    for n in sizes:
        folder = tmp_path / str(n)
        folder.mkdir()
        for k in range(n):
            waves = [np.sin(k + (3 + k % 7) * x + c * y) + np.cos((2 + k % 5) * y * x * (c + 1)) for c in range(3)]
            Image.fromarray((60 * np.stack(waves, 2) + 128).clip(0, 255).astype(np.uint8)).save(folder / f"{k}.jpg")
        peaks.append(peak_in_child(tmp_path, child_keeping, str(folder), str(tmp_path / f"out-{n}"), "32MB"))
    pixels = (sizes[1] - sizes[0]) * 3 * side**2
    assert peaks[1] - peaks[0] < 32e6 < pixels  # the scratch once more; it may be partly used at the smaller size
