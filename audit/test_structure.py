"""What the structure of the split does to agreement (Topeza 2025, sections 5.2 and 5.3), on the generated corpus."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from audit.measures.agreement import mixture_row
from audit.measures.networks import EQUIVALENCE_IMAGES, JUDGED_LEVELS, JUDGED_SIGMAS, cell_psnr
from audit.measures.record import SEED, Measures, over_seeds, record
from audit.plots.shared import plot_rows
from audit.published.figures import (
    published_eyeglasses_convergence,
    published_identity_convergence,
    published_male_convergence,
    published_size_confound,
)
from core.data.corpus import Corpus
from core.dedup.search import near_duplicates
from core.errors import Missing
from core.metrics.agreement import Agreement
from core.metrics.psnr import PSNRCurve
from core.stats import Interval, bootstrap_difference, clopper_pearson, lowest_decile_difference, permutation_test, tost
from fixtures.experiments.desk import GROUPS, Cell, Desk, random_pairs
from fixtures.experiments.stored import Pairs, Trained
from fixtures.published.files import Published
from reports.judge import Judge
from reports.record import ClaimRecord

STRONG = 0.9  # rules.varies


def mean_agreements(desk: Pairs, *cells: tuple[str, int]) -> Measures:
    """Mean agreement of each (protocol, n), for the reader; no check hangs on it."""
    return {f"agreement, {protocol}, N = {n}": desk.agreement(protocol, n).mean(seed=SEED) for protocol, n in cells}


def weaker(strong: Agreement, weak: Agreement) -> tuple[float, Interval]:
    """Agreement of the first minus that of the second, paired over the seeds they share; with a permutation test."""
    interval = bootstrap_difference(strong.same, weak.same, seed=SEED, paired=True, over="seeds")
    p = permutation_test(strong.same, weak.same, seed=SEED, paired=True).pvalue
    method = f"{interval.method}; paired permutation test, p = {p:.2g}"
    return float((strong.same - weak.same).mean()), replace(interval, method=method)


def record_mixture(evidence: ClaimRecord, desk: Pairs, *cells: tuple[str, int], kind: str) -> None:
    """Seeds that agree strongly, in between and weakly, by protocol; no check hangs on it."""
    rows = [mixture_row(desk.agreement(protocol, n), {"protocol": protocol, "N": n}) for protocol, n in cells]
    note = "strong: above 0.9; weak: below the 95th percentile of mismatched seeds; Clopper-Pearson"
    evidence.add("seeds by class", rows, kind=kind, note=note, **over_seeds(desk))


def labelled(corpus: Corpus, attribute: str) -> Corpus:
    """The corpus, if it knows the attribute.

    Raises:
        Missing: if it does not.
    """
    if corpus.attributes is None or attribute not in corpus.attributes:
        needs = f"a corpus with the attribute {attribute}, on which the pairs were trained"
        raise Missing(needs, "samenoise prepare --celeba DIR --out CORPUS, then train or import with --corpus CORPUS")
    return corpus


def thinned(corpus: Corpus, most: int = 20_000) -> Corpus:
    """Every so many-th image of a corpus too large to be fitted in memory: at most `most`."""
    return corpus if len(corpus) <= most else corpus.select(np.linspace(0, len(corpus) - 1, most).astype(int))


def attribute_reader(attribute: str, corpus: Corpus, used: set[str]) -> tuple[Callable[[Tensor], np.ndarray], float]:
    """A linear reader of one attribute from pixels, and its balanced accuracy on images it was not fitted to.

    Ridge regression of the label on pixels, classes weighted equally, fitted on every other one of the images that are
    not in `used`.
    """
    corpus = thinned(labelled(corpus, attribute))
    assert corpus.attributes is not None
    free = np.array([name not in used for name in corpus.names])
    pixels = corpus.images.reshape(len(corpus), -1).double().numpy()
    labels = corpus.attributes[attribute].to_numpy(dtype=float)
    weight = np.where(labels > 0, 0.5 / (labels > 0).mean(), 0.5 / (labels < 0).mean())
    fit, test = np.flatnonzero(free)[::2], np.flatnonzero(free)[1::2]
    design = np.column_stack([pixels, np.ones(len(pixels))])
    gram = design[fit].T @ (weight[fit, None] * design[fit]) + 1e-3 * len(fit) * np.eye(design.shape[1])
    solution = np.linalg.solve(gram, design[fit].T @ (weight[fit] * labels[fit]))
    found = np.sign(design[test] @ solution)
    accuracy = np.mean([(found[labels[test] == side] == side).mean() for side in (-1, 1)])

    def reader(images: Tensor) -> np.ndarray:
        rows = images.reshape(len(images), -1).double().numpy()
        return rows @ solution[:-1] + solution[-1] > 0

    return reader, float(accuracy)


def eyeglasses_measures(random: Agreement, split: Agreement, with_a: np.ndarray, with_b: np.ndarray) -> Measures:
    """What T-eyeglasses-convergence is judged by; `with_a`, `with_b`: whether each sample wears glasses."""
    hits = {"with": (int(with_a.sum()), len(with_a)), "without": (int((~with_b).sum()), len(with_b))}
    shares = {
        f"samples of the '{side}' model that are": (k / n, clopper_pearson(k, n)) for side, (k, n) in hits.items()
    }
    return {"agreement of random halves of the same size, minus this": weaker(random, split), **shares}


@pytest.mark.claim("T-eyeglasses-convergence")
@pytest.mark.trains(jobs=random_pairs)
@pytest.mark.trains(jobs=lambda desk: desk.jobs("Eyeglasses"))
def test_glasses_weaken_agreement(
    evidence: ClaimRecord, desk: Desk, published_or_none: Published | None, trained_or_none: Trained | None
) -> None:
    if published_or_none is not None:
        published_eyeglasses_convergence(evidence, published_or_none)
    if trained_or_none is not None:
        with evidence.attempt("full"):
            record_glasses(evidence, trained_or_none, "full")
    record_glasses(evidence, desk, desk.kind)


def record_glasses(evidence: ClaimRecord, desk: Pairs, kind: str) -> None:
    n = desk.largest("Eyeglasses")
    used = {name for group in GROUPS for name in desk.names(Cell("Eyeglasses", n, group))}
    reader, accuracy = attribute_reader("Eyeglasses", desk.source("Eyeglasses"), used)
    a, b = (desk.samples(Cell("Eyeglasses", n, g)) for g in GROUPS)
    found = eyeglasses_measures(desk.agreement("random", n), desk.agreement("Eyeglasses", n), reader(a), reader(b))
    evidence.add("balanced accuracy of the reader of glasses", accuracy, kind=kind)
    record(evidence, mean_agreements(desk, ("random", n), ("Eyeglasses", n)), kind=kind, **over_seeds(desk))
    figures = [evidence.figure(f"samples-{kind}", plot_rows([("with", a), ("without", b)]))]
    record(evidence, found, kind=kind, figures=figures, **over_seeds(desk))


def made_up_agreement(same: float, seeds: int = 64, spread: float = 0.05, seed: int = 0) -> Agreement:
    """Agreement whose diagonal is about `same` and whose mismatched seeds are about 0."""
    rng = np.random.default_rng(seed)
    similarity = rng.normal(0, 0.1, (seeds, seeds))
    similarity[np.arange(seeds), np.arange(seeds)] = rng.normal(same, spread, seeds)
    return Agreement(similarity.clip(-1, 1))


EVERYONE, NOBODY = np.ones(64, dtype=bool), np.zeros(64, dtype=bool)


@pytest.mark.control("T-eyeglasses-convergence", "positive")
def test_a_split_that_weakens_agreement_is_recognised(judge: Judge) -> None:
    found = eyeglasses_measures(made_up_agreement(0.9), made_up_agreement(0.6, seed=1), EVERYONE, NOBODY)
    assert judge("T-eyeglasses-convergence", found, "synthetic") == "reproduced"


@pytest.mark.control("T-eyeglasses-convergence", "negative")
def test_equal_agreement_or_swapped_groups_are_caught(judge: Judge) -> None:
    same = eyeglasses_measures(made_up_agreement(0.9), made_up_agreement(0.9), EVERYONE, NOBODY)
    swapped = eyeglasses_measures(made_up_agreement(0.9), made_up_agreement(0.6, seed=1), NOBODY, EVERYONE)
    assert judge("T-eyeglasses-convergence", same, "synthetic") != "reproduced"
    assert judge("T-eyeglasses-convergence", swapped, "synthetic") == "refuted"


def varies_measures(split: Agreement, baseline: Agreement) -> Measures:
    """Shares of strong and of absent agreement over seeds (rules.varies)."""
    strong = (split.same > STRONG) | (split.same >= np.quantile(baseline.same, 0.9))
    none = split.same < split.weak_threshold
    return {
        name: (float(flag.mean()), clopper_pearson(int(flag.sum()), len(flag)))
        for name, flag in (("share of seeds that agree strongly", strong), ("share of seeds that do not agree", none))
    }


@pytest.mark.claim("T-male-convergence")
@pytest.mark.trains(jobs=random_pairs)
@pytest.mark.trains(jobs=lambda desk: desk.jobs("Male"))
def test_sex_makes_agreement_vary_by_seed(
    evidence: ClaimRecord, desk: Desk, published_or_none: Published | None, trained_or_none: Trained | None
) -> None:
    if published_or_none is not None:
        published_male_convergence(evidence, published_or_none)
    if trained_or_none is not None:
        with evidence.attempt("full"):
            record_sex(evidence, trained_or_none, "full")
    record_sex(evidence, desk, desk.kind)


def record_sex(evidence: ClaimRecord, desk: Pairs, kind: str) -> None:
    n = desk.largest("Male")
    split, baseline = desk.agreement("Male", n), desk.agreement("random", n)
    order = np.argsort(-split.same)[[0, 1, 2, len(split.same) // 2, -3, -2, -1]].tolist()
    rows = [(name, desk.samples(Cell("Male", n, g))[order]) for name, g in zip(("male", "female"), GROUPS, strict=True)]
    figures = [evidence.figure(f"best-median-worst-{kind}", plot_rows(rows))]
    record(evidence, mean_agreements(desk, ("random", n), ("Male", n)), kind=kind, **over_seeds(desk))
    record_mixture(evidence, desk, ("random", n), ("Male", n), kind=kind)
    record(evidence, varies_measures(split, baseline), kind=kind, figures=figures, **over_seeds(desk))


@pytest.mark.control("T-male-convergence", "positive")
def test_agreement_from_strong_to_none_is_recognised(judge: Judge) -> None:
    mixed = made_up_agreement(0.95, spread=0.01).similarity.copy()
    mixed[np.arange(32), np.arange(32)] = 0.0
    found = varies_measures(Agreement(mixed), made_up_agreement(0.95, spread=0.01))
    assert judge("T-male-convergence", found, "synthetic") == "reproduced"


@pytest.mark.control("T-male-convergence", "negative")
@pytest.mark.parametrize("level", [0.98, 0.0])
def test_uniform_agreement_is_caught(judge: Judge, level: float) -> None:
    found = varies_measures(made_up_agreement(level, spread=0.005), made_up_agreement(0.95, spread=0.005))
    assert judge("T-male-convergence", found, "synthetic") == "refuted"


def identity_measures(split: PSNRCurve, overlap: PSNRCurve, a: Agreement, b: Agreement) -> Measures:
    """PSNR on the same images and noise, agreement of most seeds, the weakest decile of seeds (b: overlap)."""
    found: Measures = {}
    for row, level in enumerate(JUDGED_LEVELS):
        test = tost(split.output[row], overlap.output[row], margin=0.25, paired=True)
        found[f"PSNR difference at {level:g} dB"] = (test.difference, test.interval, test.pvalue)
    agree = a.same > a.weak_threshold
    found["share of seeds that agree"] = (float(agree.mean()), clopper_pearson(int(agree.sum()), len(agree)))
    found["weakest decile of seeds: overlap minus identity-disjoint"] = lowest_decile_difference(
        b.same, a.same, seed=SEED, over="seeds"
    )
    return found


def outside(desk: Pairs, corpus: Corpus, cells: Sequence[tuple[str, int]]) -> Corpus:
    """Images that none of the cells' groups hold, nor a near-duplicate of them.

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


