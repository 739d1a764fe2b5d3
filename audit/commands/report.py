"""`samenoise report`: the page of an audit again, from its `audit.json`."""

from pathlib import Path
from typing import Annotated

import typer

from core.files import write_atomic
from reports.crate import write_crate
from reports.read import load_audit
from reports.render import render, summarise


def command(
    audit: Annotated[Path, typer.Argument(help="audit.json of a run; its figures/ lie beside it.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    summary: Annotated[
        bool, typer.Option("--summary", help="The two-page form: claims, evidence, verdict, cost.")
    ] = False,
    crate: Annotated[
        Path | None, typer.Option(help="Write the whole report as an RO-Crate too: a new folder with its metadata.")
    ] = None,
) -> None:
    """Write the page of an audit from its JSON: one HTML file, the same bytes for the same JSON and figures."""
    found = load_audit(audit)
    page = summarise(found) if summary else render(found, audit.parent)
    if crate is not None:
        typer.echo(f"{crate}: {write_crate(found, audit.parent, crate)} files and their metadata")
    write_atomic(out, page)
    typer.echo(f"{out}: {len(page.encode()) / 1e6:.1f} MB")
