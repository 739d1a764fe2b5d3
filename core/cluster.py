"""The tiles of the exact join on many machines, through dask.distributed: the same tasks, the same pairs.

Rows that lie in files are read by every worker from the shared storage, a slice at a time; rows in memory are sent to
the workers once. A worker that dies costs the tiles it was at: the scheduler gives them to another.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.errors import InputError
from core.join import Found, Join, Task
from core.join_plan import Side

IN_FLIGHT = 4  # tasks a worker thread has waiting
_JOINS: dict[str, Join] = {}  # on a worker: joins it has opened


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
            LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(scheduler, timeout="20s")
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(f"scheduler: no dask scheduler answers at {scheduler} ({error})") from error
    with client:
        yield client


def dask_engine(client: Any) -> Callable[[Join, Iterable[Task]], Iterator[tuple[Task, Found]]]:
    """An engine for `core.dedup_run.run`: tasks go to the client's workers, results come as they end."""

    def engine(join: Join, tasks: Iterable[Task]) -> Iterator[tuple[Task, Found]]:
        from distributed import as_completed

        key, recipe = _share(join, client)
        waiting = iter(tasks)
        width = IN_FLIGHT * max(1, sum(client.nthreads().values()))

        def submit(task: Task) -> Any:
            return client.submit(_run, key, recipe, task, pure=False, retries=10)

        futures = {submit(task): task for task in islice(waiting, width)}
        arriving = as_completed(futures)
        for future in arriving:
            task = futures.pop(future)
            yield task, future.result()
            future.release()
            if (following := next(waiting, None)) is not None:
                another = submit(following)
                futures[another] = following
                arriving.add(another)

    return engine


@dataclass(frozen=True)
class _Recipe:
    """A join on its way: what lies in a file goes as the file's name."""

    join: Join  # without rows
    sides: tuple[dict[str, Any], ...]  # one, or two across sets

    def open(self) -> Join:
        sides = [Side(*(_open(side[name]) for name in ("matrix", "rest", "order"))) for side in self.sides]
        return replace(self.join, a=sides[0], b=sides[-1])


def _share(join: Join, client: Any) -> tuple[str, Any]:
    """A name for the join, and its recipe; rows in memory are sent ahead to every worker."""
    sides = (join.a,) if join.b is join.a else (join.a, join.b)
    places = tuple({name: _place(array) for name, array in vars(side).items()} for side in sides)
    none = Side(np.empty((0, 0), np.float32), np.empty((0, 0), np.float32), None)
    recipe = _Recipe(replace(join, a=none, b=none), places)
    in_files = all(not isinstance(array, np.ndarray) for side in places for array in side.values())
    return str(uuid.uuid4()), recipe if in_files else client.scatter(recipe, broadcast=True, hash=False)


def _place(array: np.ndarray | None) -> Path | np.ndarray | None:
    return Path(str(array.filename)).resolve() if isinstance(array, np.memmap) else array


def _open(value: Any) -> Any:
    return np.load(value, mmap_mode="r") if isinstance(value, Path) else value


def _run(key: str, recipe: _Recipe, task: Task) -> Found:
    """On a worker: one task of a join, which is opened at its first."""
    if key not in _JOINS:
        torch.set_num_threads(1)
        _JOINS.clear()
        _JOINS[key] = recipe.open()
    return _JOINS[key].run(task)
