"""`samenoise train`: every model of a grid, from the run store or trained now."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from audit.commands.arguments import number_list, options
from core.data.corpus import Corpus, load_corpus
from core.errors import InputError
from core.machine import keep_freed_memory
from core.splits.build import corpus_of, load_split
from core.tensors import tensor_sha256
from core.training.config import TrainConfig
from core.training.grid import Planned, grid, held_out
from core.training.presets import preset
from core.training.runs import Origin, RunStore
from core.training.state import History, read_history
from core.training.train import chosen_device


def command(
    runs: Annotated[Path, typer.Option(help="The run store; it may be filled by many machines at once.")],
    corpus: Annotated[
        Path | None, typer.Option(help="A saved corpus: samenoise prepare. Default: the one that was split.")
    ] = None,
    scale: Annotated[str, typer.Option(help="desk, workstation, paper40, paper80.")] = "desk",
    split: Annotated[Path | None, typer.Option(help="A split directory; without it, baseline halves.")] = None,
    sizes: Annotated[
        str | None, typer.Option(help="Images a group, as 10,100,1000; default: those of the scale.")
    ] = None,
    groups: Annotated[str, typer.Option(help="Groups to train.")] = "A,B",
    definition: Annotated[str | None, typer.Option(help="Baseline halves: ends or consecutive.")] = None,
    seed: Annotated[int, typer.Option(help="Of group A; B has the next.")] = 0,
    trainings: Annotated[int, typer.Option(help="Of each model, by seed; claims on agreement take 3.")] = 1,
    task: Annotated[int | None, typer.Option(help="Train only cell K of the grid, counted from 0.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps; auto: cuda if it is here, else cpu.")] = "auto",
    devices: Annotated[int, typer.Option(help="Devices that share a batch.")] = 1,
    precision: Annotated[str | None, typer.Option(help="32, tf32 or bf16.")] = None,
    noise: Annotated[str | None, typer.Option(help="Law of the noise level: uniform or quadratic.")] = None,
    repetition: Annotated[str | None, typer.Option(help="whole or exact.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Any other option, KEY=VALUE; may be repeated.")
    ] = None,
    events: Annotated[Path | None, typer.Option(help="Also write TensorBoard events here.")] = None,
) -> None:
    """Train what is missing; killed at any moment, the same command goes on where it stopped."""
    chosen = preset(scale)
    named = {"precision": precision, "noise": noise, "repetition": repetition}
    config = options(chosen.train.replace(**{k: v for k, v in named.items() if v is not None}), set_ or [])
    if corpus is None:
        if split is None:
            raise InputError("--corpus: got none, expected a saved corpus, or --split with one that was built from one")
        corpus = corpus_of(split)
    images = load_corpus(corpus)
    cells = grid(
        images,
        load_split(split) if split else None,
        sizes=number_list(sizes, "--sizes") if sizes else chosen.sizes,
        groups=groups.split(","),
        definition=definition or chosen.definition,
        seed=seed,
        trainings=trainings,
        scale=scale,
    )
    rest = held_out(images, cells)
    if task is not None:
        if not 0 <= task < len(cells):
            raise InputError(f"--task: got {task}, expected 0 to {len(cells) - 1}: the grid has {len(cells)} cells")
        cells = [cells[task]]
    store, device = RunStore(runs), chosen_device(device)
    keep_freed_memory()
    left = [(cell, tensor_sha256(images.by_names(cell.names).images)) for cell in cells]
    while left:
        # the first that no other process is training; where all are, the first is waited for
        known = [store.key(sha256, config, cell.seed, devices) for cell, sha256 in left]
        at = next((k for k, key in enumerate(known) if store.finished(key) or not store.busy(key)), 0)
        cell, sha256 = left.pop(at)
        _train(store, images, corpus, cell, sha256, config, rest, device, devices, events)


def _train(
    store: RunStore,
    images: Corpus,
    corpus: Path,
    cell: Planned,
    sha256: str,
    config: TrainConfig,
    rest: list[str],
    device: str,
    devices: int,
    events: Path | None,
) -> None:
    key = store.key(sha256, config, cell.seed, devices)
    name = str(cell.cell)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[state]}"))
    log = Events(events / name.replace(" ", "-")) if events else None
    with Progress(*columns) as bar:
        task = bar.add_task(name, total=None, state="")

        def on_epoch(row: dict[str, Any]) -> None:
            psnr = row.get("test_psnr", row["psnr"])
            state = f"epoch {row['epoch'] + 1}, {row['images_per_second']:,.0f} images/s, loss {row['loss']:.3g}"
            bar.update(task, state=f"{state}, PSNR {psnr:.2f} dB")
            if log:
                log.write(read_history(store.root / key))

        result = store.get_or_train(
            images.by_names(cell.names).images,
            config,
            seed=cell.seed,
            label=cell.label,
            origin=Origin(str(corpus.resolve()), cell.names),
            test_images=images.by_names(rest).images if rest else None,
            device=device,
            devices=devices,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            on_epoch=on_epoch,
            images_sha256=sha256,
        )
        bar.update(task, completed=1, total=1)
    if log:
        log.write(result.history)
        log.close()
    last = result.history[-1] if result.history else {}
    typer.echo(
        f"{name}: {len(result.history)} epochs, loss {last.get('loss', math.nan):.4g}, "
        f"test PSNR {last.get('test_psnr', math.nan):.2f} dB"
    )


class Events:
    """TensorBoard events of one training, from its first epoch, whenever it was stopped and resumed.

    Raises:
        InputError: if TensorBoard is not installed.
    """

    def __init__(self, directory: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError("--events: TensorBoard is not installed: pip install 'samenoise[events]'") from error
        for before in directory.glob("events.out.tfevents.*"):
            before.unlink()  # the history holds all of it, and twice the same epoch would be drawn twice
        self.log: Any = SummaryWriter(str(directory))  # type: ignore[no-untyped-call]
        self.written = 0

    def write(self, history: History) -> None:
        """Rows that are not there yet, on disk when this returns."""
        for row in history[self.written :]:
            for name in row.keys() - {"epoch"}:
                self.log.add_scalar(name, row[name], row["epoch"])
        self.written = len(history)
        self.log.flush()

    def close(self) -> None:
        """No more is to come."""
        self.log.close()
