"""Two worker processes, one of them killed in the middle: the same pairs; and clusters that cannot go on."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("distributed")

import cloudpickle
import dask
import distributed

from core.dedup import equal
from core.dedup.join import cluster
from core.dedup.join.cluster import IN_FLIGHT, DaskEngine, connect
from core.dedup.join.tiles import Found, Join, Task
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.dedup.search import as_pairs, make_join, near_duplicates
from core.dedup.sources import ArraySource
from core.dedup.tests.duplicates import FILES
from core.errors import InputError
from core.tests.children import in_child

METHOD = "distributed.worker.multiprocessing-method"


@pytest.fixture(scope="module", autouse=True)
def forked() -> Iterator[None]:
    """Workers are forked from the tests' server, where a user's are started anew: that takes seconds each."""
    in_child(int)  # so that the server is there
    with dask.config.set({METHOD: "forkserver"}):
        yield


@pytest.fixture(scope="module")
def client(forked: None) -> Any:
    with connect(workers=2) as connected:
        yield connected


def images(n: int = 2600) -> np.ndarray:
    """Images of 4x4 with copies and negatives all over."""
    rng = np.random.default_rng(0)
    pixels = rng.random((n, 1, 4, 4), dtype=np.float32)
    places = rng.permutation(n)[: 2 * min(200, n // 4)].reshape(-1, 2)
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
    for name in FILES:
        assert (tmp_path / "dask" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


def test_from_python(client: Any) -> None:
    pixels = images(700)
    there = near_duplicates(pixels, size=4, threshold=0.99, tile=64, engine=DaskEngine(client))
    here = near_duplicates(pixels, size=4, threshold=0.99, tile=64)
    np.testing.assert_array_equal(np.stack([there.i, there.j]), np.stack([here.i, here.j]))
    assert there.statistics["tasks"] == here.statistics["tasks"] == 66 and len(here)


def test_copies_are_taken_together_on_workers_too(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that have moved to the front of their file, or of memory, keep the numbers of their images."""
    monkeypatch.setattr(equal, "LIMIT", -1)
    pixels = images(900)
    np.save(tmp_path / "x.npy", pixels)
    given, options = [find_input(tmp_path / "x.npy")], Options(0.99, size=4, memory="16MB", threads=2, tile=64)
    run(given, tmp_path / "local", options)
    result = run(given, tmp_path / "dask", options, engine=DaskEngine(client))
    assert result["search"]["pairs_in_all"] == 700 * 699 // 2
    for name in FILES:
        assert (tmp_path / "dask" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
    there = near_duplicates(pixels, size=4, threshold=0.99, tile=64, engine=DaskEngine(client))
    here = near_duplicates(pixels, size=4, threshold=0.99, tile=64)
    np.testing.assert_array_equal(np.stack([there.i, there.j]), np.stack([here.i, here.j]))


def test_workers_that_come_later_get_work(monkeypatch: pytest.MonkeyPatch) -> None:
    join = make_join(ArraySource(images(1500), size=4), threshold=0.99, threads=1, tile=64)
    with connect(workers=1) as client:
        submitted, submit = 0, client.submit

        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal submitted
            submitted += 1
            return submit(*arguments, **options)

        monkeypatch.setattr(client, "submit", counted)
        waiting = []
        for done, _ in enumerate(DaskEngine(client)(join, join.tasks), 1):
            waiting.append(submitted - done)
            if done == 10:
                client.cluster.scale(2)
                client.wait_for_workers(2, timeout=60)
    assert done == join.total == submitted
    assert max(waiting[:9]) == IN_FLIGHT - 1 and max(waiting) == 2 * IN_FLIGHT - 1


def test_a_join_is_opened_once_by_all_threads_of_a_worker() -> None:
    """A worker's threads start together; the join of an earlier search makes way."""
    join = make_join(ArraySource(images(300), size=4), threshold=0.99, threads=1, tile=64)
    opened, closed = [], make_join(ArraySource(images(500), size=4), threshold=0.99, threads=1, tile=64)

    class Recipe:
        def open(self) -> Join:
            opened.append(1)
            time.sleep(0.05)
            return join

    cluster._JOINS["earlier"] = closed
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda task: cluster._run("later", Recipe(), task), join.tasks))  # type: ignore[arg-type]
    assert len(opened) == 1 and list(cluster._JOINS) == ["later"]


def test_a_worker_that_cannot_see_the_files(client: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", images())
    given, options = [find_input(tmp_path / "x.npy")], Options(0.99, size=4, memory="16MB", threads=2)

    def engine(join: Join, tasks: Iterable[Task]) -> Any:
        (tmp_path / "x.npy").rename(tmp_path / "elsewhere.npy")
        return DaskEngine(client)(join, tasks)

    with pytest.raises(InputError, match=r"the worker on \S+ cannot see \S+x\.npy; dask needs") as error:
        run(given, tmp_path / "out", options, engine=engine)
    assert "\n" not in str(error.value)


class Deadly(ArraySource):
    """Images that end the process which decides them."""

    def take(self, index: np.ndarray) -> np.ndarray:
        if multiprocessing.parent_process() is not None:
            os._exit(1)
        return super().take(index)


def test_a_tile_that_kills_every_worker() -> None:
    """These workers are started as a user's are."""
    settings = {"distributed.scheduler.allowed-failures": 0, METHOD: "spawn"}
    join = make_join(Deadly(images(300), size=4), threshold=0.99, threads=1, tile=128, prune=False)
    with dask.config.set(settings), connect(workers=1) as client:
        cloudpickle.register_pickle_by_value(sys.modules[__name__])
        try:
            with pytest.raises(InputError, match="engine: workers died again and again at the same tile") as error:
                list(DaskEngine(client)(join, join.tasks))
        finally:
            cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert "\n" not in str(error.value)


def test_a_cluster_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "WAIT", 1)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(InputError, match=r"no worker has joined .* within 1 seconds"),
        connect(empty.scheduler_address),
    ):
        pass


def test_no_scheduler() -> None:
    with pytest.raises(InputError, match="no dask scheduler answers at"), connect("not-an-address"):
        pass
