"""The nearest training image by correlation and by LPIPS (Topeza 2025, section 5.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.measures.perception import (
    NETWORKS,
    RETRIEVAL_SIZE,
    distances_by_metric,
    embeddings,
    identity_rows,
    kept_rerank,
    people,
    sensitivity_rows,
    trap_measures,
)
from audit.measures.record import SEED, Measures, record
from audit.measures.rules import CANDIDATES
from audit.plots.shared import plot_rows
from core.metrics.lpips import Embedding
from core.metrics.neighbours import nearest
from core.metrics.retrieval import memorised, nearest_change, rank_agreement
from core.metrics.ssim import ssim
from core.stats import clopper_pearson
from core.stats.clustered import clustered_share
from fixtures.experiments.desk import GROUPS, Cell, TrainedExperiment
from fixtures.experiments.experiment import Experiment
from reports.record import ClaimRecord

PEOPLE, EACH = 75, 4  # faces of known identity


def candidates(samples: Tensor, train: Tensor) -> tuple[np.ndarray, Tensor]:
    """Correlations and indices, (n, 10) each, of the ten training images nearest by correlation; of all, if fewer."""
    found = nearest(samples, train, min(CANDIDATES, len(train)))
    return found.value.numpy(), found.index


def inversion_measures(
    correlation: np.ndarray, lpips: np.ndarray, control: np.ndarray, seeds: np.ndarray, which: str = "not copies"
) -> Measures:
    """Share of samples whose nearest changes, and what the LPIPS order carries; similarities and distances (n, 10).

    `seeds` (n,): A's and B's samples of one seed are not independent, and intervals do not take them for it.
    """
    change = nearest_change(-correlation, lpips, clusters=seeds)
    found: Measures = {f"share whose nearest changes, {which}": (change.share, change.interval)}
    for name, other in (("correlation", correlation), ("a control metric", control)):
        order = rank_agreement(-other, lpips, seed=SEED, clusters=seeds)
        found[f"Kendall's tau of LPIPS with {name}, {which}"] = (order.mean_kendall, order.kendall_interval)
        found[f"Spearman's rho of LPIPS with {name}, {which}"] = (order.mean_spearman, order.spearman_interval)
    return found


@dataclass(frozen=True)
class Ranked:
    """The ten candidates of samples of both groups under four measures, (n, 10) each, and the samples' seeds (n,)."""

    correlation: np.ndarray
    lpips: np.ndarray
    ssim: np.ndarray
    l2: np.ndarray
    seeds: np.ndarray

    def where(self, mask: np.ndarray) -> "Ranked":
        """Some of the samples."""
        return Ranked(*(getattr(self, field.name)[mask] for field in fields(self)))


