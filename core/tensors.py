"""Training states on disk: safetensors for the numbers, JSON for the rest, hashes checked on every load.

Two slots alternate, so that the last good state stands until the next one is complete.
"""

import hashlib
import json
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
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
        reason = what_else(raw[:HEAD]) or f"not a safetensors file ({first_words(str(error))})"
        raise InputError(f"{source}: {reason}") from error


def read_tensors(path: Path, *, sha256: str | None = None) -> dict[str, Tensor]:
    """Tensors of a safetensors file, its hash checked if one is given; errors are `InputError` with the path."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return unpack(raw, source=str(path), sha256=sha256)


SAFE_NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "U8": "|u1", "U16": "<u2", "I32": "<i4", "I64": "<i8"}


def map_tensor(path: Path) -> np.ndarray:
    """The tensor called `images` or `data` of a safetensors file, or its only one, as an array mapped to the file.

    Raises:
        InputError: naming the file and what it holds, if it is no such file or has no such tensor.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
            length = int.from_bytes(head, "little")
            with safetensors.safe_open(path, framework="np") as checked:  # refuses a header that does not fit the file
                names = list(checked.keys())
            about = json.loads(stream.read(length))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{path}: not a safetensors file ({first_words(str(error))})") from error
    likely = [known for known in ("images", "data") if known in names] or names
    if not names or (likely == names and len(names) > 1):
        shown = ", ".join(f"{first_words(known, 40)} {tuple(about[known]['shape'])}" for known in names[:4])
        found = f"{len(names)} tensors, {shown}" if names else "no tensor"
        raise InputError(f"{path}: holds {found}; expected one, or one that is called images or data")
    chosen = about[likely[0]]
    if chosen["dtype"] not in SAFE_NUMBERS:
        raise InputError(f"{path}: found a tensor of {chosen['dtype']}, expected one of {', '.join(SAFE_NUMBERS)}")
    start = 8 + length + chosen["data_offsets"][0]
    return np.memmap(path, SAFE_NUMBERS[chosen["dtype"]], "r", start, tuple(chosen["shape"]))


def read_published(path: Path) -> dict[str, Tensor]:
    """A state or a tensor that others saved: `.safetensors`, or `.pt` read with `weights_only=True`.

    A bare tensor comes back under the name `data`.

    Raises:
        InputError: if the file is missing, damaged, or holds anything but tensors.
    """
    if path.suffix == ".safetensors":
        return read_tensors(path)
    loaded = load_plain(path)
    if isinstance(loaded, Tensor):
        return {"data": loaded}
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise InputError(f"{path}: holds a {type(loaded).__name__}, expected a tensor or a mapping of tensors")
    return dict(loaded)


def load_plain(path: Path) -> Any:
    """What a `.pt` file holds, of tensors, plain Python values and numpy's scalars only; no code in it is run.

    Raises:
        InputError: naming the file, if it is missing, damaged, another kind of file, or holds anything else.
    """
    try:
        with torch.serialization.safe_globals(NUMPY_SCALARS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of the pickle protocol of what it then refuses
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and OS errors alike: the file comes from outside
        raise InputError(f"{path}: {load_failure(path, error)}") from error


# What rebuilds one number of numpy, under its names before and since numpy 2.0, and the types of numbers: nothing else
_scalar = np.float64(0).__reduce__()[0]
NUMPY_SCALARS: list[Any] = [
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"),
]
HEAD = 512  # bytes by which a file of another kind is known


def load_failure(path: Path, error: Exception) -> str:
    """Why torch could not read a file, in one line and in our words: torch's own text advises to load unsafely."""
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror or type(error).__name__})"
    try:
        with path.open("rb") as stream:
            found = what_else(stream.read(HEAD))
        names = zipfile.ZipFile(path).namelist() if not found and zipfile.is_zipfile(path) else []
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as unreadable:
        return f"cannot be read ({type(unreadable).__name__})"
    if found:
        return found
    if names and not any(name.endswith("data.pkl") for name in names):
        return f"a zip archive that is no checkpoint (holds {first_words(', '.join(names[:3]))}), expected a .pt file"
    text = str(error)
    if forbidden := re.search(r"GLOBAL ([\w.]+)", text):
        return f"cannot be read as tensors only: holds a Python object ({forbidden[1][:80]}), which is not loaded"
    if "mmap can only be used" in text:
        return "cannot be read as tensors only: expected what torch.save writes since version 1.6"
    if "PytorchStreamReader" in text or isinstance(error, EOFError):
        return "cannot be read as tensors only: truncated or damaged"
    writer = "numpy.save without objects" if path.suffix == ".npy" else "torch.save or safetensors"
    return f"cannot be read as tensors only ({type(error).__name__}), expected what {writer} writes"


def what_else(head: bytes) -> str:
    """What a file is by its first bytes, where it is something that is often found in a checkpoint's place, or ''."""
    if not head:
        return "holds nothing: the file is empty"
    if head.startswith(b"version https://git-lfs"):
        return "holds a Git LFS pointer, not the file it stands for; `git lfs pull` fetches that"
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "holds a web page, as a refused download leaves it; expected what torch.save or safetensors writes"
    return ""


def first_words(text: str, most: int = 200) -> str:
    """The first line of a foreign text without terminal codes or control characters, cut to `most` characters."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).strip().split("\n")[0]
    return "".join(character if character.isprintable() else "?" for character in plain)[:most]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; errors are `InputError` with the path."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds a {type(value).__name__}, expected an object")
    return value
