"""Whether samples become good before copies appear, at every size of the training set (V's goal, Bonnaire et al. 2025).

A training has both times, so that their ratio is that of one training. A training that ends before copies appear is
counted as if they had at its end, which can only raise the ratio; one whose samples never become good leaves its size
undecided.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from audit.measures.training_times import (
    BELOW_BAYES,
    GOOD,
    KIND,
    PUBLISHED_NETWORK,
    SYSTEMS,
    Times,
    curves_of,
    feature_losses,
    good_denoiser,
    times_of,
)
from audit.measures.worst import Measured, largest
from audit.plots.dynamics import plot_order
from core.stats import Interval
from core.theory.image_curves import ImageCurves
from core.theory.mixtures import Curves
from core.training.presets import FaceTimes
from fixtures.experiments.curves import (
    MEMORISED,
    NOISE,
    face_curves,
    faces_linear_error,
    feature_models,
    law_curves,
)
from fixtures.experiments.desk import TrainedExperiment
from reports.record import ClaimRecord

RATIO = "time of good samples over that of copies"


def largest_ratio(system: str) -> str:
    """Name of what a system is judged by."""
    return f"largest {RATIO}{system}"


def order_ratios(good: Times, copies: Times) -> dict[int, Measured] | str:
    """Ratio of the two times by N, geometric mean over trainings, or why there is none.

    The t interval takes the spread of the log ratio from the trainings of all sizes; it grows on both sides by the most
    that reading every second look alone moves the mean, which is what the spacing of the looks leaves open.
    """
    ends = np.asarray(copies.ends)[:, None]

    def logs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.log(first) - np.log(np.minimum(second, ends))

    readings = [logs(g, c) for g, c in zip((good.times, *good.thinned), (copies.times, *copies.thinned), strict=True)]
    if lost := int(np.isinf(readings[0]).sum()):
        return f"undecided: samples of {lost} trainings never became good"
    found, sizes = readings[0], len(good.sizes)
    free = found.size - sizes
    if free < 1:
        return "undecided: one training a size"
    means = [x.mean(axis=1) for x in readings]
    spread = np.sqrt(((found - means[0][:, None]) ** 2).sum() / free)
    half = stats.t.ppf(0.975, free) * spread / np.sqrt(found.shape[1])
    moved = np.max([np.abs(m - means[0]) for m in means[1:]], axis=0)
    method = "t interval of the mean log ratio over trainings, their spread pooled over N, and the spacing of the looks"
    return {
        n: (float(np.exp(mean)), Interval(float(np.exp(mean - half - m)), float(np.exp(mean + half + m)), method))
        for n, mean, m in zip(good.sizes, means[0], moved, strict=True)
    }


def order_measures(system: str, good: Times, copies: Times) -> dict[str, Any]:
    """What a system is judged by: the ratio at the N that speaks most against the order, or why it is undecided."""
    ratios = order_ratios(good, copies)
    return {largest_ratio(system): ratios if isinstance(ratios, str) else largest(ratios.values(), limit=1.0)}


def sample_times(
    found: Mapping[int, Curves] | Mapping[int, ImageCurves], what: str, level: float
) -> tuple[Times, Times]:
    """When samples of networks become good, and when copies are seen among them."""
    good = times_of(curves_of(found, what), level, falling=True, log=True)
    return good, times_of(curves_of(found, "memorised"), MEMORISED)


def record_system(evidence: ClaimRecord, system: str, good: Times, copies: Times, figures: Sequence[str]) -> None:
    """Ratios by N, how many trainings end before copies appear, and the largest ratio."""
    ratios = order_ratios(good, copies)
    late = int(np.isinf(copies.times).sum())
    about: dict[str, Any] = {"kind": KIND, "n": good.times.size, "varies": "training set and weights"}
    note = f"{late} of {good.times.size} trainings end before copies appear, counted at their end" if late else None
    for name, item in order_measures(system, good, copies).items():
        value, interval = item if isinstance(item, tuple) else (item, None)
        evidence.add(name, value, interval=interval, note=note, figures=figures, **about)
    if not isinstance(ratios, str):
        for n, (value, interval) in ratios.items():
            evidence.add(f"{RATIO}, N = {n}{system}", value, interval=interval, **{**about, "n": good.times.shape[1]})


def record_order(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Both times of every system (V-order): at a full scale of the published network alone."""
    scale = desk.preset.mixtures
    if scale.full_faces:
        record_faces(evidence, PUBLISHED_NETWORK, desk, scale.full_faces)
        return
    good, copies = sample_times(law_curves(desk.crew, scale), "quality", GOOD)
    record_system(evidence, SYSTEMS[0], good, copies, [evidence.figure("mixture", plot_order(good, copies))])
    record_faces(evidence, SYSTEMS[1], desk, scale.small_faces)
    models = feature_models(desk.crew, scale)
    good = times_of(feature_losses(models, "test"), good_denoiser(1 - NOISE), falling=True)
    copies = times_of(feature_losses(models, "train"), BELOW_BAYES * (1 - NOISE), falling=True)
    record_system(evidence, SYSTEMS[2], good, copies, [evidence.figure("random-features", plot_order(good, copies))])


def record_faces(evidence: ClaimRecord, system: str, desk: TrainedExperiment, study: FaceTimes) -> None:
    """Both times of networks on faces: good is what B-generation-time calls a good denoiser of held-out faces."""
    found = face_curves(desk.crew, study, desk.device)
    good, copies = sample_times(found, "error", good_denoiser(faces_linear_error(study.network.image_size)))
    record_system(evidence, system, good, copies, [evidence.figure("faces", plot_order(good, copies))])
