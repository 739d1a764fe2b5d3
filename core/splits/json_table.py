"""JSON as a table: JSON lines, an array of objects or of names, or the `images` of a COCO annotation file."""

import json
from typing import Any

import pyarrow as pa

from core.errors import InputError
from core.splits.notes import Note
from core.splits.text import Text


def looks_like_json(text: Text) -> bool:
    """Whether the text begins as an object, or as an array that holds objects or strings."""
    start = bytes(text.data[:4096]).lstrip()
    return start[:1] == b"{" or (start[:1] == b"[" and start[1:].lstrip()[:1] in (b"{", b'"', b"]"))


def columns_of_json(text: Text) -> tuple[dict[str, pa.Array], dict[str, str], int, list[Note]]:
    """Columns of text by name, the nested ones by type, the number of rows, and what was passed over.

    Raises:
        InputError: naming the line that is no JSON, or the form that was found.
    """
    rows, notes = _rows(text)
    names: dict[str, None] = {}
    nested: dict[str, str] = {}
    for row in rows:
        for name, value in row.items():
            names.setdefault(name)
            if isinstance(value, list | dict):
                nested[name] = "lists" if isinstance(value, list) else "objects"
    if not rows or not names:
        raise InputError(f"{text.path}: found no row in this JSON; expected an object an image")
    columns = {name: pa.array([_word(row.get(name)) for row in rows], pa.string()) for name in names}
    return columns, nested, len(rows), notes


def _rows(text: Text) -> tuple[list[dict[str, Any]], list[Note]]:
    content, file = text.decoded(), str(text.path)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return _lines(content, file), []
    if isinstance(found, list) and found and all(isinstance(item, str) for item in found):
        return [{"name": item} for item in found], []
    if isinstance(found, list) and all(isinstance(item, dict) for item in found):
        return found, []
    if isinstance(found, dict):
        images = found.get("images")
        if isinstance(images, list) and images and all(isinstance(item, dict) for item in images):
            return images, [Note("guessed", "a COCO file: its `images` are the rows", file)]
        if not any(isinstance(value, list | dict) for value in found.values()):
            return [found], []
        shown = ", ".join(map(repr, list(found)[:6]))
        raise InputError(f"{file}: a JSON object with {shown}; expected an array or lines of objects, one an image")
    raise InputError(f"{file}: JSON of another form; expected an array or lines of objects, one an image")


def _lines(content: str, file: str) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{file}, line {number}: this is no JSON; expected an object an image") from error
        if not isinstance(row, dict):
            raise InputError(f"{file}, line {number}: found {line[:40]!r}; expected an object an image")
        rows.append(row)
    return rows


def _word(value: Any) -> str | None:
    if value is None or isinstance(value, list | dict) or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)
