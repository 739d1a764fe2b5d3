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
from core.files import sha256_bytes


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
