"""The ledger: every claim, what would decide it, and the verdict it had when it was last understood."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from core.errors import InputError

KINDS = ("arithmetic", "property", "published", "synthetic", "photographs", "clothes", "celeba", "full")
OPS = ("equals", "above", "at_least", "below", "contains", "excludes", "within")
TOPICS = ("data", "duplicates", "splits", "model", "behaviour", "theory", "dynamics")
EXPECTED = {"claim": "[[claim]]", "sources": "[sources.LETTER]", "rules": "[rules.NAME]", "title": "title = TEXT"}
RECORDABLE = ("reproduced", "refuted", "inconclusive")


@dataclass(frozen=True)
class Check:
    """One condition on one named piece of evidence; the interval decides, never the point."""

    evidence: str
    op: str
    shown: str | None = None  # what the page calls the evidence, where its name reads poorly
    decides: bool = False  # whether it is what the statement is about: shown first of the checks with its outcome
    kind: str | None = None  # None: holds for whichever kind was measured
    value: Any = None
    low: float | None = None
    high: float | None = None
    tolerance: float | None = None
    tolerance_reason: str | None = None
    excludes: float | None = None
    max_width: float | None = None
    window: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # kind -> where the value was, and how far


@dataclass(frozen=True)
class Claim:
    """One row of the ledger."""

    id: str
    title: str
    topic: str
    source: str
    statement: str
    evidence: tuple[str, ...]
    rule: str
    threshold_source: str
    fixed: date  # when the rule was fixed
    changes: tuple[Mapping[str, Any], ...] = ()  # of the rule since then: date and why
    reported: tuple[Mapping[str, Any], ...] = ()
    checks: tuple[Check, ...] = ()
    recorded: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)  # by kind; "" stands for all kinds
    aliases: tuple[str, ...] = ()
    leaves_open: str | None = None  # what the verdict does not judge, a sentence of the card

    @property
    def reason(self) -> str | None:
        """The reasons of all kinds as one text."""
        return " ".join(self.reasons.values()) or None


@dataclass(frozen=True)
class Ledger:
    """All rows in order, and the documents they come from."""

    claims: tuple[Claim, ...]
    sources: Mapping[str, Mapping[str, Any]]
    rules: Mapping[str, Any]
    title: str | None = None  # what the ledger asks as a whole

    def __getitem__(self, claim_id: str) -> Claim:
        return self._by_id[claim_id]

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Ids in the order of the file."""
        return tuple(claim.id for claim in self.claims)

    @cached_property
    def _by_id(self) -> dict[str, Claim]:
        return {claim.id: claim for claim in self.claims}


def load_ledger(path: Path | str) -> Ledger:
    """Read and check `claims.toml`.

    Raises:
        InputError: naming the row, for a duplicate id, an unknown key, kind, operation, verdict or rule, a check that
            lacks what its operation needs, or a recorded verdict other than `reproduced` without its reason.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected the ledger of claims") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error
    for key, kind in {"claim": list, "sources": dict, "rules": dict, "title": str}.items():
        if not isinstance(data.get(key, kind()), kind):
            raise InputError(f"{path}: {key}: found {data[key]!r}; expected {EXPECTED[key]}")
    if unknown := sorted(data.keys() - EXPECTED.keys()):
        raise InputError(f"{path}: found {', '.join(unknown)}; expected {', '.join(EXPECTED.values())}")
    claims = tuple(_claim(row, path) for row in data.get("claim", []))
    seen: set[str] = set()
    for claim in claims:
        for name in (claim.id, *claim.aliases):
            if name in seen:
                raise InputError(f"{path}: the id {name} stands in two rows; expected one row a claim")
            seen.add(name)
    rules = {name: _rule(rule, f"{path}: rule {name}") for name, rule in data.get("rules", {}).items()}
    for claim in claims:
        for name in re.findall(r"rules\.(\w+)", claim.threshold_source):
            if name not in rules:
                raise InputError(
                    f"{path}: row {claim.id}: threshold_source cites rules.{name}; expected one of "
                    f"{', '.join(f'rules.{known}' for known in rules) or '[rules.NAME], of which there is none'}"
                )
    return Ledger(claims, data.get("sources", {}), rules, data.get("title"))


def _rule(rule: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A rule with its dates as text, which JSON can carry."""
    fixed = _day(rule.get("fixed"), f"{where}: fixed")
    made = {**rule, "fixed": fixed.isoformat()}
    if "changes" in rule:
        changes = [_change(change, rule, where) for change in rule["changes"]]
        made["changes"] = [{**change, "date": change["date"].isoformat()} for change in changes]
    return made


