"""`samenoise runs`: what is in a run store."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from core.runs import RunStore


def command(
    runs: Annotated[Path, typer.Option(help="The run store.")] = Path("runs"),
    check: Annotated[bool, typer.Option(help="Also read every model and hold it against its hash.")] = False,
) -> None:
    """List the models: what was trained, how far, on what data, with what result."""
    store = RunStore(runs)
    table = Table(box=None)
    for column in ("scale", "protocol", "N", "group", "state", "epochs", "loss", "PSNR", "images", "key"):
        table.add_column(column, no_wrap=True)
    records = store.records()
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
        )
    Console().print(table)
    typer.echo(f"{runs}: {sum(r.model is not None for r in records)} of {len(records)} models finished")
