"""When in training samples become good and when copies appear, by set size (Bonnaire et al. 2025)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.plots.dynamics import plot_features, plot_law, plot_spectrum
from core.stats import Interval
from core.theory.crossing_times import Exponent, crossing_time, every_second, least_exponent, time_exponent
from core.theory.image_curves import ImageCurves
from core.theory.mixtures import Curves
from core.theory.random_features import RandomFeatures, bulk, levels
from core.training.presets import DEFAULT_SCALE
from fixtures.experiments.curves import (
    FEATURE_TIMES,
    MEMORISED,
    NOISE,
    CurveJob,
    face_curves,
    face_jobs,
    faces_linear_error,
    feature_jobs,
    feature_models,
    law_curves,
    law_jobs,
)
from fixtures.experiments.desk import TrainedExperiment
from reports.record import ClaimRecord

GOOD = 1.0  # energy distance below which samples count as good: untrained 400, fresh points of the mixture 0
THE_WAY = 0.8  # share of the way from doing nothing to a fixed mark at which a denoiser counts as good
BELOW_BAYES = 0.9  # random features have memorised once their training loss is this share of the best attainable loss
KIND = "synthetic"
SYSTEMS = ("", ", small faces", ", random features in closed form")
PUBLISHED_NETWORK = ", published network"
LAW_FROM = 128  # faces of the smallest set of the paper's section 2; its largest has 32,768
LAW = (
    f"the law is stated for a U-Net on {LAW_FROM} to 32,768 faces, trained by SGD with momentum (section 2), and for "
    "random features under gradient flow with more features than points and more points than dimensions (section 3)"
)


@dataclass(frozen=True)
class Times:
    """When trainings crossed a level: by size and seed, and the same read off every second look."""

    sizes: tuple[int, ...]
    times: np.ndarray  # (sizes, seeds)
    thinned: tuple[np.ndarray, ...]
    ends: tuple[float, ...]  # last look by size

    @property
    def exponent(self) -> Exponent:
        """Exponent of the size in the times."""
        return time_exponent(self.sizes, self.times, self.thinned)

    @property
    def least_exponent(self) -> Exponent:
        """Lower bound on the exponent: trainings that never crossed are counted at their end."""
        return least_exponent(self.sizes, self.times, self.ends, self.thinned)


def times_of(
    curves: Mapping[int, tuple[Tensor, Tensor]], level: float, *, falling: bool = False, log: bool = False
) -> Times:
    """Crossing times of curves given as (looks, values (r, looks)) by N."""

    def read(keep: Callable[[int], Sequence[int]]) -> np.ndarray:
        rows = []
        for steps, values in curves.values():
            columns = list(keep(len(steps)))
            rows.append(crossing_time(steps[columns], values[:, columns], level, falling=falling, log=log).numpy())
        return np.stack(rows)

    halves = [read(lambda looks, k=k: every_second(looks)[k]) for k in (0, 1)]  # type: ignore[misc]
    return Times(tuple(curves), read(range), tuple(halves), tuple(float(steps[-1]) for steps, _ in curves.values()))


def curves_of(found: Mapping[int, Curves] | Mapping[int, ImageCurves], what: str) -> dict[int, tuple[Tensor, Tensor]]:
    """Looks and one measure of the curves."""
    return {n: (c.steps, getattr(c, what)) for n, c in found.items()}


def feature_losses(found: Mapping[int, Sequence[RandomFeatures]], what: str) -> dict[int, tuple[Tensor, Tensor]]:
    """Times and one loss of the models."""
    return {n: (FEATURE_TIMES, torch.stack([getattr(m, what) for m in models])) for n, models in found.items()}


def good_denoiser(mark: float) -> float:
    """Relative error at which a denoiser has gone `THE_WAY` from 1 (doing nothing) to the mark."""
    return 1 - THE_WAY * (1 - mark)


def record_times(
    evidence: ClaimRecord,
    system: str,
    found: Times,
    *,
    unit: str,
    varies: str,
    figures: Sequence[str],
    outside: str | None = None,
) -> None:
    """Times by N, how many trainings never crossed, and the exponent that the claim is judged by.

    `outside` says why the system is not one that the claim speaks of; its exponent is shown and told so.
    """
    for n, row in zip(found.sizes, found.times, strict=True):
        crossed = row[np.isfinite(row)]
        if not len(crossed):
            evidence.add(f"time at N = {n}{system}", "never", kind=KIND, n=len(row))
            continue
        evidence.add(
            f"time at N = {n}{system}",
            float(np.exp(np.log(crossed).mean())),
            kind=KIND,
            n=len(crossed),
            interval=Interval(float(crossed.min()), float(crossed.max()), "range of the trainings", level=1.0),
            varies=varies,
            unit=unit,
        )
    fit = found.exponent
    evidence.add(f"trainings that never crossed{system}", fit.censored, kind=KIND, n=fit.trainings)
    larger = "--scale desk-long has more trainings and a larger range of N"
    about: dict[str, Any] = {"kind": KIND, "n": fit.trainings, "seeds": f"0:{found.times.shape[1]}", "varies": varies}
    evidence.add(
        f"exponent in N{system}",
        "undecided: not every training crossed" if fit.value is None else fit.value,
        interval=fit.interval,
        figures=figures,
        note=f"not judged: {outside}" if outside else larger if evidence.scale == DEFAULT_SCALE else None,
        **about,
    )
    if fit.value is None and (least := found.least_exponent).value is not None:
        note = "not judged: trainings that never crossed are counted at their last look, which can only lower it"
        evidence.add(f"exponent in N{system}, lower bound", least.value, interval=least.interval, note=note, **about)


def mixtures_faces_features(desk: TrainedExperiment) -> list[CurveJob]:
    """Every training of the three systems."""
    scale = desk.preset.mixtures
    return [*law_jobs(scale), *face_jobs(scale.small_faces), *feature_jobs(scale)]


def copying_jobs(desk: TrainedExperiment) -> list[CurveJob]:
    """Every training of the claim about copies: at a full scale the published network's alone."""
    study = desk.preset.mixtures.full_faces
    return [*face_jobs(study, desk.device)] if study else mixtures_faces_features(desk)


