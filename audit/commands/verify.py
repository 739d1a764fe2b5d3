"""`samenoise verify`: what leaks between groups that were published as disjoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa
import typer

from audit.commands.telling import Format, Groups, Telling, say, tell
from core.errors import InputError
from core.machine import return_freed_memory
from core.splits.arrow import POOL
from core.splits.membership import Membership
from core.splits.notes import Note
from core.splits.reading import Given, read_groups
from core.splits.requirements import PROPERTIES

if TYPE_CHECKING:
    from core.splits.near_duplicates import Again


def command(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="A folder to look at as it is: lists, tables or folders named train, val, test, a table with a "
            "column split, CelebA's lists. Images, identities and near-duplicates are checked unless --require says.",
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE, once a group: a list with a name a line, or a table; or a slice: FILE[:500]."),
    ] = None,
    identities: Annotated[Path | None, typer.Option(help="`name identity` a line, or a table.")] = None,
    attributes: Annotated[
        Path | None,
        typer.Option(help="CelebA's attribute file, .txt or .zip, repaired where it is broken; or a table."),
    ] = None,
    table: Annotated[
        list[Path] | None,
        typer.Option(
            help="Instead of --group: a table with a row an image. Several are a group each, or, with "
            "--group-column, pieces of one."
        ),
    ] = None,
    group_column: Annotated[
        str | None, typer.Option(help="The table's column of groups; or one column a group, by commas.")
    ] = None,
    name_column: Annotated[
        str | None, typer.Option(help="The column that names the image: its name, its number from 1, or A+B.")
    ] = None,
    identity_column: Annotated[str | None, typer.Option(help="The column that names the person.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="With a table: a column to count; every other small column unless given.")
    ] = None,
    merge: Annotated[
        str | None, typer.Option("--groups", help="Groups made of others: 'train=1-8,val=9,test=10'.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder, archive, table or array of the images, as `samenoise dedup` reads it: look for "
            "near-duplicates too."
        ),
    ] = None,
    threshold: Annotated[float, typer.Option(help="Correlation from which images are near-duplicates.")] = 0.95,
    fit: Annotated[
        str | None, typer.Option(help="With --images: how pictures are fitted, as `samenoise dedup --fit` takes it.")
    ] = None,
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="With --images DIR: only near-duplicates that a second look confirms count."),
    ] = False,
    require: Annotated[str | None, typer.Option(help=f"What must hold, by commas: {', '.join(PROPERTIES)}.")] = None,
    on_unknown: Annotated[
        Literal["error", "skip"], typer.Option(help="Images without an identity: refuse, or count and go on.")
    ] = "error",
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 if anything was assumed or passed over.")
    ] = False,
    format_: Annotated[
        Format, typer.Option("--format", help="What is printed: text, github (annotations too), or a SARIF log.")
    ] = "text",
    sarif_out: Annotated[Path | None, typer.Option("--sarif", help="Write the leaks as SARIF 2.1.0.")] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write everything that was counted.")] = None,
    html_out: Annotated[Path | None, typer.Option("--html", help="Write it as one page that needs no network.")] = None,
) -> None:
    """Count what leaks between groups. Exit code 0: all that is required holds; 1: it does not; 2: bad input."""
    return_freed_memory()
    pa.set_memory_pool(POOL)  # pyarrow's own keeps for itself what is freed
    wanted = tuple(dict.fromkeys(item.strip() for item in (require or "").split(",") if item.strip()))
    if require is not None and not wanted:
        raise InputError(f"--require {require!r}: found no property; expected one of {', '.join(PROPERTIES)}")
    telling = Telling(wanted, strict, format_, json_out, html_out, sarif_out)
    given = Given(
        groups=tuple(group or ()),
        tables=tuple(table or ()),
        identities=identities,
        attributes=attributes,
        group_column=group_column,
        name_column=name_column,
        identity_column=identity_column,
        attribute=attribute,
        merge=merge,
        on_unknown=on_unknown,
    )
    with _annotated(format_):
        groups, images, telling = _read(directory, given, images, telling)
        if fit is not None and images is None:
            raise InputError(f"--fit {fit}: goes with --images DIR")
        if confirm and images is None:
            raise InputError("--confirm: goes with --images DIR")
        near = None
        if images is not None:
            near, notes, again = _near(groups.membership, images, threshold, fit, confirm)
            telling = replace(telling, second_look=again.counts, seen=again.seen)
            groups = replace(groups, notes=(*groups.notes, *notes))
        holds = tell(groups, near, threshold, telling)
    if not holds:
        raise typer.Exit(1)


def _read(
    directory: Path | None, given: Given, images: Path | None, telling: Telling
) -> tuple[Groups, Path | None, Telling]:
    """What was given, or what lies in a folder; with the images to look at and what is required."""
    if directory is None:
        membership, notes, inputs = read_groups(given)
        return Groups(membership, inputs, notes=tuple(notes)), images, telling
    if given.groups or given.tables:
        raise InputError("DIR is looked at as a whole; give no --group and no --table beside it")
    from audit.commands.discovered import completed, given_of
    from core.splits.discovery import discover

    found = discover(directory)
    if found.folders:
        from core.splits.folders import read_folders

        pictures = read_folders(found.folders, directory)
        groups = Groups(pictures.membership, {}, pictures.files, notes=pictures.notes)
    else:
        membership, notes, inputs = read_groups(given_of(found, given))
        groups = Groups(membership, inputs, notes=tuple(notes))
    return completed(directory, found, groups, images, telling)


@contextmanager
def _annotated(form: Format) -> Iterator[None]:
    """An error is also an annotation where annotations are asked for."""
    try:
        yield
    except InputError as error:
        if form == "github":
            from reports.annotations import github_error

            say([github_error(str(error))])
        raise


def _near(
    membership: Membership, images: Path, threshold: float, fit: str | None, confirm: bool
) -> "tuple[Any, list[Note], Again]":
    """Near-duplicates across the groups, what of the pictures a reader should know, and what a second look says."""
    from rich.console import Console
    from rich.progress import Progress

    from core.data.pictures import Fit
    from core.splits.near_duplicates import Again, near_duplicates_across

    notes: list[Note] = []
    again = Again(confirm)
    console = Console(stderr=True)  # standard output may be a SARIF log
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading images", total=None)
        found = near_duplicates_across(
            membership,
            images,
            threshold=threshold,
            fit=None if fit is None else Fit.parse(fit),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            tell=lambda what, count: notes.append(Note("assumed", f"{count:,} {what}", str(images))),
            again=again,
        )
    return found, notes, again
