"""Finds the weights in a checkpoint as people save them: nested once, prefixed, beside counters and optimisers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from core.errors import InputError
from core.tensors import first_words, load_plain, read_tensors

PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile, in any order and number
FIRST = "encoder.0.0.weight"  # the network's first tensor


def read_state(path: Path, *, name: str | None = None) -> tuple[dict[str, Tensor], str]:
    """The weights in a checkpoint, without prefixes, and under which entry they lay ('' where not nested).

    Weights are tensors by name, at the top of the file or one level below (`model`, `state_dict`, `ema`, ...). Whatever
    lies beside them, numbers, texts, lists, the state of an optimiser, is passed over, and so are tensors without
    dimensions (counters), which the network has none of.

    Args:
        path: `.pt` or `.safetensors`.
        name: which entry to take, where several hold weights.

    Raises:
        InputError: naming the file, if it cannot be read, holds no weights, or several and no `name` says which.
    """
    loaded = read_tensors(path) if path.suffix == ".safetensors" else load_plain(path)
    if not isinstance(loaded, Mapping):
        raise InputError(f"{path}: holds a {type(loaded).__name__}, expected weights by name")
    candidates = _candidates(loaded)
    if name is not None:
        candidates = {key: state for key, state in candidates.items() if key == name}
    whole = {key: state for key, state in candidates.items() if FIRST in state} or candidates
    if not whole:
        asked = f" under {name!r}" if name is not None else ""
        raise InputError(f"{path}: found no weights{asked} among {_shown(loaded)}, expected tensors by name")
    if len(whole) > 1:
        raise InputError(f"{path}: holds weights under {_shown(whole)}, expected one; name it with --state")
    ((key, state),) = whole.items()
    return state, key


def _candidates(loaded: Mapping[Any, Any]) -> dict[str, dict[str, Tensor]]:
    """Entries that hold tensors by name, without their prefixes; '' is the file itself."""
    found = {"": loaded} | {str(key): value for key, value in loaded.items() if isinstance(value, Mapping)}
    states = {key: _tensors(value) for key, value in found.items()}
    return {key: state for key, state in states.items() if state}


def _tensors(entries: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Tensors with dimensions, under names without prefixes; two that would share a name keep theirs."""
    tensors = {key: value for key, value in entries.items() if isinstance(key, str) and _has_dimensions(value)}
    bare = {_bare(key): value for key, value in tensors.items()}
    return bare if len(bare) == len(tensors) else tensors


def _has_dimensions(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0


def _bare(name: str) -> str:
    while name.startswith(PREFIXES):
        name = name[len(next(prefix for prefix in PREFIXES if name.startswith(prefix))) :]
    return name


def _shown(entries: Mapping[Any, Any]) -> str:
    names = [repr(first_words(str(key), 40)) if key != "" else "the file itself" for key in entries]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "") or "nothing"
