"""Pixel correlation against LPIPS in the search for the nearest training image (Topeza 2025, sections 5.4 and 6.4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from audit.measures.lpips_neighbours import lpips_neighbours
from audit.measures.perception import (
    NETWORKS,
    RETRIEVAL_SIZE,
    embeddings,
    identity_rows,
    kept_rerank,
    people,
    sensitivity_rows,
    trap_measures,
    trapped,
)
from audit.measures.record import SEED, Measures
from audit.plots.shared import plot_rows
from audit.published.lpips import published_lpips_exhaustive, published_rank_inversion
from audit.published.neighbours import with_random_trunk
from core.metrics.lpips import Embedding
from core.metrics.neighbours import nearest
from core.metrics.retrieval import identity_retrieval, memorised, nearest_change, rank_agreement, recall_by_k
from core.metrics.ssim import ssim
from core.stats import clopper_pearson
from core.stats.clustered import clustered_share
from fixtures.experiments.desk import GROUPS, Cell, Desk
from fixtures.experiments.stored import Pairs, Trained
from fixtures.published.files import Published
from reports.judge import Judge
from reports.record import ClaimRecord

K = 10  # candidates, as published
PEOPLE, EACH = 75, 4  # faces of known identity


def candidates(samples: Tensor, train: Tensor) -> tuple[np.ndarray, Tensor]:
    """Correlations and indices, (n, 10) each, of the ten training images nearest by correlation; of all, if fewer."""
    found = nearest(samples, train, min(K, len(train)))
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


def ranked_candidates(desk: Pairs, embedding: Embedding, n: int) -> Ranked:
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


def record_inversion(evidence: ClaimRecord, desk: Pairs, ranked: Ranked, figures: list[str], kind: str) -> None:
    """What the claim is judged by, on samples that are no copies, beside chance and beside two other measures."""
    fresh = ranked.where(~memorised(ranked.correlation))
    about: dict[str, Any] = {
        "kind": kind, "n": len(fresh.seeds), "varies": "sample, in clusters of one seed",
        "seeds": f"0:{len(desk.seeds)}, A and B",
    }  # fmt: skip
    found = inversion_measures(fresh.correlation, fresh.lpips, fresh.ssim, fresh.seeds)
    for name, distance in (("structural similarity", -fresh.ssim), ("L2", fresh.l2)):
        change = nearest_change(-fresh.correlation, distance, clusters=fresh.seeds)
        found[f"share whose nearest changes by {name} instead, not copies"] = (change.share, change.interval)
    for name, (value, interval) in found.items():
        evidence.add(name, value, interval=interval, figures=figures, **about)
    chance = nearest_change(-fresh.correlation, fresh.lpips).chance
    evidence.add("share whose nearest an unrelated order changes", chance, kind=kind, note="1 - 1/k, k = 10")


def record_copies(evidence: ClaimRecord, ranked: Mapping[int, Ranked], kind: str) -> None:
    """The same of samples that are copies (correlation above 0.99), which answer differently, at every N with some."""
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
        for name, (value, interval) in found.items():
            evidence.add(name, value, interval=interval, **about)


def record_sensitivity(evidence: ClaimRecord, desk: Desk, lpips: Embedding, ranked: Ranked) -> None:
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
    for name, (value, interval) in found.items():
        evidence.add(name, value, kind=desk.kind, interval=interval, n=len(raw), varies="sample of A")


def record_identity(evidence: ClaimRecord, desk: Desk, lpips: Embedding) -> None:
    """Does LPIPS find the same person better than correlation? On faces whose identity is known."""
    images, who = people(desk.corpus, PEOPLE, EACH)
    more, missing = embeddings({net: RETRIEVAL_SIZE.get(net) for net in NETWORKS if net != lpips.net})
    rows, differences = identity_rows(desk.root, images, who, {lpips.net: lpips, **more})
    about: dict[str, Any] = {"kind": desk.kind, "n": len(images), "varies": "identity"}
    note = "; ".join([f"{PEOPLE} people, {EACH} faces each; BCa bootstrap over identities", *missing])
    evidence.add("same person retrieved, by metric", rows, note=note, **about)
    for name, (value, interval) in differences.items():
        evidence.add(f"same person, {name}", value, interval=interval, **about)


@pytest.mark.claim("T-rank-inversion")
def test_lpips_picks_another_nearest(
    evidence: ClaimRecord,
    desk: Desk,
    lpips: Embedding | None,
    published_or_none: Published | None,
    trained_or_none: Trained | None,
) -> None:
    if published_or_none is not None:
        published_rank_inversion(evidence, published_or_none)
    if lpips is None:
        return
    if trained_or_none is not None:
        with evidence.attempt("full"):
            record_order(evidence, trained_or_none, lpips, (trained_or_none.sizes[-1],), "full")
    ranked = record_order(evidence, desk, lpips, (*desk.sizes[:2], desk.sizes[-1]), desk.kind)
    record_copies(evidence, ranked, desk.kind)
    record_sensitivity(evidence, desk, lpips, ranked[desk.sizes[-1]])
    record_identity(evidence, desk, lpips)


def record_order(
    evidence: ClaimRecord, desk: Pairs, lpips: Embedding, sizes: Sequence[int], kind: str
) -> dict[int, Ranked]:
    """The candidates at some sizes; at the last, everything the claim is judged by, with a picture."""
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


def made_up_orders(seed: int, agreeing: float, n: int = 120) -> np.ndarray:
    """Similarities (n, 10) that share `agreeing` of their variance with those of every other call."""
    common = np.random.default_rng(0).normal(size=(n, K))
    own = np.random.default_rng(seed).normal(size=(n, K))
    return np.sqrt(agreeing) * common + np.sqrt(1 - agreeing) * own


@pytest.mark.control("T-rank-inversion", "positive")
def test_an_order_that_differs_and_still_says_something_is_recognised(judge: Judge) -> None:
    found = inversion_measures(made_up_orders(1, 0.4), -made_up_orders(2, 0.4), made_up_orders(3, 0.4), np.arange(120))
    assert judge("T-rank-inversion", found, "synthetic") == "reproduced"


@pytest.mark.control("T-rank-inversion", "negative")
def test_equal_orders_and_unrelated_ones_are_caught(judge: Judge) -> None:
    same, each = made_up_orders(1, 0.4), np.arange(120)
    assert (
        judge("T-rank-inversion", inversion_measures(same, -same, made_up_orders(3, 0.4), each), "synthetic")
        == "refuted"
    )
    unrelated = inversion_measures(made_up_orders(1, 0.0), -made_up_orders(2, 0.0), made_up_orders(3, 0.0), each)
    assert judge("T-rank-inversion", unrelated, "synthetic") != "reproduced"


@pytest.mark.control("T-rank-inversion", "negative")
def test_a_metric_that_knows_nobody_retrieves_at_chance(desk: Desk) -> None:
    """The same faces with their names shuffled: what the real names add is not an artefact of the measure."""
    images, who = people(desk.corpus, PEOPLE, EACH)
    shuffled = np.random.default_rng(SEED).permutation(who)
    flat = images.reshape(len(images), -1).double()
    distance, own = torch.cdist(flat, flat).numpy(), np.arange(len(who))
    honest, chance = (identity_retrieval(distance, names, names, seed=SEED, own=own) for names in (who, shuffled))
    assert honest.precision_interval.low > honest.chance
    assert chance.precision_interval.low <= chance.chance < honest.precision_at_1
    assert chance.mean_average_precision < honest.mean_average_precision


def test_dividing_by_255_looks_at_the_data() -> None:
    """Two images that differ by a thousandth: one is passed on, the other made all but black."""
    below = torch.full((1, 1, 4, 4), 1.0995)
    assert torch.equal(trapped(below), below) and float(trapped(below + 0.001).max()) < 0.005


DIFFERENCE = "largest relative difference from the lpips package"


def by_package(embedding: Embedding, a: Tensor, b: Tensor) -> Tensor:
    """LPIPS of image i of `a` and image i of `b` as the `lpips` package computes it, (n,)."""
    with torch.no_grad():
        return embedding.model(embedding.prepare(a), embedding.prepare(b)).flatten().double()


def outside_ten(correlation_index: np.ndarray, lpips_nearest: np.ndarray) -> Measures:
    """How often the LPIPS-nearest training image is not among the ten nearest by correlation."""
    missed = ~(correlation_index == lpips_nearest[:, None]).any(axis=1)
    share = (float(missed.mean()), clopper_pearson(int(missed.sum()), len(missed)))
    return {"share whose LPIPS-nearest is outside the ten": share}


@pytest.mark.claim("T-lpips-exhaustive")
def test_lpips_over_the_whole_training_set(
    evidence: ClaimRecord, desk: Desk, lpips: Embedding | None, published_or_none: Published | None
) -> None:
    if published_or_none is not None:
        published_lpips_exhaustive(evidence, published_or_none)
    needs = "samples of denoisers trained on CelebA, in the run store"
    evidence.block(kind="celeba", needs=needs, command="samenoise train --corpus DIR --scale workstation --runs DIR")
    if lpips is None:
        return
    cell = Cell("random", desk.sizes[-1], "A")
    samples, train = desk.samples(cell).clamp(0, 1), desk.images(cell)
    true = lpips_neighbours(desk, lpips, cell).samples
    _, index = candidates(samples, train)
    about: dict[str, Any] = {"kind": "synthetic", "n": len(samples), "seeds": f"0:{len(samples)}", "varies": "sample"}
    package = by_package(lpips, samples[:16], train[true.index[:16, 0]])
    difference = float(((true.value[:16, 0] - package) / package).abs().max())
    evidence.add(DIFFERENCE, difference, kind="synthetic", n=16, note=f"{len(train)} training images ranked")
    recall = [
        {"k": k, "recall": value, "from": interval.low, "to": interval.high}
        for k, (value, interval) in enumerate(recall_by_k(true.index[:, 0], index), start=1)
    ]
    evidence.add("LPIPS-nearest among the first k by correlation", recall, note="Clopper-Pearson", **about)
    rows = [
        ("samples", samples[:12]),
        ("nearest by r", train[index[:12, 0]]),
        ("by LPIPS, all", train[true.index[:12, 0]]),
    ]
    figures = [evidence.figure("nearest", plot_rows(rows))]
    for name, (value, interval) in outside_ten(index.numpy(), true.index[:, 0].numpy()).items():
        evidence.add(name, value, interval=interval, figures=figures, **about)


@pytest.mark.control("T-lpips-exhaustive", "positive")
def test_a_nearest_image_outside_the_ten_is_counted(judge: Judge) -> None:
    index = np.tile(np.arange(10), (64, 1))
    found = outside_ten(index, np.where(np.arange(64) % 2, 3, 77)) | {DIFFERENCE: 0.0}
    assert judge("T-lpips-exhaustive", found, "synthetic") == "reproduced"


@pytest.mark.control("T-lpips-exhaustive", "negative")
def test_a_harmless_preselection_is_recognised_as_such(judge: Judge) -> None:
    index = np.tile(np.arange(10), (64, 1))
    found = outside_ten(index, np.full(64, 3)) | {DIFFERENCE: 0.0}
    assert judge("T-lpips-exhaustive", found, "synthetic") != "reproduced"


@pytest.mark.control("T-lpips-exhaustive", "negative")
def test_a_random_trunk_is_not_lpips(judge: Judge, desk: Desk, lpips: Embedding | None) -> None:
    if lpips is None:
        pytest.skip("needs VGG-16's weights: samenoise weights")
    a, b = desk.corpus.images[:8], desk.corpus.images[8:16]
    package = by_package(lpips, a, b)
    random = with_random_trunk(Embedding("vgg"), SEED).distance(a, b)
    found = outside_ten(np.tile(np.arange(10), (64, 1)), np.full(64, 77))
    honest = found | {DIFFERENCE: float(((lpips.distance(a, b) - package) / package).abs().max())}
    broken = found | {DIFFERENCE: float(((random - package) / package).abs().max())}
    assert judge("T-lpips-exhaustive", honest, "synthetic") == "reproduced"
    assert judge("T-lpips-exhaustive", broken, "synthetic") == "refuted"