@pytest.mark.claim("T-identity-convergence")
@pytest.mark.trains(jobs=random_pairs)
@pytest.mark.trains(jobs=lambda desk: desk.jobs("identity"))
def test_identity_overlap_is_not_needed(
    evidence: ClaimRecord, desk: Desk, published_or_none: Published | None, trained_or_none: Trained | None
) -> None:
    if published_or_none is not None:
        published_identity_convergence(evidence, published_or_none)
    if trained_or_none is not None:
        with evidence.attempt("full"):
            record_identity(evidence, trained_or_none, "full")
    record_identity(evidence, desk, desk.kind)


def record_identity(evidence: ClaimRecord, desk: Pairs, kind: str) -> None:
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


def made_up_psnr(offset: float, spread: float = 0.2, seed: int = 0, images: int = 200) -> PSNRCurve:
    noise = np.random.default_rng(seed).normal(offset, spread, (len(JUDGED_LEVELS), images))
    base = np.repeat(np.array(JUDGED_LEVELS)[:, None], images, axis=1)
    return PSNRCurve(JUDGED_SIGMAS, base, base + 5 + noise)


@pytest.mark.control("T-identity-convergence", "positive")
def test_equal_psnr_with_a_few_diverging_seeds_is_recognised(judge: Judge) -> None:
    diverging = made_up_agreement(0.95, spread=0.01).similarity.copy()
    diverging[np.arange(10), np.arange(10)] = 0.2
    found = identity_measures(
        made_up_psnr(0.0), made_up_psnr(0.0, seed=1), Agreement(diverging), made_up_agreement(0.95, spread=0.01, seed=2)
    )
    assert judge("T-identity-convergence", found, "synthetic") == "reproduced"


