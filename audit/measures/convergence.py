"""Whether denoisers trained on disjoint sets make the same image of the same noise (Topeza 2025, section 5.1)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from audit.measures.agreement import CLASSES, agreement_table, mixture_row
from audit.measures.lpips_neighbours import lpips_neighbours
from audit.measures.networks import nearest_training
from audit.measures.record import SEED, over_seeds, record
from audit.measures.replication import replication_rows
from audit.measures.rules import COPY_CORRELATION
from audit.plots.agreement import plot_agreement
from audit.plots.shared import plot_rows
from core.metrics.agreement import Agreement
from core.metrics.lpips import Embedding
from core.stats import bootstrap_difference, bootstrap_mean, spearman_trend
from core.stats.clustered import clustered_share
from fixtures.experiments.desk import GROUPS, Cell, TrainedExperiment
from fixtures.experiments.experiment import Experiment
from fixtures.faces.corpus import picture_of
from reports.record import ClaimRecord


def convergence_measures(
    by_size: Sequence[Agreement], sizes: Sequence[int], to_training: np.ndarray, copies: np.ndarray
) -> dict[str, Any]:
    """The measures of T-convergence.

    `to_training` (seeds,): at the largest N, mean over the groups of each sample's correlation with its nearest
    training image. `copies` (2 seeds,): that correlation for every sample at the smallest N, A's first, then B's.
    """
    first, last = by_size[0], by_size[-1]
    growth = bootstrap_difference(last.same, first.same, seed=SEED, paired=True, over="seeds")
    trend, trend_interval = spearman_trend(sizes, [a.same for a in by_size], seed=SEED)
    above = last.same - last.weak_threshold
    beside = last.same - to_training
    copied = copies > COPY_CORRELATION
    # A's and B's sample of one seed are not independent
    share, interval = clustered_share(copied, np.arange(len(copies)) % len(last.same))
    return {
        "growth of agreement from smallest to largest N": (float((last.same - first.same).mean()), growth),
        "trend of agreement over N (Spearman)": (trend, trend_interval),
        "agreement at the largest N above mismatched seeds": (
            float(above.mean()),
            bootstrap_mean(above, seed=SEED, over="seeds"),
        ),
        "agreement minus correlation with the nearest training image": (
            float(beside.mean()),
            bootstrap_mean(beside, seed=SEED, over="seeds"),
        ),
        "share of copies at the smallest N": (share, interval),
        "share of copies at the smallest N, counted": (share, None),
    }


def measure_convergence(desk: Experiment) -> tuple[list[Agreement], dict[str, Any]]:
    """Agreement by size on random halves, and everything T-convergence is judged by."""
    by_size = [desk.agreement("random", n) for n in desk.sizes]
    smallest, largest = (
        np.stack([nearest_training(desk.samples(c), desk.images(c)) for c in (Cell("random", n, g) for g in GROUPS)])
        for n in (desk.sizes[0], desk.sizes[-1])
    )
    return by_size, convergence_measures(by_size, desk.sizes, largest.mean(axis=0), smallest.reshape(-1))


def record_tables(evidence: ClaimRecord, desk: TrainedExperiment, lpips: Embedding | None) -> None:
    """Agreement in every way it is measured, seeds by class, and samples under every criterion of replication, by N."""
    agreements, classes, replication = [], [], []
    for n in (n for n in desk.sizes if n > 2):  # with fewer there is no second nearest of another image
        a, b = (desk.samples(Cell("random", n, g)) for g in GROUPS)
        means = tuple(desk.images(Cell("random", n, g)).mean(dim=0) for g in GROUPS)
        rows = agreement_table(a, b, seed=SEED, means=means, lpips=lpips)  # type: ignore[arg-type]
        agreements += [{"N": n, **row} for row in rows]
        classes.append(mixture_row(desk.agreement("random", n), {"N": n}))
        for group, samples in zip(GROUPS, (a, b), strict=True):
            cell = Cell("random", n, group)
            near = lpips_neighbours(desk, lpips, cell) if lpips is not None and group == "A" else None
            label = {"N": n, "group": group}
            replication += replication_rows(samples.clamp(0, 1), desk.images(cell), label, near)
    about = {"kind": desk.kind, **over_seeds(desk)}
    note = "mean over seeds with its BCa bootstrap interval; mean over mismatched seeds; share of seeds retrieved"
    evidence.add("agreement by measure and N", agreements, note=note, **about)
    note = f"{CLASSES}; Clopper-Pearson"
    evidence.add("seeds by class and N", classes, note=note, **about)
    note = "Clopper-Pearson; SSCD's weights are in no package index, so that it is not among the criteria"
    note += "" if lpips is not None else "; without VGG-16's weights LPIPS is not either (samenoise weights)"
    evidence.add("samples and training images called copies, by criterion and N", replication, note=note, **about)


def record_convergence(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """Everything T-convergence is judged by and shown with."""
    by_size, found = measure_convergence(desk)
    rows = [(f"N={n} {g}", desk.samples(Cell("random", n, g))) for n in (desk.sizes[0], desk.sizes[-1]) for g in GROUPS]
    prefix = "" if kind == "synthetic" else f"{kind}-"
    figures = [
        evidence.figure(f"{prefix}agreement", plot_agreement(desk, by_size)),
        evidence.figure(f"{prefix}samples", plot_rows(rows)),
    ]
    if isinstance(desk, TrainedExperiment):
        figures.append(evidence.figure("corpus", picture_of(desk.corpus, 4, 12)))
    for n, a in zip(desk.sizes, by_size, strict=True):
        mean, interval = a.mean(seed=SEED)
        retrieval, exact = a.retrieval()
        evidence.add(f"agreement at N = {n}", mean, kind=kind, interval=interval, **over_seeds(desk))
        evidence.add(f"mismatched seeds at N = {n}, 95th percentile", a.weak_threshold, kind=kind, n=len(a.mismatched))
        evidence.add(f"B's image retrieved at N = {n}", retrieval, kind=kind, interval=exact, **over_seeds(desk))
    about = over_seeds(desk)
    for name, item in found.items():
        n = 2 * len(desk.seeds) if name.startswith("share of copies") else len(desk.seeds)
        record(evidence, {name: item}, kind=kind, figures=figures, **{**about, "n": n})
