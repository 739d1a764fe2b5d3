"""Whether a denoiser turns images that it was not trained on into its own training faces (Topeza 2025, section 5.1).

Noise is added to a held-out image, and what a network makes of it is compared with the images that the network was
trained on and with those of the other group, of which there are as many. The image itself is as near to the ones as to
the others but for chance; that chance is taken off. What remains is the pull of the training images. A denoiser that
smooths correlates better with all faces, its own and the others', and pulls to neither.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from audit.measures.agreement import need_replicates
from audit.measures.networks import ORACLE_LEVELS, nearest_training
from audit.measures.record import SEED, Measures, record
from audit.measures.rules import NO_PULL_WITHIN
from audit.plots.shared import plot_rows
from core.denoisers.oracles import Gaussian, Oracle
from core.denoisers.unet import Denoiser
from core.errors import Missing
from core.metrics.known_copies import check_held_out
from core.metrics.neighbours import nearest
from core.metrics.psnr import unit_noise
from core.stats.crossed import Crossed, Weights, crossed
from fixtures.experiments.desk import GROUPS, RANDOM, Cell
from fixtures.experiments.experiment import Experiment
from reports.record import ClaimRecord

# The middle of the levels of training, and more than the contrast of a face: most of what is drawn is filled in, and
# the pose and outline of the given image can still be told.
LEVEL = 0.5
IMAGES = 64  # held-out images of a group
SMALL, LARGE = "pull at the smallest N", "pull at the largest N"
Denoisers = Mapping[str, Sequence[Denoiser]]  # by group, one a training
Pull = Mapping[str, np.ndarray]  # by group, (trainings, images)


def networks(desk: Experiment, n: int) -> Denoisers:
    """All trainings of both groups at one N."""
    return {group: [desk.denoiser(Cell(RANDOM, n, group, k)) for k in desk.trainings] for group in GROUPS}


def oracles(desk: Experiment, n: int, make: Callable[[Tensor], Oracle]) -> Denoisers:
    """Denoisers in closed form of each group's images, not told the noise level, in place of every training."""
    return {
        group: [make(desk.images(Cell(RANDOM, n, group))).blind(ORACLE_LEVELS)] * len(desk.trainings)
        for group in GROUPS
    }


def wiener(desk: Experiment, n: int) -> Denoisers:
    """The best linear denoiser of each group's images."""
    return oracles(desk, n, Gaussian.from_images)


def without(images: Tensor, others: Tensor) -> Tensor:
    """Those of the images (n, c, h, w) that do not stand, bit for bit, among others."""
    known = {image.numpy().tobytes() for image in others}
    return images[torch.tensor([image.numpy().tobytes() not in known for image in images])]


def given(desk: Experiment) -> dict[str, Tensor]:
    """Images of each group that its networks were not trained on at any N, nor the other's at the smallest N."""
    smallest = torch.cat([desk.images(Cell(RANDOM, desk.sizes[0], group)) for group in GROUPS])
    found = {group: without(x, smallest) for group, x in zip(GROUPS, desk.tests(IMAGES), strict=True)}
    if min(len(images) for images in found.values()) < 2:
        raise Missing("images that neither group's smallest set holds", "samenoise train --corpus LARGER")
    return found


def pull(desk: Experiment, n: int, denoisers: Denoisers) -> Pull:
    """How much nearer to its own training faces each image became than to the other group's, in correlation.

    By group, (trainings, images): the correlation with the nearest image of its own set minus that with the nearest of
    the other's, of the denoised image less that of the image before noise was added.
    """
    found = {}
    for group, other in zip(GROUPS, reversed(GROUPS), strict=True):
        clean = given(desk)[group]
        own, others = desk.images(Cell(RANDOM, n, group)), without(desk.images(Cell(RANDOM, n, other)), clean)
        check_held_out(clean, own)
        before = nearest_training(clean, own) - nearest_training(clean, others)
        after = [denoiser(noisy(clean)) for denoiser in denoisers[group]]
        found[group] = np.stack([nearest_training(x, own) - nearest_training(x, others) - before for x in after])
    return found


def noisy(clean: Tensor) -> Tensor:
    """The images with noise of their own."""
    return clean + LEVEL * unit_noise(clean.shape[1:], range(len(clean)), SEED)


def mean_pull(found: Pull) -> Crossed:
    """Mean over both groups, whose trainings and images vary."""
    sizes: dict[str, int] = {}
    for group, table in found.items():
        sizes |= dict(zip((f"training seeds of {group}", f"images of {group}"), table.shape, strict=True))

    def mean(weights: Weights) -> np.ndarray:
        parts = [
            ((weights[f"training seeds of {group}"] @ table) * weights[f"images of {group}"]).sum(axis=1)
            for group, table in found.items()
        ]
        return np.asarray(np.mean(parts, axis=0))

    return crossed(sizes, mean)


def pull_measures(smallest: Pull, largest: Pull) -> Measures:
    """What T-small-n-pull is judged by."""
    first, test = mean_pull(smallest), mean_pull(largest).equivalence(NO_PULL_WITHIN)
    return {SMALL: (first.estimate, first.interval()), LARGE: (test.difference, test.interval, test.pvalue)}


def record_pull(evidence: ClaimRecord, desk: Experiment, kind: str) -> None:
    """The pull of training faces by N, of the networks and of linear denoisers of the same images (T-small-n-pull)."""
    need_replicates(desk)
    found = {n: pull(desk, n, networks(desk, n)) for n in desk.sizes}
    rows = []
    for n, by_networks in found.items():
        for name, table in (("networks", by_networks), ("Wiener filters", pull(desk, n, wiener(desk, n)))):
            mean = mean_pull(table)
            interval = mean.interval()
            rows.append({"N": n, "by": name, "pull": mean.estimate, "low": interval.low, "high": interval.high})
    images = sum(len(x) for x in given(desk).values())
    varies = f"{len(desk.trainings)} training seeds a group, {images} images; the sets themselves are one draw"
    about: dict[str, Any] = {
        "kind": kind,
        "n": images * len(desk.trainings),
        "counted": "images, each by every training",
    }
    about["varies"] = varies
    figures = [evidence.figure(f"pulled-{kind}", pulled_faces(desk))]
    note = f"noise of {LEVEL:g}; correlation with the nearest image, its own set's minus the other group's"
    evidence.add("pull of training faces by N", rows, note=note, figures=figures, **about)
    measures = pull_measures(found[desk.sizes[0]], found[desk.sizes[-1]])
    record(evidence, measures, figures=figures, **about)


def pulled_faces(desk: Experiment) -> Figure:
    """Held-out images, and what networks of the smallest and largest N make of them above their nearest images."""
    clean = given(desk)[GROUPS[0]][:12]
    rows = [("held out", clean), ("with noise", noisy(clean))]
    for n in (desk.sizes[0], desk.sizes[-1]):
        train, drawn = desk.images(Cell(RANDOM, n, GROUPS[0])), desk.denoiser(Cell(RANDOM, n, GROUPS[0]))(noisy(clean))
        rows += [(f"N = {n:,}", drawn), ("nearest of these", train[nearest(drawn, train, 1).index[:, 0]])]
    return plot_rows(rows)
