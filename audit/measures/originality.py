"""Whether samples lie nearer to the training images than new images do, by LPIPS and by correlation (T 5.4, 6.3, 7).

A distance to the nearest training image says little by itself: an image that nobody was trained on has one as well. The
distances of samples are therefore divided by those of held-out images, to the same training images and by the same
metric, which also makes two metrics comparable. Distance by correlation is one minus the correlation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from audit.measures.agreement import need_replicates, samples_of
from audit.measures.lpips_neighbours import HELD_OUT, lpips_neighbours
from audit.measures.networks import nearest_training
from audit.measures.record import Measures, over_seeds, record
from audit.measures.rules import COPY_CORRELATION, NEW_IMAGE_WITHIN, NOT_COPIES_BELOW
from audit.plots.shared import plot_rows
from core.errors import Missing
from core.metrics.lpips import Embedding
from core.metrics.neighbours import Neighbours, nearest
from core.stats import Interval
from core.stats.crossed import SAMPLING, Weights, crossed
from fixtures.experiments.desk import GROUPS, RANDOM, Cell
from fixtures.experiments.experiment import Experiment
from reports.record import ClaimRecord

TRAININGS, NEW = "training seeds", "held-out images"
LPIPS, CORRELATION = "LPIPS", "correlation"
OVER_NEW, AS_NEW = "distance to the nearest by {}, samples over new", "by LPIPS samples are as far as new images"
NEARER, AS_FAR, FARTHER, UNDECIDED = "nearer than a new image", "as far as a new image", "farther", "undecided"
Change = Callable[[Weights], np.ndarray]  # from weights of what varies to estimates (m,)


@dataclass(frozen=True)
class Distances:
    """To the nearest training image, by one metric: of samples (trainings, seeds) and of held-out images (images,)."""

    samples: np.ndarray
    held_out: np.ndarray


@dataclass(frozen=True)
class Nearness:
    """Distances by both metrics; what correlates above `rules.copies` with a training image is left out of each."""

    lpips: Distances
    correlation: Distances

    @property
    def kept(self) -> Distances:
        """1 for what is not a copy of a training image, 0 for what is."""
        limit = 1 - COPY_CORRELATION
        far = (self.correlation.samples >= limit, self.correlation.held_out >= limit)
        return Distances(*(kept.astype(float) for kept in far))


def nearness(
    samples: Sequence[Tensor], held_out: Tensor, train: Tensor, lpips: tuple[np.ndarray, np.ndarray]
) -> Nearness:
    """Both distances of the samples (seeds, c, h, w) of every training and of held-out images; those by LPIPS given."""
    near = np.stack([nearest_training(x, train) for x in samples])
    return Nearness(Distances(*lpips), Distances(1 - near, 1 - nearest_training(held_out, train)))


def nearness_of(desk: Experiment, embedding: Embedding) -> Nearness:
    """Of the samples of all trainings of A at the largest N, over all of its training images."""
    cell = Cell(RANDOM, desk.sizes[-1], GROUPS[0])
    found = lpips_neighbours(desk, embedding, cell)
    lpips = np.stack([first(each) for each in found.trainings]), first(found.held_out)
    samples = [x.clamp(0, 1) for x in samples_of(desk, RANDOM, cell.n, cell.group)]
    return nearness(samples, desk.tests(HELD_OUT)[0], desk.images(cell), lpips)


def first(found: Neighbours) -> np.ndarray:
    """Distance of the nearest, (n,)."""
    return found.value[:, 0].numpy()


def originality_measures(found: Nearness) -> Measures:
    """What T-originality is judged by: how much nearer than new images samples are, by share of the distance.

    Raises:
        Missing: if most samples are copies of training images: of the others there are too few to tell.
    """
    kept = found.kept
    if min(kept.samples.mean(), kept.held_out.mean()) < NOT_COPIES_BELOW:
        raise Missing("samples most of which are not training images", "samenoise train with more images")
    by = {name: partial(relative, of, kept) for name, of in ((LPIPS, found.lpips), (CORRELATION, found.correlation))}
    sizes = dict(zip((TRAININGS, SAMPLING, NEW), (*kept.samples.shape, len(kept.held_out)), strict=True))
    changes: dict[str, Change] = {OVER_NEW.format(name): change for name, change in by.items()}
    changes["the same, LPIPS minus correlation"] = lambda weights: by[LPIPS](weights) - by[CORRELATION](weights)
    each = {name: crossed(sizes, change) for name, change in changes.items()}
    found_by: Measures = {name: (value.estimate, value.interval()) for name, value in each.items()}
    return found_by | {AS_NEW: in_words(each[OVER_NEW.format(LPIPS)].interval()) == AS_FAR}


def relative(of: Distances, kept: Distances, weights: Weights) -> np.ndarray:
    """Mean distance of samples over that of new images, minus 1, (m,): below 0 samples are nearer."""
    i, j, k = weights[TRAININGS], weights[SAMPLING], weights[NEW]

    def mean(values: np.ndarray) -> np.ndarray:
        return ((i @ values) * j).sum(axis=1)

    samples = mean(of.samples * kept.samples) / mean(kept.samples)
    new = (k @ (of.held_out * kept.held_out)) / (k @ kept.held_out)
    return np.asarray(samples / new - 1)


def in_words(interval: Interval) -> str:
    """The rule's word for where samples are, by a metric."""
    if interval.high < 0:
        return NEARER
    if max(-interval.low, interval.high) <= NEW_IMAGE_WITHIN:
        return AS_FAR
    return FARTHER if interval.low > 0 else UNDECIDED


