"""The first layer's notebook and the third layer's only source: evidence in, `audit.json` out."""

import contextlib
import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.errors import Missing
from core.files import write_atomic
from core.training.presets import DEFAULT_SCALE, preset
from reports.deciding import checks_of
from reports.drawing import drawn
from reports.environment import environment, project, resolved
from reports.judge import Evidence, Judgement, combined
from reports.ledger import Claim, Ledger
from reports.multiplicity import holm_over

SCHEMA = "samenoise/audit/1"
BROUGHT = ("clothes", "celeba", "full", "own")  # evidence that needs what only some users have
TRAINED, FULL = "synthetic", "full"  # evidence of what is trained on the spot; at the full scales it is the latter
SCALED, SCALE = (TRAINED, "photographs"), DEFAULT_SCALE  # kinds whose verdict may depend on the scale; the recorded
MOMENT = 5.0  # seconds between two writes of a run that goes on


@dataclass
class ClaimRecord:
    """What one run learnt about one claim; filled by its test through the `evidence` fixture.

    Where the run's scale is a full one, what a test records of its trained networks is of kind `full`, if the row
    knows that kind.
    """

    claim: Claim
    folder: Path
    inputs: dict[str, dict[str, Any]]
    scale: str = SCALE
    nodeid: str | None = None
    evidence: list[Evidence] = field(default_factory=list)
    blocked: list[dict[str, str]] = field(default_factory=list)
    controls: list[dict[str, str]] = field(default_factory=list)
    judgement: Judgement | None = None
    error: str | None = None
    seconds: float | None = None
    named: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # inputs that this claim's evidence was computed from
    measured: str | None = None  # when, where the evidence was read back from an earlier run of the same code

    @property
    def full(self) -> bool:
        """Whether what this run trains is `full` evidence of this claim."""
        return preset(self.scale).full and {TRAINED, FULL} <= set(self.claim.evidence)

    def add(
        self,
        name: str,
        value: Any,
        *,
        kind: str,
        n: int | None = None,
        interval: Any = None,
        interval_method: str | None = None,
        pvalue: float | None = None,
        seeds: str | None = None,
        varies: str | None = None,
        unit: str | None = None,
        note: str | None = None,
        figures: Sequence[str] = (),
        section: str | None = None,
        counted: str | None = None,
    ) -> None:
        """Record one figure. `interval` is an object with low, high and method, or a pair; None means exact.

        `pvalue` is that of the test which the interval stands for, where one was made (two one-sided tests, say).
        `counted` says what `n` counts where that is not what varies: "samples". Evidence of a `section` is shown in the
        report under that heading, which the claim's card links to.

        Raises:
            ValueError: for a kind that the row does not name, a name recorded twice for a kind, a value that JSON
                cannot carry (NaN included), or an interval without its method.
        """
        kind = FULL if kind == TRAINED and self.full else kind
        if kind not in self.claim.evidence:
            raise ValueError(f"{self.claim.id}: evidence kind {kind!r}; the row names {self.claim.evidence}")
        if any(e.kind == kind and e.name == name for e in self.evidence):
            raise ValueError(f"{self.claim.id}: {name!r} of kind {kind} was recorded twice")
        pair = as_pair(interval)
        interval_method = interval_method or getattr(interval, "method", None)
        if pair and not interval_method:
            raise ValueError(f"{self.claim.id}: {name!r} has an interval without its method")
        plain = _plain(value)
        level = getattr(interval, "level", 0.95) if pair else None
        json.dumps([plain, pair, pvalue], allow_nan=False)
        self.evidence.append(
            Evidence(
                kind,
                name,
                plain,
                n,
                pair,
                interval_method,
                level,
                None if pvalue is None else float(pvalue),
                seeds,
                varies,
                unit,
                note,
                tuple(figures),
                section,
                counted,
            )
        )

    def figure(self, name: str, figure: Any) -> str:
        """Save a matplotlib figure beside the report and close it; returns its path relative to `audit.json`."""
        from matplotlib import pyplot  # half a second that a run without figures need not wait for

        suffix, data = drawn(figure)
        relative = f"figures/{self.claim.id}-{name}{suffix}"
        write_atomic(self.folder / relative, data)
        pyplot.close(figure)
        return relative

    def block(self, *, kind: str, needs: str, command: str) -> None:
        """Say that evidence of this kind cannot be had here: what it needs, and the command that brings it."""
        self.blocked.append({"kind": kind, "needs": needs, "command": command})

    def withdraw(self, missing: Missing, kind: str | None = None) -> None:
        """Take back what was recorded of a kind, because the rest of it is missing, and say what is.

        Without a kind it is that of the networks that this run trains.
        """
        kind = kind or (FULL if self.full else TRAINED)
        self.evidence = [e for e in self.evidence if e.kind != kind]
        self.block(kind=kind, needs=missing.needs, command=missing.command)

    @contextlib.contextmanager
    def attempt(self, kind: str) -> Iterator[None]:
        """Evidence of this kind is recorded inside; where something for it is missing, the kind is blocked instead."""
        try:
            yield
        except Missing as missing:
            self.withdraw(missing, kind)

    @contextlib.contextmanager
    def beside(self, kind: str) -> Iterator[None]:
        """Evidence that no check hangs on: where something for it is missing, the rest of the kind stays."""
        try:
            yield
        except Missing as missing:
            self.block(kind=kind, needs=missing.needs, command=missing.command)

    def input(self, name: str, *, sha256: str, rows: int | None = None) -> None:
        """Name something the evidence was computed from."""
        self.inputs[name] = self.named[name] = {"name": name, "sha256": sha256, "rows": rows}

    @property
    def changed(self) -> list[str]:
        """Kinds whose verdict differs from the recorded one.

        What users bring themselves may have none yet, and what is trained is held at the scale it was recorded at.
        """
        found = self.judgement.by_kind if self.judgement else {}
        recorded = self.claim.recorded
        held = [k for k in found if (k in recorded or k not in BROUGHT) and (k not in SCALED or self.scale == SCALE)]
        return [k for k in held if recorded.get(k) != found[k]]

    @property
    def outside(self) -> list[str]:
        """Judged values that left the window recorded with them, each as a sentence.

        Windows of what is trained hold at the scale they were recorded at.
        """
        found = {(e.kind, e.name): e for e in self.evidence}
        return [
            f"{kind}: {check.evidence} = {evidence.value!r}, recorded between {low:g} and {high:g}"
            for check in self.claim.checks
            for kind, (low, high) in check.window.items()
            if check.kind in (None, kind) and (kind not in SCALED or self.scale == SCALE)
            if (evidence := found.get((kind, check.evidence))) is not None and not low <= evidence.value <= high
        ]

    def as_json(self) -> dict[str, Any]:
        """One object of `audit.json`'s `claims`."""
        row, judgement = self.claim, self.judgement
        by_kind = dict(judgement.by_kind) if judgement else {}
        verdict = judgement.verdict if judgement else "not yet tested"
        recorded = combined(row.recorded, list(by_kind))
        return {
            "id": row.id,
            "aliases": list(row.aliases),
            "title": row.title,
            "topic": row.topic,
            "source": row.source,
            "statement": row.statement,
            "rule": row.rule,
            "threshold_source": row.threshold_source,
            "fixed": row.fixed.isoformat(),
            "rule_changes": [{"date": c["date"].isoformat(), "why": c["why"]} for c in row.changes],
            "kinds": list(row.evidence),
            "reported": [dict(item) for item in row.reported],
            "evidence": [e.as_json() for e in self.evidence],
            "verdict": verdict,
            "verdicts": by_kind,
            "checks": checks_of(row, self.evidence, judgement),
            "because": list(judgement.reasons) if judgement else [],
            "recorded": recorded,
            "recorded_by_kind": dict(row.recorded),
            "changed": bool(self.changed),
            "outside": self.outside,
            "reason": row.reason,
            "reasons": dict(row.reasons),
            "leaves_open": row.leaves_open,
            "blocked": self.blocked,
            "controls": self.controls,
            "error": self.error,
            "judged_by_a_test": bool(row.checks),
            "nodeid": self.nodeid,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "measured": self.measured,
        }


