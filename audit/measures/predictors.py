"""What closed-form denoisers of the training images predict of a network's samples from the same noise.

The Wiener filter and the empirical optimum are the two ends: one knows mean and covariance alone, the other the images
themselves. Between them lie posterior means of a part of the image (Kamb and Ganguli 2025; Lukoianov et al. 2025).
Nothing is fitted to the networks, the windows of the local posterior mean included. All are told nothing of the noise
level and sampled as the networks are, by the sampler without noise of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.measures.networks import ORACLE_LEVELS
from audit.measures.record import SEED
from audit.plots.predictors import plot_predictors
from core.denoisers.oracles import Empirical, Gaussian, Local, WienerLocal
from core.denoisers.sampling import falling_levels, heun, start_mean
from core.metrics.prediction import Prediction, prediction
from core.training.cells import RANDOM, Cell
from core.training.config import HeunConfig, SampleConfig
from fixtures.experiments.experiment import HEUN, Experiment
from fixtures.experiments.measured import measured
from reports.record import ClaimRecord

Denoise = Callable[[Tensor], Tensor]
WIENER, EMPIRICAL, LOCAL, WIENER_LOCAL = PREDICTORS = (
    "Wiener filter",
    "empirical optimum",
    "posterior mean of windows",
    "posterior mean of pixels the Wiener filter sees",
)
WINDOWS = {0.02: 3, 0.1: 5, 0.3: 9, 1.0: 19}  # side in pixels by noise level
MASK_LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # at which the Wiener filter says which pixels count
FEW_SEEDS, FEW_LEVELS = 8, 16  # of all but the Wiener filter, and of the network that they are compared with
LOCAL_MOST = 32  # training images up to which local posterior means are affordable


def predictor(name: str, images: Tensor) -> Denoise:
    """A closed-form denoiser of training images (n, c, h, w) that is not told the noise level, by name."""
    if name == EMPIRICAL:
        return Empirical(images).blind(ORACLE_LEVELS)
    seen_by = Gaussian.from_images(images)
    if name == WIENER:
        return seen_by.blind(ORACLE_LEVELS)
    local = Local(images, WINDOWS) if name == LOCAL else WienerLocal(images, MASK_LEVELS)
    return local.blind(ORACLE_LEVELS, seen_by=seen_by)


def predicted(
    name: str, images: Tensor, seeds: Sequence[int], levels: Sequence[float], mean: Tensor | None = None
) -> Tensor:
    """Samples (seeds, c, h, w) of a predictor from noise about `mean` (by default that of its images)."""
    centre = start_mean("group", images) if mean is None else mean
    return heun(predictor(name, images), seeds, centre, sigmas=levels, chunk=len(seeds)).images


def noise_levels(options: SampleConfig | HeunConfig, count: int | None = None) -> tuple[float, ...]:
    """The falling noise levels of networks sampled without the sampler's own noise, or `count` over the same range."""
    first, last, levels, rho = options.to_dict().values()
    return falling_levels(first, last, count or levels, rho)


def network_samples(desk: Experiment, cell: Cell, seeds: Sequence[int], levels: Sequence[float]) -> Tensor:
    """Samples (seeds, c, h, w) of the network of a cell at few noise levels, kept in the store."""
    mean = start_mean("group", desk.images(cell))

    def make() -> dict[str, Tensor]:
        return {"images": heun(desk.denoiser(cell), seeds, mean, sigmas=levels, chunk=len(seeds)).images}

    about: dict[str, object] = {"model": desk.key(cell), "mean": mean, "seeds": seeds, "levels": levels}
    return measured(desk.root, "samples of a network at few levels", make, **about)["images"]


def predictor_samples(
    desk: Experiment, name: str, images: Tensor, seeds: Sequence[int], levels: Sequence[float]
) -> Tensor:
    """Samples (seeds, c, h, w) of a predictor of training images, kept in the store."""

    def make() -> dict[str, Tensor]:
        return {"images": predicted(name, images, seeds, levels)}

    about: dict[str, object] = {"images": images, "seeds": seeds, "levels": levels}
    return measured(desk.root, f"samples of the {name}", make, **about)["images"]


def predictions(desk: Experiment, n: int) -> tuple[dict[str, Prediction], Prediction]:
    """How well each predictor of A's images predicts the first network trained on them, at one N, by name.

    The Wiener filter is held against the network's stored samples, the others against the network's from `FEW_SEEDS`
    seeds at `FEW_LEVELS` noise levels, as they are sampled. Local posterior means are left out above `LOCAL_MOST`
    images.

    Returns:
        The predictions, and how well the Wiener filter at few levels predicts itself at all of them.
    """
    cell = Cell(RANDOM, n, "A")
    images, options, seeds = desk.images(cell), desk.options(HEUN), list(desk.seeds)
    all_levels, few_levels = list(noise_levels(options)), list(noise_levels(options, FEW_LEVELS))
    few = seeds[:FEW_SEEDS]
    wiener = predictor_samples(desk, WIENER, images, seeds, all_levels)
    found = {WIENER: prediction(desk.samples(cell, sampler=HEUN), wiener)}
    target = network_samples(desk, cell, few, few_levels)
    for name in PREDICTORS[1:] if n <= LOCAL_MOST else [EMPIRICAL]:
        found[name] = prediction(target, predictor_samples(desk, name, images, few, few_levels))
    coarse = predictor_samples(desk, WIENER, images, few, few_levels)
    return found, prediction(wiener[: len(few)], coarse)


def rows(n: int, found: Mapping[str, Prediction]) -> list[dict[str, Any]]:
    """One row a predictor and similarity: mean with interval over sampling seeds, and the mean of mismatched seeds."""
    table = []
    for name, both in found.items():
        for measure, similarity in (("Pearson's r", both.pearson), ("R2", both.r2)):
            mean, interval = similarity.mean(seed=SEED)
            table.append(
                {
                    "N": n,
                    "predictor": name,
                    "measure": measure,
                    "seeds": len(similarity.same),
                    "value": mean,
                    "low": interval.low,
                    "high": interval.high,
                    "mismatched": float(np.mean(similarity.mismatched)),
                }
            )
    return table


def record_predictors(evidence: ClaimRecord, desk: Experiment, kind: str) -> list[dict[str, Any]]:
    """Show what closed-form predictors say of the networks by N, as one table and one picture; nothing is judged.

    Add it to a claim's evidence with the same `desk` and `kind` as its judged measures. No check may name the table.
    It samples one network of A a size (training 0), so that intervals say nothing of how trainings differ.

    Args:
        evidence: the record of the claim, K-beyond-gaussian's.
        desk: the pairs of networks.
        kind: of evidence.

    Returns:
        The table's rows.
    """
    with torch.no_grad():
        found = {n: predictions(desk, n) for n in desk.sizes}
    table = [row for n, (by_name, _) in found.items() for row in rows(n, by_name)]
    coarse = min(float(itself.r2.same.min()) for _, itself in found.values())
    figure = evidence.figure(f"predictors-{kind}", plot_predictors(table))
    note = (
        f"varies: sampling seed; one network of A at each N. All but the {WIENER} are sampled from {FEW_SEEDS} seeds "
        f"at {FEW_LEVELS} noise levels, as is the network beside them; the {WIENER} at so few predicts itself at "
        f"all of them with an R2 of at least {coarse:.4f}. Local posterior means cost too much above N = {LOCAL_MOST}; "
        "their windows are fixed, not fitted to the networks"
    )
    evidence.add("samples predicted in closed form by N", table, kind=kind, note=note, figures=[figure])
    return table
