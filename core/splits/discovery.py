"""Looks at a folder that somebody published and says what split lies in it, so that it can be checked as it is."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import InputError
from core.splits.columns_of_file import columns_of
from core.splits.dialect import plain
from core.splits.notes import Note

LISTS = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".lst", ".list")
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
DEPTH = 2  # folders below the one given that are looked into
MOST_FOLDERS = 400  # folders that are looked into at all
# words that a column is known by: lower case, letters and digits only, the surest first
# fmt: off
SPLIT = (
    "split", "partition", "fold", "kfold", "stratfold", "subset", "set", "datasplit", "splitname", "traintest", "phase",
    "group", "usage", "dataset",
)
NAME = (
    "name", "imageid", "image", "imagename", "imageindex", "filename", "file", "filepath", "imagepath", "imagefile",
    "path", "img", "imgname", "imgpath", "imgid", "isicid", "clip", "recording", "id",
)
PERSON = (
    "identity", "identityid", "personid", "person", "patientid", "patient", "subjectid", "subject", "speakerid",
    "speaker", "clientid", "celebid", "participantid", "participant", "userid", "individual", "writerid", "pid",
)
# fmt: on
KNOWN = frozenset((*SPLIT, *NAME, *PERSON))
PEOPLE = ("identities", "identity", "identityceleba", "ids", "people", "persons", "subjects", "patients", "speakers")
PROSE = ("readme", "license", "licence", "changelog", "requirements", "citation", "notice")
ROLES = ("train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "holdout")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\W\d_]")
_LISTED = re.compile(r"(train|val|test)(?:list|set|split|ids|images|data)")
_SHARD = re.compile(r"-[0-9]{5}(-of-[0-9]{5})?$")


@dataclass(frozen=True)
class Discovered:
    """A split that was found, as the options of `samenoise verify` that read it.

    Attributes:
        taken_for: what the folder was taken for, in words.
        lists: group -> file with a name or a row an image.
        folders: group -> folder with the group's pictures.
        table: one table with a column that names the group.
        columns: `group`, `name`, `identity` -> the column known by its name; what is not there was not found.
        identities: a file with `name identity` a line.
        notes: what else lay there and was passed over.
    """

    taken_for: str
    lists: Mapping[str, Path] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    table: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    identities: Path | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class _Place:
    """One folder with what lies directly in it, hidden entries left out."""

    path: Path
    folders: tuple[str, ...]
    files: tuple[str, ...]


def discover(root: Path | str) -> Discovered:
    """What split lies in a folder: CelebA's lists, lists or tables named after groups, a table, or folders of pictures.

    The first of these that is found is taken; the others are named in the notes.

    Raises:
        InputError: where there is no such folder, or nothing in it that is known for a split.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: {'this is a file; expected a folder' if root.exists() else 'no such folder'}")
    places = list(_places(root))
    found = [split for look in (_celeba, _named_files, _split_tables, _named_folders) for split in look(root, places)]
    if not found:
        raise InputError(f"{root}: found no split in it ({_contents(places)}); {EXPECTED}")
    first, others = found[0], found[1:]
    notes = list(first.notes)
    named = " ".join(note.text for note in notes)
    notes += [
        Note("passed over", f"not looked at: {other.taken_for}", str(root))
        for other in others
        if other.table is None or other.table.name not in named
    ]
    if len(places) > MOST_FOLDERS:
        notes.append(Note("passed over", f"only the first {MOST_FOLDERS} folders were looked into", str(root)))
    return Discovered(
        first.taken_for, first.lists, first.folders, first.table, first.columns, first.identities, tuple(notes)
    )


EXPECTED = (
    "expected folders or lists named train, val, test, a table with a column split, or CelebA's lists; "
    "or name the groups (--group NAME=LIST, --table FILE)"
)


def role_of(name: str) -> tuple[str, str] | None:
    """The group that a file or folder is named after, and the rest of its name; None where it names no group.

    `trainlist01` is ('train', '01'), `fold_3` is ('fold 3', ''), `contest` and `trainer` are none.
    """
    words = [word.lower() for word in _WORD.findall(name)]
    for at, word in enumerate(words):
        if (listed := _LISTED.fullmatch(word)) or word in ROLES:
            role, rest = (listed[1] if listed else word), words[:at] + words[at + 1 :]
        elif word == "fold" and words[at + 1 : at + 2] and words[at + 1].isdigit():
            role, rest = f"fold {words[at + 1]}", words[:at] + words[at + 2 :]
        else:
            continue
        return role, " ".join(rest)
    return None


