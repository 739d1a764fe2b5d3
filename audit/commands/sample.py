"""`samenoise sample`: images from every finished model of a run store, one file a model."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.progress import Progress
from torch import Tensor

from core.checkpoint import pack
from core.errors import InputError
from core.files import sha256_bytes, write_atomic
from core.grid import number_list
from core.presets import SampleConfig
from core.runs import Record, RunStore
from core.sample import Samples, heun, probability_flow, sample
from core.unet import denoise

SAMPLERS: dict[str, Callable[..., Samples]] = {
    "ascent": sample,
    "flow": probability_flow,
    "heun": heun,
    "euler": partial(heun, order=1),
}


def command(
    runs: Annotated[Path, typer.Option(help="The run store.")],
    out: Annotated[Path, typer.Option(help="Directory of the samples, one .safetensors and .json a model.")],
    seeds: Annotated[str, typer.Option(help="As 0:64 or 3,5,8.")] = "0:64",
    start: Annotated[str, typer.Option(help="Mean image of the group, one shared by both groups, or none.")] = "group",
    sampler: Annotated[str, typer.Option(help="ascent (as published), flow, heun or euler.")] = "ascent",
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu",
) -> None:
    """Sample every model from the same noise: seed k is the same noise for all of them, on every device."""
    if sampler not in SAMPLERS:
        raise InputError(f"--sampler: got {sampler!r}, expected one of {', '.join(SAMPLERS)}")
    store, numbers = RunStore(runs), number_list(seeds, "--seeds")
    records = store.find()
    if not records:
        raise InputError(f"{runs}: found no finished model, expected what samenoise train or import leaves")
    arguments: dict[str, Any] = SampleConfig().to_dict() if sampler == "ascent" else {}
    for record in records:
        model = store.get(record.key).model.to(device)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        mean = _mean(store, record, start).to(device)
        with Progress(transient=True) as bar:
            task = bar.add_task(_name(record), total=len(numbers))
            if sampler == "ascent":
                arguments["progress"] = lambda done, total, bar=bar, task=task: bar.update(task, completed=done)
            found = SAMPLERS[sampler](partial(denoise, model), numbers, mean, **arguments)
        tensors = {name: getattr(found, name) for name in ("images", "steps", "sigmas", "converged")}
        raw = pack({**tensors, "seeds": torch.tensor(numbers)})
        path = out / f"{record.key[:16]}-{sampler}-{start}.safetensors"
        about = {
            "schema": "samenoise/samples/1",
            "model": record.key,
            "label": record.label,
            "sampler": sampler,
            "start": start,
            "seeds": numbers,
            "sha256": sha256_bytes(raw),
        }
        try:
            write_atomic(path, raw)
            write_atomic(path.with_suffix(".json"), json.dumps(about, indent=1) + "\n")
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror})") from error
        done = int(found.converged.sum())
        typer.echo(
            f"{path}: {_name(record)}, {done} of {len(numbers)} converged, {found.steps.float().mean():.0f} steps"
        )


def _name(record: Record) -> str:
    return " ".join(str(value) for value in record.label.values()) or record.key[:16]


def _mean(store: RunStore, record: Record, start: str) -> Tensor:
    """The start of a model; both groups have one size, so their shared mean is the mean of their means."""
    if start not in ("group", "shared", "none"):
        raise InputError(f"--start: got {start!r}, expected group, shared or none")
    pair = [record]
    if start == "shared":
        label = {key: value for key, value in record.label.items() if key != "group"}
        pair = [r for r in store.find(**label) if r.label.get("group") in ("A", "B")]
        if sorted(r.label["group"] for r in pair) != ["A", "B"]:
            raise InputError(f"--start shared: {_name(record)} has no other group in {store.root}")
    means = [store.mean(r) for r in pair]
    if start == "none":
        config = record.config
        side = config.image_size if config else (means[0].shape[-1] if means[0] is not None else 40)
        return torch.zeros(record.model["architecture"]["in_channels"] if record.model else 1, side, side)
    known = [mean for mean in means if mean is not None]
    if len(known) < len(pair):
        raise InputError(f"--start {start}: the training images of {_name(record)} are not known; use --start none")
    return torch.stack(known).mean(dim=0)
