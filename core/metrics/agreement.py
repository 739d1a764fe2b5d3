"""Agreement of two denoisers from the same noise, beside what different noise gives.

Measure of Kadkhodaie et al. (2024), figure 2: sample k of A against sample k of B, both started from seed k. The
same matrix of similarities gives the mismatched-seed baseline and the retrieval accuracy.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from core.errors import InputError
from core.metrics.correlation import band, correlation_matrix, remove_mean
from core.metrics.lpips import Embedding
from core.stats import CORRELATION, UNBOUNDED, Interval, bootstrap_mean, clopper_pearson

STRONG = 0.9  # "nearly identical" of the ledger's decision rules
WEAK_QUANTILE = 0.95  # of the mismatched seeds: below it, seed k says no more than another seed


@dataclass(frozen=True)
class Agreement:
    """Similarity (n, n) of sample k of A (row) with sample l of B (column); larger is more alike.

    `possible` is the least and the most that a similarity can be by its definition; intervals of its mean end there.
    """

    similarity: np.ndarray
    possible: tuple[float, float] = UNBOUNDED

    def __post_init__(self) -> None:
        shape = self.similarity.shape
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 2:
            raise InputError(f"agreement: found similarities {shape}, expected a square matrix of at least 2 seeds")
        if not np.isfinite(self.similarity).all():
            raise InputError("agreement: found missing or infinite similarities, expected none")

    @property
    def same(self) -> np.ndarray:
        """Similarity of A and B seed by seed, (n,)."""
        return np.diagonal(self.similarity).copy()

    @property
    def mismatched(self) -> np.ndarray:
        """Similarities of all ordered pairs of different seeds, (n (n - 1),)."""
        return self.similarity[~np.eye(len(self.similarity), dtype=bool)]

    @property
    def excess(self) -> np.ndarray:
        """Same-seed similarity above the mean over the mismatched pairs in which that seed takes part, (n,)."""
        s, n = self.similarity, len(self.similarity)
        return self.same - (s.sum(0) + s.sum(1) - 2 * self.same) / (2 * (n - 1))

    @property
    def weak_threshold(self) -> float:
        """95th percentile of mismatched seeds."""
        return float(np.quantile(self.mismatched, WEAK_QUANTILE))

    def hits(self) -> np.ndarray:
        """For each seed, whether B's image of it is strictly the nearest of B's images to A's, (n,) bool."""
        others = np.where(np.eye(len(self.similarity), dtype=bool), -np.inf, self.similarity)
        return self.same > others.max(axis=1)

    def mean(self, *, seed: int) -> tuple[float, Interval]:
        """Mean same-seed similarity and its interval over seeds."""
        return float(self.same.mean()), bootstrap_mean(self.same, seed=seed, over="seeds").within(self.possible)

    def mean_excess(self, *, seed: int) -> tuple[float, Interval]:
        """Mean similarity above the mismatched baseline and its interval over seeds."""
        return float(self.excess.mean()), bootstrap_mean(self.excess, seed=seed, over="seeds")

    def retrieval(self) -> tuple[float, Interval]:
        """Share of seeds retrieved (chance: 1 / n) and its exact interval."""
        hits = self.hits()
        return float(hits.mean()), clopper_pearson(int(hits.sum()), len(hits))

    def mixture(self, *, strong: float = STRONG) -> dict[str, tuple[int, float, Interval]]:
        """Seeds by class: count, share, exact interval of the share.

        `strong`: similarity above `strong`, whose default is meant for correlations; `weak`: below the 95th percentile
        of mismatched seeds (and not strong); `intermediate`: the rest.
        """
        is_strong = self.same > strong
        is_weak = (self.same < self.weak_threshold) & ~is_strong
        counts = {"strong": is_strong, "intermediate": ~is_strong & ~is_weak, "weak": is_weak}
        n = len(self.same)
        return {name: (int(k.sum()), float(k.mean()), clopper_pearson(int(k.sum()), n)) for name, k in counts.items()}


def agreement(
    a: Tensor,
    b: Tensor,
    *,
    means: tuple[Tensor, Tensor] | None = None,
    remove_group_means: bool = False,
    frequencies: tuple[float, float] | None = None,
) -> Agreement:
    """Correlation agreement of samples a and b, (n, c, h, w) each, sample k of both from seed k.

    `remove_group_means` subtracts from each group its mean image first: `means` when given (those of the training
    sets, say), else that of the samples. `frequencies` keeps one band, in cycles an image (see `band`).
    """
    if a.shape != b.shape or a.ndim != 4:
        raise InputError(f"agreement: found samples {tuple(a.shape)} and {tuple(b.shape)}, expected equal (n, c, h, w)")
    if remove_group_means:
        mean_a, mean_b = means if means is not None else (None, None)
        a, b = remove_mean(a, mean_a), remove_mean(b, mean_b)
    if frequencies is not None:
        a, b = band(a, *frequencies), band(b, *frequencies)
    return Agreement(correlation_matrix(a, b).cpu().numpy(), CORRELATION)


def perceptual_agreement(embedding: Embedding, a: Tensor, b: Tensor, *, batch: int = 32) -> Agreement:
    """Agreement by LPIPS: the similarity is minus the distance, so 0 is equal and larger is more alike.

    Samples as for `agreement`, in the range that the embedding declares. LPIPS has no absolute scale: read the excess
    over mismatched seeds and the retrieval, not `mixture` with its default.
    """
    if a.shape != b.shape:
        raise InputError(f"agreement: found samples {tuple(a.shape)} and {tuple(b.shape)}, expected equal (n, c, h, w)")
    return Agreement(-embedding.matrix(a, b, batch=batch).numpy())
