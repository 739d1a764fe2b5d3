"""Criteria of replication calibrated on known copies and known non-copies, before any sample is judged by them."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from audit.measures.networks import ORACLE_LEVELS, oracle_samples
from audit.measures.rules import COPY_CORRELATION
from audit.plots.shared import BELOW
from core.dedup.search import near_duplicates
from core.denoisers.oracles import Empirical
from core.metrics.calibration import Calibration, calibrate
from core.metrics.known_copies import check_held_out, perturb
from core.metrics.lpips import Embedding, nearest_lpips
from core.metrics.neighbours import nearest, nearest_groups, nearest_l2, twin_groups
from core.metrics.replication import CARLINI_COUNT, GAP, carlini_ratio, flagged_share, gap_ratio
from core.stats import Interval
from fixtures.experiments.desk import Cell, TrainedExperiment
from fixtures.experiments.measured import measured
from reports.record import ClaimRecord

SECTION = "Calibration of the replication criteria"
COPIES = 128  # originals that each kind of copy is made of
OTHERS = 500  # non-copies: one false alarm in a hundred is five of them
KINDS = (("noise", 0.05), ("shift", 1), ("crop", 0.1), ("brightness", 0.1))
OPTIMUM = 24  # training images of the empirical optimum that is sampled
TWIN = 0.03  # noise by which a planted near-duplicate differs from its original: a correlation near 0.99 on faces
FALSE_ALARMS = 0.01
DISTINCT, TWINS = "distinct training images", "training set with near-duplicates"
PUBLISHED = {  # thresholds on the scores below; LPIPS has none
    "gap ratio": -GAP,
    "gap ratio, near-duplicates joined": -GAP,
    "L2 against the 50 nearest": -1.0,
    "correlation": COPY_CORRELATION,
}
RATE, AREA = "flagged at 1 % false alarms", "area under the ROC"
Curves = dict[str, dict[str, Calibration]]


def scores(images: Tensor, train: Tensor, lpips: Embedding | None) -> dict[str, np.ndarray]:
    """How much each image looks like a copy, by criterion: larger is more alike, (n,) each; images in [0, 1]."""
    distances = nearest_l2(images, train, CARLINI_COUNT)
    pairs = near_duplicates(train)
    groups = twin_groups(np.stack([pairs.i, pairs.j], axis=1), len(train))
    found = {
        "gap ratio": -gap_ratio(distances),
        "gap ratio, near-duplicates joined": -gap_ratio(
            nearest_groups(lambda k: nearest_l2(images, train, k), groups, 2)
        ),
        "L2 against the 50 nearest": -carlini_ratio(distances),
        "correlation": nearest(images, train, 1).value[:, 0].numpy(),
    }
    if lpips is not None:
        found["LPIPS (VGG)"] = -nearest_lpips(lpips, images, train, 1).value[:, 0].numpy()
    return found


def kept_scores(root: Path, images: Tensor, train: Tensor, lpips: Embedding | None) -> dict[str, np.ndarray]:
    """`scores`, from the store at `root` where they were computed before."""

    def make() -> dict[str, Tensor]:
        return {name: torch.from_numpy(values) for name, values in scores(images, train, lpips).items()}

    network = lpips.key if lpips is not None else None
    found = measured(root, "replication scores", make, images=images, train=train, lpips=network)
    return {name: found[name].numpy() for name in (*PUBLISHED, "LPIPS (VGG)") if name in found}


def calibrate_criteria(
    train: Tensor,
    others: Tensor,
    lpips: Embedding | None,
    *,
    seed: int,
    samples_of_optimum: Tensor | None = None,
    judge: Callable[[Tensor, Tensor, Embedding | None], dict[str, np.ndarray]] = scores,
) -> tuple[list[dict[str, Any]], Curves]:
    """Every criterion on known copies of `train` and on `others`, images held out; all (n, c, h, w) in [0, 1].

    Copies are perturbed training images, and `samples_of_optimum`: of the empirical optimum over some of them. The last
    kind of copy is looked for in a training set into which a near-duplicate of every original is planted. `judge` gives
    the scores.

    Returns:
        One row a criterion and kind of copy, and the calibration by training set and criterion over all kinds.

    Raises:
        InputError: if an image of `others` stands in `train`, or there are fewer than 100 (one false alarm in a
            hundred).
    """
    check_held_out(others, train)
    chosen = train[:COPIES]
    copies = {f"{kind} {amount:g}": perturb(chosen, kind, amount, seed=seed) for kind, amount in KINDS}  # type: ignore[arg-type]
    originals = {kind: np.arange(len(chosen)) for kind in copies}
    if samples_of_optimum is not None:
        kind = "samples of the empirical optimum"
        copies[kind] = samples_of_optimum
        originals[kind] = nearest_l2(samples_of_optimum, train, 1).index[:, 0].numpy()
    doubled = torch.cat([train, perturb(chosen, "noise", TWIN, seed=seed + 1)])
    first = f"{KINDS[0][0]} {KINDS[0][1]:g}"
    rows: list[dict[str, Any]] = []
    curves: Curves = {}
    for where, images in ((DISTINCT, train), (TWINS, doubled)):
        kinds = list(copies) if where == DISTINCT else [first]
        sizes = [len(others), *(len(copies[kind]) for kind in kinds)]
        found = judge(torch.cat([others, *(copies[kind] for kind in kinds)]), images, lpips)
        who = np.concatenate([originals[kind] for kind in kinds])
        curves[where] = {}
        for criterion, values in found.items():
            miss, *hits = np.split(values, np.cumsum(sizes)[:-1])
            pooled = calibrate(np.concatenate(hits), miss, seed=seed, originals=who, false_alarms=FALSE_ALARMS)
            curves[where][criterion] = pooled
            threshold = PUBLISHED.get(criterion)
            for kind, hit in zip(kinds, hits, strict=True):
                name = kind if where == DISTINCT else f"{kind}, {TWINS}"
                one = calibrate(hit, miss, seed=seed, originals=originals[kind], false_alarms=FALSE_ALARMS)
                rows.append(_row(criterion, name, hit, one, threshold))
            if len(hits) > 1:
                rows.append(_row(criterion, "all of these", np.concatenate(hits), pooled, threshold))
            name = "none: held-out images" + ("" if where == DISTINCT else f", {TWINS}")
            rows.append(
                _row(criterion, name, miss, None, threshold)
                | _flagged(pooled.false_alarms, pooled.false_alarms_interval)
            )
    return rows, curves


def _row(
    criterion: str, kind: str, values: np.ndarray, found: Calibration | None, threshold: float | None
) -> dict[str, Any]:
    """One line of the table; without `found` the values are of images that are no copies."""
    row: dict[str, Any] = {"criterion": criterion, "copies": kind, "n": len(values)}
    row["originals"] = "" if found is None else found.originals
    row |= dict.fromkeys((RATE, "from", "to", AREA, "area from", "area to"), "")
    if found is not None:
        row |= _flagged(found.detected, found.detected_interval)
        row |= {AREA: found.area, "area from": found.area_interval.low, "area to": found.area_interval.high}
    row["flagged at the published threshold"] = "has none" if threshold is None else float((values > threshold).mean())
    return row


def _flagged(rate: float, interval: Interval) -> dict[str, float]:
    return {RATE: rate, "from": interval.low, "to": interval.high}


def record_calibration(
    evidence: ClaimRecord, rows: list[dict[str, Any]], curves: Curves, *, kind: str, images: str, lpips: bool
) -> None:
    """Record what `calibrate_criteria` found on `images` (named in words), under the report's own section."""
    figures = [evidence.figure(f"roc-{kind}", plot_roc(curves))]
    note = (
        f"On {images}. Each criterion's threshold is the lowest at which at most 1 % of held-out images are called "
        "copies. Copies of one original are found or missed together, so that intervals count originals, not copies."
    )
    if not lpips:
        note += " LPIPS is missing here: its weights are (samenoise weights brings them)."
    evidence.add(f"calibration by kind of copy, {images}", rows, kind=kind, figures=figures, note=note, section=SECTION)
    for where, criteria in curves.items():
        for criterion, found in criteria.items():
            name = f"{criterion}, {where}"
            n = max(
                row["originals"] for row in rows if row["criterion"] == criterion and row["area under the ROC"] != ""
            )
            about: dict[str, Any] = {"kind": kind, "n": n, "varies": "original", "section": SECTION}
            evidence.add(
                f"detected at 1 % false alarms, {name}", found.detected, interval=found.detected_interval, **about
            )
            evidence.add(f"area under the ROC, {name}", found.area, interval=found.area_interval, **about)


