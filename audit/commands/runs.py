"""`samenoise runs`: what is in a run store."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from core.errors import InputError
from core.training.presets import PRESETS
from core.training.runs import Record, RunStore

WIDTH = 120  # columns where there is no terminal to fit the table to


def command(
    runs: Annotated[Path, typer.Option(help="The run store.")] = Path("runs"),
    check: Annotated[bool, typer.Option(help="Also read every model and hold it against its hash.")] = False,
) -> None:
    """List the models: what was trained, how far, on what data, with what result."""
    store = RunStore(runs)
    if not runs.exists():
        raise InputError(f"{runs}: not found, expected what samenoise train or import leaves")
    table = Table(box=None)
    for column in ("scale", "protocol", "N", "group", "state", "epochs", "loss", "PSNR", "images", "key", "of"):
        table.add_column(column, no_wrap=True)
    records = store.records()
    settings: dict[str, int] = {}
    for record in records:
        last = record.history[-1] if record.history else {}
        state = record.kind if record.model else "unfinished"
        if check and record.model:
            store.get(record.key)
            state = "checked"
        table.add_row(
            *(str(record.label.get(key, "")) for key in ("scale", "protocol", "n", "group")),
            state,
            f"{record.epochs}/{record.config.epochs}" if record.config else "",
            f"{last['loss']:.4g}" if last else "",
            f"{last.get('test_psnr', last['psnr']):.2f}" if last else "",
            record.data.get("sha256", "")[:8],
            record.key[:8],
            str(settings.setdefault("; ".join(_about(record)), len(settings) + 1)),
        )
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
    for about, number in settings.items():
        typer.echo(f"of {number}: {about or 'nothing more is known'}")
    typer.echo(f"{runs}: {sum(r.model is not None for r in records)} of {len(records)} models finished")


def _about(record: Record) -> list[str]:
    """Corpus, how it was split, options that differ from those of the scale, and where an imported model comes from."""
    label = record.label
    told = [str(record.data["corpus"])] if "corpus" in record.data else []
    told += [f"{key} {label[key]}" for key in ("definition", "split", "data") if label.get(key)]
    if record.config:
        usual = PRESETS[label["scale"]].train.to_dict() if label.get("scale") in PRESETS else {}
        told += [f"{key} {value}" for key, value in record.config.to_dict().items() if usual.get(key, value) != value]
    return told + ([record.source] if record.source else [])