def ranked_candidates(desk: Experiment, embedding: Embedding, n: int) -> Ranked:
    """The candidates of the samples at size n, A's samples first."""
    parts: list[tuple[np.ndarray, ...]] = []
    for group in GROUPS:
        cell = Cell("random", n, group)
        samples, train = desk.samples(cell).clamp(0, 1), desk.images(cell)
        r, index = candidates(samples, train)
        l2 = (samples[:, None] - train[index]).flatten(2).norm(dim=2).double().numpy()
        lpips = kept_rerank(desk.root, embedding, samples, train, index)
        parts.append((r, lpips, ssim(samples, train[index]), l2, np.asarray(desk.seeds)))
    return Ranked(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def record_inversion(evidence: ClaimRecord, desk: Experiment, ranked: Ranked, figures: list[str], kind: str) -> None:
    """What T-rank-inversion is judged by, on samples that are no copies, beside chance and two other measures."""
    fresh = ranked.where(~memorised(ranked.correlation))
    about: dict[str, Any] = {
        "kind": kind, "n": len(fresh.seeds), "varies": "sample, in clusters of one seed",
        "seeds": f"0:{len(desk.seeds)}, A and B",
    }  # fmt: skip
    found = inversion_measures(fresh.correlation, fresh.lpips, fresh.ssim, fresh.seeds)
    for name, distance in (("structural similarity", -fresh.ssim), ("L2", fresh.l2)):
        change = nearest_change(-fresh.correlation, distance, clusters=fresh.seeds)
        found[f"share whose nearest changes by {name} instead, not copies"] = (change.share, change.interval)
    record(evidence, found, figures=figures, **about)
    chance = nearest_change(-fresh.correlation, fresh.lpips).chance
    evidence.add("share whose nearest an unrelated order changes", chance, kind=kind, note="1 - 1/k, k = 10")


def record_order_of_copies(evidence: ClaimRecord, ranked: Mapping[int, Ranked], kind: str) -> None:
    """Changes of the nearest among samples that are copies (rules.copies_left_out), at every N that has some."""
    for n, every in ranked.items():
        if every.lpips.shape[1] < 2:  # one candidate has no order
            continue
        mask = memorised(every.correlation)
        share, interval = clustered_share(mask, every.seeds)
        about: dict[str, Any] = {"n": len(mask), "varies": "sample, in clusters of one seed"}
        evidence.add(f"samples that are copies, N = {n}", share, kind=kind, interval=interval, **about)
        copies = every.where(mask)
        if len(np.unique(copies.seeds)) < 2:
            continue
        found = inversion_measures(copies.correlation, copies.lpips, copies.ssim, copies.seeds, f"copies, N = {n}")
        note = f"{copies.lpips.shape[1]} candidates: an unrelated order changes {1 - 1 / copies.lpips.shape[1]:.0%}"
        about |= {"n": len(copies.seeds), "kind": kind, "note": note}
        record(evidence, found, **about)


def record_sensitivity(evidence: ClaimRecord, desk: TrainedExperiment, lpips: Embedding, ranked: Ranked) -> None:
    """How the order moves with size, network and the normalisation that looks at the data."""
    cell, some = Cell("random", desk.sizes[-1], "A"), slice(0, min(24, len(desk.seeds)))  # A stands first
    raw, train = desk.samples(cell), desk.images(cell)
    samples = raw.clamp(0, 1)[some]
    index = candidates(samples, train)[1]
    rows, missing = sensitivity_rows(desk.root, samples, train, index, ranked.correlation[some], ranked.lpips[some])
    note = "; ".join(["resized bilinearly; Clopper-Pearson; BCa bootstrap over samples", *missing])
    evidence.add("order by size and network", rows, kind=desk.kind, n=len(samples), varies="sample of A", note=note)
    count, found = trap_measures(
        desk.root, lpips, raw, train, candidates(raw.clamp(0, 1), train)[1], ranked.lpips[: len(raw)]
    )
    share = (count / len(raw), clopper_pearson(count, len(raw)))
    found = {"share of samples with a maximum above 1.1, which the published notebooks divide by 255": share, **found}
    record(evidence, found, kind=desk.kind, n=len(raw), varies="sample of A")


def record_same_person(evidence: ClaimRecord, desk: TrainedExperiment, lpips: Embedding) -> None:
    """Does LPIPS find the same person better than correlation? On faces whose identity is known."""
    images, who = people(desk.corpus, PEOPLE, EACH)
    more, missing = embeddings({net: RETRIEVAL_SIZE.get(net) for net in NETWORKS if net != lpips.net})
    rows, differences = identity_rows(distances_by_metric(desk.root, images, {lpips.net: lpips, **more}), who)
    about: dict[str, Any] = {"kind": desk.kind, "n": len(images), "counted": "faces", "varies": "identity"}
    note = "; ".join([f"{PEOPLE} people, {EACH} faces each; BCa bootstrap over identities", *missing])
    evidence.add("same person retrieved, by metric", rows, note=note, **about)
    record(evidence, {f"same person, {name}": item for name, item in differences.items()}, **about)


def record_beside_order(
    evidence: ClaimRecord, desk: TrainedExperiment, lpips: Embedding, ranked: Mapping[int, Ranked]
) -> None:
    """What no check of T-rank-inversion hangs on: copies, what the order depends on, whether LPIPS knows people."""
    record_order_of_copies(evidence, ranked, desk.kind)
    record_sensitivity(evidence, desk, lpips, ranked[desk.sizes[-1]])
    record_same_person(evidence, desk, lpips)


def record_order(evidence: ClaimRecord, desk: Experiment, kind: str, lpips: Embedding) -> dict[int, Ranked]:
    """At the largest size everything the claim is judged by, with a picture.

    Returns:
        The candidates by size: at the largest, and of pairs trained here at the two smallest, where samples are copies.
    """
    sizes = (*desk.sizes[:2], desk.sizes[-1]) if isinstance(desk, TrainedExperiment) else desk.sizes[-1:]
    ranked = {n: ranked_candidates(desk, lpips, n) for n in sizes}
    last = ranked[desk.sizes[-1]]
    cell = Cell("random", desk.sizes[-1], "A")
    samples, train = desk.samples(cell).clamp(0, 1), desk.images(cell)
    _, index = candidates(samples[:12], train)
    best = torch.from_numpy(last.lpips[:12].argmin(axis=1))
    rows = [
        ("samples", samples[:12]),
        ("nearest by r", train[index[:, 0]]),
        ("by LPIPS", train[index[torch.arange(12), best]]),
    ]
    record_inversion(evidence, desk, last, [evidence.figure(f"nearest-{kind}", plot_rows(rows))], kind)
    return ranked
