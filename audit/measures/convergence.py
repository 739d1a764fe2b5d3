"""Whether denoisers trained on disjoint sets make the same image of the same noise (Topeza 2025, section 5.1)."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from audit.measures.agreement import AtSize, by_sampler, record_by_size, told
from audit.measures.agreement_tables import CLASSES, agreement_table, mixture_row
from audit.measures.lpips_neighbours import lpips_neighbours
from audit.measures.record import SEED, Measures, over_samples, over_seeds, over_trainings, record
from audit.measures.replication import replication_rows
from audit.measures.rules import COPY_CORRELATION
from audit.plots.agreement import plot_agreement
from audit.plots.shared import plot_rows
from core.metrics.lpips import Embedding
from core.stats import bootstrap_mean
from core.stats.clustered import clustered_share
from core.stats.crossed import crossed_difference, crossed_trend
from fixtures.experiments.desk import GROUPS, Cell, TrainedExperiment
from fixtures.experiments.experiment import HEUN, PUBLISHED, Experiment
from fixtures.faces.corpus import picture_of
from reports.record import ClaimRecord


def convergence_measures(published: Sequence[AtSize], deterministic: Sequence[AtSize]) -> Measures:
    """What T-convergence is judged by: every N, rising, by the published sampler and by Heun's method."""
    first, last = published[0], published[-1]
    growth = crossed_difference(last.plain.halves.same, first.plain.halves.same, names=("largest N", "smallest N"))
    copied = first.near > COPY_CORRELATION
    seeds = np.broadcast_to(np.arange(copied.shape[1]), copied.shape)  # samples of one seed are not independent
    share, interval = clustered_share(copied.reshape(-1), seeds.reshape(-1))
    return {
        "growth of agreement from smallest to largest N": told(growth),
        "trend of agreement over N (Spearman)": crossed_trend(
            [size.n for size in published], [size.plain.halves.same for size in published], seed=SEED
        ),
        "agreement at the largest N above mismatched seeds": told(last.plain.above_mismatched),
        "agreement at the largest N, sampler without noise": told(deterministic[-1].plain.agreement),
        "share of copies at the smallest N": (share, interval),
        "share of copies at the smallest N, counted": (share, None),
    }


def record_tables(evidence: ClaimRecord, desk: TrainedExperiment, lpips: Embedding | None) -> None:
    """Agreement in every way it is measured, seeds by class, and samples under every criterion of replication, by N."""
    evidence.input("generated faces", sha256=desk.raw.fingerprint, rows=len(desk.raw))
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
    sizes = by_sampler(desk)
    prefix = "" if kind == "synthetic" else f"{kind}-"
    figures = [
        evidence.figure(f"{prefix}agreement", plot_agreement(sizes)),
        evidence.figure(f"{prefix}samples", plot_rows(sample_rows(desk))),
    ]
    if isinstance(desk, TrainedExperiment) and desk.photographs is None:
        figures.append(evidence.figure("corpus", picture_of(desk.corpus, 4, 12)))
    record_by_size(evidence, sizes, kind, figures)
    for size in sizes[PUBLISHED]:
        beside = size.plain.halves.same.mean(axis=(0, 1)) - size.near.mean(axis=0)
        name = f"agreement minus correlation with the nearest training image, N = {size.n}"
        interval = bootstrap_mean(beside, seed=SEED, over="sampling seeds, trainings averaged")
        evidence.add(name, float(beside.mean()), kind=kind, interval=interval, **over_seeds(desk))
        gap = {f"ceiling minus agreement, N = {size.n}, published sampler": told(size.plain.gap)}
        record(evidence, gap, kind=kind, **over_trainings(desk))
    for name, item in convergence_measures(sizes[PUBLISHED], sizes[HEUN]).items():
        about = over_samples(desk) if name.startswith("share of copies") else over_trainings(desk)
        record(evidence, {name: item}, kind=kind, figures=figures, **about)


def sample_rows(desk: Experiment) -> list[tuple[str, Tensor]]:
    """Samples of A, of another training of A, and of B from the same noise, at the smallest and the largest N."""
    return [
        (f"N={n} {name}", desk.samples(Cell("random", n, group, training), sampler=HEUN))
        for n in (desk.sizes[0], desk.sizes[-1])
        for name, group, training in (("A", "A", 0), ("A'", "A", 1), ("B", "B", 0))
    ]
