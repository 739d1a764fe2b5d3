"""Pixel correlation against LPIPS in the search for the nearest training image (Topeza 2025, sections 5.4 and 6.4)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from audit.pictures import plot_rows
from audit.published_figures import published_rank_inversion
from audit.published_neighbours import ssim, with_random_trunk
from core.metrics.correlation import nearest
from core.metrics.lpips import Embedding, nearest_lpips, rerank
from core.metrics.retrieval import memorised, nearest_change, rank_agreement, recall_by_k
from core.stats import clopper_pearson
from fixtures.desk import GROUPS, Cell, Desk
from fixtures.published import Published
from fixtures.trained import Pairs, Trained
from reports.record import ClaimRecord

K = 10  # candidates, as published
SEED = 0
Measures = dict[str, Any]


def candidates(samples: Tensor, train: Tensor) -> tuple[np.ndarray, Tensor]:
    """Correlations (n, 10) and indices (n, 10) of the ten training images nearest by correlation."""
    found = nearest(samples, train, K)
    return found.value.numpy(), found.index


def inversion(correlation: np.ndarray, lpips: np.ndarray, control: np.ndarray) -> Measures:
    """Share of samples whose nearest changes, and what the LPIPS order carries; similarities and distances (n, 10)."""
    change = nearest_change(-correlation, lpips)
    with_correlation, with_control = (rank_agreement(-x, lpips, seed=SEED) for x in (correlation, control))
    share = (change.share, change.interval)
    return {
        "share whose nearest changes, not copies": share,
        "Kendall's tau of LPIPS with correlation, not copies": (
            with_correlation.mean_kendall,
            with_correlation.kendall_interval,
        ),
        "Kendall's tau of LPIPS with a control metric, not copies": (
            with_control.mean_kendall,
            with_control.kendall_interval,
        ),
    }


def gather(desk: Pairs, embedding: Embedding, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correlation, LPIPS and structural similarity (samples of both groups, 10) of the candidates at size n."""
    parts: list[list[np.ndarray]] = [[], [], []]
    for group in GROUPS:
        cell = Cell("random", n, group)
        samples, train = desk.samples(cell).clamp(0, 1), desk.images(cell)
        r, index = candidates(samples, train)
        parts[0].append(r)
        parts[1].append(rerank(embedding, samples, train, index).numpy())
        parts[2].append(ssim(samples, train[index]))
    r, d, s = (np.concatenate(p) for p in parts)
    return r, d, s


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
            record_inversion(evidence, trained_or_none, lpips, "full")
    record_inversion(evidence, desk, lpips, "synthetic")


def record_inversion(evidence: ClaimRecord, desk: Pairs, lpips: Embedding, kind: str) -> None:
    """Everything T-rank-inversion is judged by and shown with."""
    r, d, s = gather(desk, lpips, desk.sizes[-1])
    fresh = ~memorised(r)
    about: dict[str, Any] = {
        "kind": kind,
        "n": int(fresh.sum()),
        "varies": "sample",
        "seeds": f"0:{len(desk.seeds)}, A and B",
    }
    cell = Cell("random", desk.sizes[-1], "A")
    samples, train = desk.samples(cell).clamp(0, 1), desk.images(cell)
    _, index = candidates(samples[:12], train)
    best = torch.from_numpy(d[:12].argmin(axis=1))
    rows = [
        ("samples", samples[:12]),
        ("nearest by r", train[index[:, 0]]),
        ("by LPIPS", train[index[torch.arange(12), best]]),
    ]
    figures = [evidence.figure(f"nearest-{kind}", plot_rows(rows))]
    for name, (value, interval) in inversion(r[fresh], d[fresh], s[fresh]).items():
        evidence.add(name, value, interval=interval, figures=figures, **about)
    if (~fresh).sum():
        hits = nearest_change(-r[~fresh], d[~fresh])
        evidence.add("share whose nearest changes, copies", hits.share, kind=kind, n=hits.n, interval=hits.interval)
    large = Embedding("vgg", size=64)
    a = samples[:32]  # a forward pass at 64x64 costs ten at 20x20
    resized = rerank(large, a, train, candidates(a, train)[1]).numpy()
    both = nearest_change(d[: len(a)], resized)
    evidence.add(
        "share whose LPIPS-nearest changes when images are resized to 64x64", both.share, interval=both.interval,
        kind=kind, n=both.n, varies="sample of A",
    )  # fmt: skip


