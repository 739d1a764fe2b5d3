"""The sentence that answers the page's question, and its picture: written by a rule from one claim's evidence.

The question is whether two denoisers trained on disjoint images draw the same image from the same noise; the claim that
answers it compares their agreement with that of two trainings on the same images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports.judge import VERDICTS

CLAIM = "K-same-data"
GAP, GAP_BEFORE = "ceiling minus agreement, largest N", "ceiling minus agreement, smallest N without copies"
LARGEST, BEFORE = "largest N", "smallest N without copies"
STRIP = "samples from the same noise, shown"
CORPORA = {
    "celeba": "photographs of CelebA",
    "photographs": "photographs of faces",
    "clothes": "photographs of clothes",
    "synthetic": "generated faces",
    "full": "networks of the published size",
}


@dataclass(frozen=True)
class Headline:
    """What the page says first: a sentence for every kind of evidence at hand, and the pictures behind the first.

    Attributes:
        sentences: one a kind of evidence, the best first.
        figure: agreement by the number of training images.
        strip: samples from the same noise with their nearest training images.
    """

    sentences: tuple[str, ...]
    figure: str | None
    strip: str | None = None


def headline(audit: Mapping[str, Any]) -> Headline | None:
    """The answer of one audit; None where that claim is none of its own or was not asked."""
    found = [claim for claim in audit["claims"] if claim["id"] == CLAIM]
    if not found:
        return counted(audit) if audit.get("ledger") else None
    claim, rule = found[0], audit.get("rules", {}).get("independent", {})
    sentences: list[str] = []
    figure = strip = None
    for kind, corpus in CORPORA.items():
        items = {item["name"]: item for item in claim["evidence"] if item["kind"] == kind}
        if {GAP, GAP_BEFORE, LARGEST, BEFORE} <= items.keys():
            sentences.append(answer(items, rule, corpus, str(audit["scale"])))
            if figure is None and strip is None:
                figure = next(iter(items[GAP]["figures"]), None)
                strip = next(iter(items[STRIP]["figures"]), None) if STRIP in items else None
    if not sentences and not claim["blocked"]:
        return None
    if not sentences:
        blocked = "; ".join(f"{b['kind']} needs {b['needs']}: {b['command']}" for b in claim["blocked"])
        sentences = [
            f"This run did not measure whether two networks trained on disjoint images agree. {blocked}".strip()
        ]
    return Headline(tuple(sentences), figure, strip)


def counted(audit: Mapping[str, Any]) -> Headline:
    """The answer of a ledger of one's own: how many of its claims have which verdict."""
    counts = audit["counts"]
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
    n = len(audit["claims"])
    return Headline((f"Of {n:,} claim{'' if n == 1 else 's'}: {told}.",), None)


def answer(items: Mapping[str, Mapping[str, Any]], rule: Mapping[str, Any], corpus: str, scale: str) -> str:
    """One sentence from the gap to the ceiling at the largest N, and at the smallest N without copies."""
    low, high = items[GAP]["interval"]
    at, ceiling = (items[f"{name} at the largest N"]["value"] for name in ("agreement", "ceiling"))
    n, before = int(items[LARGEST]["value"]), int(items[BEFORE]["value"])
    if -rule["gap_within"] <= low and high <= rule["gap_within"]:
        said = f"agree as much ({at:.2f}) as two trained on the same ones ({ceiling:.2f})"
    elif low > rule["gap_within"]:
        said = f"agree less ({at:.2f}) than two trained on the same ones ({ceiling:.2f})"
    else:
        said = (
            f"agree by {at:.2f}, two trained on the same ones by {ceiling:.2f}, which is too uncertain to call as much"
        )
    low, high = items[GAP_BEFORE]["interval"]
    values = [items[f"{name} at the smallest N without copies"]["value"] for name in ("agreement", "ceiling")]
    beside = f"({values[0]:.2f} against {values[1]:.2f})"
    if low > rule["gap_above"]:
        then = (
            f"at N = {before:,} they do not {beside}" if said.startswith("agree as") else f"at N = {before:,} {beside}"
        )
    elif high <= rule["gap_above"]:
        then = f"at N = {before:,}, where copies have ended, they do so already {beside}"
    else:
        then = f"at N = {before:,} that cannot be told {beside}"
    return (
        f"On {corpus} at the {scale} scale two networks trained on {n:,} disjoint images each {said}, from the same "
        f"noise; {then}."
    )
