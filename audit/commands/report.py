"""`samenoise report`: the page of an audit again, from its `audit.json`."""

from pathlib import Path
from typing import Annotated

import typer

from core.errors import InputError
from core.files import check_outputs, write_atomic
from reports.benchmarks import benchmarks_page, is_benchmarks, load_benchmarks
from reports.crate import write_crate
from reports.read import load_audit
from reports.render import render, summarise


def command(
    audit: Annotated[
        Path, typer.Argument(help="audit.json of a run, its figures/ beside it; or what --benchmark-json wrote.")
    ],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    summary: Annotated[
        bool, typer.Option("--summary", help="The two-page form: claims, evidence, verdict, cost.")
    ] = False,
    crate: Annotated[
        Path | None, typer.Option(help="Write the whole report as an RO-Crate too: a new folder with its metadata.")
    ] = None,
) -> None:
    """Write the page of an audit from its JSON: one HTML file, the same bytes for the same JSON and figures."""
    check_outputs({"--out": out, "--crate": None if crate is None or crate.is_dir() else crate}, [audit])
    if is_benchmarks(audit):
        _no_audit(audit, summary=summary, crate=crate)
        write_atomic(out, benchmarks_page(load_benchmarks(audit)))
        typer.echo(str(out))
        return
    found = load_audit(audit)
    page = summarise(found) if summary else render(found, audit.parent)
    if crate is not None:
        typer.echo(f"{crate}: {write_crate(found, audit.parent, crate)} files and their metadata")
    write_atomic(out, page)
    typer.echo(f"{out}: {len(page.encode()) / 1e6:.1f} MB")


def _no_audit(path: Path, **asked: object) -> None:
    """Refuse options that only an audit has."""
    for name, value in asked.items():
        if value:
            raise InputError(f"--{name}: {path} holds benchmarks; expected an audit.json")
