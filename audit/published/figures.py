"""What Topeza's published notebooks and figures show (2025, section 5), recorded as evidence for the claims.

One function a claim, `published_<claim>(evidence, published)`: it measures, records and judges nothing. `evidence` is
the claim's record, `published` the checkout that `--published` names.
"""

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
from PIL import Image

from audit.measures.rules import COPY_CORRELATION, RULES
from audit.published import measures, neighbours, plots
from audit.published.faces import put_calibration, put_real_pairs
from audit.published.lpips import PUBLISHED as LPIPS
from audit.published.measures import LARGEST, ORDER
from audit.published.record import (
    SEEDS,
    exact_share,
    put,
    put_agreements,
    put_attribute,
    put_equal_size,
    put_every_way,
    read_off,
)
from core.stats import Interval, bootstrap_mean, permutation_test
from fixtures.experiments.desk import TrainedExperiment
from fixtures.published import reported
from fixtures.published.notebooks import (
    EXPERIMENTS,
    SET_SIZES,
    HasRoot,
    figure_tiles,
    notebook_tiles,
    picture,
    published_bytes,
    sampling_log,
)
from reports.record import ClaimRecord

CELLS = "finding: where the published figures and notebook cells come from"
EXAMPLES = ("corr_example1.png", "corr_example2.png", "lpips_example1.png", "lpips_example2.png")


def published_convergence(evidence: ClaimRecord, published: HasRoot, desk: TrainedExperiment | None = None) -> None:
    """T-convergence: growth, near identity at the largest size, copies at the smallest.

    With a `desk` of the scale that trains on the spot, also pairs of its networks on the recovered faces.
    """
    tiles, figures = notebook_tiles(published), figure_tiles(published)
    found = measures.agreements(tiles)
    baseline = found["celeba"]
    pictures = [
        evidence.figure("published-sizes", plots.size_strips(tiles)),
        evidence.figure("published-seeds", plots.seed_strips(tiles, "celeba")),
    ]
    put_agreements(evidence, found, ("celeba",))
    for name, item in measures.growth(tiles, baseline).items():
        put(evidence, name, item, n=1, varies="seed; twenty at the largest set size", figures=pictures)
    above = baseline.same - baseline.weak_threshold
    interval = bootstrap_mean(above, seed=measures.SEED, over="seeds")
    put(evidence, "agreement at the largest N above mismatched seeds", (float(above.mean()), interval), **SEEDS)
    sizes = measures.by_size(tiles, "celeba")
    beside = sizes.agreement.iloc[-1] - sizes[["nearest_a", "nearest_b"]].iloc[-1].to_numpy()
    span = Interval(float(beside.min()), float(beside.max()), "range over the two models, one seed", level=1.0)
    name = "agreement minus correlation with the nearest training image"
    put(evidence, name, (float(beside.mean()), span), n=2, seeds="0", note="cell 23 shows seed 0 only")
    copies = measures.smallest_copies(tiles, figures)
    hits = int((copies > COPY_CORRELATION).sum())
    more = {
        "n": len(copies),
        "counted": "samples",
        "varies": "experiment, group, seed",
        "note": "all four experiments; seeds 0, 11 and 17",
    }
    put(evidence, "share of copies at the smallest N", exact_share(hits, len(copies)), **more)
    put(evidence, "share of copies at the smallest N, counted", hits / len(copies), **more)
    for experiment in ORDER:
        table = measures.by_size(tiles, experiment).round(4).to_dict("records")
        put(evidence, f"by set size, one seed, {EXPERIMENTS[experiment].title}", table, n=1)
    put_every_way(evidence, published, ("celeba",))
    put_calibration(evidence, published)
    if desk is not None and desk.kind == "synthetic":
        with evidence.beside("published"):
            put_real_pairs(evidence, published, desk)


