"""What a run says last in the terminal: the answer, verdicts by document, changes, and what is missing."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from reports.headline import headline
from reports.judge import VERDICTS
from reports.parts import read_back, surprises, unblocking
from reports.text import one_line

NAMED = 3  # claims of a group that are named; the page names all


def ending(audit: Mapping[str, Any]) -> Iterator[str]:
    """Lines of text for one audit, in the order in which a reader wants them."""
    found = headline(audit)
    for sentence in found.sentences if found else ():
        yield from (one_line(sentence), "")
    yield from verdicts_by_document(audit)
    yield ""
    yield from changes(audit)
    yield from blocked(audit)
    if known := read_back(audit):
        yield (
            f"{known['claims']} claims were measured before and {known['controls']} controls passed, by the same code "
            f"on the same trainings (since {known['since']}); --measure-again measures them now"
        )


def verdicts_by_document(audit: Mapping[str, Any]) -> Iterator[str]:
    """A table: documents down, verdicts across, in all at the foot."""
    rows: dict[str, Counter[str]] = {}
    for claim in audit["claims"]:
        rows.setdefault(claim["id"].split("-")[0], Counter())[claim["verdict"]] += 1
    shown = [verdict for verdict in VERDICTS if any(row[verdict] for row in rows.values())]
    named = {key: document(key, audit.get("sources", {})) for key in rows}
    width = max(map(len, [*named.values(), "claims"]), default=0)
    yield " ".join(["claims".ljust(width), *shown])
    for key, row in rows.items():
        yield _row(named[key].ljust(width), row, shown)
    if len(rows) > 1:
        yield _row("in all".ljust(width), sum(rows.values(), Counter()), shown)


def document(key: str, sources: Mapping[str, Any]) -> str:
    """A document as `Author (year)`, or its letter where the ledger does not name it."""
    source = sources.get(key)
    if not source:
        return one_line(key)
    first, *others = str(source["authors"]).split(", ")
    return one_line(f"{key}  {first}{' et al.' if others else ''} ({source['year']})")


def changes(audit: Mapping[str, Any]) -> Iterator[str]:
    """Which claims changed since they were last understood, and how; or that none did."""
    groups = dict(surprises(audit))
    if not groups.get("changed"):
        yield "changed: nothing since the verdicts were last understood"
    for claim in groups.get("changed", []):
        recorded = claim["recorded"] or "nothing yet"
        told = f"now {claim['verdict']}, the ledger records {recorded}" if claim["changed"] else ""
        told = told or "; ".join(claim["outside"]) or f"ended in an error: {claim['error']}"
        yield one_line(f"changed: {claim['id']}: {told}")


def blocked(audit: Mapping[str, Any]) -> Iterator[str]:
    """What is missing, grouped by the command that brings it."""
    for entry in unblocking(audit):
        waiting, more = list(entry["waiting"]), len(entry["more"])
        named = ", ".join(waiting[:NAMED]) + (f" and {len(waiting) - NAMED} more" if len(waiting) > NAMED else "")
        told = [f"{_claims(len(waiting))} blocked ({named})"] if waiting else []
        told += [f"more evidence for {more}"] if more else []
        yield one_line(f"missing: {entry['needs']}: {', '.join(told)}")
        yield one_line(f"  {entry['command']}")


def _row(name: str, counts: Mapping[str, int], shown: list[str]) -> str:
    return " ".join([name, *(str(counts[verdict] or "").rjust(len(verdict)) for verdict in shown)]).rstrip()


def _claims(n: int) -> str:
    return f"{n} claim{'' if n == 1 else 's'}"