def record_copying(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Times at which copies appear, of the published network at a full scale and of three small systems elsewhere."""
    scale = desk.preset.mixtures
    if scale.full_faces:
        faces = face_curves(desk.crew, scale.full_faces, desk.device)
        if min(faces) >= LAW_FROM:
            record_copies(evidence, PUBLISHED_NETWORK, faces)
        else:
            record_copies(evidence, f"{PUBLISHED_NETWORK}, outside the law's domain", faces, "faces")
            told = f"undecided: {min(faces)} to {max(faces)} faces"
            evidence.add(f"exponent in N{PUBLISHED_NETWORK}", told, kind=KIND, note=LAW)
        return
    mixture = f"points in {scale.law.dimensions} dimensions"
    record_copies(evidence, SYSTEMS[0], law_curves(desk.crew, scale), mixture)
    record_copies(evidence, SYSTEMS[1], face_curves(desk.crew, scale.small_faces), "small faces")
    models = feature_models(desk.crew, scale)
    level = BELOW_BAYES * (1 - NOISE)
    figures = [
        evidence.figure("random-features", plot_features(models, FEATURE_TIMES, 1 - NOISE, level)),
        evidence.figure("spectrum", plot_spectrum(models, NOISE)),
    ]
    found = times_of(feature_losses(models, "train"), level, falling=True)
    evidence.add(
        f"domain{SYSTEMS[2]}",
        f"judged: {scale.features} features, {found.sizes[0]} to {found.sizes[-1]} points in "
        f"{scale.feature_dimensions} dimensions, gradient flow",
        kind=KIND,
        note=LAW,
    )
    record_times(evidence, SYSTEMS[2], found, unit="training time", varies="training set and features", figures=figures)
    record_prediction(evidence, scale.features, found.sizes)


def record_copies(
    evidence: ClaimRecord,
    system: str,
    found: Mapping[int, Curves] | Mapping[int, ImageCurves],
    stranger: str | None = None,
) -> None:
    """Times at which the share of copies among samples passes `MEMORISED`.

    Args:
        evidence: the record of the claim.
        system: part of the names.
        found: curves by N.
        stranger: what the sets hold, where the law is not stated for them: the exponent is shown and not judged.
    """
    times = times_of(curves_of(found, "memorised"), MEMORISED)
    name = system.removeprefix(", ").replace(" ", "-").replace("'", "") or "mixture"
    figures = [evidence.figure(name, plot_law(found, "memorised", "share of samples that are copies", MEMORISED))]
    outside = None if stranger is None else f"{min(found)} to {max(found)} {stranger}, trained by Adam"
    if outside:
        evidence.add(f"domain{system}", f"inconclusive: {outside}", kind=KIND, note=LAW)
    about: dict[str, Any] = {"unit": "steps", "varies": "training set and weights", "figures": figures}
    record_times(evidence, system, times, outside=outside, **about)


def record_prediction(evidence: ClaimRecord, features: int, sizes: Sequence[int]) -> None:
    """Times that the spectrum's bulk predicts: of its first and last direction, and of its mean eigenvalue."""
    edges = np.array([bulk(features, n, NOISE) for n in sizes])
    method = "first and last direction of the bulk of single points (Marchenko-Pastur edges)"
    for n, (low, high) in zip(sizes, edges, strict=True):
        evidence.add(
            f"predicted time at N = {n}{SYSTEMS[2]}",
            n / levels(NOISE)[0],
            kind=KIND,
            interval=Interval(1 / float(high), 1 / float(low), method, level=1.0),
            unit="training time",
        )
    for name, column in (("first", 1), ("last", 0)):
        slope = np.polyfit(np.log(sizes), -np.log(edges[:, column]), 1)[0]
        evidence.add(f"predicted exponent of the {name} direction{SYSTEMS[2]}", float(slope), kind=KIND)


def record_generation(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Times at which the three systems become good (B-generation-time)."""
    scale = desk.preset.mixtures
    mixtures = law_curves(desk.crew, scale)
    record_times(
        evidence,
        SYSTEMS[0],
        times_of(curves_of(mixtures, "quality"), GOOD, falling=True, log=True),
        unit="steps",
        varies="training set and weights",
        figures=[evidence.figure("mixture", plot_law(mixtures, "quality", "energy distance to fresh points", GOOD))],
    )
    faces = face_curves(desk.crew, scale.small_faces)
    mark = faces_linear_error(scale.small_faces.network.image_size)
    evidence.add("error of the best linear denoiser, over that of doing nothing", mark, kind=KIND)
    evidence.add(
        "error at which a denoiser of faces counts as good",
        good_denoiser(mark),
        kind=KIND,
        note="on held-out faces, a quantity that a few samples cannot give: 80 % of the way from doing nothing to the "
        "best linear denoiser of all faces",
    )
    record_times(
        evidence,
        SYSTEMS[1],
        times_of(curves_of(faces, "error"), good_denoiser(mark), falling=True, log=True),
        unit="steps",
        varies="training set and weights",
        figures=[evidence.figure("faces", plot_law(faces, "error", "error on held-out faces", good_denoiser(mark)))],
    )
    models = feature_models(desk.crew, scale)
    level = good_denoiser(1 - NOISE)
    record_times(
        evidence,
        SYSTEMS[2],
        times_of(feature_losses(models, "test"), level, falling=True),
        unit="training time",
        varies="training set and features",
        figures=[evidence.figure("random-features", plot_features(models, FEATURE_TIMES, 1 - NOISE, level))],
    )
