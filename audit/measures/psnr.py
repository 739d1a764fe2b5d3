"""PSNR by set size and noise level: one table of it, and the train-test gap beside the published one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from audit.measures.agreement import need_replicates
from audit.measures.networks import CURVE_IMAGES, LEVELS, SIGMAS, cell_psnr
from audit.measures.record import SEED, Measures, record
from audit.measures.rules import FALL_ABOVE
from audit.measures.worst import largest
from audit.plots.psnr import Pair, plot_gaps, plot_psnr
from core.metrics.known_copies import check_held_out
from core.metrics.psnr import PSNRCurve, gap
from core.stats.crossed import Weights, crossed
from fixtures.experiments.desk import GROUPS, RANDOM, Cell
from fixtures.experiments.experiment import Experiment
from fixtures.published.reported import reported_gap
from reports.record import ClaimRecord

SMALLEST = "smallest fall of the gap below 30 dB, random halves"


def psnr_rows(by_size: Mapping[int, Pair], levels: Sequence[float], *, seed: int) -> list[dict[str, Any]]:
    """One row a set size and noise level: train, test and gap in dB, each with its interval over images."""
    rows = []
    for n, (train, test) in by_size.items():
        found = zip(levels, train.mean(seed=seed), test.mean(seed=seed), gap(train, test, seed=seed), strict=True)
        for level, *quantities in found:
            row: dict[str, Any] = {"N": n, "input dB": level}
            for name, (value, interval) in zip(("train", "test", "gap"), quantities, strict=True):
                row |= {name: value, f"{name} from": interval.low, f"{name} to": interval.high}
            rows.append(row)
    return rows


def gap_beside_published(
    rows: Sequence[Mapping[str, Any]], published: pd.DataFrame, levels: Sequence[float]
) -> list[dict[str, Any]]:
    """The gap by set size at each level: ours, and the published one read off between the two drawn levels beside it.

    `published` is `fixtures.published.reported.reported_gap()` of one experiment. A level above the axis of the
    drawing, or with a neighbour above it, has no published value and no row. Bounds are intervals over images for
    ours, the error of reading for the published ones.
    """
    found = [
        {"source": "here", "N": row["N"], "input dB": row["input dB"], "gap": row["gap"], "from": row["gap from"],
         "to": row["gap to"]}
        for row in rows
    ]  # fmt: skip
    for n, part in published.groupby("images"):
        part = part.sort_values("input_db")
        x = part.input_db.to_numpy()
        for level in levels:
            if not x[0] <= level <= x[-1]:
                continue
            # a level without value makes its neighbourhood NaN
            value, error = (float(np.interp(level, x, part[c].to_numpy())) for c in ("gap_db", "error_db"))
            if np.isfinite(value):
                bounds = {"from": value - error, "to": value + error}
                found.append({"source": "published", "N": int(str(n)), "input dB": level, "gap": value, **bounds})
    return found


def train_and_test_psnr(desk: Experiment, cell: Cell, test: Tensor) -> tuple[PSNRCurve, PSNRCurve]:
    """PSNR by noise level on training images and on `test`, which must be held out."""
    check_held_out(test, desk.images(cell))
    return (
        cell_psnr(desk, cell, desk.images(cell)[:CURVE_IMAGES], SIGMAS, seed=SEED),
        cell_psnr(desk, cell, test[:CURVE_IMAGES], SIGMAS, seed=SEED + 1),
    )


Trained = dict[str, list[tuple[PSNRCurve, PSNRCurve]]]  # group -> (train, test) of every training


def trained_curves(desk: Experiment, n: int, tests: Sequence[Tensor], trainings: Sequence[int]) -> Trained:
    """PSNR on training and held-out images of some trainings of both groups at one N; `tests` are A's and B's."""
    return {
        group: [train_and_test_psnr(desk, Cell(RANDOM, n, group, k), test) for k in trainings]
        for group, test in zip(GROUPS, tests, strict=True)
    }


def pooled_curves(found: Trained) -> Pair:
    """Curves of both groups over all their images, each image the mean of its trainings."""
    sides = []
    for side in (0, 1):
        parts = [[pair[side] for pair in trainings] for trainings in found.values()]
        given = np.concatenate([curves[0].input for curves in parts], axis=1)
        output = np.concatenate([np.mean([curve.output for curve in curves], axis=0) for curves in parts], axis=1)
        sides.append(PSNRCurve(parts[0][0].sigmas, given, output))
    return sides[0], sides[1]


def psnr_gap_measures(first: Trained, last: Trained) -> Measures:
    """Change of the train-test gap from the smallest to the largest N, by input PSNR, over trainings and images.

    The fall at the least favourable level stands for all: they fall by their whole intervals if and only if it does.
    Every training of a group is left out in turn, and every image of each set; the groups' means count alike.
    """
    tables = {
        (n, group, side): np.stack([pair[k].output for pair in trainings])  # (trainings, levels, images)
        for n, found in (("smallest N", first), ("largest N", last))
        for group, trainings in found.items()
        for k, side in enumerate(("train", "test"))
    }
    sizes: dict[str, int] = {}
    together = set()
    for (n, group, side), table in tables.items():
        factors = {f"trainings of {group}, {n}": len(table), f"{side} images of {group}, {n}": table.shape[-1]}
        sizes |= factors
        together.add(frozenset(factors))
    signs = {"largest N": 1, "smallest N": -1, "train": 1, "test": -1}

    def change(weights: Weights, row: int) -> np.ndarray:
        total: Any = 0
        for (n, group, side), table in tables.items():
            every = (weights[f"trainings of {group}, {n}"], weights[f"{side} images of {group}, {n}"])
            i, j = (
                rows[:1] if rows.strides[0] == 0 else rows for rows in every
            )  # the same in all rows: once is enough
            total = total + signs[n] * signs[side] * ((i @ table[:, row]) * j).sum(axis=1) / len(GROUPS)
        return np.asarray(total)

    found = {level: crossed(sizes, partial(change, row=row), together=together) for row, level in enumerate(LEVELS)}
    changes = {level: (each.estimate, each.interval()) for level, each in found.items()}
    change_there, interval = largest(changes.values(), limit=-FALL_ABOVE)
    fall = replace(interval, low=-interval.high, high=-interval.low)
    return {SMALLEST: (-change_there, fall), **{f"change of the gap at {at:g} dB": one for at, one in changes.items()}}


def record_gap(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """Everything T-psnr-gap is judged by and shown with; sizes between the judged ones by the first trainings."""
    need_replicates(desk)
    halves = desk.tests(CURVE_IMAGES)
    judged = (desk.sizes[0], desk.sizes[-1])
    curves = {n: trained_curves(desk, n, halves, desk.trainings if n in judged else (0,)) for n in desk.sizes}
    by_size = {n: pooled_curves(found) for n, found in curves.items()}
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
    found = psnr_gap_measures(curves[judged[0]], curves[judged[1]])
    pairs, images = len(desk.trainings), by_size[judged[0]][0].output.shape[1]
    varies = f"{pairs} training seeds a group; images ({images:,} training images of the smallest sets)"
    record(
        evidence,
        found,
        kind=kind,
        unit="dB",
        n=pairs * images,
        varies=varies,
        figures=figures,
        counted="images, each by every training",
    )
