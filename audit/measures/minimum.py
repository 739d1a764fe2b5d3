"""How far a network's training loss lies above the least that its training set allows (K, 'Dangers of memorization').

The least loss over a finite set is that of the optimum over it, the mean of the training images weighted by a softmax
of distances. It is told the noise level; a network is not, so that the excess holds what not knowing it costs.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from audit.measures.denoising import error_table, told_errors
from audit.measures.networks import JUDGED_LEVELS, JUDGED_SIGMAS
from audit.measures.record import SEED, Measures
from audit.measures.worst import smallest
from audit.plots.minimum import plot_losses
from core.denoisers.oracles import Empirical
from core.denoisers.unet import Denoiser
from core.stats import bootstrap_mean
from fixtures.experiments.desk import GROUPS, Cell, TrainedExperiment
from reports.record import ClaimRecord

DRAWS = 256  # noisy training images that a loss is the mean over
KIND = "synthetic"

Losses = tuple[np.ndarray, np.ndarray]  # (levels, draws) of a network and of the optimum, in units of sigma^2


def drawn_images(train: Tensor) -> Tensor:
    """Training images, (DRAWS, 1, h, w): of a smaller set every image again and again, each time with other noise."""
    return train.repeat(-(-DRAWS // len(train)), 1, 1, 1)[:DRAWS]


def losses(denoiser: Denoiser, train: Tensor, images: Tensor) -> Losses:
    """Squared error of a denoiser and of the optimum over `train` on the same noisy images, in units of sigma^2."""
    scale = np.square(np.asarray(JUDGED_SIGMAS))[:, None]
    network = error_table(denoiser, images, JUDGED_SIGMAS)
    return network / scale, told_errors(Empirical(train), images, JUDGED_SIGMAS) / scale


def least_excess(level: float) -> str:
    """Name of what a noise level is judged by."""
    return f"least excess of the training loss over all N, input {level:g} dB"


def minimum_measures(by_size: Mapping[int, Losses]) -> Measures:
    """What K-not-minimised is judged by: the excess at the N that speaks most against it, by noise level."""

    def excess(found: Losses, row: int) -> tuple[float, Any]:
        difference = found[0][row] - found[1][row]
        return float(difference.mean()), bootstrap_mean(difference, seed=SEED, over="noisy training images")

    return {
        least_excess(level): smallest([excess(found, row) for found in by_size.values()], limit=0.0)
        for row, level in enumerate(JUDGED_LEVELS)
    }


def record_minimum(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Training loss of network and optimum by N and level, and both on held-out images (K-not-minimised)."""
    cells = {n: Cell("random", n, GROUPS[0]) for n in desk.sizes}
    held_out = desk.held_out.images[:DRAWS]
    trained, tested = {}, {}
    for n, cell in cells.items():
        train, denoiser = desk.images(cell), desk.denoiser(cell)
        trained[n] = losses(denoiser, train, drawn_images(train))
        tested[n] = losses(denoiser, train, held_out)
    figures = [evidence.figure("losses", plot_losses({"training": trained, "held-out": tested}, JUDGED_LEVELS))]
    about: dict[str, Any] = {"kind": KIND, "n": DRAWS, "unit": "sigma^2", "figures": figures}
    for name, (value, interval) in minimum_measures(trained).items():
        evidence.add(name, value, interval=interval, varies="noise and image; one network each", **about)
    for what, by_size in (("training", trained), ("held-out", tested)):
        for n, (network, optimum) in by_size.items():
            for row, level in enumerate(JUDGED_LEVELS):
                difference = network[row] - optimum[row]
                evidence.add(
                    f"loss on {what} images, network minus optimum, N = {n}, input {level:g} dB",
                    float(difference.mean()),
                    interval=bootstrap_mean(difference, seed=SEED, over="noisy images"),
                    varies="noise and image",
                    note=f"network {network[row].mean():.3g}, optimum {optimum[row].mean():.3g}",
                    **about,
                )
