"""Two worker processes, one of them killed in the middle: the same pairs."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("distributed")

from core.cluster import DaskEngine, connect
from core.dedup import as_pairs, make_join, near_duplicates
from core.dedup_input import find_input
from core.dedup_rows import ArraySource
from core.dedup_run import Options, run
from core.errors import InputError
from core.join import Found, Join, Task


@pytest.fixture(scope="module")
def client() -> Any:
    with connect(workers=2) as connected:
        yield connected


def images(n: int = 2600) -> np.ndarray:
    """Images of 4x4 with copies and negatives all over."""
    rng = np.random.default_rng(0)
    pixels = rng.random((n, 1, 4, 4), dtype=np.float32)
    places = rng.permutation(n)[:400].reshape(200, 2)
    pixels[places[:, 0]] = pixels[places[:, 1]]
    return pixels


def test_rows_in_memory_are_sent_once_and_a_killed_worker_costs_nothing(client: Any) -> None:
    pixels = images()
    join = make_join(ArraySource(pixels, size=4), threshold=0.99, memory="16MB", threads=2)
    assert join.total > 5
    workers = client.run(os.getpid)
    found: list[Found] = []
    for _, part in DaskEngine(client)(join, join.tasks):
        found.append(part)
        if len(found) == 1:
            os.kill(next(iter(workers.values())), signal.SIGKILL)
    here = near_duplicates(pixels, size=4, threshold=0.99)
    there = as_pairs(found, join)
    np.testing.assert_array_equal(there.i, here.i)
    np.testing.assert_array_equal(there.j, here.j)
    np.testing.assert_array_equal(there.correlation, here.correlation)
    assert there.statistics["pairs_in_all"] == len(pixels) * (len(pixels) - 1) // 2
    assert len(here) >= 200


def test_rows_in_files_are_read_by_the_workers(client: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", images())
    given, options = [find_input(tmp_path / "x.npy")], Options(0.99, size=4, memory="16MB", threads=2)
    run(given, tmp_path / "local", options)
    killed = False

    def engine(join: Join, tasks: Iterable[Task]) -> Any:
        nonlocal killed
        for result in DaskEngine(client)(join, tasks):
            if not killed:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
                killed = True
            yield result

    run(given, tmp_path / "dask", options, engine=engine)
    assert killed
    for name in ("pairs.parquet", "kept.txt", "removed.txt", "index.html"):
        assert (tmp_path / "dask" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


def test_no_scheduler() -> None:
    with pytest.raises(InputError, match="no dask scheduler answers at"), connect("not-an-address"):
        pass