def record_originality(evidence: ClaimRecord, desk: Experiment, kind: str, *, lpips: Embedding) -> None:
    """How near the samples of the largest N are to training images, beside new images (T-originality)."""
    need_replicates(desk)
    found = nearness_of(desk, lpips)
    measures = originality_measures(found)
    kept, pairs = found.kept, ((LPIPS, found.lpips), (CORRELATION, found.correlation))
    rows = [
        {
            "by": name,
            "samples": float(np.average(of.samples, weights=kept.samples)),
            "new images": float(np.average(of.held_out, weights=kept.held_out)),
            "samples are": in_words(measures[OVER_NEW.format(name)][1]),
        }
        for name, of in pairs
    ]
    copies = int((kept.samples == 0).sum()), int((kept.held_out == 0).sum())
    note = (
        f"copies left out: {copies[0]} of {kept.samples.size} samples, {copies[1]} of {len(kept.held_out)} new images"
    )
    varies = f"{len(desk.trainings)} training seeds, {len(desk.seeds)} sampling seeds, {len(kept.held_out)} new images"
    about: dict[str, Any] = {**over_seeds(desk), "kind": kind, "n": int(kept.samples.sum()), "counted": "samples"}
    about["varies"] = varies
    figures = [evidence.figure(f"nearest-{kind}", nearest_faces(desk, lpips))]
    evidence.add("mean distance to the nearest training image", rows, note=note, figures=figures, **about)
    record(evidence, measures, note=note, figures=figures, **about)


def nearest_faces(desk: Experiment, lpips: Embedding) -> Figure:
    """Samples and new images above their nearest training images by both metrics."""
    cell = Cell(RANDOM, desk.sizes[-1], GROUPS[0])
    train, found = desk.images(cell), lpips_neighbours(desk, lpips, cell)
    rows = []
    for name, images, near in (
        ("samples", desk.samples(cell).clamp(0, 1), found.samples),
        ("new images", desk.tests(HELD_OUT)[0], found.held_out),
    ):
        few = images[:12]
        by_correlation = train[nearest(few, train, 1).index[:, 0]]
        rows += [(name, few), ("by correlation", by_correlation), ("by LPIPS", train[near.index[:12, 0]])]
    return plot_rows(rows)
