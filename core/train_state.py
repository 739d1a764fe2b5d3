"""The state of a training between two epochs: written, read back, and followed from another process."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.files import write_atomic
from core.tensors import save_state

HISTORY = "history.jsonl"
History = list[dict[str, Any]]
Progress = Callable[[int, int], None]
OnEpoch = Callable[[dict[str, Any]], None]


def read_history(directory: Path) -> History:
    """The rows of the epochs done so far; none before the first."""
    path = directory / HISTORY
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def save_epoch(
    directory: Path, model: nn.Module, optimizer: torch.optim.Optimizer, history: History, *, identity: str, device: str
) -> str:
    """Write the state of an epoch; returns what went wrong, or nothing."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f"adam.{key}.{name}"] = value
    try:
        save_state(directory, tensors, identity=identity, device=device, history=history)
        write_atomic(directory / HISTORY, "".join(json.dumps(row) + "\n" for row in history))
    except OSError as error:
        kept = f"the state after {len(history) - 1} epochs is intact" if len(history) > 1 else "nothing was saved yet"
        return f"{directory}: cannot write the state after {len(history)} epochs ({error.strerror}); {kept}"
    return ""


def restore(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of what `save_epoch` writes."""
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    for name, parameter in model.named_parameters():
        state = optimizer.state[parameter]
        for key in ("step", "exp_avg", "exp_avg_sq"):
            value = tensors[f"adam.{key}.{name}"]
            # the fused optimiser walks raw memory: moments must have the layout of their parameter
            state[key] = (
                torch.empty_like(parameter).copy_(value) if value.ndim else value.to(parameter.device, torch.float32)
            )


@contextlib.contextmanager
def follow(directory: Path | None, epochs: int, progress: Progress | None, on_epoch: OnEpoch | None) -> Iterator[None]:
    """Report the epochs that other processes finish, as their history file grows."""
    done = threading.Event()

    def look(seen: int) -> int:
        rows = read_history(directory) if directory else []
        for row in rows[seen:]:
            if progress:
                progress((row["epoch"] + 1) * row["exposures"], epochs * row["exposures"])
            if on_epoch:
                on_epoch(row)
        return len(rows)

    def watch() -> None:
        seen = 0
        while not done.wait(0.5):
            seen = look(seen)
        look(seen)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
