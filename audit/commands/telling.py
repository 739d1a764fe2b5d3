"""What `samenoise verify` says of the groups it read: on the terminal, as JSON, a page, annotations and SARIF."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from core.errors import InputError
from core.files import sha256_file, write_atomic
from core.splits.leakage import count_leakage
from core.splits.looked import looked_at, unlooked
from core.splits.membership import Membership
from core.splits.notes import Note
from core.splits.places import Leak, Near, leaks
from core.splits.requirements import violations
from core.splits.sentences import count_lines
from reports.leakage_text import lines

if TYPE_CHECKING:
    from core.dedup.confirmed import Names, Seen

SCHEMA = "samenoise/leakage/2"
Format = Literal["text", "github", "sarif"]


@dataclass(frozen=True, eq=False)
class Groups:
    """What was read: the rows, where they come from and what the reader has to say.

    Attributes:
        membership: the rows of all groups.
        inputs: what a file is -> the file and the slice of it that was taken.
        rows: the picture of each row, where groups are folders.
        taken_for: what a folder was taken for, if one was looked at.
        notes: what was assumed, guessed or passed over.
    """

    membership: Membership
    inputs: Mapping[str, tuple[Path, str | None]]
    rows: Sequence[Path] | None = None
    taken_for: str | None = None
    notes: tuple[Note, ...] = ()

    def files(self) -> dict[str, list[Path]]:
        """Group -> the lists or tables that its rows come from."""
        tables = [path for name, (path, _) in self.inputs.items() if name.startswith(("table", "group "))]
        lists = {name: self.inputs.get(f"group {name}") for name in self.membership.groups}
        return {name: [own[0]] if own else tables for name, own in lists.items()}


@dataclass(frozen=True)
class Telling:
    """What is required of the groups, where the answer goes, and what a second look said of near-duplicates.

    Attributes:
        second_look: its counts.
        seen: the look itself and the images' names, for the page.
    """

    required: tuple[str, ...]
    strict: bool = False
    format: Format = "text"
    json_out: Path | None = None
    html_out: Path | None = None
    sarif_out: Path | None = None
    second_look: Mapping[str, Any] | None = None
    seen: "tuple[Seen, Names] | None" = None


def tell(groups: Groups, near: Near | None, threshold: float | None, telling: Telling) -> bool:
    """Count, judge and say it; True where everything that is required holds.

    Raises:
        InputError: after all that was counted is said, where nothing was looked at for a required property.
    """
    result = judged(groups, near, threshold, telling)
    if telling.json_out is not None:
        write_atomic(telling.json_out, _json(result))
    if telling.html_out is not None:
        from reports.leakage import page

        write_atomic(telling.html_out, page(result, telling.seen).encode("utf-8", "xmlcharrefreplace"))
    if telling.sarif_out is not None or telling.format == "sarif":
        from reports.annotations import sarif

        log = _json(sarif(result))
        if telling.sarif_out is not None:
            write_atomic(telling.sarif_out, log)
    text = list(lines(result))
    if telling.format == "github":
        from reports.annotations import github

        text = list(github(result, text))
    elif telling.format == "sarif":
        text = [log.decode("utf-8").rstrip("\n")]
    say(text)
    if not result["violations"] and result["not_looked_at"]:
        first = result["not_looked_at"][0]
        raise InputError(f"require: {first['property']!r} cannot be told: {first['why']}")
    return not result["violations"]


def judged(groups: Groups, near: Near | None, threshold: float | None, telling: Telling) -> dict[str, Any]:
    """Everything that was counted and what follows from it: the content of the JSON, the page and the text."""
    membership, required = groups.membership, telling.required
    found = count_leakage(membership, near)
    notes = groups.notes
    broken = violations(found, required)
    if telling.strict and notes:
        broken.append(("strict", f"{len(notes)} note{'s' * (len(notes) != 1)}, none is allowed"))
    unknown = unlooked(found, required)
    lost = {name for name, _ in [*broken, *unknown]}
    held = {} if "strict" in lost else looked_at(found, [name for name in required if name not in lost])
    spelled = sum(note.kind == "spelling" for note in notes)
    for name in {"image", "identity"} & held.keys() if spelled else ():
        held[name] += f", as spelled; {spelled} note{'s' * (spelled != 1)} of spelling above"
    return {
        "schema": SCHEMA,
        "taken_for": groups.taken_for,
        "inputs": {
            name: {"file": path.name, "rows": rows, "sha256": sha256_file(path)}
            for name, (path, rows) in groups.inputs.items()
        },
        "files": {name: [str(path) for path in paths] for name, paths in groups.files().items()},
        "duplicate_threshold": None if near is None else threshold,
        **{key: value for key, value in asdict(found).items() if key != "said"},
        "second_look": telling.second_look,
        "counts": [*count_lines(found), *_second_lines(telling.second_look)],
        "notes": [asdict(note) for note in notes],
        "required": list(required),
        "violations": [{"property": name, "why": why} for name, why in broken],
        "not_looked_at": [{"property": name, "why": why} for name, why in unknown],
        "held": held,
        "leaks": [asdict(leak) for leak in _leaks(groups, found, near)],
        "holds": not broken and not unknown,
    }


def _second_lines(look: Mapping[str, Any] | None) -> list[str]:
    if look is None or "not_looked" in look:
        return [] if look is None else [f"no second look at near-duplicates: {look['not_looked']}"]
    if not look["pairs"]:
        return []
    from core.dedup.confirmed import told  # compiled code, which groups without images do without

    kept = ["only confirmed pairs count as near-duplicates (--confirm)"] if look["only_confirmed_kept"] else []
    return [*told(dict(look)), *kept]


def say(text: Sequence[str]) -> None:
    """Print lines; a reader that has gone away changes nothing about the verdict."""
    try:
        print("\n".join(text), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leaks(groups: Groups, found: Any, near: Near | None) -> list[Leak]:
    return leaks(groups.membership, found, near, groups.files(), groups.rows)


def _json(content: Mapping[str, Any]) -> bytes:
    """UTF-8; half a surrogate pair, as a path of other bytes becomes, stays a JSON escape."""
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")
