"""What the structure of a split does to agreement (Topeza 2025, sections 5.2 and 5.3)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from audit.measures.agreement import beside, halves, need_replicates, told
from audit.measures.attribute_reader import labelled
from audit.measures.networks import EQUIVALENCE_IMAGES, JUDGED_LEVELS, JUDGED_SIGMAS, cell_psnr
from audit.measures.record import SEED, Measures, over_trainings, record
from audit.measures.rules import PSNR_MARGIN
from core.data.corpus import Corpus
from core.dedup.search import near_duplicates
from core.errors import Missing
from core.metrics.psnr import PSNRCurve
from core.metrics.replicates import Replicates
from core.stats import Interval, bootstrap_difference, tost
from core.stats.crossed import crossed_difference
from core.training.cells import WITH_DUPLICATES
from fixtures.experiments.desk import GROUPS, Cell, ModelJob, TrainedExperiment
from fixtures.experiments.experiment import PUBLISHED, SAMPLERS, Experiment
from reports.record import ClaimRecord

BEYOND = "other group minus held-out own, beyond a random half's network"


def less(first: Replicates, second: Replicates, names: tuple[str, str]) -> tuple[float, Interval]:
    """Agreement of the first minus that of the second, other networks from the same sampling seeds."""
    return told(crossed_difference(first.same, second.same, names=names))


def outside(
    desk: Experiment, corpus: Corpus, cells: Sequence[tuple[str, int]], groups: Sequence[str] = GROUPS
) -> Corpus:
    """Held-out images of these cells: in none of their groups, and no near-duplicate of one that is.

    Raises:
        Missing: if there are none.
    """
    used = {name for protocol, n in cells for group in groups for name in desk.names(Cell(protocol, n, group))}
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


def confound_measures(large: Replicates, equal: Replicates, split: Replicates) -> Measures:
    """How much of the difference between large random halves and small attribute halves size alone explains.

    `equal` are random halves of the size of the attribute halves and, like them, with their near-duplicates.
    """
    return {
        "agreement of random halves of the same size, minus this": less(equal, split, ("equal", "split")),
        "difference as printed: large random halves minus attribute halves": less(large, split, ("large", "split")),
        "of it, by size alone: large minus small random halves": less(large, equal, ("large", "equal")),
    }


def duplicates_kept(desk: TrainedExperiment) -> list[ModelJob]:
    """Random halves of the size of the eyeglasses halves and, like them, with their near-duplicates."""
    return desk.jobs(WITH_DUPLICATES, desk.largest("Eyeglasses"))


def record_confound(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """How much of the effect of glasses is one of set size (T-size-confound)."""
    n = desk.largest("Eyeglasses")
    desk.largest(WITH_DUPLICATES)  # a store that has none says so
    need_replicates(desk)
    for sampler in SAMPLERS:
        large, equal, split = (
            halves(desk, *cell, sampler=sampler)
            for cell in (("random", desk.sizes[-1]), (WITH_DUPLICATES, n), ("Eyeglasses", n))
        )
        found = confound_measures(large, equal, split)
        found["of it, by duplicates alone: random halves without minus with them, at the smaller size"] = less(
            halves(desk, "random", n, sampler=sampler), equal, ("without", "with")
        )
        record(evidence, found if sampler == PUBLISHED else beside(found), kind=kind, **over_trainings(desk))
    for protocol in (WITH_DUPLICATES, "Eyeglasses"):
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


def other_group_measures(other: PSNRCurve, own: PSNRCurve, what: str = "other group minus held-out own") -> Measures:
    """Test PSNR on the other group's images minus that on held-out images with the model's own attribute."""
    found: Measures = {}
    for row, level in enumerate(JUDGED_LEVELS):
        test = tost(other.output[row], own.output[row], margin=PSNR_MARGIN)
        found[f"{what}, {level:g} dB"] = (test.difference, test.interval, test.pvalue)
    return found


def beyond_random_measures(split: Sequence[PSNRCurve], random: Sequence[PSNRCurve]) -> Measures:
    """What T-test-set is judged by: how much more the other group costs an attribute's network than a random half's.

    Each is a network's curves on the other group's images and on held-out ones of the own kind, with the same noise:
    how hard the images are is taken off image by image.
    """
    apart = [replace(a, output=a.output - b.output) for a, b in zip(split, random, strict=True)]
    return other_group_measures(apart[0], apart[1], BEYOND)


def record_other_group(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """PSNR on the other group's images against held-out ones of the own kind, by B and by a random half's network.

    The images of both sets are near none that the random half's network was trained on (T-test-set).
    """
    n, source = desk.largest("Eyeglasses"), desk.source("Eyeglasses")
    free = labelled(outside(desk, source, [("Eyeglasses", n), ("random", n)]), "Eyeglasses")
    assert free.attributes is not None
    own = free.select(np.flatnonzero(free.attributes["Eyeglasses"].to_numpy() == -1)).images[:EQUIVALENCE_IMAGES]
    unseen = set(outside(desk, source, [("random", n)], "B").names)
    first = [name for name in desk.names(Cell("Eyeglasses", n, "A")) if name in unseen][:300]  # as in the notebooks
    other = source.by_names(first).images
    split, random = (
        [cell_psnr(desk, Cell(protocol, n, "B"), x, JUDGED_SIGMAS, seed=SEED) for x in (other, own)]
        for protocol in ("Eyeglasses", "random")
    )
    about: dict[str, Any] = {"kind": kind, "n": len(other) + len(own), "varies": "image", "unit": "dB"}
    record(evidence, beyond_random_measures(split, random), **about)
    record(evidence, other_group_measures(split[0], split[1]), **about)
    name = "other group minus held-out own, network of a random half"
    record(evidence, other_group_measures(random[0], random[1], name), **about)
