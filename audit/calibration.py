"""Criteria of replication calibrated on known copies and known non-copies, before any sample is judged by them."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from core.metrics.correlation import nearest
from core.metrics.lpips import Embedding, nearest_lpips
from core.metrics.replication import (
    CARLINI_COUNT,
    Calibration,
    calibrate,
    carlini_ratio,
    check_held_out,
    gap_ratio,
    nearest_l2,
    perturb,
)
from core.oracles import Empirical
from fixtures.desk import Cell, Desk
from reports.record import ClaimRecord

COPIES = 128  # of each kind
OTHERS = 500  # non-copies: one false alarm in a hundred is five of them
LEVELS = tuple(np.geomspace(0.02, 1.5, 24).tolist())
KINDS = (("noise", 0.05), ("shift", 1), ("crop", 0.1), ("brightness", 0.1))
FALSE_ALARMS = 0.01


def scores(images: Tensor, train: Tensor, lpips: Embedding | None) -> dict[str, np.ndarray]:
    """How much each image looks like a copy, by criterion: larger is more alike, (n,) each."""
    distances = nearest_l2(images, train, CARLINI_COUNT)
    found = {
        "gap ratio": -gap_ratio(distances),
        "L2 against the 50 nearest": -carlini_ratio(distances),
        "correlation": nearest(images, train, 1).value[:, 0].numpy(),
    }
    if lpips is not None:
        found["LPIPS (VGG)"] = -nearest_lpips(lpips, images, train, 1).value[:, 0].numpy()
    return found


def known_copies(desk: Desk, train: Tensor) -> dict[str, Tensor]:
    """Copies by construction: perturbed training images, and samples of the optimum over a few of them."""
    chosen = train[:COPIES]
    copies = {f"{kind} {amount:g}": perturb(chosen, kind, amount, seed=0) for kind, amount in KINDS}  # type: ignore[arg-type]
    some = train[:24]
    samples = desk.sample_from(Empirical(some).blind(LEVELS), some.mean(dim=0), "sampling known copies")
    return copies | {"samples of the empirical optimum": samples.clamp(0, 1)}


def record_calibration(evidence: ClaimRecord, desk: Desk, lpips: Embedding | None) -> None:
    """Area under the ROC and detection rate at 1 % false alarms, by criterion and kind of copy."""
    train = desk.images(Cell("random", desk.sizes[-2], "A"))
    others = desk.held_out.images[:OTHERS]
    check_held_out(others, train)
    miss = scores(others, train, lpips)
    hit = {kind: scores(images, train, lpips) for kind, images in known_copies(desk, train).items()}
    rows: list[dict[str, Any]] = []
    curves: dict[str, Calibration] = {}
    for criterion in miss:
        pooled = np.concatenate([found[criterion] for found in hit.values()])
        curves[criterion] = overall = calibrate(pooled, miss[criterion], seed=0, false_alarms=FALSE_ALARMS)
        name = f"detected at 1 % false alarms, {criterion}"
        about: dict[str, Any] = {
            "kind": "property",
            "n": len(pooled),
            "varies": "copy",
            "note": f"area {overall.area:.3f}",
        }
        evidence.add(name, overall.detected, interval=overall.detected_interval, **about)
        for kind, found in hit.items():
            one = calibrate(found[criterion], miss[criterion], seed=0, false_alarms=FALSE_ALARMS)
            rows.append(
                {
                    "criterion": criterion,
                    "copies": kind,
                    "n": len(found[criterion]),
                    "detected": round(one.detected, 3),
                    "from": round(one.detected_interval.low, 3),
                    "to": round(one.detected_interval.high, 3),
                    "area": round(one.area, 3),
                }
            )
    published = float((-miss["gap ratio"] < 1 / 3).mean())
    evidence.add("held-out images called copies, gap ratio below 1/3", published, kind="property", n=len(others))
    figures = [evidence.figure("roc", plot_roc(curves))]
    evidence.add("calibration by kind of copy", rows, kind="property", figures=figures)


def plot_roc(curves: dict[str, Calibration]) -> Figure:
    """Detection rate against false alarms, the latter on a logarithmic scale."""
    figure, axes = plt.subplots(figsize=(5, 3.2))
    for name, curve in curves.items():
        axes.plot(
            np.maximum(curve.false_alarm_rate, 1e-3), curve.detection_rate, label=f"{name}, area {curve.area:.2f}"
        )
    axes.axvline(FALSE_ALARMS, color="0.6", lw=0.8)
    axes.set(xscale="log", xlabel="held-out images called copies", ylabel="copies found", ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=8)
    return figure
