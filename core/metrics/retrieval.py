"""Two orders of the same candidates, and what an order is worth: nearest changed, rank correlation, same identity.

The reproduction re-ranks by LPIPS the ten training images nearest by correlation and says that the nearest changes
'consistently'. An unrelated order would change it in 1 - 1/k of the cases: that is the chance level here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from core.errors import InputError
from core.stats import (
    CORRELATION,
    SHARE,
    Interval,
    bootstrap_difference,
    bootstrap_mean,
    clopper_pearson,
    row_kendall,
    row_spearman,
)
from core.stats.clustered import clustered_mean, clustered_share

MEMORISED = 0.99  # correlation of a sample with its nearest training image, above which it is a copy


@dataclass(frozen=True)
class NearestChange:
    """How often a second metric's nearest candidate is not the first metric's."""

    changed: int
    n: int
    share: float
    interval: Interval  # exact binomial
    chance: float  # 1 - 1/k: that of an unrelated order


def nearest_change(first: ArrayLike, second: ArrayLike, *, clusters: ArrayLike | None = None) -> NearestChange:
    """Compare the best of k candidates under two metrics; distances (q, k), smaller is nearer (negate a similarity).

    A tie for the best under the second metric counts as changed only if the first metric's nearest is not among it.
    `clusters` (q,) names what samples are not independent of each other (the seed, where A and B share it).
    """
    a, b = _two(first, second)
    changed = b[np.arange(len(b)), a.argmin(axis=1)] > b.min(axis=1)
    k, n = int(changed.sum()), len(changed)
    interval = clustered_share(changed, np.arange(n) if clusters is None else clusters)[1]
    return NearestChange(k, n, k / n, interval, 1 - 1 / a.shape[1])


@dataclass(frozen=True)
class RankAgreement:
    """Mean over samples of the rank correlation of two orders of the sample's candidates."""

    kendall: np.ndarray  # (q,) tau-b
    spearman: np.ndarray  # (q,)
    mean_kendall: float
    kendall_interval: Interval
    mean_spearman: float
    spearman_interval: Interval


def rank_agreement(
    first: ArrayLike, second: ArrayLike, *, seed: int, clusters: ArrayLike | None = None
) -> RankAgreement:
    """Kendall's tau-b and Spearman's rho of each sample's candidates, (q, k) twice, with intervals over samples.

    With `clusters` (q,) the intervals resample those: samples of one seed are not independent of each other.
    """
    a, b = _two(first, second)
    tau, rho = row_kendall(a, b), row_spearman(a, b)
    if np.isnan(tau).any():
        bad = int(np.isnan(tau).argmax())
        raise InputError(f"candidates of sample {bad} are all at one distance: their order is undefined")
    who, over = (np.arange(len(a)), "samples") if clusters is None else (clusters, "clusters of samples")
    tau_interval, rho_interval = (
        clustered_mean(x, who, seed=seed, over=over, possible=CORRELATION)[1] for x in (tau, rho)
    )
    return RankAgreement(tau, rho, float(tau.mean()), tau_interval, float(rho.mean()), rho_interval)


