"""What trained pairs of denoisers do (Kadkhodaie et al. 2024; Topeza 2025, section 5), on the generated corpus."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from audit.measures.agreement import agreement_table, mixture_row
from audit.measures.lpips_neighbours import lpips_neighbours
from audit.measures.networks import CURVE_IMAGES, LEVELS, SIGMAS, cell_psnr, nearest_training
from audit.measures.psnr import gap_beside_published, plot_gaps, plot_psnr, psnr_rows
from audit.measures.record import SEED, over_seeds, record
from audit.measures.replication import replication_rows
from audit.plots.shared import plot_rows
from audit.published.figures import published_convergence, published_psnr_gap
from core.metrics.agreement import Agreement, agreement
from core.metrics.known_copies import check_held_out
from core.metrics.lpips import Embedding
from core.metrics.psnr import PSNRCurve, gap, gap_change
from core.metrics.replication import COPY_CORRELATION
from core.stats import bootstrap_difference, bootstrap_mean, spearman_trend
from core.stats.clustered import clustered_share
from fixtures.experiments.desk import GROUPS, Cell, Desk, random_pairs
from fixtures.experiments.stored import Pairs, Trained
from fixtures.faces.corpus import grid
from fixtures.published.files import Published
from fixtures.published.reported import reported_gap
from reports.judge import Judge
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


def measure_convergence(desk: Pairs) -> tuple[list[Agreement], dict[str, Any]]:
    """Agreement by size on random halves, and everything T-convergence is judged by."""
    by_size = [desk.agreement("random", n) for n in desk.sizes]
    smallest, largest = (
        np.stack([nearest_training(desk.samples(c), desk.images(c)) for c in (Cell("random", n, g) for g in GROUPS)])
        for n in (desk.sizes[0], desk.sizes[-1])
    )
    return by_size, convergence_measures(by_size, desk.sizes, largest.mean(axis=0), smallest.reshape(-1))


def plot_agreement(desk: Pairs, by_size: Sequence[Agreement]) -> Figure:
    """Same-noise agreement of every seed by set size, mismatched seeds behind it."""
    figure, axes = plt.subplots(figsize=(6, 3.2))
    for k, a in enumerate(by_size):
        spread = np.random.default_rng(k).uniform(-0.12, 0.12, len(a.same))
        low, high = np.quantile(a.mismatched, [0.05, 0.95])
        axes.fill_between(
            [k - 0.3, k + 0.3], low, high, color="0.85", label="mismatched seeds, 5 to 95 %" if not k else None
        )
        axes.plot(k + spread, a.same, ".", color="C0", alpha=0.5, label="one seed" if not k else None)
        mean, interval = a.mean(seed=SEED)
        axes.errorbar(
            k,
            mean,
            [[mean - interval.low], [interval.high - mean]],
            fmt="o",
            color="k",
            label="mean, 95 %" if not k else None,
        )
    axes.set(
        xticks=range(len(by_size)), xticklabels=desk.sizes, xlabel="training images N", ylabel="correlation of A and B"
    )
    axes.legend(frameon=False, fontsize=8)
    return figure


def record_tables(evidence: ClaimRecord, desk: Desk, lpips: Embedding | None) -> None:
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
    note = "strong: above 0.9; weak: below the 95th percentile of mismatched seeds; Clopper-Pearson"
    evidence.add("seeds by class and N", classes, note=note, **about)
    note = "Clopper-Pearson; SSCD's weights are in no package index, so that it is not among the criteria"
    note += "" if lpips is not None else "; without VGG-16's weights LPIPS is not either (samenoise weights)"
    evidence.add("samples and training images called copies, by criterion and N", replication, note=note, **about)


@pytest.mark.claim("T-convergence")
@pytest.mark.trains(jobs=random_pairs)
def test_same_noise_gives_the_same_image(
    evidence: ClaimRecord,
    desk: Desk,
    published_or_none: Published | None,
    trained_or_none: Trained | None,
    lpips: Embedding | None,
) -> None:
    if published_or_none is not None:
        published_convergence(evidence, published_or_none, desk if desk.kind == "synthetic" else None)
    if trained_or_none is not None:
        with evidence.attempt("full"):
            record_convergence(evidence, trained_or_none, kind="full")
    record_convergence(evidence, desk, kind=desk.kind, figures=[evidence.figure("corpus", grid(desk.corpus, 4, 12))])
    record_tables(evidence, desk, lpips)
    evidence.input("generated faces", sha256=desk.raw.fingerprint, rows=len(desk.raw))


def record_convergence(evidence: ClaimRecord, desk: Pairs, *, kind: str, figures: Sequence[str] = ()) -> None:
    """Everything T-convergence is judged by and shown with; `figures` are added to its own."""
    by_size, found = measure_convergence(desk)
    rows = [(f"N={n} {g}", desk.samples(Cell("random", n, g))) for n in (desk.sizes[0], desk.sizes[-1]) for g in GROUPS]
    prefix = "" if kind == "synthetic" else f"{kind}-"
    figures = [
        evidence.figure(f"{prefix}agreement", plot_agreement(desk, by_size)),
        evidence.figure(f"{prefix}samples", plot_rows(rows)),
        *figures,
    ]
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


def ideal_pairs(n_seeds: int = 64, size: int = 8) -> tuple[list[Agreement], np.ndarray, np.ndarray]:
    """Made-up samples of models that converge perfectly: unrelated at the smallest N, equal at the largest."""
    source = torch.Generator().manual_seed(0)
    a, b, c = (torch.rand(n_seeds, 1, size, size, generator=source) for _ in range(3))
    halfway = agreement(a, 0.5 * a + 0.5 * b)
    return [agreement(a, c), halfway, agreement(a, a)], np.full(n_seeds, 0.5), np.ones(2 * n_seeds)


@pytest.mark.control("T-convergence", "positive")
def test_models_that_converge_are_recognised(judge: Judge) -> None:
    by_size, to_training, copies = ideal_pairs()
    assert (
        judge("T-convergence", convergence_measures(by_size, (4, 32, 512), to_training, copies), "synthetic")
        == "reproduced"
    )


@pytest.mark.control("T-convergence", "negative")
@pytest.mark.parametrize("defect", ["different noise", "copies at the largest N", "no copies at the smallest N"])
def test_models_that_do_not_converge_are_caught(judge: Judge, defect: str) -> None:
    by_size, to_training, copies = ideal_pairs()
    if defect == "different noise":
        similarity = np.roll(by_size[-1].similarity, 1, axis=1)
        by_size = [*by_size[:2], Agreement(similarity)]
    elif defect == "copies at the largest N":
        by_size, to_training = [*by_size[:2], by_size[1]], np.ones_like(to_training)
    else:
        copies = np.full_like(copies, 0.5)
    assert (
        judge("T-convergence", convergence_measures(by_size, (4, 32, 512), to_training, copies), "synthetic")
        == "refuted"
    )


@pytest.mark.control("T-convergence", "negative")
def test_the_table_of_measures_sees_shifted_seeds_and_a_shared_mean_face() -> None:
    source = torch.Generator().manual_seed(0)
    common, own_a, own_b = torch.randn(3, 64, 1, 20, 20, generator=source)
    a, b = common + 0.5 * own_a, common + 0.5 * own_b
    honest, shifted = agreement_table(a, b, seed=SEED), agreement_table(a, b.roll(1, 0), seed=SEED)
    for good, bad in zip(honest, shifted, strict=True):
        assert good["retrieval"] > 0.9 and good["low"] > 0.5, good
        assert bad["retrieval"] < 0.1 and bad["high"] < 0.1, bad
    face = 5 * torch.randn(1, 1, 20, 20, generator=source)
    rows = {row["measure"]: row for row in agreement_table(own_a + face, own_b + face, seed=SEED)}
    assert rows["correlation"]["value"] > 0.9
    assert rows["correlation, above mismatched seeds"]["low"] < 0 < rows["correlation, above mismatched seeds"]["high"]
    assert abs(rows["correlation, group means removed"]["value"]) < 0.1
    given = agreement_table(own_a + face, own_b + face, seed=SEED, means=(face[0], face[0]))
    assert abs({row["measure"]: row for row in given}["correlation, group means removed"]["value"]) < 0.1


def train_and_test_psnr(desk: Pairs, cell: Cell, test: Tensor) -> tuple[PSNRCurve, PSNRCurve]:
    """PSNR by noise level on training images and on `test`, which must be held out."""
    check_held_out(test, desk.images(cell))
    return (
        cell_psnr(desk, cell, desk.images(cell)[:CURVE_IMAGES], SIGMAS, seed=SEED),
        cell_psnr(desk, cell, test[:CURVE_IMAGES], SIGMAS, seed=SEED + 1),
    )


def pooled_curves(pairs: Sequence[tuple[PSNRCurve, PSNRCurve]]) -> tuple[PSNRCurve, PSNRCurve]:
    """Curves of both groups over all their images."""
    return tuple(  # type: ignore[return-value]
        PSNRCurve(
            parts[0].sigmas,
            np.concatenate([p.input for p in parts], axis=1),
            np.concatenate([p.output for p in parts], axis=1),
        )
        for parts in zip(*pairs, strict=True)
    )


def psnr_gap_measures(first: tuple[PSNRCurve, PSNRCurve], last: tuple[PSNRCurve, PSNRCurve]) -> dict[str, Any]:
    """Change of the train-test gap from the smallest to the largest N, by input PSNR."""
    changes = gap_change(first, last, seed=SEED)
    return {f"change of the gap at {level:g} dB": change for level, change in zip(LEVELS, changes, strict=True)}


@pytest.mark.claim("T-psnr-gap")
@pytest.mark.trains(jobs=random_pairs)
def test_the_train_test_gap_shrinks(
    evidence: ClaimRecord, desk: Desk, published_or_none: Published | None, trained_or_none: Trained | None
) -> None:
    if published_or_none is not None:
        published_psnr_gap(evidence, published_or_none)
    if trained_or_none is not None:
        with evidence.attempt("full"):
            record_gap(evidence, trained_or_none, kind="full")
    record_gap(evidence, desk, kind=desk.kind)


def record_gap(evidence: ClaimRecord, desk: Pairs, *, kind: str) -> None:
    """Everything T-psnr-gap is judged by and shown with."""
    halves = desk.tests(CURVE_IMAGES)
    by_size = {
        n: pooled_curves(
            [train_and_test_psnr(desk, Cell("random", n, g), test) for g, test in zip(GROUPS, halves, strict=True)]
        )
        for n in desk.sizes
    }
    rows = psnr_rows(by_size, LEVELS, seed=SEED)
    published = reported_gap()
    beside = gap_beside_published(rows, published[published.experiment == "celeba"], LEVELS)
    figures = [
        evidence.figure(f"psnr-{kind}", plot_psnr(by_size, rows)),
        evidence.figure(f"gaps-{kind}", plot_gaps(beside, (28.0, 20.0, 12.0, 4.0))),
    ]
    shown = LEVELS.index(20.0)
    for n, (train, test) in by_size.items():
        ((value, interval),) = gap(train.level(shown), test.level(shown), seed=SEED)
        name = f"gap at N = {n}, input 20 dB"
        count = train.output.shape[1]
        evidence.add(name, value, kind=kind, unit="dB", interval=interval, n=count, varies="image")
    note = f"means over up to {2 * CURVE_IMAGES} training and as many held-out images, BCa bootstrap over images"
    evidence.add("PSNR in dB by N and noise level", rows, kind=kind, note=note, figures=figures)
    note = (
        "published: random halves, read off cell 13, between the two drawn levels beside each; other images, networks "
        "and sizes: how the gap closes can be compared, not how large it is"
    )
    evidence.add("train-test gap in dB, here and as published", beside, kind=kind, note=note, figures=figures[1:])
    found = psnr_gap_measures(by_size[desk.sizes[0]], by_size[desk.sizes[-1]])
    record(
        evidence,
        found,
        kind=kind,
        unit="dB",
        n=by_size[desk.sizes[0]][0].output.shape[1],
        varies="image (of the smallest set)",
        figures=figures,
    )


def made_up_curves(train_bonus: float, seed: int, images: int = 40) -> tuple[PSNRCurve, PSNRCurve]:
    """Curves whose train-test gap is known."""
    noise = np.random.default_rng(seed).normal(0, 0.5, (2, len(SIGMAS), images))
    base = np.array(LEVELS)[:, None] + 5
    given = np.repeat(base - 5, images, axis=1)
    return PSNRCurve(SIGMAS, given, base + train_bonus + noise[0]), PSNRCurve(SIGMAS, given, base + noise[1])


@pytest.mark.control("T-psnr-gap", "positive")
def test_a_gap_that_closes_is_recognised(judge: Judge) -> None:
    assert (
        judge("T-psnr-gap", psnr_gap_measures(made_up_curves(6.0, 0), made_up_curves(0.2, 1)), "synthetic")
        == "reproduced"
    )


def test_the_published_gap_is_read_between_its_levels_and_left_out_above_the_axis() -> None:
    drawn = pd.DataFrame({"images": 10, "input_db": [10.0, 20.0, 30.0], "gap_db": [4.0, 8.0, np.nan], "error_db": 0.1})
    ours = psnr_rows({4: made_up_curves(6.0, 0)}, LEVELS, seed=SEED)
    assert [(row["N"], row["input dB"]) for row in ours] == [(4, level) for level in LEVELS]
    assert all(row["gap from"] < 6 < row["gap to"] and row["train"] - row["test"] == row["gap"] for row in ours)
    found = gap_beside_published(ours, drawn, LEVELS)
    assert [row["gap"] for row in found if row["source"] == "here"] == [row["gap"] for row in ours]
    published = {row["input dB"]: (row["gap"], row["from"]) for row in found if row["source"] == "published"}
    assert set(published) == {20.0, 16.0, 12.0}, "28 and 24 dB have a neighbour above the axis, 8 dB and less none"
    assert published[12.0] == pytest.approx((4.8, 4.7))


@pytest.mark.control("T-psnr-gap", "negative")
def test_a_gap_that_stays_or_opens_is_not_taken_for_a_closing_one(judge: Judge) -> None:
    stays = psnr_gap_measures(made_up_curves(1.0, 0), made_up_curves(1.0, 1))
    opens = psnr_gap_measures(made_up_curves(0.2, 0), made_up_curves(6.0, 1))
    assert judge("T-psnr-gap", stays, "synthetic") != "reproduced"
    assert judge("T-psnr-gap", opens, "synthetic") == "refuted"
