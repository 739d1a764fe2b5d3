"""The tiles of the exact join on many machines, through dask.distributed: the same tasks, the same pairs.

Rows that lie in files are read by every worker from storage that all of them see under the same path, a slice at a
time; rows in memory are sent to the workers once. A worker that dies costs the tiles it was at: the scheduler gives
them to another. Workers may come and go.
"""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from core.dedup.join.device import tensor_cores
from core.dedup.join.plan import Side
from core.dedup.join.tiles import Found, Join, Task
from core.dedup.sources import FileSource
from core.errors import InputError
from core.machine import one_blas_thread

IN_FLIGHT = 4  # tasks a worker thread has waiting
WAIT = 60  # seconds for the first worker
_JOINS: dict[str, Join] = {}  # on a worker: the join it has opened last
_OPENING = threading.Lock()
_OPEN = ExitStack()  # on a worker: settings of its process that the join needs


@contextmanager
def connect(scheduler: str | None = None, workers: int | None = None) -> Iterator[Any]:
    """A dask client of a running cluster, or of a local one of single-threaded processes that ends with the block.

    Raises:
        InputError: if dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise InputError("engine: dask is not installed; pip install 'samenoise[cluster]' brings it") from error
    if scheduler is None:
        with (
            LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(scheduler, timeout="20s")
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(f"scheduler: no dask scheduler answers at {scheduler} ({error})") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT)
        except TimeoutError as error:
            raise InputError(f"scheduler: no worker has joined {scheduler} within {WAIT} seconds") from error
        yield client


@dataclass(frozen=True)
class DaskEngine:
    """An engine for `core.dedup.near_duplicates` and `core.dedup.on_disk.run.run`: tasks go to the client's workers.

    Results come as they end. The rows must be in memory, or in files that every worker sees under the same path.

    Raises (when called):
        InputError: if the workers cannot do it: one cannot see the files, lacks this package, or all of them die.
    """

    client: Any
    name = "dask"

    def __call__(self, join: Join, tasks: Iterable[Task]) -> Iterator[tuple[Task, Found]]:
        """The tasks, in the order in which they end."""
        from distributed import as_completed

        with _one_line():
            key, recipe = _share(join, self.client)
        waiting = iter(tasks)
        futures: dict[Any, Task] = {}
        arriving = as_completed()

        def top_up() -> None:
            width = IN_FLIGHT * max(1, sum(self.client.nthreads().values()))  # of the workers there are now
            for task in islice(waiting, max(0, width - len(futures))):
                future = self.client.submit(_run, key, recipe, task, pure=False, retries=10)
                futures[future] = task
                arriving.add(future)

        with _one_line():
            top_up()
        for future in arriving:
            task = futures.pop(future)
            with _one_line():
                found = future.result()
            if isinstance(found, InputError):
                raise found
            yield task, found
            future.release()
            with _one_line():
                top_up()


@contextmanager
def _one_line() -> Iterator[None]:
    """What a cluster fails with, as an InputError of one line."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    try:
        yield
    except KilledWorker as error:
        raise InputError(
            f"engine: workers died again and again at the same tile ({error.task}); they may lack memory: a lower "
            "limit makes smaller tiles"
        ) from error
    except (OSError, ImportError, RuntimeError, TimeoutError, CancelledError, CommClosedError) as error:
        reason = str(error).split("\n")[0][:200]
        raise InputError(f"engine: the dask cluster cannot go on ({type(error).__name__}: {reason})") from error


@dataclass(frozen=True)
class _Recipe:
    """A join on its way: what lies in a file goes as the file's name."""

    join: Join  # without rows
    sides: tuple[dict[str, Any], ...]  # one, or two across sets

    def open(self) -> Join:
        """The join on this worker.

        Raises:
            InputError: if a file that it needs is not to be seen from here.
        """
        needed = [value for side in self.sides for value in side.values() if isinstance(value, Path)]
        needed += [source.path for source in (self.join.first, self.join.second) if isinstance(source, FileSource)]
        for path in needed:
            if not path.exists():
                raise InputError(
                    f"engine: the worker on {socket.gethostname()} cannot see {path}; dask needs the input and the "
                    "output on storage that every worker sees under the same path"
                )
        sides = [Side(**{name: _open(value) for name, value in side.items()}) for side in self.sides]
        sides = [side if side.index is None else side.part(side.index) for side in sides]
        return replace(self.join, a=sides[0], b=sides[-1])


def _share(join: Join, client: Any) -> tuple[str, Any]:
    """A name for the join, and its recipe; rows in memory are sent ahead to every worker."""
    sides = (join.a,) if join.b is join.a else (join.a, join.b)
    places = tuple({name: _place(array) for name, array in vars(side).items()} for side in sides)
    none = Side(np.empty((0, 0), np.float32), np.empty((0, 0), np.float32), None)
    recipe = _Recipe(replace(join, a=none, b=none, equal=None), places)
    in_files = all(not isinstance(array, np.ndarray) for side in places for array in side.values())
    return str(uuid.uuid4()), recipe if in_files else client.scatter(recipe, broadcast=True, hash=False)


def _place(array: np.ndarray | None) -> Path | np.ndarray | None:
    return Path(str(array.filename)).resolve() if isinstance(array, np.memmap) else array


def _open(value: Any) -> Any:
    return np.load(value, mmap_mode="r") if isinstance(value, Path) else value


def _run(key: str, recipe: _Recipe, task: Task) -> Found | InputError:
    """On a worker: one task of a join, which the first of its threads to come opens.

    Bad input is returned: dask would log what is raised, and try it again.
    """
    try:
        with _OPENING:
            join = _JOINS.get(key)
            if join is None:
                _OPEN.enter_context(one_blas_thread())
                join = recipe.open()
                if join.plan.device:
                    _OPEN.enter_context(tensor_cores())
                _JOINS.clear()
                _JOINS[key] = join
            if join.plan.device:  # a device takes one task at a time
                return join.run(task)
        return join.run(task)
    except InputError as error:
        return error
