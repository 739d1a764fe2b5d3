"""Agreement of halves that differ by an attribute or share no person, against random halves (Topeza 2025, 5.2, 5.3).

Every difference is one between two sets of trainings, three of each group of each protocol, sampled from the same noise
at the same set size; intervals are taken over training seeds and sampling seeds.
"""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from audit.measures.agreement import FACTORS, beside, halves, need_replicates, samples_of, told
from audit.measures.agreement_tables import CLASSES, CUT, mixture_row
from audit.measures.attribute_reader import ReadAttribute, attribute_reader
from audit.measures.networks import EQUIVALENCE_IMAGES, JUDGED_LEVELS, JUDGED_SIGMAS, cell_psnr
from audit.measures.record import SEED, Measures, over_samples, over_seeds, over_trainings, record
from audit.measures.rules import PSNR_MARGIN, RULES, STRONG
from audit.measures.structure import outside
from audit.plots.shared import plot_rows
from core.metrics.agreement import agreement
from core.metrics.replicates import Replicates, across
from core.stats import CORRELATION, SHARE
from core.stats.crossed import SAMPLING, crossed_difference, crossed_mean, lowest_tenth
from core.training.cells import GROUPS, RANDOM, Cell
from fixtures.experiments.experiment import SAMPLERS, Experiment
from reports.record import ClaimRecord

WEAKER = "agreement of random halves of the same size, minus this"
SIDES = (("with", "A"), ("without", "B"))
START_MARGIN: float = RULES["nearly_same"]["nearest_train_margin"]
ALLOWED: float = RULES["respects"]["below_images_at_most"]
BANDS = {"below": (0.0, CUT), "above": (CUT, math.inf)}


def weaker(baseline: Replicates, split: Replicates) -> Measures:
    """Mean agreement of random halves minus that of the halves of a split."""
    return {WEAKER: told(crossed_difference(baseline.same, split.same, names=("random halves", "this split")))}


def record_agreements(evidence: ClaimRecord, desk: Experiment, kind: str, *cells: tuple[str, int]) -> None:
    """Mean agreement by protocol and sampler, and seeds by class; no check hangs on it."""
    need_replicates(desk)
    for protocol, n in cells:
        for sampler in SAMPLERS:
            same = halves(desk, protocol, n, sampler=sampler).same
            found = told(crossed_mean(same, FACTORS, possible=CORRELATION))
            record(
                evidence,
                {f"agreement, {protocol}, N = {n}, {sampler} sampler": found},
                kind=kind,
                **over_trainings(desk),
            )
    rows = [mixture_row(desk.agreement(protocol, n), {"protocol": protocol, "N": n}) for protocol, n in cells]
    note = f"{CLASSES}; Clopper-Pearson; first training of each group"
    evidence.add("seeds by class", rows, kind=kind, note=note, **over_seeds(desk))


def record_weaker(evidence: ClaimRecord, desk: Experiment, kind: str, protocol: str) -> Measures:
    """Agreement of a protocol beside random halves of its size, by both samplers; returns what T is judged by."""
    n = desk.largest(protocol)
    record_agreements(evidence, desk, kind, (RANDOM, n), (protocol, n))
    by = {sampler: weaker(*(halves(desk, p, n, sampler=sampler) for p in (RANDOM, protocol))) for sampler in SAMPLERS}
    published, deterministic = by.values()
    record(evidence, beside(deterministic), kind=kind, **over_trainings(desk))
    return published


