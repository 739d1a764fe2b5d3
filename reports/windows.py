"""Windows of judged values: where each lay when its row was last understood, written into the ledger.

`python -m reports.windows reports/out/audit.json` reads a run whose verdicts are those of the ledger and records a
window for every number that a check judges, by kind of evidence. Another processor rounds otherwise, which moves a
training as another seed would: that is what a window is wide enough for, and nothing else.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from core.errors import InputError
from core.files import write_atomic
from reports.compare import EXACT
from reports.record import SCALE, SCHEMA

REACH = 3  # times the distance to an end of the interval: images and sampling seeds vary there, trainings do not
ROUNDED = 0.01  # relative: float32 networks on fixed images
FLOORS = {"dB": 0.3, None: 0.05}  # by unit: two trainings that differ in rounding alone may differ by as much
LOOSE = 0.25  # relative: a trained amount in another unit
HELD = ("arithmetic", "published", "property", "synthetic", "photographs")  # what a user brings has no window

TRAINED = ("synthetic", "photographs")  # kinds of which some claims train networks


def window(check: Mapping[str, Any], evidence: Mapping[str, Any]) -> tuple[float, float] | None:
    """Where a judged value may lie, or None where its check pins it, it is an error of rounding, or it is no number.

    Args:
        check: of the ledger, as read from TOML.
        evidence: one entry of `evidence` in `audit.json`.
    """
    value, kind, unit = evidence["value"], evidence["kind"], evidence["unit"]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    pinned = check.get("tolerance") is not None or (check["op"] == "equals" and value == check["value"])
    if kind not in HELD or not number or pinned or (kind == "property" and not evidence["interval"]):
        return None
    low, high = evidence["interval"] or (value, value)
    below = above = EXACT * abs(value)
    if kind == "published":
        below = above = ROUNDED * max(abs(value), high - low)
    elif kind != "arithmetic":
        floor = FLOORS.get(unit, LOOSE * abs(value)) if kind in TRAINED else 0.0
        below, above = (max(REACH * reach, floor) for reach in (value - low, high - value))
    return value - below, value + above


def record_windows(audit: Mapping[str, Any], ledger: str) -> tuple[str, int]:
    """The text of a ledger with the windows of a run, and how many there are; everything else stays as it is.

    Raises:
        InputError: for another schema or scale, or a run with a verdict that the ledger does not record.
    """
    schema, scale = audit.get("schema"), audit.get("scale")
    if (schema, scale) != (SCHEMA, SCALE):
        raise InputError(f"audit.json: found {schema} at scale {scale}; expected {SCHEMA} at {SCALE}")
    changed = [claim["id"] for claim in audit["claims"] if claim["changed"] or claim["error"]]
    if changed:
        raise InputError(f"audit.json: {', '.join(changed)} changed; expected the verdicts that the ledger records")
    document: Any = tomlkit.parse(ledger)
    measured = {claim["id"]: claim["evidence"] for claim in audit["claims"]}
    count = 0
    for row in document["claim"]:
        for check in row.get("checks", []):
            for item in measured.get(row["id"], []):
                fits = item["name"] == check["evidence"] and check.get("kind", item["kind"]) == item["kind"]
                pair = window(check, item) if fits else None
                if pair:
                    check.setdefault("window", tomlkit.inline_table())[item["kind"]] = [_short(end) for end in pair]
                    count += 1
    return tomlkit.dumps(document), count


def _short(value: float) -> float:
    """Seven digits: more than a window needs, and readable."""
    return float(f"{value:.7g}")


def main(words: list[str]) -> None:
    """Write windows into the ledger beside the suite."""
    path = Path(__file__).parents[1] / "audit" / "claims.toml"
    audit = json.loads(Path(words[0]).read_text(encoding="utf-8"))
    text, count = record_windows(audit, path.read_text(encoding="utf-8"))
    write_atomic(path, text)
    print(f"{path}: {count} windows")


if __name__ == "__main__":
    main(sys.argv[1:])
