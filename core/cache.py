"""Tensors kept under the hash of what determines them: computed once, read afterwards, their bytes checked."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from core.errors import InputError
from core.files import sha256_bytes, sha256_text, write_atomic
from core.tensors import pack, unpack


def is_cached(directory: Path, key: Mapping[str, object]) -> bool:
    """Whether tensors were kept under this key; their bytes are checked when they are read."""
    return all(path.exists() for path in _files(directory, key))


def cached(directory: Path, key: Mapping[str, object], make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors that `make` returns: from `directory` if they were made before, else made and written now.

    `key` names everything that determines them, versions of the code included; it must be plain JSON. A file whose
    bytes do not hash to what was recorded is made again.

    Raises:
        InputError: if the directory cannot be written, before anything is made.
    """
    data, digest = _files(directory, key)
    if data.exists() and digest.exists():
        raw = data.read_bytes()
        if sha256_bytes(raw) == digest.read_text(encoding="utf-8").strip():
            return unpack(raw, source=str(data))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise PermissionError(13, "Permission denied")
        made = make()
        raw = pack(made)
        write_atomic(data, raw)
        write_atomic(digest, sha256_bytes(raw) + "\n")
    except OSError as error:
        raise InputError(f"{directory}: cannot be written ({error.strerror}); expected a store of results") from error
    return made


def _files(directory: Path, key: Mapping[str, object]) -> tuple[Path, Path]:
    name = sha256_text(json.dumps(key, sort_keys=True))
    return directory / f"{name}.safetensors", directory / f"{name}.sha256"