def find_images(root: Path, names: Sequence[str]) -> tuple[Path | None, int]:
    """The folder at or below `root` that holds these images under their names, and how many of them it lacks."""
    probe = [names[i] for i in range(0, len(names), max(1, len(names) // 20))]
    best, held = None, 0
    for place in _places(root):
        n = sum(_is_file(place.path, name) for name in probe)
        if n > held:
            best, held = place.path, n
        if held == len(probe):
            break
    if best is None:
        return None, len(names)
    return best, sum(not _is_file(best, name) for name in names)


def _is_file(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _places(root: Path) -> Iterator[_Place]:
    """The folder and those below it, nearest first, one more than `MOST_FOLDERS` at most."""
    level = [root]
    seen = 0
    for depth in range(DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            seen += 1
            if seen > MOST_FOLDERS + 1:
                return
            place = _look(folder)
            yield place
            below += [folder / name for name in place.folders]
        level = below if depth < DEPTH else []


def _look(folder: Path) -> _Place:
    try:
        with os.scandir(folder) as entries:
            shown = [(entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error
    folders = tuple(sorted(name for name, is_folder in shown if is_folder))
    return _Place(folder, folders, tuple(sorted(name for name, is_folder in shown if not is_folder)))


def _celeba(root: Path, places: Sequence[_Place]) -> Iterator[Discovered]:
    files = {name: place.path / name for place in reversed(places) for name in place.files}
    for name in ("list_eval_partition.csv", "list_eval_partition.txt"):
        if name in files:
            identities = files.get("identity_CelebA.txt")
            beside = " and identity_CelebA.txt" if identities else ""
            columns = (
                {"group": "partition", "name": "image_id"} if name.endswith(".csv") else {"group": "2", "name": "1"}
            )
            taken = f"{root} for CelebA's partition ({name}{beside})"
            yield Discovered(taken, table=files[name], columns=columns, identities=identities)
            return


def _named_files(root: Path, places: Sequence[_Place]) -> Iterator[Discovered]:
    for place in places:
        for names in _file_groups(place):
            groups: dict[str, Path] = {}
            for name in names:
                group = _SHARD.sub("", _stem(name)[0])
                if group in groups:
                    raise InputError(f"{place.path}: found {groups[group].name} and {name} of one group; join them")
                groups[group] = place.path / name
            columns = _known_columns([columns_of(path, KNOWN) for path in groups.values()], ("name", "identity"))
            identities = next((place.path / name for name in place.files if plain(_stem(name)[0]) in PEOPLE), None)
            beside = f" and {identities.name}" if identities else ""
            taken = f"{place.path} for {len(groups)} lists ({', '.join(names)}){beside}{_said(columns)}"
            left = [name for name in _lists(place) if name not in names and place.path / name != identities]
            notes = (Note("passed over", f"not looked at: {', '.join(left)}", str(place.path)),) if left else ()
            yield Discovered(taken, lists=groups, columns=columns, identities=identities, notes=notes)


def _file_groups(place: _Place) -> list[list[str]]:
    """Files of one kind and one name but for the group, train first; several of these are several splits."""
    kinds: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for name in _lists(place):
        stem, suffix = _stem(name)
        if role := role_of(_SHARD.sub("", stem)):
            kinds.setdefault((role[1], suffix), []).append((_rank(role[0]), name))
    return [[name for _, name in sorted(files)] for files in kinds.values() if len({rank for rank, _ in files}) > 1]


def _split_tables(root: Path, places: Sequence[_Place]) -> Iterator[Discovered]:
    for place in places:
        groups = {name for names in _file_groups(place) for name in names}
        for name in _lists(place):
            if name in groups or name.startswith("list_eval_partition."):
                continue
            columns = _known_columns([columns_of(place.path / name, KNOWN)], ("group", "name", "identity"))
            if "group" in columns and "name" in columns:
                taken = f"{place.path / name} for a table with a row an image{_said(columns)}"
                yield Discovered(taken, table=place.path / name, columns=columns)


def _lists(place: _Place) -> list[str]:
    """The files that can be lists or tables."""
    return [name for name in place.files if _stem(name)[1] in LISTS and plain(_stem(name)[0]) not in PROSE]


def _named_folders(root: Path, places: Sequence[_Place]) -> Iterator[Discovered]:
    for place in places:
        named: dict[str, list[tuple[int, str]]] = {}
        for name in place.folders:
            if role := role_of(name):
                named.setdefault(role[1], []).append((_rank(role[0]), name))
        for ranked in named.values():
            groups = {name: place.path / name for _, name in sorted(ranked)}
            if len({rank for rank, _ in ranked}) > 1 and any(_has_picture(path) for path in groups.values()):
                taken = f"{place.path} for {len(groups)} folders of pictures ({', '.join(groups)})"
                left = [name for name in place.folders if name not in groups and _has_picture(place.path / name)]
                notes = (Note("passed over", f"not looked at: {', '.join(left)}", str(place.path)),) if left else ()
                yield Discovered(taken, folders=groups, notes=notes)


def _rank(role: str) -> int:
    """Train before validation before test; folds by their number."""
    return ROLES.index(role) if role in ROLES else len(ROLES) + int(role.rpartition(" ")[2])


def _has_picture(folder: Path) -> bool:
    from core.splits.folders import is_picture  # torch, which lists do without

    return any(is_picture(name) for _, _, files in os.walk(folder) for name in files)


def _known_columns(headers: Iterable[Sequence[str]], kinds: Sequence[str]) -> dict[str, str]:
    """Kind of column -> the name that all these headers have for it."""
    words = {"group": SPLIT, "name": NAME, "identity": PERSON}
    found: dict[str, str] = {}
    everywhere = [dict.fromkeys(header) for header in headers]
    for kind in kinds:
        for word in words[kind]:
            names = [name for name in everywhere[0] if plain(name) == word and name not in found.values()]
            if names and all(names[0] in header for header in everywhere):
                found[kind] = names[0]
                break
    return found


def _said(columns: Mapping[str, str]) -> str:
    return f"; columns: {', '.join(f'{kind} = {name}' for kind, name in columns.items())}" if columns else ""


def _stem(name: str) -> tuple[str, str]:
    """A file's name without its suffixes, and the one that says what it holds."""
    path = Path(name)
    if path.suffix.lower() in PACKED:
        path = Path(path.stem)
    return path.stem, path.suffix.lower()


def _contents(places: Sequence[_Place]) -> str:
    files, folders = len(places[0].files), len(places[0].folders)
    shown = ", ".join([*places[0].folders, *places[0].files][:4])
    return f"{files:,} files, {folders:,} folders{': ' + shown if shown else ''}"
