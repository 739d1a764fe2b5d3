"""`samenoise sample`: images from every finished model of a run store, one file a model."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.progress import Progress

from audit.commands.arguments import number_list
from core.denoisers.sampling import Samples, heun, probability_flow, sample
from core.errors import InputError
from core.files import sha256_bytes, write_atomic
from core.machine import keep_freed_memory
from core.tensors import pack
from core.training.config import CHOICES, SampleConfig
from core.training.model_pairs import partner
from core.training.runs import RunStore
from core.training.samples import UnknownStart, network_denoiser, start_image
from core.training.train import chosen_device

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
    keep_every: Annotated[
        int, typer.Option(min=0, help="With ascent: also keep every so many-th state of each image; 0 keeps none.")
    ] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps; auto: cuda if it is here, else cpu.")] = "auto",
) -> None:
    """Sample every model from the same noise: seed k is the same noise for all of them, on every device."""
    if sampler not in SAMPLERS:
        raise InputError(f"--sampler: got {sampler!r}, expected one of {', '.join(SAMPLERS)}")
    if start not in CHOICES["start"]:
        raise InputError(f"--start: got {start!r}, expected {', '.join(CHOICES['start'])}")
    if keep_every and sampler != "ascent":
        raise InputError(f"--keep-every: got {keep_every} with --sampler {sampler}, expected ascent")
    device = chosen_device(device)
    keep_freed_memory()
    store, numbers = RunStore(runs), number_list(seeds, "--seeds")
    records = store.find()
    if not records:
        raise InputError(f"{runs}: found no finished model, expected what samenoise train or import leaves")
    arguments: dict[str, Any] = SampleConfig().to_dict() | {"keep_every": keep_every} if sampler == "ascent" else {}
    done = 0
    for record in records:
        try:
            mean = start_image(store, record, start, partner(record, records)).to(device)
        except UnknownStart as reason:  # the others can be sampled all the same
            typer.echo(f"skipped: {reason}", err=True)
            continue
        done += 1
        denoiser = network_denoiser(store.get(record.key).model, device, channels_last=True)
        with Progress(transient=True) as bar:
            task = bar.add_task(record.name, total=len(numbers))
            if sampler == "ascent":
                arguments["progress"] = lambda done, total, bar=bar, task=task: bar.update(task, completed=done)
            found = SAMPLERS[sampler](denoiser, numbers, mean, **arguments)
        tensors = {name: getattr(found, name) for name in ("images", "steps", "sigmas", "converged")}
        tensors |= {f"trajectory.{seed}": states for seed, states in zip(numbers, found.trajectories, strict=False)}
        raw = pack({**tensors, "seeds": torch.tensor(numbers)})
        path = out / f"{record.key[:16]}-{sampler}-{start}.safetensors"
        about = {
            "schema": "samenoise/samples/1",
            "model": record.key,
            "label": record.label,
            "sampler": sampler,
            "start": start,
            "seeds": numbers,
            "keep_every": keep_every,
            "sha256": sha256_bytes(raw),
        }
        try:
            write_atomic(path, raw)
            write_atomic(path.with_suffix(".json"), json.dumps(about, indent=1) + "\n")
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror})") from error
        ended = int(found.converged.sum())
        typer.echo(
            f"{path}: {record.name}, {ended} of {len(numbers)} converged, {found.steps.float().mean():.0f} steps"
        )
    if not done:
        raise InputError(f"--start {start}: of none of the {len(records)} models it is known; use --start none")
