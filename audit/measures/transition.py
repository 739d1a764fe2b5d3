"""The set size at which memorisation gives way to generalisation (Kadkhodaie et al. 2024, section 2.2)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from audit.measures.networks import nearest_training
from audit.measures.record import SEED, Measures, record
from audit.measures.rules import COPY_CORRELATION
from audit.plots.transition import plot_critical_settings, plot_transition
from core.metrics.agreement import Agreement
from core.stats import Interval, bootstrap_difference, clopper_pearson, spearman_trend
from core.theory.critical_size import HALF, UNRESOLVED, Crossing, critical_size, crossing, size_exponent
from core.training.presets import DEFAULT_SCALE
from fixtures.experiments.critical import nearest_by_setting, settings
from fixtures.experiments.desk import GROUPS, Cell, TrainedExperiment
from fixtures.experiments.experiment import Experiment
from reports.record import ClaimRecord

LARGER = "pytest audit/test_transition.py --scale desk-long"


def strong_measures(
    largest: Agreement, smallest: Agreement, near_largest: np.ndarray, near_smallest: np.ndarray
) -> Measures:
    """Nearly the same function at the largest N and not at the smallest; `near_*`: nearest-training correlations."""

    def beside(a: Agreement, near: np.ndarray) -> tuple[float, Interval]:
        interval = bootstrap_difference(a.same, near, seed=SEED, paired=True, over="seeds")
        return float((a.same - near).mean()), interval

    above = bootstrap_difference(
        largest.same, np.full_like(largest.same, largest.weak_threshold), seed=SEED, paired=True, over="seeds"
    )
    return {
        "agreement at the largest N above mismatched seeds": (
            float(largest.same.mean() - largest.weak_threshold),
            above,
        ),
        "agreement minus nearest training image, largest N": beside(largest, near_largest),
        "agreement minus nearest training image, smallest N": beside(smallest, near_smallest),
    }


def record_crossing(evidence: ClaimRecord, name: str, found: Crossing, about: Mapping[str, Any]) -> None:
    """A number with its interval where the sizes tried hold both; else the inequality that the interval leaves."""
    low, high = found.interval.low, found.interval.high
    told = {**about, "unit": "images", "interval_method": found.interval.method}

    def note(said: str) -> str:
        return "; ".join(filter(None, [said, about.get("note")]))

    if found.bracketed:
        below, above = found.between
        shape = (
            f"for a curve linear in log N; one of another shape crosses anywhere from N = {below:,.0f} to {above:,.0f}"
        )
        evidence.add(name, found.value, interval=(low, high), **{**told, "note": note(shape)})
    elif high < math.inf:
        bound = high or found.between[1]
        evidence.add(f"{name}, upper bound", bound, **{**told, "note": note(f"one-sided; mean {found}")})
    elif low > 0:
        bound = low if low < math.inf else found.between[0]
        evidence.add(f"{name}, lower bound", bound, **{**told, "note": note(f"one-sided; mean {found}")})
    else:
        evidence.add(f"{name}, in words", f"undecided at these sizes; mean {found}", **about)


def record_shares(
    evidence: ClaimRecord, whose: str, sizes: Sequence[int], near: np.ndarray, about: Mapping[str, Any]
) -> None:
    """Share of copies by N with exact intervals, and their trend; `near` is (sizes, groups, seeds)."""
    copies = near > COPY_CORRELATION
    for n, flags in zip(sizes, copies.reshape(len(sizes), -1), strict=True):
        share, interval = float(flags.mean()), clopper_pearson(int(flags.sum()), len(flags))
        evidence.add(f"share of copies{whose}, N = {n}", share, interval=interval, **{**about, "n": len(flags)})
    if np.ptp(copies.mean(axis=(1, 2))) > 0:
        trend, interval = spearman_trend(sizes, list(copies.mean(axis=1)), seed=SEED)
        evidence.add(f"trend of the share of copies over N{whose} (Spearman)", trend, interval=interval, **about)


def record_settings(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """How the critical size moves with network width and image size, on a short grid of small networks."""
    theory, near = desk.preset.theory, nearest_by_setting(desk)
    sizes, exposures = theory.critical_sizes, theory.critical.exposures * theory.critical.epochs
    groups = settings(desk)
    figure = evidence.figure("width-and-size", plot_critical_settings(groups, sizes, near))
    about: dict[str, Any] = {
        "kind": desk.kind,
        "n": len(desk.seeds),
        "varies": "sampling seed; one network each",
        "note": f"{exposures:,} exposures; N in {', '.join(map(str, sizes))}",
        "figures": [figure],
    }
    curves = {setting: HALF - (values > COPY_CORRELATION) for setting, values in near.items()}
    for setting, values in near.items():
        record_shares(evidence, f", {setting}", sizes, values[:, None], about)
        if lost := int((values == -1).sum()):
            note = "counted as no copies; of a network trained this shortly the noise level may rise without end"
            evidence.add(f"samples that did not converge, {setting}", lost, kind=desk.kind, n=values.size, note=note)
    found = {setting: crossing(sizes, curve, seed=SEED) for setting, curve in curves.items()}
    for setting, c in found.items():
        record_crossing(evidence, f"critical size, {setting}", c, about)
    for name, members in groups.items():
        slope, interval, words = size_exponent(list(members), sizes, [curves[s] for s in members.values()], seed=SEED)
        if words != UNRESOLVED:
            if all(found[s].bracketed for s in members.values()):
                evidence.add(f"exponent of the critical size in {name}", slope, interval=interval, **about)
            else:
                words += "; no exponent, as the sizes tried do not hold every critical size"
        smaller = desk.preset.name == DEFAULT_SCALE
        more = f"; a finer grid: {LARGER}" if smaller and words.startswith("inconclusive") else ""
        evidence.add(f"with {name}, in words", words + more, kind=desk.kind)


def record_strong(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """Agreement, copies and critical sizes over all N, and what the claim is judged by."""
    cells = {n: [Cell("random", n, g) for g in GROUPS] for n in desk.sizes}
    near = np.stack([[nearest_training(desk.samples(c), desk.images(c)) for c in pair] for pair in cells.values()])
    by_size = [desk.agreement("random", n) for n in desk.sizes]
    same = np.stack([a.same for a in by_size])
    found = critical_size(desk.sizes, same, near, SEED)
    about: dict[str, Any] = {
        "kind": kind,
        "n": len(desk.seeds),
        "seeds": f"{desk.seeds.start}:{desk.seeds.stop}",
        "varies": "seed",
        "figures": [evidence.figure(f"transition-{kind}", plot_transition(desk.sizes, same, near, found))],
    }
    for n, a in zip(desk.sizes, by_size, strict=True):
        mean, interval = a.mean(seed=SEED)
        evidence.add(f"agreement, random, N = {n}", mean, interval=interval, **about)
    record_shares(evidence, "", desk.sizes, near, about)
    for name, c in found.items():
        record_crossing(evidence, f"critical size: {name}", c, about)
    measures = strong_measures(by_size[-1], by_size[0], near[-1].mean(axis=0), near[0].mean(axis=0))
    record(evidence, measures, **about)
