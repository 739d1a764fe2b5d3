"""`samenoise verify`: what leaks between groups that were published as disjoint."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from core.data.celeba import read_attributes, read_identities
from core.data.lists import read_list
from core.errors import InputError
from core.files import sha256_file, write_atomic
from core.splits.leakage import Leakage, count_leakage
from core.splits.membership import Membership, from_lists
from core.splits.requirements import PROPERTIES, violations
from core.splits.tables import read_table
from reports.leakage import SCHEMA, page

_GROUP = re.compile(r"(?P<name>[^=]+)=(?P<path>.+?)(?P<slice>\[(?P<start>\d*):(?P<stop>\d*)\])?")


def command(
    group: Annotated[
        list[str] | None,
        typer.Option(help="NAME=LIST, once a group; LIST is a file with a name a line, or a slice of one: LIST[:500]."),
    ] = None,
    identities: Annotated[Path | None, typer.Option(help="With lists: `name identity` a line.")] = None,
    attributes: Annotated[
        Path | None,
        typer.Option(help="With lists: CelebA's attribute file, .txt or .zip, repaired where it is broken."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Instead of lists: a .csv, .tsv or .parquet table with a row an image.")
    ] = None,
    group_column: Annotated[str, typer.Option(help="With a table: the column that names the group.")] = "group",
    name_column: Annotated[str, typer.Option(help="With a table: the column that names the image.")] = "name",
    identity_column: Annotated[str | None, typer.Option(help="With a table: the column that names the person.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="With a table: a column to count; every other small column unless given.")
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
    inputs: dict[str, tuple[Path, str | None]] = {}
    if table is not None:
        if group or identities or attributes:
            raise InputError("--table: the table has the groups, identities and attributes; give no lists beside it")
        inputs["table"] = table, None
        membership = read_table(
            table,
            group_column=group_column,
            name_column=name_column,
            identity_column=identity_column,
            attributes=attribute,
            on_unknown=on_unknown,
        )
    else:
        if attribute or identity_column:
            raise InputError("--attribute and --identity-column go with --table; lists take --attributes, --identities")
        membership = _from_lists(group or [], identities, attributes, on_unknown, inputs)
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
    _show(found, required, broken)
    if broken:
        raise typer.Exit(1)


def _from_lists(
    groups: list[str],
    identities: Path | None,
    attributes: Path | None,
    on_unknown: Literal["error", "skip"],
    inputs: dict[str, tuple[Path, str | None]],
) -> Membership:
    lists: dict[str, list[str]] = {}
    for item in groups:
        parsed = _GROUP.fullmatch(item)
        if parsed is None:
            raise InputError(f"--group {item}: expected NAME=LIST")
        name, path = parsed["name"], Path(parsed["path"])
        if name in lists:
            raise InputError(f"--group {item}: the name {name} is taken; expected one list a group")
        start, stop = (int(parsed[end]) if parsed[end] else None for end in ("start", "stop"))
        lists[name] = read_list(path, skip_blank=True)[start:stop]
        inputs[f"group {name}"] = path, parsed["slice"]
    inputs.update({"identities": (identities, None)} if identities else {})
    inputs.update({"attributes": (attributes, None)} if attributes else {})
    return from_lists(
        lists,
        None if identities is None else read_identities(identities),
        None if attributes is None else read_attributes(attributes),
        on_unknown=on_unknown,
    )


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


def _show(found: Leakage, required: list[str], broken: list[tuple[str, str]]) -> None:
    console = Console(highlight=False)
    sizes = Table("group", "images", "identities", box=None, pad_edge=False)
    for name, group in found.groups.items():
        people = "" if group.identities is None else f"{group.identities:,}"
        sizes.add_row(name, f"{group.images:,}", people)
    console.print(sizes)
    for pair in found.pairs:
        line = f"{pair.a} and {pair.b}: {pair.shared_images:,} shared images"
        if pair.shared_identities is not None:
            line += (
                f", {pair.shared_identities:,} shared identities; identity also in the other group: "
                f"{pair.images_of_a_with_identity_in_b:,} images of {pair.a} ({pair.fraction_of_a:.2%}), "
                f"{pair.images_of_b_with_identity_in_a:,} of {pair.b} ({pair.fraction_of_b:.2%})"
            )
        if pair.near_duplicate_pairs is not None:
            line += f"; {pair.near_duplicate_pairs:,} near-duplicate pairs"
        print(line)
    for what, count in found.notes.items():
        print(f"note: {count:,} {what}")
    for name, why in broken:
        print(f"VIOLATED {name}: {why}")
    held = [item for item in required if item not in {name for name, _ in broken}]
    if held:
        print(f"holds: {', '.join(held)}")