@pytest.mark.control("T-identity-convergence", "negative")
def test_half_a_decibel_is_not_indistinguishable(judge: Judge) -> None:
    found = identity_measures(
        made_up_psnr(0.5), made_up_psnr(0.0, seed=1), made_up_agreement(0.9), made_up_agreement(0.9, seed=2)
    )
    assert judge("T-identity-convergence", found, "synthetic") == "refuted"


def confound_measures(large: Agreement, equal: Agreement, split: Agreement) -> Measures:
    """How much of the difference between large random halves and small attribute halves size alone explains."""
    return {
        "agreement of random halves of the same size, minus this": weaker(equal, split),
        "difference as printed: large random halves minus attribute halves": weaker(large, split),
        "of it, by size alone: large minus small random halves": weaker(large, equal),
    }


@pytest.mark.claim("T-size-confound")
def test_glasses_or_set_size(
    evidence: ClaimRecord, desk: Desk, published_or_none: Published | None, trained_or_none: Trained | None
) -> None:
    if published_or_none is not None:
        published_size_confound(evidence, published_or_none)
    if trained_or_none is not None:
        with evidence.attempt("full"):
            record_confound(evidence, trained_or_none, "full")
    record_confound(evidence, desk, desk.kind)


def record_confound(evidence: ClaimRecord, desk: Pairs, kind: str) -> None:
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


