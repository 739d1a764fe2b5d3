"""The set size at which memorisation gives way to generalisation (Kadkhodaie et al. 2024, section 2.2)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from audit.measures.agreement import (
    AtSize,
    beyond_measures,
    by_sampler,
    first_without_copies,
    independence_measures,
    record_by_size,
    told,
)
from audit.measures.fine_detail import fine_detail
from audit.measures.predictors import record_predictors
from audit.measures.record import SEED, Measures, over_trainings, record
from audit.measures.rules import COPY_CORRELATION
from audit.measures.strip import same_noise
from audit.plots.agreement import plot_agreement, plot_first, plot_strip
from audit.plots.transition import plot_transition
from core.stats import clopper_pearson, spearman_trend
from core.theory.critical_size import Crossing, critical_size
from fixtures.experiments.experiment import HEUN, Experiment
from reports.bearing import DETAIL, STRIP
from reports.record import ClaimRecord


def strong_measures(sizes: Sequence[AtSize]) -> Measures:
    """Nearly the same function at the largest N and not at the smallest; sizes rise."""
    return {
        "agreement at the largest N above mismatched seeds": told(sizes[-1].plain.above_mismatched),
        "agreement at the largest N": told(sizes[-1].plain.agreement),
        "agreement at the smallest N": told(sizes[0].plain.agreement),
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
        told = {**about, "n": len(flags), "counted": "samples"}
        evidence.add(f"share of copies{whose}, N = {n}", share, interval=interval, **told)
    if np.ptp(copies.mean(axis=(1, 2))) > 0:
        trend, interval = spearman_trend(sizes, list(copies.mean(axis=1)), seed=SEED)
        told = {**about, "n": copies[0].size, "counted": "samples at each N"}
        evidence.add(f"trend of the share of copies over N{whose} (Spearman)", trend, interval=interval, **told)


def record_strong(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """Agreement, copies and critical sizes over all N, and what the claim is judged by."""
    by = by_sampler(desk)
    sizes = by[HEUN]
    near, same = np.stack([size.near for size in sizes]), np.stack([size.plain.halves.same for size in sizes])
    found = critical_size(desk.sizes, same.mean(axis=(1, 2)), near, SEED)
    figures = [
        evidence.figure(f"agreement-{kind}", plot_agreement(by)),
        evidence.figure(f"transition-{kind}", plot_transition(desk.sizes, same.mean(axis=(1, 2)), near, found)),
    ]
    about: dict[str, Any] = {"kind": kind, **over_trainings(desk), "figures": figures}
    record_by_size(evidence, by, kind, figures)
    record_shares(evidence, "", desk.sizes, near, about)
    seeds = {"n": len(desk.seeds), "counted": "sampling seeds"}
    over = {**about, **seeds, "varies": f"{len(desk.seeds)} sampling seeds; trainings averaged"}
    for name, c in found.items():
        record_crossing(evidence, f"critical size: {name}", c, over)
    record(evidence, strong_measures(sizes), **about)


def record_same_data(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """Ceiling minus agreement at the largest N and where fewer than half of the samples are copies (K-same-data)."""
    by = by_sampler(desk)
    figures = [evidence.figure(f"agreement-{kind}", plot_agreement(by))]
    about: dict[str, Any] = {"kind": kind, **over_trainings(desk), "figures": figures}
    last, first = by[HEUN][-1], first_without_copies(by[HEUN])
    for where, size in (("largest N", last), ("smallest N without copies", first)):
        evidence.add(where, size.n, kind=kind, unit="images", note=f"{size.copies:.1%} of its samples are copies")
        record(evidence, {f"agreement at the {where}": told(size.plain.agreement)}, **about)
        ceiling = (size.plain.ceilings[0].estimate + size.plain.ceilings[1].estimate) / 2
        evidence.add(f"ceiling at the {where}", ceiling, kind=kind, note="mean of A with A' and B with B'")
    for sampler, sizes in by.items():
        for size in sizes:
            item = {f"ceiling minus agreement, N = {size.n}, {sampler} sampler": told(size.plain.gap)}
            record(evidence, item, **about)
    first_figure = evidence.figure(f"first-{kind}", plot_first(by[HEUN]))
    record(evidence, independence_measures(by[HEUN]), **{**about, "figures": [first_figure, *figures]})
    shown = [same_noise(desk, size.n) for size in (first, last)]
    strip = evidence.figure(f"strip-{kind}", plot_strip(shown))
    rows = [row for one in shown for row in one.rows()]
    evidence.add(STRIP, rows, kind=kind, figures=[strip])
    trained, seeds = 2 * len(desk.trainings), len(desk.seeds)
    over = {"n": trained * seeds, "counted": "samples", "varies": f"{trained} training seeds, {seeds} sampling seeds"}
    record(evidence, {DETAIL: told(fine_detail(desk, last.n))}, **{**about, **over, "figures": [strip]})


def record_beyond(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """What agreement is beyond that of two linear denoisers, and what closed forms predict (K-beyond-gaussian)."""
    by = by_sampler(desk)
    figures = [evidence.figure(f"agreement-{kind}", plot_agreement(by))]
    record_by_size(evidence, by, kind, figures)
    measures = beyond_measures(by[HEUN][-1])
    record(evidence, measures, kind=kind, figures=figures, **over_trainings(desk))
    if kind != "full":  # whose sets are too large for an empirical optimum
        record_predictors(evidence, desk, kind)
