"""The state of a training between two epochs: written, read back, and followed from another process."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import InputError
from core.files import sha256_bytes, write_atomic
from core.progress import Progress
from core.tensors import pack, read_json, read_tensors

HISTORY = "history.jsonl"
History = list[dict[str, Any]]
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


INDEX = "checkpoint.json"


def save_state(
    directory: Path, tensors: Mapping[str, Tensor], *, identity: str, device: str, history: list[dict[str, Any]]
) -> None:
    """Write a state into the slot that the index does not name, then point the index to it.

    `identity` says which training it is, `device` on which kind of device it runs.

    Killed anywhere in between, the state before is the one that `load_state` finds.

    Raises:
        OSError: if the disk does not take it; the state before is then intact.
    """
    before = _index(directory)
    slot = (
        "state-0.safetensors" if before.get("last", {}).get("file") == "state-1.safetensors" else "state-1.safetensors"
    )
    raw = pack(tensors)
    write_atomic(directory / slot, raw)
    last = {"file": slot, "sha256": sha256_bytes(raw), "epochs": len(history)}
    index = {
        "identity": identity,
        "device": device,
        "last": last,
        "previous": before.get("last"),
        "history": history,
    }
    write_atomic(directory / INDEX, json.dumps(index))


def load_state(directory: Path, *, identity: str, device: str) -> tuple[dict[str, Tensor], list[dict[str, Any]]] | None:
    """The newest undamaged state and the history up to it; None if there is none.

    Raises:
        InputError: if the directory holds the state of another training, or one that began on another kind of device:
            its random numbers are others, so that it would be neither the one training nor the other.
    """
    for leftover in directory.glob(".*.*"):
        leftover.unlink(missing_ok=True)  # half-written when a process was killed
    index = _index(directory)
    if not index:
        return None
    if index.get("identity") != identity:
        raise InputError(
            f"{directory}: holds another training (other data, options, seed or trainer version); give each its own"
        )
    began = index.get("device", device)
    if began != device:
        raise InputError(
            f"{directory}: this training began on {began} and cannot go on on {device}; "
            f"use --device {began}, or delete the directory to start again"
        )
    for entry in (index.get("last"), index.get("previous")):
        if entry is None:
            continue
        try:
            tensors = read_tensors(directory / entry["file"], sha256=entry["sha256"])
        except InputError:
            continue  # damaged: the one before it is next
        return tensors, index["history"][: entry["epochs"]]
    return None


def discard_state(directory: Path) -> None:
    """Remove the states; the index goes first, so that it never names a missing file."""
    for name in (INDEX, "state-0.safetensors", "state-1.safetensors"):
        (directory / name).unlink(missing_ok=True)


def _index(directory: Path) -> dict[str, Any]:
    try:
        return read_json(directory / INDEX)
    except InputError:
        return {}  # absent, or damaged: training starts again
