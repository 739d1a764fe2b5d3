"""Training states on disk: safetensors for the numbers, JSON for the rest, hashes checked on every load.

Two slots alternate, so that the last good state stands until the next one is complete.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from core.errors import InputError
from core.files import sha256_bytes, write_atomic

INDEX = "checkpoint.json"


def tensor_sha256(images: Tensor) -> str:
    """Hash of a tensor's shape, type and bytes, in order."""
    array = np.ascontiguousarray(images.detach().cpu().numpy())
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(array.view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


def pack(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors as safetensors bytes; equal tensors give equal bytes, whatever their memory layout."""
    return safetensors.torch.save({name: t.detach().cpu().contiguous() for name, t in sorted(tensors.items())})


def unpack(raw: bytes, *, source: str, sha256: str | None = None) -> dict[str, Tensor]:
    """The inverse of `pack`.

    Raises:
        InputError: naming `source`, if the hash differs from `sha256` or the bytes are no safetensors.
    """
    if sha256 is not None and (found := sha256_bytes(raw)) != sha256:
        raise InputError(f"{source}: damaged, sha256 is {found[:12]}..., expected {sha256[:12]}...")
    try:
        return safetensors.torch.load(raw)
    except (SafetensorError, struct.error, ValueError, KeyError) as error:
        raise InputError(f"{source}: not a safetensors file ({error})") from error


def read_tensors(path: Path, *, sha256: str | None = None) -> dict[str, Tensor]:
    """Tensors of a safetensors file, its hash checked if one is given; errors are `InputError` with the path."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return unpack(raw, source=str(path), sha256=sha256)


def read_published(path: Path) -> dict[str, Tensor]:
    """A state or a tensor that others saved: `.safetensors`, or `.pt` read with `weights_only=True`.

    A bare tensor comes back under the name `data`.

    Raises:
        InputError: if the file is missing, damaged, or holds anything but tensors.
    """
    if path.suffix == ".safetensors":
        return read_tensors(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and OS errors alike: the file comes from outside
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be read as tensors only ({line[:200]})") from error
    if isinstance(loaded, Tensor):
        return {"data": loaded}
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise InputError(f"{path}: holds a {type(loaded).__name__}, expected a tensor or a mapping of tensors")
    return dict(loaded)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; errors are `InputError` with the path."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds a {type(value).__name__}, expected an object")
    return value


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
