"""`samenoise verify`: what leaks between groups that were published as disjoint."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from core.files import sha256_file, write_atomic
from core.splits.leakage import Leakage, count_leakage
from core.splits.membership import Membership
from core.splits.notes import Note
from core.splits.reading import Given, read_groups
from core.splits.requirements import PROPERTIES, violations
from core.splits.sentences import count_lines, looked_at_line
from reports.leakage import SCHEMA, page


def command(
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
        Path | None, typer.Option(help="A folder with the images, or a saved corpus: look for near-duplicates too.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Correlation from which images are near-duplicates.")] = 0.95,
    require: Annotated[str, typer.Option(help=f"What must hold, by commas: {', '.join(PROPERTIES)}.")] = "",
    on_unknown: Annotated[
        Literal["error", "skip"], typer.Option(help="Images without an identity: refuse, or count and go on.")
    ] = "error",
    json_out: Annotated[Path | None, typer.Option("--json", help="Write everything that was counted.")] = None,
    html_out: Annotated[Path | None, typer.Option("--html", help="Write it as one page that needs no network.")] = None,
) -> None:
    """Count what leaks between groups. Exit code 0: all that is required holds; 1: it does not; 2: bad input."""
    required = [item.strip() for item in require.split(",") if item.strip()]
    given = Given(
        groups=group or (),
        tables=table or (),
        identities=identities,
        attributes=attributes,
        group_column=group_column,
        name_column=name_column,
        identity_column=identity_column,
        attribute=attribute,
        merge=merge,
        on_unknown=on_unknown,
    )
    membership, notes, inputs = read_groups(given)
    found = count_leakage(membership, None if images is None else _near(membership, images, threshold))
    broken = violations(found, required)
    result = {
        "schema": SCHEMA,
        "inputs": {
            name: {"file": path.name, "rows": rows, "sha256": sha256_file(path)}
            for name, (path, rows) in inputs.items()
        },
        "duplicate_threshold": None if images is None else threshold,
        **asdict(found),
        "required": required,
        "violations": [{"property": name, "why": why} for name, why in broken],
        "holds": not broken,
    }
    if json_out is not None:
        write_atomic(json_out, json.dumps(result, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    if html_out is not None:
        write_atomic(html_out, page(result))
    _show(found, required, broken, notes)
    if broken:
        raise typer.Exit(1)


def _near(membership: Membership, images: Path, threshold: float) -> Any:
    from core.splits.near_duplicates import near_duplicates_across

    with Progress(transient=True) as bar:
        task = bar.add_task("reading images", total=None)
        return near_duplicates_across(
            membership,
            images,
            threshold=threshold,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _show(found: Leakage, required: list[str], broken: list[tuple[str, str]], notes: Sequence[Note]) -> None:
    console = Console(highlight=False)
    sizes = Table("group", "images", "identities", box=None, pad_edge=False)
    for name, group in found.groups.items():
        people = "" if group.identities is None else f"{group.identities:,}"
        sizes.add_row(name, f"{group.images:,}", people)
    console.print(sizes)
    for line in count_lines(found):
        print(line)
    print(looked_at_line(found))
    for note in notes:
        print(f"note: {note}")
    for name, why in broken:
        print(f"VIOLATED {name}: {why}")
    held = [item for item in required if item not in {name for name, _ in broken}]
    if held:
        spelled = sum(note.kind == "spelling" for note in notes)
        print(f"holds: {', '.join(held)}{f' (as spelled; {spelled} notes of spelling above)' if spelled else ''}")
