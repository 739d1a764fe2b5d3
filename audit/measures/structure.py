"""What the structure of a split does to agreement (Topeza 2025, sections 5.2 and 5.3)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from audit.measures.agreement_tables import CLASSES, mixture_row
from audit.measures.attribute_reader import attribute_reader, labelled
from audit.measures.networks import EQUIVALENCE_IMAGES, JUDGED_LEVELS, JUDGED_SIGMAS, cell_psnr
from audit.measures.record import SEED, Measures, over_seeds, record
from audit.measures.rules import PSNR_MARGIN, STRONG
from audit.plots.shared import plot_rows
from core.data.corpus import Corpus
from core.dedup.search import near_duplicates
from core.errors import Missing
from core.metrics.agreement import Agreement
from core.metrics.psnr import PSNRCurve
from core.stats import Interval, bootstrap_difference, clopper_pearson, lowest_decile_difference, permutation_test, tost
from fixtures.experiments.desk import GROUPS, Cell
from fixtures.experiments.experiment import Experiment
from reports.record import ClaimRecord


def mean_agreements(desk: Experiment, *cells: tuple[str, int]) -> Measures:
    """Mean agreement of each (protocol, n), for the reader; no check hangs on it."""
    return {f"agreement, {protocol}, N = {n}": desk.agreement(protocol, n).mean(seed=SEED) for protocol, n in cells}


def weaker(strong: Agreement, weak: Agreement) -> tuple[float, Interval]:
    """Agreement of the first minus that of the second, paired over the seeds they share; with a permutation test."""
    interval = bootstrap_difference(strong.same, weak.same, seed=SEED, paired=True, over="seeds")
    p = permutation_test(strong.same, weak.same, seed=SEED, paired=True).pvalue
    method = f"{interval.method}; paired permutation test, p = {p:.2g}"
    return float((strong.same - weak.same).mean()), replace(interval, method=method)


def record_mixture(evidence: ClaimRecord, desk: Experiment, *cells: tuple[str, int], kind: str) -> None:
    """Seeds that agree strongly, in between and weakly, by protocol; no check hangs on it."""
    rows = [mixture_row(desk.agreement(protocol, n), {"protocol": protocol, "N": n}) for protocol, n in cells]
    note = f"{CLASSES}; Clopper-Pearson"
    evidence.add("seeds by class", rows, kind=kind, note=note, **over_seeds(desk))


def eyeglasses_measures(random: Agreement, split: Agreement, with_a: np.ndarray, with_b: np.ndarray) -> Measures:
    """What T-eyeglasses-convergence is judged by; `with_a`, `with_b`: whether each sample wears glasses."""
    hits = {"with": (int(with_a.sum()), len(with_a)), "without": (int((~with_b).sum()), len(with_b))}
    shares = {
        f"samples of the '{side}' model that are": (k / n, clopper_pearson(k, n)) for side, (k, n) in hits.items()
    }
    return {"agreement of random halves of the same size, minus this": weaker(random, split), **shares}


def record_glasses(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """Agreement of halves by glasses against random ones, and whether samples wear them (T-eyeglasses-convergence)."""
    n = desk.largest("Eyeglasses")
    used = {name for group in GROUPS for name in desk.names(Cell("Eyeglasses", n, group))}
    reader, accuracy = attribute_reader("Eyeglasses", desk.source("Eyeglasses"), used)
    a, b = (desk.samples(Cell("Eyeglasses", n, g)) for g in GROUPS)
    found = eyeglasses_measures(desk.agreement("random", n), desk.agreement("Eyeglasses", n), reader(a), reader(b))
    evidence.add("balanced accuracy of the reader of glasses", accuracy, kind=kind)
    record(evidence, mean_agreements(desk, ("random", n), ("Eyeglasses", n)), kind=kind, **over_seeds(desk))
    figures = [evidence.figure(f"samples-{kind}", plot_rows([("with", a), ("without", b)]))]
    record(evidence, found, kind=kind, figures=figures, **over_seeds(desk))


def varies_measures(split: Agreement, baseline: Agreement) -> Measures:
    """Shares of strong and of absent agreement over seeds (rules.varies)."""
    strong = (split.same > STRONG) | (split.same >= np.quantile(baseline.same, 0.9))
    none = split.same < split.weak_threshold
    return {
        name: (float(flag.mean()), clopper_pearson(int(flag.sum()), len(flag)))
        for name, flag in (("share of seeds that agree strongly", strong), ("share of seeds that do not agree", none))
    }


def record_sex(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """Shares of seeds that agree strongly and not at all on halves by sex (T-male-convergence)."""
    n = desk.largest("Male")
    split, baseline = desk.agreement("Male", n), desk.agreement("random", n)
    order = np.argsort(-split.same)[[0, 1, 2, len(split.same) // 2, -3, -2, -1]].tolist()
    rows = [(name, desk.samples(Cell("Male", n, g))[order]) for name, g in zip(("male", "female"), GROUPS, strict=True)]
    figures = [evidence.figure(f"best-median-worst-{kind}", plot_rows(rows))]
    record(evidence, mean_agreements(desk, ("random", n), ("Male", n)), kind=kind, **over_seeds(desk))
    record_mixture(evidence, desk, ("random", n), ("Male", n), kind=kind)
    record(evidence, varies_measures(split, baseline), kind=kind, figures=figures, **over_seeds(desk))


def identity_measures(split: PSNRCurve, overlap: PSNRCurve, a: Agreement, b: Agreement) -> Measures:
    """PSNR on the same images and noise, agreement of most seeds, the weakest decile of seeds (b: overlap)."""
    found: Measures = {}
    for row, level in enumerate(JUDGED_LEVELS):
        test = tost(split.output[row], overlap.output[row], margin=PSNR_MARGIN, paired=True)
        found[f"PSNR difference at {level:g} dB"] = (test.difference, test.interval, test.pvalue)
    agree = a.same > a.weak_threshold
    found["share of seeds that agree"] = (float(agree.mean()), clopper_pearson(int(agree.sum()), len(agree)))
    found["weakest decile of seeds: overlap minus identity-disjoint"] = lowest_decile_difference(
        b.same, a.same, seed=SEED, over="seeds"
    )
    return found


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


def record_identity(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """PSNR and agreement of halves without a common person against random ones (T-identity-convergence)."""
    n = desk.largest("identity")
    images = outside(desk, desk.source("identity"), [("random", n), ("identity", n)]).images[:EQUIVALENCE_IMAGES]
    split, overlap = (
        cell_psnr(desk, Cell(protocol, n, "A"), images, JUDGED_SIGMAS, seed=SEED) for protocol in ("identity", "random")
    )
    found = identity_measures(split, overlap, desk.agreement("identity", n), desk.agreement("random", n))
    record(evidence, mean_agreements(desk, ("random", n), ("identity", n)), kind=kind, **over_seeds(desk))
    record_mixture(evidence, desk, ("random", n), ("identity", n), kind=kind)
    for name, item in found.items():
        about = {"n": len(images), "varies": "image", "unit": "dB"} if name.startswith("PSNR") else over_seeds(desk)
        record(evidence, {name: item}, kind=kind, **about)


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


def start_measures(group: Agreement, shared: Agreement) -> Measures:
    """What the published start from each group's own mean adds to agreement, at the largest N."""
    return {"agreement from group means minus agreement from one mean": weaker(group, shared)}


def record_starts(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """Every N against a shared mean; against no mean at all the smallest and the largest, most and least affected."""
    for n in desk.sizes[:-1]:
        group, shared = (desk.agreement("random", n, start=start) for start in ("group", "shared"))
        name = f"group means minus one mean, N = {n}"
        record(evidence, {name: weaker(group, shared)}, kind=kind, **over_seeds(desk))
    for n in (desk.sizes[0], desk.sizes[-1]):
        group, none = (desk.agreement("random", n, start=start) for start in ("group", "none"))
        name = f"group means minus no mean, N = {n}"
        record(evidence, {name: weaker(group, none)}, kind=kind, **over_seeds(desk))
    last = start_measures(*(desk.agreement("random", desk.sizes[-1], start=start) for start in ("group", "shared")))
    record(evidence, last, kind=kind, **over_seeds(desk))


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
