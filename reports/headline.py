"""The sentence that answers the page's question, and its picture: written by a rule from one claim's evidence.

The question is whether two denoisers trained on disjoint images draw the same image from the same noise; the claim that
answers it compares their agreement with that of two trainings on the same images. `bearing` says what stands below it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports.bearing import (
    AT_BEFORE,
    AT_LARGEST,
    BEFORE,
    CENTRAL,
    CORPORA,
    GAP,
    GAP_BEFORE,
    LARGEST,
    STRIP,
    Items,
    beyond,
    detail,
    judged,
    size,
    sure,
    unknown,
)
from reports.judge import VERDICTS

OPENING = {
    "reproduced": "The central claim holds on",
    "refuted": "The central claim does not hold on",
    "inconclusive": "The central claim is not decided on",
}  # verdict of one kind of evidence -> how its sentence begins


@dataclass(frozen=True)
class Headline:
    """What the page says first: a sentence for every kind of evidence at hand, and the pictures behind the first.

    Attributes:
        sentences: one a kind of evidence, the best first.
        figure: agreement by the number of training images.
        strip: samples from the same noise with their nearest training images.
        claim: the central claim, as `audit.json` holds it.
        lines: what a reader asks next, each a question in a word or two and its answer.
        look: how the samples of the strip look beside photographs, by what was recorded.
    """

    sentences: tuple[str, ...]
    figure: str | None
    strip: str | None = None
    claim: Mapping[str, Any] | None = None
    lines: tuple[tuple[str, str], ...] = ()
    look: str | None = None


def headline(audit: Mapping[str, Any]) -> Headline | None:
    """The answer of one audit; None where that claim is none of its own or was not asked."""
    found = [claim for claim in audit["claims"] if claim["id"] == CENTRAL]
    if not found:
        return counted(audit) if audit.get("ledger") else None
    (claim,), rule = found, audit.get("rules", {}).get("independent", {})
    measured = {kind: items for kind in CORPORA if (items := judged(claim, kind))}
    if measured:
        first, items = next(iter(measured.items()))
        shown = items.get(STRIP)
        lines = [("How sure", sure(audit, measured, rule)), ("More than a Gaussian", beyond(audit, first, items))]
        return Headline(
            answers(audit, claim, measured, rule),
            next(iter(items[GAP]["figures"]), None),
            next(iter(shown["figures"]), None) if shown else None,
            claim,
            tuple((name, text) for name, text in [*lines, ("Still unknown", unknown(audit, claim))] if text),
            detail(items),
        )
    if not claim["blocked"]:
        return None
    blocked = "; ".join(f"{b['kind']} needs {b['needs']}: {b['command']}" for b in claim["blocked"])
    told = f"This run did not measure whether two networks trained on disjoint images agree. {blocked}".strip()
    return Headline((told,), None, claim=claim)


def counted(audit: Mapping[str, Any]) -> Headline:
    """The answer of a ledger of one's own: how many of its claims have which verdict."""
    counts = audit["counts"]
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
    n = len(audit["claims"])
    return Headline((f"Of {n:,} claim{'' if n == 1 else 's'}: {told}.",), None)


def answers(
    audit: Mapping[str, Any], claim: Mapping[str, Any], measured: Mapping[str, Items], rule: Mapping[str, Any]
) -> tuple[str, ...]:
    """A sentence a kind of evidence; one that came out as the first did is told in brief."""
    outcomes = {kind: outcome(claim, kind, items, rule) for kind, items in measured.items()}
    first = next(iter(outcomes))
    return tuple(
        likewise(kind, items)
        if kind != first and outcomes[kind] == outcomes[first]
        else answer(kind, items, outcomes[kind], audit)
        for kind, items in measured.items()
    )


def outcome(claim: Mapping[str, Any], kind: str, items: Items, rule: Mapping[str, Any]) -> tuple[Any, ...]:
    """How one kind of evidence came out: verdict, agreement at the largest N and where copies end, and these N."""
    low, high = items[GAP]["interval"]
    within = rule["gap_within"]
    last = "as much" if -within <= low and high <= within else "less" if low > within else "uncertain"
    low, high = items[GAP_BEFORE]["interval"]
    first = "apart" if low > rule["gap_above"] else "already" if high <= rule["gap_above"] else "open"
    sizes = (int(items[name]["value"]) for name in (LARGEST, BEFORE))
    return (claim["verdicts"].get(kind, ""), last, first, *sizes)


def answer(kind: str, items: Items, found: tuple[Any, ...], audit: Mapping[str, Any]) -> str:
    """One sentence from the gap to the ceiling at the largest N, and at the smallest where few samples are copies."""
    verdict, last, first, n, before = found
    at, ceiling = (f"{items[name]['value']:.2f}" for name in AT_LARGEST)
    beside = "({:.2f} against {:.2f})".format(*(items[name]["value"] for name in AT_BEFORE))
    said = {
        "as much": f"agree as much ({at}) as two trained on the same ones ({ceiling})",
        "less": f"agree less ({at}) than two trained on the same ones ({ceiling})",
        "uncertain": f"agree by {at}, two trained on the same ones by {ceiling}, too uncertain to call as much",
    }[last]
    then = {
        "apart": f"at N = {before:,} {'they do not ' if last == 'as much' else ''}{beside}",
        "already": f"at N = {before:,}, where fewer than half of the samples are copies, they do so already {beside}",
        "open": f"at N = {before:,} that cannot be told {beside}",
    }[first]
    opening = OPENING.get(verdict, "Measured, and not judged, on")
    return (
        f"{opening} {CORPORA[kind]} at the {audit['scale']} scale{size(audit, kind)}: two networks trained on {n:,} "
        f"disjoint images each {said}, from the same noise by a sampler that adds none of its own; {then}."
    )


def likewise(kind: str, items: Items) -> str:
    """One sentence for a kind of evidence that came out as the one before it did."""
    values = [
        "{:.2f} against {:.2f}".format(*(items[name]["value"] for name in names)) for names in (AT_LARGEST, AT_BEFORE)
    ]
    return f"On {CORPORA[kind]} it is the same ({values[0]}; at N = {items[BEFORE]['value']:,}, {values[1]})."
