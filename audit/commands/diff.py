"""`samenoise diff`: what moved between two audits, for people and for CI."""

from pathlib import Path
from typing import Annotated

import typer

from core.files import check_outputs, write_atomic
from reports.compare import compare, lines
from reports.compare_page import page
from reports.read import load_audit
from reports.text import printable


def command(
    old: Annotated[Path, typer.Argument(help="audit.json of the run that is the reference.")],
    new: Annotated[Path, typer.Argument(help="audit.json of the run that is held against it.")],
    html: Annotated[Path | None, typer.Option(help="Write the comparison as a page too.")] = None,
) -> None:
    """Say which verdicts changed and which values moved; exit code 1 if anything did, 0 if not, 2 for an error."""
    check_outputs({"--html": html}, [old, new])
    audits = {path: load_audit(path) for path in (old, new)}
    found = compare(audits[old], audits[new])
    if html is not None:
        write_atomic(html, page(found, (str(old), audits[old]), (str(new), audits[new])))
    for line in lines(found, str(old), str(new)):
        typer.echo(printable(line))
    if found.changes:
        raise typer.Exit(1)
