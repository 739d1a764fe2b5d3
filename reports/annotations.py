"""Leaks for the services that show them beside the lists: GitHub's annotations, and SARIF 2.1.0 (OASIS, 2020)."""

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reports.text import one_line

MOST = 10  # annotations of one kind that GitHub shows of one step
RULES = {
    "image": "No image stands in two groups.",
    "identity": "No identity stands in two groups, and no image has two.",
    "duplicate": "No image of one group is a near-duplicate of one of another.",
    "attribute": "Every group holds one value of the attribute, and no two groups the same.",
    "balance": "The groups are of about one size.",
    "strict": "Nothing was assumed, guessed or passed over.",
}
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def github(result: Mapping[str, Any], text: Sequence[str]) -> Iterator[str]:
    """The text, with workflow commands switched off inside it, then an annotation a leak and a note.

    Names in lists are other people's text: a line of theirs that looks like a command must not be one.
    """
    token = secrets.token_hex(16)
    yield f"::stop-commands::{token}"
    yield from text
    yield f"::{token}::"
    for finding in _findings(result)[:MOST]:
        yield _command("error", finding["message"], finding)
    for note in result["notes"][:MOST]:
        yield _command("warning", note["text"], note)


def github_error(text: str) -> str:
    """An error that kept the command from counting, as an annotation."""
    return _command("error", text, {"file": None, "line": None})


def sarif(result: Mapping[str, Any]) -> dict[str, Any]:
    """The findings and notes as one SARIF log; a finding without a line points at its file."""
    names = list(RULES)
    results = []
    for level, findings in (("error", _findings(result)), ("note", _notes(result))):
        for finding in findings:
            rule = finding["property"].partition(":")[0]
            about = {"ruleId": rule, "ruleIndex": names.index(rule), "level": level}
            results.append({**about, "message": {"text": finding["message"]}, "locations": _locations(finding)})
    rules = [{"id": name, "shortDescription": {"text": text}} for name, text in RULES.items()]
    driver = {"name": "samenoise verify", "version": _version(), "rules": rules}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _findings(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry for each place of a leak that was not to be, and one for each violation that has no place."""
    required = {item["property"] for item in result["violations"]}
    found = []
    for leak in result["leaks"]:
        if leak["property"] not in required:
            continue
        for number, place in enumerate(leak["places"], 1):
            of = f"; {number} of {leak['total']:,} between {leak['a']} and {leak['b']}" if leak["total"] > 1 else ""
            found.append({**place, "property": leak["property"], "message": one_line(f"{place['text']}{of}")})
    placed = {item["property"] for item in found}
    file = next((name for names in result["files"].values() for name in names), None)
    for item in result["violations"]:
        if item["property"] not in placed:
            about = {"file": file, "line": None, "property": item["property"]}
            found.append({**about, "message": one_line(f"{item['property']}: {item['why']}")})
    return found


def _notes(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**note, "property": "strict", "message": one_line(note["text"])} for note in result["notes"]]


def _command(kind: str, message: str, place: Mapping[str, Any]) -> str:
    properties = []
    if place["file"]:
        properties.append(f"file={_property(_relative(place['file']))}")
        properties += [f"line={place['line']}"] if place["line"] else []
    properties.append("title=samenoise verify")
    return f"::{kind} {','.join(properties)}::{_data(one_line(message))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _relative(file: str) -> str:
    """A path as seen from the folder that the command runs in, with `/`; one outside it as it is."""
    inside = os.path.relpath(file)
    return Path(file if inside.startswith("..") else inside).as_posix()


def _locations(place: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not place["file"]:
        return []
    path = Path(_relative(place["file"]))
    uri = "file://" + quote(os.fsencode(path)) if path.is_absolute() else quote(os.fsencode(path))
    where: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if place["line"]:
        where["region"] = {"startLine": place["line"]}
    return [{"physicalLocation": where}]


def _version() -> str:
    try:
        return version("samenoise")
    except PackageNotFoundError:
        return "0"
