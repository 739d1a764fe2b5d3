"""PSNR, samples and nearest images of networks, as more than one claim measures them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.denoisers.oracles import Oracle
from core.metrics.neighbours import nearest
from core.metrics.psnr import PSNRCurve, denoiser_psnr
from core.stats import bootstrap_difference
from core.training.samples import converged, sampled
from fixtures.experiments.desk import Cell, TrainedExperiment
from fixtures.experiments.experiment import PUBLISHED, Experiment
from fixtures.experiments.measured import measured
from reports.record import ClaimRecord

LEVELS = (28.0, 24.0, 20.0, 16.0, 12.0, 8.0, 4.0, 0.0)  # input PSNR in dB, all below the 30 of rules.gap_shrinks
SIGMAS = tuple(10 ** (-level / 20) for level in LEVELS)  # noise levels from 0.04 to 1
JUDGED_LEVELS = (28.0, 20.0, 12.0, 4.0)  # every other one: those that checks name where a level costs much
JUDGED_SIGMAS = tuple(10 ** (-level / 20) for level in JUDGED_LEVELS)
CURVE_IMAGES = 256  # that a curve of PSNR is measured on, or all where the set is smaller
EQUIVALENCE_IMAGES = 512  # that two PSNR are shown equal on: within 0.25 dB, so that it takes narrower intervals
ORACLE_LEVELS = tuple(np.geomspace(0.02, 1.5, 24).tolist())  # that a blind oracle weighs; sampling ends at 0.1


def full_elsewhere(evidence: ClaimRecord, desk: TrainedExperiment, tests: str, scale: str = "paper80") -> None:
    """Where this run's networks are small, say what `full` evidence takes and how these tests come by it."""
    if desk.kind != "full":
        evidence.block(
            kind="full",
            needs="networks and images of the published size, on an accelerator",
            command=f"pytest audit/{tests} --scale {scale} --device cuda",
        )


def nearest_training(samples: Tensor, train: Tensor) -> np.ndarray:
    """Correlation of each sample with its nearest training image, (n,)."""
    return nearest(samples, train, 1).value[:, 0].numpy()


def cell_psnr(desk: Experiment, cell: Cell, images: Tensor, sigmas: Sequence[float], *, seed: int) -> PSNRCurve:
    """PSNR of the denoiser of a cell on images, from the store where it was measured before."""

    def make() -> dict[str, Tensor]:
        curve = denoiser_psnr(desk.denoiser(cell), images, sigmas, seed=seed)
        return {"input": torch.from_numpy(curve.input), "output": torch.from_numpy(curve.output)}

    about: dict[str, object] = {"model": desk.key(cell), "images": images, "sigmas": list(sigmas), "seed": seed}
    found = measured(desk.root, "PSNR", make, device=desk.device, **about)
    return PSNRCurve(tuple(sigmas), found["input"].numpy(), found["output"].numpy())


def oracle_samples(
    desk: Experiment, oracle: Oracle, levels: Sequence[float], mean: Tensor, sampler: str = PUBLISHED
) -> Tensor:
    """Samples of all seeds from an oracle that does not know the noise level, as from a network, kept in the store."""
    options = desk.options(sampler)

    def make() -> dict[str, Tensor]:
        return {"images": converged(sampled(oracle.blind(levels), mean, desk.seeds, options), what)}

    known = {f"oracle's {name}": value for name, value in vars(oracle).items()}
    about: dict[str, object] = {"levels": list(levels), "mean": mean, "seeds": list(desk.seeds), **known}
    what = f"samples of {type(oracle).__name__}, {sampler} sampler"
    return measured(desk.root, what, make, options=options.to_dict(), **about)["images"]


def output_psnr(denoiser: Callable[[Tensor], Tensor], images: Tensor, *, seed: int) -> np.ndarray:
    """Output PSNR at every one of `LEVELS`, (levels, images)."""
    return denoiser_psnr(denoiser, images, SIGMAS, seed=seed).output


def psnr_differences(what: str, first: np.ndarray, second: np.ndarray, *, seed: int) -> dict[str, Any]:
    """Output PSNR of the second minus that of the first, by input PSNR, paired over images: value and interval."""
    return {
        f"PSNR, {what}, at {level:g} dB": (
            float((b - a).mean()),
            bootstrap_difference(b, a, seed=seed, paired=True, over="images"),
        )
        for level, a, b in zip(LEVELS, first, second, strict=True)
    }