def _claim(row: Mapping[str, Any], path: Path) -> Claim:
    where = f"{path}: row {row.get('id', '(without id)')}"
    _known({"reasons" if key == "reason" else key: value for key, value in row.items()}, Claim, where)
    for key in ("id", "title", "topic", "source", "statement", "evidence", "rule", "threshold_source", "fixed"):
        if not row.get(key):
            raise InputError(f"{where}: found no {key}; expected one in every row")
    _one_of(row["topic"], TOPICS, f"{where}: topic")
    if not isinstance(row["evidence"], list):
        raise InputError(f"{where}: evidence: found {row['evidence']!r}; expected a list of kinds")
    for kind in row["evidence"]:
        _one_of(kind, KINDS, f"{where}: evidence kind")
    for kind, verdict in row.get("recorded", {}).items():
        _one_of(kind, row["evidence"], f"{where}: recorded kind")
        _one_of(verdict, RECORDABLE, f"{where}: recorded verdict for {kind}")
    if not isinstance(row.get("leaves_open", ""), str):
        raise InputError(f"{where}: leaves_open: found {row['leaves_open']!r}; expected a text")
    _day(row["fixed"], f"{where}: fixed")
    reasons = _reasons(row, where)
    for kind, verdict in row.get("recorded", {}).items():
        if verdict != "reproduced" and not (reasons.get(kind) or reasons.get("")):
            raise InputError(f"{where}: a recorded verdict other than 'reproduced' stands without its reason")
    checks = tuple(_check(check, row, where) for check in row.get("checks", []))
    sequences = {
        "evidence": tuple(row["evidence"]),
        "reported": tuple(row.get("reported", ())),
        "aliases": tuple(row.get("aliases", ())),
        "checks": checks,
        "changes": tuple(_change(change, row, where) for change in row.get("changes", [])),
    }
    return Claim(**{**{k: v for k, v in row.items() if k != "reason"}, **sequences, "reasons": reasons})


def _change(change: Mapping[str, Any], row: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """A change of a rule says when and why, and comes after the rule."""
    if set(change) != {"date", "why"} or not change["why"]:
        raise InputError(f"{where}: a change of the rule has {sorted(change)}; expected date and why")
    if not _day(change["date"], f"{where}: change") >= _day(row["fixed"], f"{where}: fixed"):
        raise InputError(f"{where}: a change of the rule is dated {change['date']}, before it was fixed")
    return change


def _day(value: Any, where: str) -> date:
    if not isinstance(value, date):
        raise InputError(f"{where}: found {value!r}; expected a date, YYYY-MM-DD without quotes")
    return value


def _window(check: Mapping[str, Any], row: Mapping[str, Any], where: str) -> dict[str, tuple[float, float]]:
    """Windows by kind of evidence, each two numbers in order."""
    windows = {}
    for kind, pair in check.get("window", {}).items():
        _one_of(kind, row["evidence"], f"{where}: kind of a window")
        numbers = isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, int | float) for x in pair)
        if not numbers or not pair[0] <= pair[1]:
            raise InputError(f"{where}: window: found {pair!r}; expected two numbers, the lower first")
        windows[kind] = (pair[0], pair[1])
    return windows


def _reasons(row: Mapping[str, Any], where: str) -> dict[str, str]:
    """`reason` is one text for all kinds, or a table of them by kind."""
    given = row.get("reason", {})
    reasons = {"": given} if isinstance(given, str) else dict(given)
    for kind in reasons:
        if kind:
            _one_of(kind, row["evidence"], f"{where}: kind of a reason")
    return reasons


def _check(check: Mapping[str, Any], row: Mapping[str, Any], where: str) -> Check:
    _known(check, Check, f"{where}: check")
    for key in ("evidence", "op"):
        if key not in check:
            raise InputError(f"{where}: a check has no {key}; expected one in every check")
    made = Check(**{**check, "window": _window(check, row, f"{where}: check of {check['evidence']}")})
    where = f"{where}: check of {made.evidence}"
    _one_of(made.op, OPS, f"{where}: op")
    if made.shown is not None and not (isinstance(made.shown, str) and made.shown):
        raise InputError(f"{where}: shown: found {made.shown!r}; expected a text")
    if not isinstance(made.decides, bool):
        raise InputError(f"{where}: decides: found {made.decides!r}; expected true or false")
    if made.kind is not None:
        _one_of(made.kind, row["evidence"], f"{where}: kind")
    if made.op == "within" and (made.low is None or made.high is None):
        raise InputError(f"{where}: 'within' needs low and high")
    if made.op != "within" and made.value is None:
        raise InputError(f"{where}: '{made.op}' needs a value")
    if made.op not in ("within", "equals") and not isinstance(made.value, int | float):
        raise InputError(f"{where}: '{made.op}' needs a number, found {made.value!r}")
    if made.tolerance is not None and not made.tolerance_reason:
        raise InputError(f"{where}: a tolerance stands without its reason (tolerance_reason)")
    return made


def _known(row: Mapping[str, Any], kind: type, where: str) -> None:
    known = {f.name for f in fields(kind)}
    for key in row:
        if key not in known:
            raise InputError(f"{where}: unknown key {key!r}; expected one of {', '.join(sorted(known))}")


def _one_of(value: Any, allowed: Iterable[str], where: str) -> None:
    if value not in tuple(allowed):
        raise InputError(f"{where}: found {value!r}; expected one of {', '.join(allowed)}")
