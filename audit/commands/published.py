"""`samenoise published`: what the published notebooks and figures show, on one page."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from audit.published.page import published_page, require_folder
from core.files import write_atomic
from core.training.presets import preset
from fixtures.experiments.desk import TrainedExperiment
from fixtures.published.files import Published


def command(
    directory: Annotated[Path, typer.Argument(help="Checkout of Sylvain-Topeza/inria-internship.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("published.html"),
    runs: Annotated[Path, typer.Option(help="Store of the pairs trained on recovered faces.")] = Path("runs"),
    pairs: Annotated[
        bool, typer.Option(help="Train pairs on the recovered faces, two minutes on 2 cores where they are not stored.")
    ] = True,
) -> None:
    """Recover every tile of the published pictures, measure what they show, and write both to one HTML file."""
    require_folder(directory)
    desk = TrainedExperiment(preset("desk"), runs) if pairs else None
    with Progress(transient=True) as bar:
        task = bar.add_task("claims", total=None)
        page = published_page(
            Published(directory), desk, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    write_atomic(out, page)
    typer.echo(f"{out}: {len(page.encode()) / 1e6:.1f} MB")
