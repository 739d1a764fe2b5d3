"""Whether two denoisers draw the same image from the same noise: across halves, beside a ceiling and a floor.

The ceiling is what two trainings on the same images agree by, which differ in their seed alone: A and B cannot be
expected to agree more. The floor is what two linear denoisers agree by, the Wiener filters of each half's mean and
covariance, sampled from the same noise. What agreement shows beyond that is the same-noise correlation of what the
Wiener sample of all images together leaves of each sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.measures.networks import ORACLE_LEVELS, nearest_training, oracle_samples
from audit.measures.record import SEED, Measures
from audit.measures.rules import COPY_CORRELATION, NOT_COPIES_BELOW, RESIDUAL_WITHIN, SAME_WITHIN
from core.denoisers.oracles import Gaussian
from core.denoisers.sampling import start_mean
from core.errors import Missing
from core.metrics.agreement import WEAK_QUANTILE, Agreement, agreement
from core.metrics.replicates import Replicates, across, within
from core.metrics.residuals import explained, residual_agreement
from core.stats import CORRELATION, SHARE, Interval
from core.stats.crossed import SAMPLING, SIDE_A, SIDE_B, Crossed, ceiling_gap, crossed_mean, crossed_pairs_mean
from core.training.cells import GROUPS, RANDOM, Cell
from fixtures.experiments.experiment import PUBLISHED, SAMPLERS, Experiment
from reports.record import ClaimRecord

FACTORS = (SIDE_A, SIDE_B, SAMPLING)
LEAST_TRAININGS = 3  # that an interval over trainings takes


@dataclass(frozen=True)
class Compared:
    """Similarities of all trainings of A and B at one N, from the same noise.

    Attributes:
        halves: every training of A with every one of B.
        same_a, same_b: trainings on the same images with each other.
    """

    halves: Replicates
    same_a: Replicates
    same_b: Replicates

    @property
    def agreement(self) -> Crossed:
        """Mean agreement across halves."""
        return crossed_mean(self.halves.same, FACTORS, possible=CORRELATION)

    @property
    def ceilings(self) -> tuple[Crossed, Crossed]:
        """Mean agreement of two trainings on A's images, and on B's."""
        a, b = (crossed_pairs_mean(each.same, possible=CORRELATION) for each in (self.same_a, self.same_b))
        return a, b

    @property
    def gap(self) -> Crossed:
        """The ceiling minus the agreement across halves."""
        return ceiling_gap(self.same_a.same, self.same_b.same, self.halves.same)

    @property
    def above_mismatched(self) -> Crossed:
        """Agreement across halves minus the 95th percentile of mismatched seeds."""
        return crossed_mean(self.halves.same - self.halves.weak_threshold, FACTORS)


@dataclass(frozen=True)
class Floor:
    """What one Gaussian explains at one N: Wiener samples of the same noise.

    Attributes:
        agreement: of the Wiener filters of A's and of B's images.
        share: of each network's sample that the Wiener filter of all images explains, (trainings of both, seeds).
        mismatched: the same from another seed, (m,).
    """

    agreement: Agreement
    share: np.ndarray
    mismatched: np.ndarray


@dataclass(frozen=True)
class AtSize:
    """Everything that agreement is read from at one N, by one sampler; `near` is (trainings of both, seeds)."""

    n: int
    plain: Compared
    residual: Compared
    floor: Floor
    near: np.ndarray

    @property
    def copies(self) -> float:
        """Share of samples that are training images, over both groups and all trainings."""
        return float((self.near > COPY_CORRELATION).mean())


def need_replicates(desk: Experiment) -> None:
    """Raise Missing unless every model was trained often enough that trainings can be told from sets."""
    if len(desk.trainings) < LEAST_TRAININGS:
        raise Missing(
            f"{LEAST_TRAININGS} trainings of every model from seeds of their own (found {len(desk.trainings)}): with "
            "one, it is not known how much two trainings differ",
            f"samenoise train --trainings {LEAST_TRAININGS} --runs {desk.root}, with the options of the first",
        )


def samples_of(desk: Experiment, protocol: str, n: int, group: str, **how: Any) -> list[Tensor]:
    """Samples of every training of one group, (seeds, c, h, w) each."""
    return [desk.samples(Cell(protocol, n, group, k), **how) for k in desk.trainings]


def compared(a: Sequence[Tensor], b: Sequence[Tensor], wiener: Tensor | None = None) -> Compared:
    """All trainings of A and B with each other; `wiener` samples leave their part of every sample out."""
    measure = agreement if wiener is None else partial(residual_agreement, wiener=wiener)
    return Compared(across(a, b, measure), within(a, measure), within(b, measure))


def halves(desk: Experiment, protocol: str, n: int, **how: Any) -> Replicates:
    """Every training of A with every one of B."""
    a, b = (samples_of(desk, protocol, n, group, **how) for group in GROUPS)
    return across(a, b)


def beside(found: Measures) -> Measures:
    """What Heun's method shows, named apart from what the published sampler does, by which T's rows are judged."""
    return {f"{name}, sampler without noise": item for name, item in found.items()}


def at_size(desk: Experiment, n: int, sampler: str = PUBLISHED) -> AtSize:
    """Agreement, ceiling, floor and what is beyond it, of random halves of `n` images."""
    need_replicates(desk)
    a, b = (samples_of(desk, RANDOM, n, group, sampler=sampler) for group in GROUPS)
    return from_samples(desk, n, a, b, sampler)


def from_samples(desk: Experiment, n: int, a: Sequence[Tensor], b: Sequence[Tensor], sampler: str) -> AtSize:
    """What these samples of A and B show, beside the Wiener samples of the random halves of `n` images."""
    images = [desk.images(Cell(RANDOM, n, group)) for group in GROUPS]
    return assembled(n, a, b, images, [wiener_samples(desk, x, sampler) for x in (*images, torch.cat(images))])


def assembled(
    n: int, a: Sequence[Tensor], b: Sequence[Tensor], images: Sequence[Tensor], wiener: Sequence[Tensor]
) -> AtSize:
    """Everything that agreement is read from.

    Args:
        n: images of a half.
        a, b: samples of every training of A and of B, (seeds, c, h, w) each, sample k of all from seed k.
        images: of A and of B.
        wiener: Wiener samples of the images of A, of B and of both together, from the same noise.
    """
    shares = [explained(x, wiener[-1]) for x in (*a, *b)]
    floor = Floor(
        agreement(wiener[0], wiener[1]),
        np.stack([share.same for share in shares]),
        np.concatenate([share.mismatched for share in shares]),
    )
    near = np.stack([nearest_training(x, own) for group, own in zip((a, b), images, strict=True) for x in group])
    return AtSize(n, compared(a, b), compared(a, b, wiener[-1]), floor, near)


def wiener_samples(desk: Experiment, images: Tensor, sampler: str) -> Tensor:
    """Samples of the best linear denoiser of `images`, from the noise of every seed about their mean."""
    oracle, mean = Gaussian.from_images(images), start_mean("group", images)
    return oracle_samples(desk, oracle, ORACLE_LEVELS, mean, sampler)


def first_without_copies(sizes: Sequence[AtSize]) -> AtSize:
    """The smallest N at which fewer than half of the samples are training images, or else the largest."""
    return next((size for size in sizes if size.copies < NOT_COPIES_BELOW), sizes[-1])


def independence_measures(sizes: Sequence[AtSize]) -> Measures:
    """What the rule 'independent of the sample' is judged by; sizes rise."""
    last, first = sizes[-1].plain.gap, first_without_copies(sizes).plain.gap
    test = last.equivalence(SAME_WITHIN)
    return {
        "ceiling minus agreement, largest N": (test.difference, test.interval, test.pvalue),
        "ceiling minus agreement, smallest N without copies": told(first),
    }


def beyond_measures(largest: AtSize) -> Measures:
    """What the rule 'more than shared mean and covariance' is judged by."""
    test = largest.residual.gap.equivalence(RESIDUAL_WITHIN)
    return {
        "agreement of residuals above mismatched seeds": told(largest.residual.above_mismatched),
        "ceiling minus agreement of residuals": (test.difference, test.interval, test.pvalue),
    }


def told(found: Crossed) -> tuple[float, Interval]:
    """An estimate and its interval over everything that varies."""
    return found.estimate, found.interval()


def table(size: AtSize, sampler: str) -> list[dict[str, Any]]:
    """One row a quantity: mean, interval, and the mean and 95th percentile of mismatched seeds."""
    floor, share = size.floor.agreement, crossed_mean(size.floor.share, ("trainings", SAMPLING), possible=SHARE)
    ceiling_a, ceiling_b = size.plain.ceilings
    residual_a, residual_b = size.residual.ceilings
    mean, interval = floor.mean(seed=SEED)
    plain = {
        "A with B": (*told(size.plain.agreement), size.plain.halves.mismatched),
        "ceiling, A with A'": (*told(ceiling_a), size.plain.same_a.mismatched),
        "ceiling, B with B'": (*told(ceiling_b), size.plain.same_b.mismatched),
        "floor, Wiener of A with Wiener of B": (mean, interval, floor.mismatched),
        "share explained by the Wiener sample": (*told(share), size.floor.mismatched),
        "residuals, A with B": (*told(size.residual.agreement), size.residual.halves.mismatched),
        "residuals, A with A'": (*told(residual_a), size.residual.same_a.mismatched),
        "residuals, B with B'": (*told(residual_b), size.residual.same_b.mismatched),
    }
    return [
        {
            "N": size.n,
            "sampler": sampler,
            "measure": name,
            "value": value,
            "low": interval.low,
            "high": interval.high,
            "mismatched": float(other.mean()),
            "mismatched, 95th percentile": float(np.quantile(other, WEAK_QUANTILE)),
        }
        for name, (value, interval, other) in plain.items()
    ]


@cache
def by_sampler(desk: Experiment) -> Mapping[str, list[AtSize]]:
    """Every N by both samplers, sizes rising; measured once a run."""
    return {sampler: [at_size(desk, n, sampler) for n in desk.sizes] for sampler in SAMPLERS}


def record_by_size(
    evidence: ClaimRecord, sizes: Mapping[str, Sequence[AtSize]], kind: str, figures: Sequence[str]
) -> None:
    """Agreement, ceiling, floor and residuals by N and sampler as one table; no check hangs on it."""
    rows = [row for sampler, found in sizes.items() for size in found for row in table(size, sampler)]
    note = (
        "mean over all pairs of trainings and sampling seeds, interval over both (jackknife, Satterthwaite's t; the "
        "floor, which has no training, over sampling seeds); mean and 95th percentile of mismatched seeds"
    )
    evidence.add("agreement, ceiling and floor by N", rows, kind=kind, note=note, figures=list(figures))
    copies = [
        {"N": size.n, "sampler": sampler, "samples that are training images": size.copies}
        for sampler, found in sizes.items()
        for size in found
    ]
    evidence.add("share of copies by N", copies, kind=kind)
