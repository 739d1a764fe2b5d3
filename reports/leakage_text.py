"""What `samenoise verify` says on the terminal, line by line: counts, notes, what is violated and what holds."""

from collections.abc import Iterator, Mapping
from typing import Any

from reports.text import one_line

MOST_ROWS = 12  # groups, counts or notes that have a line of their own
_LONGEST = 1000  # characters of one line


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Every line, each printable and of bounded length; `result` is the content of the command's JSON."""
    for line in _lines(result):
        yield one_line(line, _LONGEST)


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    if result["taken_for"]:
        yield f"took {result['taken_for']}"
    yield from _sizes(result["groups"])
    yield from result["counts"][:MOST_ROWS]
    if len(result["counts"]) > MOST_ROWS:
        yield f"and {len(result['counts']) - MOST_ROWS:,} lines more (--html and --json have all counts)"
    yield f"looked at {', '.join(f'{count:,} {what}' for what, count in result['looked_at'].items())}"
    for note in result["notes"][:MOST_ROWS]:
        yield f"note: {place(note)}{note['text']}"
    if len(result["notes"]) > MOST_ROWS:
        yield f"note: and {len(result['notes']) - MOST_ROWS:,} more (--json has them all)"
    for item in result["violations"][:MOST_ROWS]:
        yield f"VIOLATED {item['property']}: {item['why']}"
    if len(result["violations"]) > MOST_ROWS:
        yield f"VIOLATED: and {len(result['violations']) - MOST_ROWS:,} sentences more (--json has them all)"
    for item in result["not_looked_at"]:
        yield f"not looked at: {item['property']} ({item['why']})"
    for name, on in result["held"].items():
        yield f"holds: {name} ({on})"


def place(about: Mapping[str, Any]) -> str:
    """Where something stands, as the beginning of a sentence: `lists/train.txt, line 3: `."""
    if not about["file"]:
        return ""
    line = f", line {about['line']}" if about["line"] else ""
    return f"{about['file']}{line}: "


def _sizes(groups: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    shown = dict(list(groups.items())[:MOST_ROWS])
    people = any(group["identities"] is not None for group in groups.values())
    rows = [("group", "images", "identities" if people else "")]
    for name, group in shown.items():
        known = "" if group["identities"] is None else f"{group['identities']:,}"
        rows.append((one_line(name, 60), f"{group['images']:,}", known))
    wide = [max(len(row[i]) for row in rows) for i in range(3)]
    for name, images, known in rows:
        yield f"{name:<{wide[0]}}  {images:>{wide[1]}}  {known:>{wide[2]}}".rstrip()
    if len(groups) > len(shown):
        yield f"and {len(groups) - len(shown)} groups more"
