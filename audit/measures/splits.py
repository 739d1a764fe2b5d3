"""Splits into random halves: their sizes, and the two readings of their definition (Topeza 2025, section 3.4)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from audit.measures.corpora import made_up_corpora, numbered_names
from audit.measures.record import SEED, cite
from core.metrics.agreement import Agreement
from core.splits.build import DEFINITIONS, baseline
from core.stats import bootstrap_difference
from fixtures.experiments.choices import choices
from fixtures.experiments.desk import TrainedExperiment
from fixtures.published.files import Published
from fixtures.published.notebooks import EXPERIMENTS, Tiles, notebook_tiles
from reports.record import ClaimRecord

KEPT_IMAGES = 196_235  # images after removal of near-duplicates, as printed
SIZES = (10, 100, 1000, 10_000, 98_117)
CHANGE = "agreement by consecutive minus agreement by ends"


def shared_names(groups: Mapping[str, Sequence[str]]) -> int:
    """How many names stand in both groups."""
    a, b = groups.values()
    return len(set(a) & set(b))


def split_sizes(kept: int) -> dict[str, int]:
    """Largest size of two disjoint sets, and how many of the stated sizes fit, for `kept` images (T 3.4)."""
    return {"largest": kept // 2, "sizes_that_fit": sum(2 * n <= kept for n in SIZES)}


def differing_images(
    names: Sequence[str], by: Callable[[Sequence[str], int, str], set[str]] | None = None
) -> dict[int, int]:
    """Images of B under one definition that are not in B under the other, by set size."""
    b_of = by or (lambda names, n, definition: set(baseline(names, n, definition).groups["B"]))
    return {n: len(b_of(names, n, DEFINITIONS[0]) - b_of(names, n, DEFINITIONS[1])) for n in SIZES}


def seen_at_two_sizes(tiles: Tiles, group: str) -> dict[str, int]:
    """Training images of a group that the notebooks show at two set sizes or more, by experiment."""
    found = {}
    for experiment in EXPERIMENTS:
        shown = tiles.where(experiment=experiment, group=group)
        table = pd.DataFrame({"key": [image.tobytes() for image in shown.images], "size": shown.table.set_size})
        of_training = (shown.table.role != "sample").to_numpy()
        found[experiment] = int((table[of_training].groupby("key")["size"].nunique() > 1).sum())
    return found


def definition_measures(ends: Agreement, consecutive: Agreement) -> dict[str, Any]:
    """What the definition changes where agreement is concerned: paired over seeds."""
    interval = bootstrap_difference(consecutive.same, ends.same, seed=SEED, paired=True, over="seeds")
    return {CHANGE: (float((consecutive.same - ends.same).mean()), interval)}


def record_readings(evidence: ClaimRecord, published_or_none: Published | None) -> None:
    """Where the two readings of the definition differ, and which of them the notebooks used."""

    def add(kind: str, names: Sequence[str]) -> None:
        counts = differing_images(names)
        note = ", ".join(f"N = {n:,}: {k:,} of {n:,} images of B differ" for n, k in counts.items())
        evidence.add("sizes_that_differ", sum(k > 0 for k in counts.values()), kind=kind, n=len(SIZES), note=note)

    add("arithmetic", numbered_names(KEPT_IMAGES))
    if published_or_none is None:
        return
    cite(evidence, "train_filenames.txt")
    add("published", published_or_none.train)
    nested = seen_at_two_sizes(notebook_tiles(published_or_none), "B")
    evidence.add(
        "images_of_b_at_two_sizes",
        sum(nested.values()),
        kind="published",
        unit="images",
        note="Training images of B that a notebook shows at two set sizes ("
        + ", ".join(f"{name} {count}" for name, count in nested.items())
        + "). N+1..2N has none, since its B's are disjoint from size to size; so where there is one, B was taken from "
        "the end. The baseline notebook shows too few images to tell.",
    )


def record_definition(evidence: ClaimRecord, desk: TrainedExperiment, published_or_none: Published | None) -> None:
    """Where two readings of the definition differ, and what that does to agreement (T-split-definition)."""
    record_readings(evidence, published_or_none)
    n, *_ = choices(desk)
    both = [desk.agreement(definition, n) for definition in DEFINITIONS]
    about: dict[str, Any] = {
        "kind": "synthetic",
        "n": len(desk.seeds),
        "varies": "seed",
        "seeds": f"0:{len(desk.seeds)}",
    }
    for definition, agreement in zip(DEFINITIONS, both, strict=True):
        value, interval = agreement.mean(seed=SEED)
        evidence.add(f"agreement by {definition}, N = {n}", value, interval=interval, **about)
    note = "A is the same by both definitions; one training of each B, so other images of B are in the difference too"
    for name, (value, interval) in definition_measures(*both).items():
        evidence.add(name, value, interval=interval, note=note, **about)


def record_disjoint(evidence: ClaimRecord, published_or_none: Published | None) -> None:
    """Names in both halves, of generated corpora and of the published list (T-split-disjoint)."""
    built = [
        baseline(names, n, definition).groups
        for names, _, _ in made_up_corpora(0)
        for n in range(1, len(names) // 2 + 1)
        for definition in DEFINITIONS
    ]
    evidence.add("shared", sum(map(shared_names, built)), kind="property", n=len(built), varies="corpus, N, definition")
    if published_or_none is None:
        return
    cite(evidence, "train_filenames.txt")
    names = published_or_none.train
    found = [shared_names(baseline(names, n, definition).groups) for n in SIZES for definition in DEFINITIONS]
    note = "on the order before near-duplicates went, the only one that was published; taking images out keeps it so"
    evidence.add("shared", max(found), kind="published", n=len(found), varies="N, definition", note=note)
