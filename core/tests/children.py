"""What tests run in processes of their own: forked from a server that has imported everything once."""

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.errors import InputError
from core.machine import peak_rss
from core.training import runs
from core.training.config import TrainConfig
from core.training.runs import RunStore
from core.training.train import train

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([__name__, "distributed"])
TINY = TrainConfig(
    image_size=8, base_channels=2, blocks=1, exposures=48, epochs=4, batch=16, halve_every=2, repetition="exact"
)


def pictures(count: int = 20, size: int = 8, seed: int = 0) -> Tensor:
    return torch.rand((count, 1, size, size), generator=torch.Generator().manual_seed(seed))


def child_training(directory: str, config: TrainConfig, die_at: int = -1) -> None:
    torch.set_num_threads(1)
    if die_at >= 0:
        kill_at_rename(die_at)
    train(pictures(), config, seed=4, directory=directory)


def kill_at_rename(count: int) -> None:
    """SIGKILL this process before (even) or after (odd) its (count // 2)th rename of a finished file."""
    done, rename = 0, Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal done
        if 2 * done == count:
            os.kill(os.getpid(), signal.SIGKILL)
        result = rename(self, target)
        if 2 * done + 1 == count:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return result

    Path.replace = replace  # type: ignore[method-assign, assignment]


def in_child(target: Callable[..., object], *args: object, kill_after: float | None = None) -> int | None:
    process = SERVER.Process(target=target, args=args)
    process.start()
    if kill_after is not None:
        process.join(kill_after)
        process.kill()
    process.join()
    return process.exitcode


def peak_in_child(folder: Path, target: Callable[..., object], *args: object) -> int:
    """Peak resident memory of a process that does this and has done nothing else, in bytes."""
    assert in_child(_told_peak, str(folder / "peak"), target, *args) == 0
    return int((folder / "peak").read_text())


def _told_peak(told: str, target: Callable[..., object], *args: object) -> None:
    torch.set_num_threads(1)
    target(*args)
    Path(told).write_text(str(peak_rss()))


def starving_training(directory: str, config: TrainConfig) -> None:
    torch.set_num_threads(1)

    def starve(row: dict[str, Any]) -> None:
        if row["epoch"] == 1:  # files may not grow beyond 500 bytes from here: the next state fails in mid-write
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))

    try:
        train(pictures(), config, seed=4, directory=directory, on_epoch=starve)
    except InputError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        (Path(directory) / "message").write_text(str(error))


def race(root: str, log: str) -> None:
    torch.set_num_threads(1)
    original = runs.train

    def noted(*args: Any, **kwargs: Any) -> Any:
        with Path(log).open("a") as stream:  # short appends do not mix
            stream.write(f"{kwargs['seed']}\n")
        return original(*args, **kwargs)

    runs.train = noted  # type: ignore[assignment]
    store = RunStore(root)
    for seed in range(3):
        store.get_or_train(pictures(), TINY, seed=seed)


def child_search(source: str, out: str, options: Options, log: str, stage: str = "", delay: float = 0.0) -> None:
    """A duplicate search that the system ends, wherever it is, `delay` seconds after it enters `stage`."""
    torch.set_num_threads(1)
    entered: set[str] = set()

    def progress(name: str, done: int, total: int) -> None:
        if name not in entered:
            entered.add(name)
            with Path(log).open("a") as stream:
                stream.write(f"{name.split()[0]}\n")
            if stage and name.startswith(stage):
                signal.setitimer(signal.ITIMER_REAL, delay)  # nobody handles SIGALRM: the process dies at once

    run([find_input(Path(source))], Path(out), options, progress=progress)