def record_desk_calibration(evidence: ClaimRecord, desk: TrainedExperiment, lpips: Embedding | None) -> None:
    """The calibration on generated faces."""
    train = desk.images(Cell("random", desk.sizes[-2], "A"))
    others = desk.held_out.images[:OTHERS]
    some = train[:OPTIMUM]
    samples = oracle_samples(desk, Empirical(some), ORACLE_LEVELS, some.mean(dim=0)).clamp(0, 1)
    judge = partial(kept_scores, desk.root)
    rows, curves = calibrate_criteria(train, others, lpips, seed=0, samples_of_optimum=samples, judge=judge)
    record_calibration(evidence, rows, curves, kind="property", images="generated faces", lpips=lpips is not None)
    if lpips is None:
        needs = "VGG-16's weights, for the criterion by LPIPS"
        evidence.block(kind="property", needs=needs, command="samenoise weights")
    miss = scores(others, train, None)
    for criterion, threshold in PUBLISHED.items():
        value, interval = flagged_share(miss[criterion] > threshold)
        name = f"held-out images called copies at the published threshold, {criterion}"
        evidence.add(name, value, kind="property", interval=interval, n=len(others), varies="image", section=SECTION)


def plot_roc(curves: Mapping[str, Mapping[str, Calibration]]) -> Figure:
    """Detection rate against false alarms, the latter on a logarithmic scale; one panel a training set."""
    figure, panels = plt.subplots(1, len(curves), figsize=(4.2 * len(curves), 3.2), sharey=True, squeeze=False)
    for axes, (where, criteria) in zip(panels[0], curves.items(), strict=True):
        for name, curve in criteria.items():
            axes.plot(np.maximum(curve.false_alarm_rate, 1e-3), curve.detection_rate, label=f"{name}, {curve.area:.2f}")
        axes.axvline(FALSE_ALARMS, color="0.6", lw=0.8)
        axes.set(xscale="log", xlabel="held-out images called copies", ylim=(0, 1.02))
        axes.set_title(where, fontsize=9)
        axes.legend(frameon=False, fontsize=8, title="criterion, area", title_fontsize=8, **BELOW)
    panels[0, 0].set_ylabel("copies found")
    return figure
