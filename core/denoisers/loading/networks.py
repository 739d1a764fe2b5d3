"""This project's blind network as a denoiser: from its store, or from a checkpoint that others published."""

import json
import re
from pathlib import Path
from typing import Any

import torch

from core.denoisers.loading.checkpoint import read_state
from core.denoisers.loading.given import Given
from core.denoisers.protocol import Blind
from core.denoisers.unet import UNet, architecture, denoise, load_published
from core.errors import InputError
from core.files import sha256_text
from core.tensors import read_json, read_tensors

RECORD, MODEL = "record.json", "model.safetensors"


def read_record(folder: Path) -> dict[str, Any]:
    """What the store recorded of a model, by its folder `<store>/<key>`.

    Raises:
        InputError: if there is nothing, or the record is damaged.
    """
    values = read_json(folder / RECORD)
    body = {k: v for k, v in values.items() if k != "sha256"}
    if (
        values.get("sha256") != sha256_text(json.dumps(body, sort_keys=True))
        or body.get("key") != folder.absolute().name
    ):
        raise InputError(f"{folder / RECORD}: damaged, its contents do not hash to what it says")
    return body


def stored_network(folder: Path, model: dict[str, Any]) -> UNet:
    """The network of a record's `model`, its bytes checked against the recorded hash; for evaluation.

    Raises:
        InputError: if its file is missing or damaged.
    """
    state = read_tensors(folder / MODEL, sha256=model["sha256"])
    network = UNet(**model["architecture"])
    load_published(network, state, source=str(folder / MODEL))
    return network.eval()


def find_stored(spec: str, runs: Path) -> Path | None:
    """The folder of the store's only model whose key begins with `spec`; None where none does.

    Raises:
        InputError: where several do.
    """
    if not re.fullmatch(r"[0-9a-f]{4,64}", spec):
        return None
    found = sorted(path.parent for path in runs.glob(f"{spec}*/{RECORD}"))
    if len(found) > 1:
        raise InputError(f"{spec}: {len(found)} models of {runs} have keys that begin so, expected one")
    return found[0] if found else None


def load_stored(folder: Path, given: Given, *, device: str = "cpu") -> Blind:
    """A finished model of a store; its images are squares of the size it was trained on.

    Raises:
        InputError: if there is none, it is unfinished or damaged, or its size is known neither here nor to the caller.
    """
    record = read_record(folder)
    if record["model"] is None:
        raise InputError(f"{folder}: its training has not ended, expected a finished model")
    size = (record["config"] or {}).get("image_size") or _named_size(str(record["label"].get("data", "")))
    if size is None and "mean" in record["data"]:
        size = read_tensors(folder / "mean.safetensors", sha256=record["data"]["mean"])["mean"].shape[-1]
    return _denoiser(stored_network(folder, record["model"]), size, given, str(folder), device)


def load_checkpoint(path: Path, given: Given, *, device: str = "cpu") -> Blind:
    """A published checkpoint (`.pt`, `.pth`, `.safetensors`) of this network, by file; tensors only are read.

    Raises:
        InputError: if it is none, or the size of its images is known neither from its folder's name nor to the caller.
    """
    state, _ = read_state(path)
    network = UNet(*architecture(state, source=str(path)).values())
    load_published(network, state, source=str(path))
    return _denoiser(network.eval(), _named_size(path.resolve().parent.parent.name), given, str(path), device)


def _named_size(name: str) -> int | None:
    """The side of the images in a name such as `train40x40_no_repeats`."""
    found = re.search(r"(\d+)x(\d+)", name)
    return int(found[1]) if found and found[1] == found[2] else None


def _denoiser(network: UNet, size: int | None, given: Given, source: str, device: str) -> Blind:
    given.only("shape", "data_range", "sigma_min", "sigma_max", source=source)
    shape = given.shape or (network.in_channels, size, size) if size else given.shape
    if shape is None:
        raise InputError(
            f"{source}: fits images of many sizes and does not say which it was trained on; give the shape "
            "(channels, height, width)"
        )
    network = network.to(device).requires_grad_(False)
    said = {name: getattr(given, name) for name in ("data_range", "sigma_min", "sigma_max")}
    return Blind(
        lambda y: denoise(network, y.to(device, torch.float32)).to(y.device, y.dtype),
        shape=shape,
        **{name: value for name, value in said.items() if value is not None},
    )