@pytest.mark.control("T-size-confound", "positive")
def test_an_effect_of_the_attribute_is_recognised(judge: Judge) -> None:
    found = confound_measures(made_up_agreement(0.9), made_up_agreement(0.9, seed=1), made_up_agreement(0.6, seed=2))
    assert judge("T-size-confound", found, "synthetic") == "reproduced"


@pytest.mark.control("T-size-confound", "negative")
def test_an_effect_of_size_alone_is_caught(judge: Judge) -> None:
    found = confound_measures(made_up_agreement(0.9), made_up_agreement(0.5, seed=1), made_up_agreement(0.6, seed=2))
    assert judge("T-size-confound", found, "synthetic") == "refuted"


def start_measures(group: Agreement, shared: Agreement) -> Measures:
    """What the published start from each group's own mean adds to agreement, at the largest N."""
    return {"agreement from group means minus agreement from one mean": weaker(group, shared)}


@pytest.mark.claim("T-same-start")
def test_the_start_is_not_the_same(evidence: ClaimRecord, desk: Desk, trained_or_none: Trained | None) -> None:
    if trained_or_none is not None:
        with evidence.attempt("full"):
            record_starts(evidence, trained_or_none, "full")
    record_starts(evidence, desk, desk.kind)


def record_starts(evidence: ClaimRecord, desk: Pairs, kind: str) -> None:
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