class AuditRun:
    """All records of one run, and the file they go to."""

    def __init__(
        self, ledger: Ledger, folder: Path, scale: str | None, device: str, own: Mapping[str, str] | None = None
    ) -> None:
        scale = scale or DEFAULT_SCALE
        self.ledger = ledger
        self.own = own  # file and claims, where the ledger is not the project's
        self.folder = folder
        self.scale = scale
        self.device = device
        self.inputs: dict[str, dict[str, Any]] = {}
        self.started = time.monotonic()
        self.written = -math.inf
        self.created = datetime.now(UTC).isoformat(timespec="seconds")
        self._project = project()
        self._environment = environment(device)
        self._preset = resolved(scale)
        self.records = {c.id: ClaimRecord(c, folder, self.inputs, scale) for c in ledger.claims}

    def as_json(self) -> dict[str, Any]:
        """The whole of `audit.json`."""
        claims = [record.as_json() for record in self.records.values()]
        return {
            "schema": SCHEMA,
            "title": self.ledger.title,
            "ledger": None if self.own is None else dict(self.own),
            "created": self.created,
            "project": self._project,
            "environment": self._environment,
            "inputs": sorted(self.inputs.values(), key=lambda item: item["name"]),
            "scale": self.scale,
            "preset": self._preset,
            "seconds": round(time.monotonic() - self.started, 1),
            "counts": dict(Counter(claim["verdict"] for claim in claims)),
            "sources": {key: dict(value) for key, value in self.ledger.sources.items()},
            "rules": {key: dict(value) for key, value in self.ledger.rules.items()},
            "multiplicity": holm_over((r.claim, r.evidence, r.judgement) for r in self.records.values()),
            "claims": claims,
        }

    def keep(self) -> None:
        """Write `audit.json` unless that was done a moment ago: so much of a run may be missing after a kill."""
        if time.monotonic() - self.written > MOMENT:
            self.write()

    def write(self) -> Path:
        """Write `audit.json` atomically and return its path."""
        path = self.folder / "audit.json"
        self.written = time.monotonic()
        write_atomic(path, json.dumps(self.as_json(), indent=1, allow_nan=False, ensure_ascii=False) + "\n")
        return path


def as_pair(interval: Any) -> tuple[float, float] | None:
    """An interval as (low, high): from an object with those attributes, a pair, or None."""
    if interval is None:
        return None
    low, high = (interval.low, interval.high) if hasattr(interval, "low") else interval
    return float(low), float(high)


def _plain(value: Any) -> Any:
    """Numpy and torch scalars become Python's; anything else stays as it is."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"evidence must be finite, found {value}")
    return value
