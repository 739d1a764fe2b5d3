"""Whether a training has converged: its loss at the end, and what twice as many exposures change (Topeza 2025, 4.3)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from audit.measures.networks import EQUIVALENCE_IMAGES, JUDGED_LEVELS, JUDGED_SIGMAS
from audit.measures.record import SEED, Measures, record
from audit.measures.rules import PSNR_MARGIN
from audit.plots.training import plot_histories
from core.metrics.psnr import PSNRCurve, denoiser_psnr
from core.stats import bootstrap_mean, tost
from core.training.state import History
from core.training.train import TrainResult
from fixtures.experiments.desk import GROUPS, RANDOM, Cell, ModelJob, TrainedExperiment
from reports.record import ClaimRecord

EXPOSURES = 100_000  # an epoch at 40x40 (T 4.3)
# `main.py` of the published code, beside N_total=100000: "N_total=250000 for 80x80 or 1000000 for 40x40 in the paper"
ORIGINAL_80, ORIGINAL_40 = 250_000, 1_000_000
FINDING = "finding: whether this project's own trainings converge"
NOTE = "on this project's own networks; it decides nothing of the report's setting"
FALL = "fall of the training loss from the last tenth but one to the last"


def fall(history: History) -> float:
    """Share by which the mean loss of the last tenth of the epochs lies below that of the tenth before."""
    losses = np.array([row["loss"] for row in history])
    tenth = max(1, len(losses) // 10)
    return float(1 - losses[-tenth:].mean() / losses[-2 * tenth : -tenth].mean())


def guarantee_measures(histories: Sequence[History], once: PSNRCurve, twice: PSNRCurve) -> Measures:
    """What trained networks show of convergence.

    Args:
        histories: of trainings with the exposures in question.
        once: test PSNR of one of them.
        twice: the same of a training with twice as many exposures, on the same images and noise.
    """
    falls = [fall(history) for history in histories]
    found: Measures = {FALL: (float(np.mean(falls)), bootstrap_mean(falls, seed=SEED, over="trainings"))}
    for row, level in enumerate(JUDGED_LEVELS):
        test = tost(twice.output[row], once.output[row], margin=PSNR_MARGIN, paired=True)
        found[f"PSNR, twice as many exposures minus once, at {level:g} dB"] = (
            test.difference,
            test.interval,
            test.pvalue,
        )
    return found


def twice_job(desk: TrainedExperiment) -> ModelJob:
    """The largest random half of A with twice as many exposures an epoch."""
    return desk.variant_job(Cell(RANDOM, desk.sizes[-1], GROUPS[0]), exposures=2 * desk.preset.train.exposures)


def curve(desk: TrainedExperiment, trained: TrainResult, images: Tensor) -> PSNRCurve:
    """Test PSNR of one network at every judged level."""
    return denoiser_psnr(desk.as_denoiser(trained), images, JUDGED_SIGMAS, seed=SEED)


def record_guarantee(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """The numbers of the text and of the script's comment, and convergence of this run's own trainings."""
    note = "the comment beside N_total=100000 in main.py of the published code; the text names the one for 80x80 only"
    evidence.add(
        "exposures of the original at 80x80, by the script's comment", ORIGINAL_80, kind="arithmetic", note=note
    )
    times = ORIGINAL_40 / EXPOSURES
    evidence.add("exposures of the original at 40x40, times those used", times, kind="arithmetic", note=note)
    with evidence.beside("arithmetic"):
        record_findings(evidence, desk)


def record_findings(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Convergence of this run's own trainings; no check hangs on it."""
    cells = [Cell(RANDOM, n, group) for n in desk.sizes for group in GROUPS]
    once, (twice,) = desk.model(Cell(RANDOM, desk.sizes[-1], GROUPS[0])), desk.trained([twice_job(desk)])
    images = desk.held_out.images[:EQUIVALENCE_IMAGES]
    histories = {str(cell): desk.model(cell).history for cell in cells}
    found = guarantee_measures(list(histories.values()), *(curve(desk, model, images) for model in (once, twice)))
    shown = {"once": once.history, "twice as many": twice.history}
    figures = [evidence.figure("history", plot_histories(shown))]
    about: dict[str, Any] = {"kind": "arithmetic", "figures": figures, "note": NOTE, "section": FINDING}
    record(evidence, {FALL: found.pop(FALL)}, n=len(cells), varies="training (set size and group)", **about)
    record(evidence, found, n=len(images), varies="image; one training of each", unit="dB", **about)
    train_psnr = [history[-1]["psnr"] for history in shown.values()]
    evidence.add(
        "training PSNR in the last epoch, twice minus once",
        train_psnr[1] - train_psnr[0],
        kind="arithmetic",
        note=NOTE,
        section=FINDING,
    )
