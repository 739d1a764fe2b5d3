"""What the structure of a split does to agreement (Topeza 2025, sections 5.2 and 5.3)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from audit.measures.attribute_reader import labelled
from audit.measures.networks import EQUIVALENCE_IMAGES, JUDGED_LEVELS, JUDGED_SIGMAS, cell_psnr
from audit.measures.record import SEED, Measures, over_seeds, record
from audit.measures.rules import PSNR_MARGIN
from core.data.corpus import Corpus
from core.dedup.search import near_duplicates
from core.errors import Missing
from core.metrics.agreement import Agreement
from core.metrics.psnr import PSNRCurve
from core.stats import Interval, bootstrap_difference, permutation_test, tost
from fixtures.experiments.desk import GROUPS, Cell
from fixtures.experiments.experiment import Experiment
from reports.record import ClaimRecord


def weaker(strong: Agreement, weak: Agreement) -> tuple[float, Interval]:
    """Agreement of the first minus that of the second, paired over the seeds they share; with a permutation test."""
    interval = bootstrap_difference(strong.same, weak.same, seed=SEED, paired=True, over="seeds")
    p = permutation_test(strong.same, weak.same, seed=SEED, paired=True).pvalue
    method = f"{interval.method}; paired permutation test, p = {p:.2g}"
    return float((strong.same - weak.same).mean()), replace(interval, method=method)


def outside(desk: Experiment, corpus: Corpus, cells: Sequence[tuple[str, int]]) -> Corpus:
    """Held-out images of these cells: in none of their groups, and no near-duplicate of one that is.

    Raises:
        Missing: if there are none.
    """
    used = {name for protocol, n in cells for group in GROUPS for name in desk.names(Cell(protocol, n, group))}
    taken = np.array([name in used for name in corpus.names])
    pairs = near_duplicates(corpus.images)
    alike = np.zeros(len(corpus), dtype=bool)
    alike[pairs.j[taken[pairs.i]]] = True
    alike[pairs.i[taken[pairs.j]]] = True
    free = np.flatnonzero(~taken & ~alike)
    if not len(free):
        needs = "images that neither group was trained on: the halves hold the whole corpus"
        raise Missing(needs, "samenoise train --corpus LARGER (or smaller --sizes)")
    return corpus.select(free)


def confound_measures(large: Agreement, equal: Agreement, split: Agreement) -> Measures:
    """How much of the difference between large random halves and small attribute halves size alone explains."""
    return {
        "agreement of random halves of the same size, minus this": weaker(equal, split),
        "difference as printed: large random halves minus attribute halves": weaker(large, split),
        "of it, by size alone: large minus small random halves": weaker(large, equal),
    }


def record_confound(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """How much of the effect of glasses is one of set size (T-size-confound)."""
    n = desk.largest("Eyeglasses")
    found = confound_measures(
        *(desk.agreement(*c) for c in (("random", desk.sizes[-1]), ("random", n), ("Eyeglasses", n)))
    )
    for protocol in ("random", "Eyeglasses"):
        free = outside(desk, desk.source(protocol), [(protocol, n)])
        if protocol == "Eyeglasses":
            free = labelled(free, "Eyeglasses")
            assert free.attributes is not None
            free = free.select(np.flatnonzero(free.attributes["Eyeglasses"].to_numpy() == 1))
        cell = Cell(protocol, n, "A")
        train = cell_psnr(desk, cell, desk.images(cell)[:EQUIVALENCE_IMAGES], JUDGED_SIGMAS[1:2], seed=SEED)
        test = cell_psnr(desk, cell, free.images[:EQUIVALENCE_IMAGES], JUDGED_SIGMAS[1:2], seed=SEED + 1)
        interval = bootstrap_difference(train.output[0], test.output[0], seed=SEED, paired=False, over="images")
        value = float(train.output.mean() - test.output.mean())
        about: dict[str, Any] = {"unit": "dB", "n": train.output.shape[1], "varies": "image"}
        name = f"train-test gap, {protocol}, N = {n}, input {JUDGED_LEVELS[1]:g} dB"
        record(evidence, {name: (value, interval)}, kind=kind, **about)
    record(evidence, found, kind=kind, **over_seeds(desk))


def other_group_measures(other: PSNRCurve, own: PSNRCurve) -> Measures:
    """Test PSNR on the other group's images minus that on held-out images with the model's own attribute."""
    found: Measures = {}
    for row, level in enumerate(JUDGED_LEVELS):
        test = tost(other.output[row], own.output[row], margin=PSNR_MARGIN)
        found[f"other group minus held-out own, {level:g} dB"] = (test.difference, test.interval, test.pvalue)
    return found


def record_other_group(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """PSNR on the other group's images against held-out images of the own kind (T-test-set)."""
    n = desk.largest("Eyeglasses")
    free = labelled(outside(desk, desk.source("Eyeglasses"), [("Eyeglasses", n)]), "Eyeglasses")
    assert free.attributes is not None
    own = free.select(np.flatnonzero(free.attributes["Eyeglasses"].to_numpy() == -1)).images[:EQUIVALENCE_IMAGES]
    other = desk.images(Cell("Eyeglasses", n, "A"))[:300]  # as in the published notebooks
    b = Cell("Eyeglasses", n, "B")
    found = other_group_measures(*(cell_psnr(desk, b, x, JUDGED_SIGMAS, seed=SEED) for x in (other, own)))
    record(evidence, found, kind=kind, n=len(other) + len(own), varies="image", unit="dB")