def orders(seed: int, agreeing: float, n: int = 120) -> np.ndarray:
    """Similarities (n, 10) that share `agreeing` of their variance with those of every other call."""
    common = np.random.default_rng(0).normal(size=(n, K))
    own = np.random.default_rng(seed).normal(size=(n, K))
    return np.sqrt(agreeing) * common + np.sqrt(1 - agreeing) * own


@pytest.mark.control("T-rank-inversion", "positive")
def test_an_order_that_differs_and_still_says_something_is_recognised(judge: Callable[..., str]) -> None:
    found = inversion(orders(1, 0.4), -orders(2, 0.4), orders(3, 0.4))
    assert judge("T-rank-inversion", found, "synthetic") == "reproduced"


@pytest.mark.control("T-rank-inversion", "negative")
def test_equal_orders_and_unrelated_ones_are_caught(judge: Callable[..., str]) -> None:
    same = orders(1, 0.4)
    assert judge("T-rank-inversion", inversion(same, -same, orders(3, 0.4)), "synthetic") == "refuted"
    unrelated = inversion(orders(1, 0.0), -orders(2, 0.0), orders(3, 0.0))
    assert judge("T-rank-inversion", unrelated, "synthetic") != "reproduced"


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
def test_lpips_over_the_whole_training_set(evidence: ClaimRecord, desk: Desk, lpips: Embedding | None) -> None:
    needs = "samples of denoisers trained on CelebA, in the run store"
    evidence.block(kind="celeba", needs=needs, command="samenoise train --corpus DIR --scale workstation --runs DIR")
    if lpips is None:
        return
    cell = Cell("random", desk.sizes[-1], "A")
    samples, train = desk.samples(cell).clamp(0, 1), desk.images(cell)
    true = nearest_lpips(lpips, samples, train, 1, progress=lambda done, total: desk.note("LPIPS search", done, total))
    _, index = candidates(samples, train)
    about: dict[str, Any] = {"kind": "synthetic", "n": len(samples), "seeds": f"0:{len(samples)}", "varies": "sample"}
    package = by_package(lpips, samples[:16], train[true.index[:16, 0]])
    difference = float(((true.value[:16, 0] - package) / package).abs().max())
    evidence.add(DIFFERENCE, difference, kind="synthetic", n=16, note=f"{len(train)} training images ranked")
    for k, (value, interval) in enumerate(recall_by_k(true.index[:, 0], index), start=1):
        if k in (1, 3, 10):
            evidence.add(f"LPIPS-nearest among the first {k} by correlation", value, interval=interval, **about)
    rows = [
        ("samples", samples[:12]),
        ("nearest by r", train[index[:12, 0]]),
        ("by LPIPS, all", train[true.index[:12, 0]]),
    ]
    figures = [evidence.figure("nearest", plot_rows(rows))]
    for name, (value, interval) in outside_ten(index.numpy(), true.index[:, 0].numpy()).items():
        evidence.add(name, value, interval=interval, figures=figures, **about)


@pytest.mark.control("T-lpips-exhaustive", "positive")
def test_a_nearest_image_outside_the_ten_is_counted(judge: Callable[..., str]) -> None:
    index = np.tile(np.arange(10), (64, 1))
    found = outside_ten(index, np.where(np.arange(64) % 2, 3, 77)) | {DIFFERENCE: 0.0}
    assert judge("T-lpips-exhaustive", found, "synthetic") == "reproduced"


@pytest.mark.control("T-lpips-exhaustive", "negative")
def test_a_harmless_preselection_is_recognised_as_such(judge: Callable[..., str]) -> None:
    index = np.tile(np.arange(10), (64, 1))
    found = outside_ten(index, np.full(64, 3)) | {DIFFERENCE: 0.0}
    assert judge("T-lpips-exhaustive", found, "synthetic") != "reproduced"


@pytest.mark.control("T-lpips-exhaustive", "negative")
def test_a_random_trunk_is_not_lpips(judge: Callable[..., str], desk: Desk, lpips: Embedding | None) -> None:
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