def _two(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = (np.asarray(x, dtype=np.float64) for x in (first, second))
    if a.shape != b.shape or a.ndim != 2 or len(a) == 0 or a.shape[1] < 2:
        raise InputError(
            f"candidates: found distances {a.shape} and {b.shape}, expected equal (q, k) with at least two candidates"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("candidates: found missing or infinite distances, expected none")
    return a, b


def memorised(correlations: ArrayLike) -> np.ndarray:
    """Samples whose nearest training image correlates above 0.99, from (q, k) correlations: (q,) bool."""
    return np.asarray(correlations).max(axis=1) > MEMORISED


def recall_by_k(truth: ArrayLike, candidates: ArrayLike) -> list[tuple[float, Interval]]:
    """For k = 1, 2, ...: share of queries whose true nearest is among their first k candidates, with its interval.

    `truth` (q,) holds the exhaustive nearest, `candidates` (q, K) the preselection, best first. One minus the last
    value is how often preselection loses the true nearest.
    """
    t, c = np.asarray(truth), np.asarray(candidates)
    if t.ndim != 1 or c.ndim != 2 or len(t) != len(c) or len(t) == 0:
        raise InputError(f"recall: found shapes {t.shape} and {c.shape}, expected (q,) and (q, K)")
    inside = np.logical_or.accumulate(c == t[:, None], axis=1).sum(axis=0)
    return [(int(k) / len(t), clopper_pearson(int(k), len(t))) for k in inside]


@dataclass(frozen=True)
class IdentityRetrieval:
    """Same-identity retrieval: means over identities of the queries' means, with intervals over identities."""

    precision_at_1: float
    precision_interval: Interval
    mean_average_precision: float
    map_interval: Interval
    queries: int  # those with at least one other image of their identity in the gallery
    identities: int
    chance: float  # mean share of relevant images: precision at 1 of a random order
    map_chance: float  # mean average precision of a random order
    names: np.ndarray  # of the identities, sorted
    precision_by_identity: np.ndarray
    average_by_identity: np.ndarray


def identity_retrieval(
    distance: ArrayLike,
    query_identities: ArrayLike,
    gallery_identities: ArrayLike,
    *,
    seed: int,
    own: ArrayLike | None = None,
) -> IdentityRetrieval:
    """Does the nearest image show the same person? `distance` (q, n), smaller is nearer.

    `own` holds each query's place in the gallery, or -1: it is left out. Equal distances stand in the gallery's
    order. Images of one identity are not independent, hence the resampling of identities.

    Raises:
        InputError: if a query stands at distance 0 of an image of the gallery that `own` does not name.
    """
    d = np.array(distance, dtype=np.float64)
    q, g = np.asarray(query_identities), np.asarray(gallery_identities)
    if d.shape != (len(q), len(g)) or np.isnan(d).any():
        raise InputError(f"distance: found shape {d.shape} or missing values, expected ({len(q)}, {len(g)}), none")
    place = np.full(len(q), -1) if own is None else np.asarray(own)
    inside = np.flatnonzero(place >= 0)
    d[inside, place[inside]] = np.inf
    if (d == 0).any():
        row, column = np.argwhere(d == 0)[0]
        raise InputError(f"query {row} is image {column} of the gallery, expected it to be left out (see `own`)")
    order = np.argsort(d, axis=1, kind="stable")
    relevant = g[order] == q[:, None]
    relevant[inside, -1] = False  # the query itself, sorted last
    size = len(g) - (place >= 0)
    count = relevant.sum(axis=1)
    asked = count > 0
    if len(np.unique(q[asked])) < 2:
        raise InputError("identities: found fewer than 2 with another image in the gallery, expected at least 2")
    hits = np.cumsum(relevant[asked], axis=1)
    precision = np.where(relevant[asked], hits / np.arange(1, len(g) + 1), 0.0).sum(axis=1) / count[asked]
    names, label = np.unique(q[asked], return_inverse=True)
    per_identity = np.bincount(label)
    first, average = (np.bincount(label, x) / per_identity for x in (relevant[asked, 0], precision))
    return IdentityRetrieval(
        float(first.mean()),
        bootstrap_mean(first, seed=seed, over="identities").within(SHARE),
        float(average.mean()),
        bootstrap_mean(average, seed=seed, over="identities").within(SHARE),
        int(asked.sum()),
        len(names),
        float((count[asked] / size[asked]).mean()),
        float(np.mean([_by_chance(int(r), int(m)) for r, m in zip(count[asked], size[asked], strict=True)])),
        names,
        first,
        average,
    )


def _by_chance(relevant: int, n: int) -> float:
    """Expected average precision of a random order of n images of which `relevant` are.

    The image at rank i is relevant with probability r / n, and then 1 + (i - 1) (r - 1) / (n - 1) of the first i are.
    """
    ranks = np.arange(1, n + 1)
    others = (ranks - 1) * (relevant - 1) / (n - 1) if n > 1 else np.zeros(1)
    return float(((1 + others) / ranks).mean())


def retrieval_difference(
    first: IdentityRetrieval, second: IdentityRetrieval, *, seed: int
) -> dict[str, tuple[float, Interval]]:
    """Precision at 1 and mean average precision of the first minus those of the second, paired over identities."""
    if not np.array_equal(first.names, second.names):
        raise InputError(f"retrieval: found {len(first.names)} and {len(second.names)} identities, expected the same")
    pairs = {
        "precision at 1": (first.precision_by_identity, second.precision_by_identity),
        "mean average precision": (first.average_by_identity, second.average_by_identity),
    }
    return {
        name: (float((a - b).mean()), bootstrap_difference(a, b, seed=seed, paired=True, over="identities"))
        for name, (a, b) in pairs.items()
    }
