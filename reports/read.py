"""Reads `audit.json` back, and refuses what is no audit of this schema with one line that says where it differs."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.errors import InputError
from reports.judge import VERDICTS, combined
from reports.ledger import TOPICS
from reports.record import SCHEMA

TEXT, WORDS = (str,), (str, type(None))
AUDIT: Mapping[str, tuple[type, ...]] = {
    "created": TEXT,
    "scale": TEXT,
    "seconds": (int, float),
    "project": (dict,),
    "environment": (dict,),
    "inputs": (list,),
    "counts": (dict,),
    "claims": (list,),
}
CLAIM: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "title", "topic", "source", "statement", "rule", "threshold_source", "fixed"), TEXT),
    **dict.fromkeys(("aliases", "kinds", "reported", "evidence", "because", "blocked", "controls", "outside"), (list,)),
    **dict.fromkeys(("verdicts", "recorded_by_kind", "reasons"), (dict,)),
    **dict.fromkeys(("recorded", "reason", "error", "nodeid"), WORDS),
    **dict.fromkeys(("changed", "judged_by_a_test"), (bool,)),
    "rule_changes": (list,),
    "verdict": TEXT,
    "seconds": (int, float, type(None)),
}
EVIDENCE: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("kind", "name"), TEXT),
    **dict.fromkeys(("interval_method", "seeds", "varies", "unit", "note"), WORDS),
    "interval": (list, type(None)),
    "n": (int, type(None)),
    "figures": (list,),
}
CHECK: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("kind", "evidence", "expected", "outcome"), TEXT),
    "decided": (bool,),
}
CONTROL: Mapping[str, tuple[type, ...]] = dict.fromkeys(("sign", "nodeid", "outcome"), TEXT)


def load_audit(path: Path | str) -> dict[str, Any]:
    """The content of an `audit.json`, checked so far that a page can be made of it.

    Raises:
        InputError: naming the file, what was found and what was expected.
    """
    try:
        audit = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); expected an audit.json that `pytest audit/` wrote") from error
    schema = audit.get("schema") if isinstance(audit, dict) else type(audit).__name__
    if schema != SCHEMA:
        raise InputError(f"{path}: found schema {schema!r}; expected {SCHEMA!r}")
    _fields(audit, AUDIT, str(path))
    if not audit["claims"]:
        raise InputError(f"{path}: holds no claim; expected an audit.json that `pytest audit/` wrote")
    for k, claim in enumerate(audit["claims"]):
        where = f"{path}: claim {k + 1}"
        _fields(claim, CLAIM, where)
        _one_of(claim["verdict"], VERDICTS, f"{where}: verdict")
        _one_of(claim["topic"], TOPICS, f"{where}: topic")
        _parts(claim, f"{where} ({claim['id']})")
        whole = combined(claim["verdicts"], list(claim["verdicts"]))
        if whole is not None and claim["verdict"] != whole:
            found = ", ".join(f"{kind}: {verdict}" for kind, verdict in claim["verdicts"].items())
            raise InputError(
                f"{where} ({claim['id']}): verdict {claim['verdict']!r} is not that of its kinds ({found})"
            )
    _each_once([claim["id"] for claim in audit["claims"]], f"{path}: claim")
    return audit


def _each_once(names: Iterable[Any], what: str) -> None:
    name, count = next(iter(Counter(names).most_common(1)), (None, 0))
    if count > 1:
        raise InputError(f"{what} {name!r} stands {count} times; expected each once")


def _parts(claim: Mapping[str, Any], where: str) -> None:
    """Evidence, checks and controls of a claim."""
    _each_once(
        (f"{e.get('name')} ({e.get('kind')})" for e in claim["evidence"] if isinstance(e, dict)), f"{where}: evidence"
    )
    for item in claim["evidence"]:
        _fields(item, EVIDENCE, f"{where}: evidence")
        if "value" not in item:
            raise InputError(f"{where}: evidence {item['name']!r} has no value; expected one")
        ends = item["interval"]
        if ends is not None and (len(ends) != 2 or not all(isinstance(end, int | float) for end in ends)):
            raise InputError(f"{where}: evidence {item['name']!r}: interval: found {ends!r}; expected two numbers")
    for name, expected in (("checks", CHECK), ("controls", CONTROL)):
        for item in claim.get(name, []):
            _fields(item, expected, f"{where}: {name}")


def _fields(found: Any, expected: Mapping[str, tuple[type, ...]], where: str) -> None:
    if not isinstance(found, dict):
        raise InputError(f"{where}: found {type(found).__name__}; expected an object")
    for name, types in expected.items():
        if not isinstance(found.get(name, ...), types):
            told = "nothing" if name not in found else type(found[name]).__name__
            known = " or ".join("null" if one is type(None) else one.__name__ for one in types)
            raise InputError(f"{where}: {name}: found {told}; expected {known}")


def _one_of(found: str, known: tuple[str, ...], where: str) -> None:
    if found not in known:
        raise InputError(f"{where}: found {found!r}; expected one of {', '.join(known)}")