def published_psnr_gap(evidence: ClaimRecord, published: HasRoot) -> None:
    """T-psnr-gap: fall of the gap at every noise level, read off cell 13; figure 2 is the baseline's cell 13."""
    curves, gaps = reported.reported_psnr(), reported.reported_gap()
    pictures = [evidence.figure("published-curves", plots.plot_curves(curves))]
    for experiment in ORDER:
        table = measures.falls(gaps, experiment).to_dict("records")
        least = min(table, key=lambda row: row["fall_db"])
        put(
            evidence,
            f"smallest fall of the gap below 30 dB, {EXPERIMENTS[experiment].title}",
            read_off(least, "fall_db", "four curves"),
            unit="dB",
            n=len(table),
            varies="noise level",
            figures=pictures,
        )
        put(evidence, f"fall of the gap by noise level, {EXPERIMENTS[experiment].title}", table)
        rises = measures.rises(gaps, experiment).round(3).to_dict("records")
        put(evidence, f"gap rises from one set size to the next, {EXPERIMENTS[experiment].title}", rises)
    shown = np.asarray(Image.open(io.BytesIO(published_bytes(published, "results/output_vs_input_PSNR.png"))))
    cell = np.asarray(Image.open(io.BytesIO(picture(published, "celeba", 13))))
    same = int((shown != cell).sum()) if shown.shape == cell.shape else shown.size
    put(evidence, "pixels of figure 2 that differ from cell 13 of the baseline", same)


def published_eyeglasses_convergence(evidence: ClaimRecord, published: HasRoot) -> None:
    """T-eyeglasses-convergence: agreement at equal size (one seed), and whether samples carry the attribute."""
    tiles = notebook_tiles(published)
    found = measures.agreements(tiles)
    pictures = [evidence.figure("published-seeds", plots.seed_strips(tiles, "eyeglasses"))]
    put_agreements(evidence, found, ("celeba", "eyeglasses"))
    put_equal_size(evidence, tiles, found)
    name = "random halves minus eyeglasses at the largest sizes, 98,117 and 13,193 images"
    put(evidence, name, measures.paired(found["celeba"].same, found["eyeglasses"].same), **SEEDS)
    put_attribute(evidence, tiles, "eyeglasses", pictures)
    put_every_way(evidence, published, ("celeba", "eyeglasses"))


def published_attribute_respected(evidence: ClaimRecord, published: HasRoot) -> None:
    """T-attribute-respected: samples read as their group beside real faces read as theirs, by a linear reader."""
    tiles = notebook_tiles(published)
    for experiment, name in (("eyeglasses", "glasses"), ("male", "sex")):
        scores = measures.attribute_scores(tiles, experiment)
        samples, faces = (
            exact_share(int((scores[a] > 0).sum() + (scores[b] < 0).sum()), len(scores[a]) + len(scores[b]))
            for a, b in (("A", "B"), ("faces_a", "faces_b"))
        )
        put(evidence, f"samples read as their group, {name}", samples, **{**SEEDS, "n": 40, "counted": "samples"})
        put(evidence, f"held-out images read as their group, {name}", faces, varies="face, left out")
        share, interval = samples
        allowed = faces[1].low - RULES["respects"]["below_images_at_most"]
        above = replace(interval, low=interval.low - allowed, high=interval.high - allowed)
        name = f"samples read as their group, above what is allowed, {name}"
        put(evidence, name, (share - allowed, above), **{**SEEDS, "n": 40, "counted": "samples"})


def published_male_convergence(evidence: ClaimRecord, published: HasRoot) -> None:
    """T-male-convergence: how many of the twenty seeds agree strongly and how many not at all."""
    tiles = notebook_tiles(published)
    found = measures.agreements(tiles)
    pictures = [
        evidence.figure("published-agreement", plots.plot_agreements(found)),
        evidence.figure("published-seeds", plots.seed_strips(tiles, "male")),
    ]
    put_agreements(evidence, found, ("male",))
    male = found["male"]
    top = float(np.quantile(found["celeba"].same, 0.9))
    strong = (male.same > 0.9) | (male.same > top)
    weak = male.same < male.weak_threshold
    baseline = found["celeba"]
    usual = (baseline.same > 0.9) | (baseline.same > top), baseline.same < baseline.weak_threshold
    put(evidence, "share of seeds that agree strongly", exact_share(int(strong.sum()), 20), **SEEDS, figures=pictures)
    put(evidence, "share of seeds that do not agree", exact_share(int(weak.sum()), 20), **SEEDS)
    note = "random halves of 98,117 images, male and female of 84,434; one training each"
    for name, one, other in (
        ("share of seeds that agree strongly, random halves minus this", usual[0], strong),
        ("share of seeds that do not agree, this minus random halves", weak, usual[1]),
    ):
        put(evidence, name, measures.paired(one.astype(float), other.astype(float)), **SEEDS, note=note)
    put(evidence, "agreement by seed", male.same.round(4).tolist(), **SEEDS)
    put_attribute(evidence, tiles, "male", [])
    put_every_way(evidence, published, ("celeba", "male"))