def record_glasses(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """Agreement of halves by glasses against random ones, and whether samples wear them (T-eyeglasses-convergence)."""
    found = record_weaker(evidence, desk, kind, "Eyeglasses")
    found |= respect_measures(desk, "Eyeglasses", "glasses")
    rows = [(side, desk.samples(Cell("Eyeglasses", desk.largest("Eyeglasses"), g))) for side, g in SIDES]
    figures = [evidence.figure(f"samples-{kind}", plot_rows(rows))]
    for name, item in found.items():
        record(evidence, {name: item}, kind=kind, figures=figures, **counted_for(name, desk))


def respected(read: ReadAttribute, a: list[Tensor], b: list[Tensor], name: str) -> Measures:
    """Whether samples are read as the group they come from nearly as often as held-out images are (rules.respects)."""
    flags = np.stack([read(images) for images in a] + [~read(images) for images in b])
    share, interval = told(crossed_mean(flags.astype(float), ("trainings", SAMPLING), possible=SHARE))
    allowed = read.interval.low - ALLOWED
    above = replace(interval, low=interval.low - allowed, high=interval.high - allowed)
    return {
        f"samples read as their group, {name}": (share, interval),
        f"held-out images read as their group, {name}": (read.accuracy, read.interval),
        f"samples read as their group, above what is allowed, {name}": (share - allowed, above),
    }


def counted_for(name: str, desk: Experiment) -> dict[str, Any]:
    """What is said beside a measure of a split: whether pairs of samples, samples or held-out images were counted."""
    if name.startswith("held-out images"):
        return {"varies": "held-out image"}
    return over_samples(desk) if name.startswith("samples read as") else over_trainings(desk)


def respect_measures(desk: Experiment, attribute: str, name: str) -> Measures:
    """What the rule 'respects its attribute' is judged by, for one attribute, at its largest N."""
    n = desk.largest(attribute)
    used = {name for group in GROUPS for name in desk.names(Cell(attribute, n, group))}
    read = attribute_reader(attribute, desk.source(attribute), used)
    a, b = (samples_of(desk, attribute, n, group) for group in GROUPS)
    return respected(read, a, b, name)


def record_respect(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """Both attributes (T-attribute-respected)."""
    need_replicates(desk)
    for attribute, name in (("Eyeglasses", "glasses"), ("Male", "sex")):
        for measure, item in respect_measures(desk, attribute, name).items():
            record(evidence, {measure: item}, kind=kind, **counted_for(measure, desk))


def varies_measures(split: Replicates, baseline: Replicates) -> Measures:
    """Shares of strong and of absent agreement over seeds, against random halves of the same size (rules.varies)."""
    decile = np.quantile(baseline.same, 0.9)
    strong, usual = ((each.same > STRONG) | (each.same >= decile) for each in (split, baseline))
    none, usually_none = (each.same < each.weak_threshold for each in (split, baseline))
    names = ("random halves", "this split")
    return {
        "share of seeds that agree strongly": told(crossed_mean(strong.astype(float), FACTORS, possible=SHARE)),
        "share of seeds that agree strongly, random halves minus this": told(
            crossed_difference(usual.astype(float), strong.astype(float), names=names)
        ),
        "share of seeds that do not agree, this minus random halves": told(
            crossed_difference(none.astype(float), usually_none.astype(float), names=names[::-1])
        ),
    }


def record_sex(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """Shares of seeds that agree strongly and not at all on halves by sex (T-male-convergence)."""
    n = desk.largest("Male")
    record_weaker(evidence, desk, kind, "Male")
    split, baseline = halves(desk, "Male", n), halves(desk, RANDOM, n)
    order = np.argsort(-split.same.mean(axis=(0, 1)))
    shown = order[[0, 1, 2, len(order) // 2, -3, -2, -1]].tolist()
    rows = [(name, desk.samples(Cell("Male", n, g))[shown]) for name, g in zip(("male", "female"), GROUPS, strict=True)]
    figures = [evidence.figure(f"best-median-worst-{kind}", plot_rows(rows))]
    record(evidence, varies_measures(split, baseline), kind=kind, figures=figures, **over_trainings(desk))


def identity_measures(
    split: np.ndarray, overlap: np.ndarray, a: Replicates, b: Replicates, *, over: str = "images"
) -> Measures:
    """PSNR on the same images and noise, agreement of most seeds, the weakest tenth of seeds.

    `split` and `overlap` are output PSNR, (trainings, judged levels, images), or means over what `over` names; `a` is
    agreement of halves without a common person, `b` of random ones.
    """
    found: Measures = {}
    names = ("without a common person", "random halves")
    for row, level in enumerate(JUDGED_LEVELS):
        difference = crossed_difference(
            split[:, row], overlap[:, row], names=names, sides=("training seeds",), over=over
        )
        test = difference.equivalence(PSNR_MARGIN)
        found[f"PSNR difference at {level:g} dB"] = (test.difference, test.interval, test.pvalue)
    agree = (a.same > a.weak_threshold).astype(float)
    found["share of seeds that agree"] = told(crossed_mean(agree, FACTORS, possible=SHARE))
    lowest = crossed_difference(b.same, a.same, names=names[::-1], statistic=lowest_tenth)
    found["weakest decile of seeds: overlap minus identity-disjoint"] = told(lowest)
    return found


def record_identity(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """PSNR and agreement of halves without a common person against random ones (T-identity-convergence)."""
    n = desk.largest("identity")
    record_weaker(evidence, desk, kind, "identity")
    images = outside(desk, desk.source("identity"), [(RANDOM, n), ("identity", n)]).images[:EQUIVALENCE_IMAGES]
    split, overlap = (
        np.stack([cell_psnr(desk, Cell(p, n, "A", k), images, JUDGED_SIGMAS, seed=SEED).output for k in desk.trainings])
        for p in ("identity", RANDOM)
    )
    found = identity_measures(split, overlap, halves(desk, "identity", n), halves(desk, RANDOM, n))
    for name, item in found.items():
        about = over_trainings(desk)
        if name.startswith("PSNR"):
            varies = f"{len(desk.trainings)} training seeds a protocol, {len(images)} images"
            about = {"n": len(desk.trainings) * len(images), "varies": varies, "unit": "dB"}
            about["counted"] = "denoised images"
        record(evidence, {name: item}, kind=kind, **about)


def start_measures(group: Replicates, shared: Replicates) -> Measures:
    """What the published start from each group's own mean adds to agreement; the same networks in both."""
    difference = crossed_mean(group.same - shared.same, FACTORS)
    test = difference.equivalence(START_MARGIN)
    return {"agreement from group means minus agreement from one mean": (test.difference, test.interval, test.pvalue)}


def record_starts(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """The largest N over all trainings; the smallest, most affected, also without any mean, by the first of each."""
    need_replicates(desk)
    by = [
        start_measures(*(halves(desk, RANDOM, desk.sizes[-1], start=start, sampler=s) for start in ("group", "shared")))
        for s in SAMPLERS
    ]
    for n in desk.sizes[:-1]:
        plain, one = (desk.agreement(RANDOM, n, start=start) for start in ("group", "shared"))
        item = {f"group means minus one mean, N = {n}": float((plain.same - one.same).mean())}
        record(evidence, item, kind=kind, note="first training of each group", **over_seeds(desk))
    for found in (by[0], beside(by[1])):
        record(evidence, found, kind=kind, **over_trainings(desk))


def coarse_measures(split: dict[str, Replicates], baseline: dict[str, Replicates], name: str) -> Measures:
    """Whether outlines align across a split while detail does not (T-coarse-aligned), by band of `BANDS`."""
    names = ("random halves", "this split")
    lost = {band: baseline[band].same.mean() - split[band].same.mean() for band in BANDS}
    detail = crossed_difference(
        baseline["above"].same - baseline["below"].same, split["above"].same - split["below"].same, names=names
    )
    coarse = split["below"]
    return {
        f"agreement below {CUT:g} cycles above mismatched seeds, {name}": told(
            crossed_mean(coarse.same - coarse.weak_threshold, FACTORS)
        ),
        f"lost from {CUT:g} cycles on minus lost below, {name}": told(detail),
        f"lost below {CUT:g} cycles, {name}": float(lost["below"]),
        f"lost from {CUT:g} cycles on, {name}": float(lost["above"]),
    }


def record_coarse(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """Agreement below and above four cycles an image, against random halves of the same size (T-coarse-aligned)."""
    need_replicates(desk)
    for attribute, name in (("Eyeglasses", "glasses"), ("Male", "sex")):
        n = desk.largest(attribute)
        published, deterministic = (
            coarse_measures(by_band(desk, attribute, n, sampler), by_band(desk, RANDOM, n, sampler), name)
            for sampler in SAMPLERS
        )
        for found in (published, beside(deterministic)):
            record(evidence, found, kind=kind, **over_trainings(desk))


def by_band(desk: Experiment, protocol: str, n: int, sampler: str) -> dict[str, Replicates]:
    """Agreement of the halves of a protocol by band of `BANDS`."""
    a, b = (samples_of(desk, protocol, n, group, sampler=sampler) for group in GROUPS)
    return {band: across(a, b, partial(agreement, frequencies=span)) for band, span in BANDS.items()}
