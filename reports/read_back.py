"""What a claim's test recorded, taken from its record as plain JSON with the figures' bytes, and put back into one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from core.files import write_atomic
from reports.judge import Evidence
from reports.record import ClaimRecord

PASSED_BEFORE = pytest.StashKey[str]()  # of a control that was not run again: the moment it passed


def now() -> str:
    """This moment, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Since:
    """What a record gains from now on.

    Args:
        record: what its fixtures said of it already is not counted.
    """

    def __init__(self, record: ClaimRecord) -> None:
        self.record = record
        self.before = len(record.evidence), len(record.blocked)

    def recorded(self) -> dict[str, Any]:
        """Evidence, blocked kinds and inputs as plain JSON; figures as bytes by path; the moment, in UTC."""
        evidence, blocked = self.before
        added = self.record.evidence[evidence:]
        names = sorted({name for item in added for name in item.figures})
        return {
            "evidence": [item.as_json() for item in added],
            "blocked": self.record.blocked[blocked:],
            "inputs": list(self.record.named.values()),
            "figures": {name: (self.record.folder / name).read_bytes() for name in names},
            "measured": now(),
        }


def read_back(record: ClaimRecord, found: Mapping[str, Any]) -> None:
    """Add to a record what `Since.recorded` took from another of the same claim."""
    for item in found["evidence"]:
        pair = item["interval"]
        interval = None if pair is None else (pair[0], pair[1])
        record.evidence.append(Evidence(**{**item, "interval": interval, "figures": tuple(item["figures"])}))
    record.blocked.extend(found["blocked"])
    for item in found["inputs"]:
        record.input(**item)
    for name, data in found["figures"].items():
        write_atomic(record.folder / name, data)
    record.measured = found["measured"]