def published_identity_convergence(evidence: ClaimRecord, published: HasRoot) -> None:
    """T-identity-convergence: test PSNR against the overlap protocol, most seeds, the weakest seeds."""
    tiles = notebook_tiles(published)
    found = measures.agreements(tiles)
    pictures = [
        evidence.figure("published-agreement", plots.plot_agreements(found)),
        evidence.figure("published-seeds", plots.seed_strips(tiles, "no_overlap")),
    ]
    put_agreements(evidence, found, ("celeba", "no_overlap"))
    differences = measures.protocol_differences(reported.reported_psnr(), "celeba", "no_overlap")
    for size in SET_SIZES:
        at = differences[differences.set_size == size].to_dict("records")
        worst = max(at, key=lambda row: abs(row["difference_db"]))
        put(
            evidence,
            f"largest difference of test PSNR at N = {size}",
            read_off(worst, "difference_db", "two curves"),
            unit="dB",
            note=f"random halves minus identity-disjoint, at input {worst['input_db']:.1f} dB; one training each, and "
            "different test images: the interval holds the reading alone",
        )
    disjoint, overlap = found["no_overlap"], found["celeba"]
    agree = int((disjoint.same > disjoint.weak_threshold).sum())
    put(evidence, "share of seeds that agree", exact_share(agree, 20), **SEEDS, figures=pictures)
    put(
        evidence,
        "weakest decile of seeds: overlap minus identity-disjoint",
        measures.lowest_decile_over_seeds(overlap.same, disjoint.same),
        **SEEDS,
    )
    put(evidence, "overlap minus disjoint, all seeds", measures.paired(overlap.same, disjoint.same), **SEEDS)
    for a, title in ((overlap, "overlap"), (disjoint, "disjoint")):
        put(evidence, f"seeds below 0.9, {title}", int((a.same < 0.9).sum()), **SEEDS)
    put_every_way(evidence, published, ("celeba", "no_overlap"))


def published_convergence_order(evidence: ClaimRecord, published: HasRoot) -> None:
    """T-convergence-order: paired differences down the order, over the twenty shared seeds."""
    tiles = notebook_tiles(published)
    found = measures.agreements(tiles)
    pictures = [evidence.figure("published-agreement", plots.plot_agreements(found))]
    put_agreements(evidence, found)
    for (name, item), (a, b) in zip(measures.steps(found).items(), pairwise(ORDER), strict=True):
        test = permutation_test(found[a].same, found[b].same, seed=measures.SEED, paired=True)
        put(
            evidence,
            name,
            item,
            **SEEDS,
            figures=pictures,
            pvalue=test.pvalue,
            note=f"{test.method}: p = {test.pvalue:.2g}",
        )
    put(
        evidence,
        "random halves minus eyeglasses",
        measures.paired(found["celeba"].same, found["eyeglasses"].same),
        **SEEDS,
    )
    put_every_way(evidence, published)
    logs = {name: sampling_log(published, name) for name in ORDER}
    put(
        evidence,
        "mean gray after ten steps, smallest correlation over seeds",
        measures.shared_noise(logs),
        **SEEDS,
        note="any two of the eight groups (cell 29): a seed is the same noise in every experiment, so seeds pair",
    )