@pytest.mark.control("T-same-start", "positive")
def test_equal_starts_make_no_difference(judge: Judge) -> None:
    assert (
        judge("T-same-start", start_measures(made_up_agreement(0.9), made_up_agreement(0.9)), "synthetic")
        == "reproduced"
    )


@pytest.mark.control("T-same-start", "negative")
def test_a_start_that_matters_is_caught(judge: Judge) -> None:
    assert (
        judge("T-same-start", start_measures(made_up_agreement(0.9), made_up_agreement(0.8, seed=1)), "synthetic")
        == "refuted"
    )


def other_group_measures(other: PSNRCurve, own: PSNRCurve) -> Measures:
    """Test PSNR on the other group's images minus that on held-out images with the model's own attribute."""
    found: Measures = {}
    for row, level in enumerate(JUDGED_LEVELS):
        test = tost(other.output[row], own.output[row], margin=0.25)
        found[f"other group minus held-out own, {level:g} dB"] = (test.difference, test.interval, test.pvalue)
    return found


@pytest.mark.claim("T-test-set")
def test_the_other_group_is_not_a_test_set(evidence: ClaimRecord, desk: Desk, trained_or_none: Trained | None) -> None:
    if trained_or_none is not None:
        with evidence.attempt("full"):
            record_other_group(evidence, trained_or_none, "full")
    record_other_group(evidence, desk, desk.kind)


def record_other_group(evidence: ClaimRecord, desk: Pairs, kind: str) -> None:
    n = desk.largest("Eyeglasses")
    free = labelled(outside(desk, desk.source("Eyeglasses"), [("Eyeglasses", n)]), "Eyeglasses")
    assert free.attributes is not None
    own = free.select(np.flatnonzero(free.attributes["Eyeglasses"].to_numpy() == -1)).images[:EQUIVALENCE_IMAGES]
    other = desk.images(Cell("Eyeglasses", n, "A"))[:300]  # as in the published notebooks
    b = Cell("Eyeglasses", n, "B")
    found = other_group_measures(*(cell_psnr(desk, b, x, JUDGED_SIGMAS, seed=SEED) for x in (other, own)))
    record(evidence, found, kind=kind, n=len(other) + len(own), varies="image", unit="dB")


@pytest.mark.control("T-test-set", "positive")
def test_a_fair_test_set_is_recognised(judge: Judge) -> None:
    found = other_group_measures(made_up_psnr(0.0), made_up_psnr(0.0, seed=1))
    assert judge("T-test-set", found, "synthetic") == "reproduced"


@pytest.mark.control("T-test-set", "negative")
def test_a_harder_test_set_is_caught(judge: Judge) -> None:
    found = other_group_measures(made_up_psnr(-1.0), made_up_psnr(0.0, seed=1))
    assert judge("T-test-set", found, "synthetic") == "refuted"


@pytest.mark.control("T-eyeglasses-convergence", "negative")
def test_the_reader_of_an_attribute_needs_the_attribute(desk: Desk) -> None:
    """Shuffled labels cannot be read: the reader's accuracy is not an artefact of its fit."""
    split = desk.split("Eyeglasses", desk.largest("Eyeglasses"))
    used = {name for names in split.groups.values() for name in names}
    assert desk.raw.attributes is not None
    shuffled = desk.raw.attributes.sample(frac=1.0, random_state=0).reset_index(drop=True)
    scrambled = Corpus(desk.raw.images, desk.raw.names, desk.raw.identities, shuffled)
    _, honest = attribute_reader("Eyeglasses", desk.raw, used)
    _, chance = attribute_reader("Eyeglasses", scrambled, used)
    assert honest > 0.75
    assert abs(chance - 0.5) < 0.1
