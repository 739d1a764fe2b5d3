"""Samples an epoch that repetition gives each set size, and what that does to a training (Topeza 2025, section 4.3)."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from audit.measures.networks import CURVE_IMAGES, output_psnr, psnr_differences
from audit.measures.record import SEED
from core.training.config import TrainConfig
from core.training.schedule import exposures
from fixtures.experiments.choices import choices
from fixtures.experiments.desk import GROUPS, Cell, TrainedExperiment
from reports.record import ClaimRecord

EXPOSED = (10, 100, 1000, 10_000, 13_193, 84_434, 98_117)


def exposure_measures(config: TrainConfig, set_sizes: Iterable[int] = EXPOSED) -> dict[str, int]:
    """How many different numbers of samples an epoch has, over set sizes."""
    return {"different_exposures": len({exposures(n, config) for n in set_sizes})}


def repetition_measures(exact: np.ndarray, whole: np.ndarray) -> dict[str, Any]:
    """Effect of the repetition: output PSNR of the one training minus that of the other, over the same images."""
    return psnr_differences("whole minus exact repetition", exact, whole, seed=SEED)


def record_printed_exposures(evidence: ClaimRecord) -> None:
    """The samples an epoch that repetition by a whole factor gives, at the published sizes."""
    config = TrainConfig(exposures=100_000, repetition="whole")
    shown = {n: exposures(n, config) for n in EXPOSED}
    note = ", ".join(f"N = {n:,}: {100_000 // n:,} times, {k:,} samples" for n, k in shown.items())
    evidence.add(
        "different_exposures", exposure_measures(config)["different_exposures"], kind="arithmetic", n=7, note=note
    )
    evidence.add("repeats_at_100", shown[100] // 100, kind="arithmetic", unit="repeats")
    fewest = min(shown, key=shown.__getitem__)
    shortfall = f"at N = {fewest:,}; rounding up instead would give 105,544, 168,868 and 196,234 at the three largest"
    evidence.add("largest_shortfall", 1 - shown[fewest] / 100_000, kind="arithmetic", note=shortfall)


def record_exposure(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Samples an epoch by set size, and the PSNR of trainings that repeat differently (T-exposure)."""
    record_printed_exposures(evidence)
    n, repeated, _ = choices(desk)
    usual = desk.model(Cell("random", n, GROUPS[0]))
    images = desk.held_out.images[:CURVE_IMAGES]
    pair = [output_psnr(desk.as_denoiser(model), images, seed=SEED) for model in (usual, repeated)]
    exact, whole = pair if desk.preset.train.repetition == "exact" else reversed(pair)
    train = desk.preset.train
    shown = {how: exposures(n, train.replace(repetition=how)) for how in ("whole", "exact")}
    note = f"N = {n}: {shown['whole']:,} images an epoch instead of {shown['exact']:,}; one training of each"
    for name, (value, interval) in repetition_measures(exact, whole).items():
        about: dict[str, Any] = {"unit": "dB", "n": len(images), "varies": "image", "note": note}
        evidence.add(name, value, kind="synthetic", interval=interval, **about)