def published_figure_provenance(evidence: ClaimRecord, published: HasRoot) -> None:
    """T-figure-provenance: which seeds the figures show, where they rank, and which cells show other samples."""
    tiles, figures = notebook_tiles(published), figure_tiles(published)
    found = measures.agreements(tiles)
    seeds = measures.figure_seeds(tiles, figures, found)
    pictures = [
        evidence.figure("published-agreement", plots.plot_agreements(found, seeds)),
        evidence.figure("published-male-cells", plots.male_cells(tiles)),
    ]
    (missing,) = measures.provenance(seeds).items()
    put(evidence, *missing, n=2 * len(seeds), figures=pictures)
    odd = measures.differing_cells(tiles)
    note = ", ".join(odd) or None
    told = {"section": CELLS}
    name = "cells that show other samples than their neighbours"
    put(evidence, name, len(odd), n=len(measures.shown_seeds(tiles)), note=note, figures=pictures, **told)
    put(evidence, "tiles at smaller sizes that no cell prints", int(seeds.missing_smaller.sum()), **told)
    put(evidence, "figures", seeds.drop(columns="file").to_dict("records"), **told)
    put(evidence, "seed that each cell shows", measures.shown_seeds(tiles).to_dict("records"), **told)
    for file in EXAMPLES:
        screenshot = Image.open(io.BytesIO(published_bytes(published, f"results/{file}"))).convert("L")
        group, seed, value = measures.example_seed(np.asarray(screenshot), tiles)
        put(evidence, f"sample in {file}", f"random halves, {group}, seed {seed} (correlation {value:.3f})", **told)
    rows = reported.reported_neighbours()
    again = neighbours.recomputed(*neighbours.neighbour_pairs(tiles, rows))
    worst = float(np.abs(again.ravel() - rows.correlation.to_numpy()).max())
    put(evidence, "recovery: largest difference from a printed correlation", worst, n=len(rows), **told)


def published_size_confound(evidence: ClaimRecord, published: HasRoot) -> None:
    """T-size-confound: agreement at equal size (one seed), what size alone does to it, and the train-test gaps."""
    tiles = notebook_tiles(published)
    found = measures.agreements(tiles)
    put_equal_size(evidence, tiles, found, [evidence.figure("published-sizes", plots.size_rows(tiles))])
    name = "random halves minus eyeglasses at the largest sizes, 98,117 and 13,193 images"
    put(evidence, name, measures.paired(found["celeba"].same, found["eyeglasses"].same), **SEEDS)
    random, glasses = (measures.by_size(tiles, e).set_index("set_size").agreement for e in ("celeba", "eyeglasses"))
    more = {"n": 1, "seeds": "0"}
    put(
        evidence, "seed 0: random halves minus eyeglasses as printed", float(random[LARGEST] - glasses[LARGEST]), **more
    )
    put(evidence, "seed 0: random halves at 98,117 minus at 10,000", float(random[LARGEST] - random[10000]), **more)
    pictures = [evidence.figure("published-curves", plots.plot_curves(reported.reported_psnr()))]
    gaps = reported.reported_gap()
    for experiment, size in (("celeba", 10000), ("eyeglasses", LARGEST), ("male", LARGEST), ("celeba", LARGEST)):
        at = gaps[(gaps.experiment == experiment) & (gaps.set_size == size)].to_dict("records")
        worst = max(at, key=lambda row: row["gap_db"])
        put(
            evidence,
            f"largest train-test gap, {EXPERIMENTS[experiment].title}, {worst['images']:,} images",
            read_off(worst, "gap_db", "two curves"),
            unit="dB",
            note=f"at input {worst['input_db']:.1f} dB",
            figures=pictures,
        )


PUBLISHED = {
    "T-convergence": published_convergence,
    "T-psnr-gap": published_psnr_gap,
    "T-eyeglasses-convergence": published_eyeglasses_convergence,
    "T-male-convergence": published_male_convergence,
    "T-identity-convergence": published_identity_convergence,
    "T-convergence-order": published_convergence_order,
    "T-figure-provenance": published_figure_provenance,
    "T-size-confound": published_size_confound,
    **LPIPS,
}
