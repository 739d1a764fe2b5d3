"""Implements the duplicate rule of T 3.3: near-duplicate pairs, and which images of them stay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np

from core.errors import InputError

THRESHOLD = 0.95


RULES = ("drop-later", "representatives")


@dataclass(frozen=True)
class Pairs:
    """Near-duplicate pairs, sorted by (i, j).

    Within one set i < j; across two sets `i` counts in the first and `j` in the second. Where equal images make more
    than `core.dedup.equal.LIMIT` pairs, one of each stands for all: a pair of two first ones stands for the pairs of
    their equals too, and each further equal image is listed once, with the first (across sets: with the earliest that
    it is like). `total` counts all pairs in any case.
    """

    i: np.ndarray  # (p,) int64
    j: np.ndarray  # (p,) int64
    correlation: np.ndarray  # (p,) float64, |.| > threshold
    threshold: float
    statistics: dict[str, Any] = field(default_factory=dict, compare=False)
    first: np.ndarray | None = (
        None  # within one set, (n,) int64: the first image equal to each, where one stands for all
    )

    @property
    def total(self) -> int:
        """Number of all pairs, listed or stood for."""
        return int(self.statistics.get("pairs_in_full", len(self.i)))

    def __len__(self) -> int:
        return len(self.i)

    def above(self, threshold: float) -> Pairs:
        """The pairs above a higher threshold: no recomputation is needed.

        Raises:
            InputError: if `threshold` is below the one the pairs were found with, or one pair stands for others.
        """
        if not self.threshold <= check_threshold(threshold):
            raise InputError(f"threshold: expected at least {self.threshold}, got {threshold}")
        if "pairs_in_full" in self.statistics:
            raise InputError("threshold: equal images were taken together; search again with the higher threshold")
        stay = np.abs(self.correlation) > threshold
        return Pairs(self.i[stay], self.j[stay], self.correlation[stay], threshold, self.statistics)


@dataclass(frozen=True)
class Kept:
    """What a rule keeps of n images; `because[r]` is the pair (i, j) that removed image `removed[r]` = j."""

    kept: np.ndarray  # (k,) int64, ascending
    removed: np.ndarray  # (n - k,) int64, ascending
    because: np.ndarray  # (n - k, 2) int64
    rule: str
    orphans: int  # images removed although no kept image is like them: the chains of drop-later


def check_threshold(threshold: float) -> float:
    """`threshold` itself, or InputError unless it lies in (0, 1]."""
    if not 0.0 < threshold <= 1.0:
        raise InputError(f"threshold: expected a number in (0, 1], got {threshold}")
    return float(threshold)


def kept(pairs: Pairs, n: int, rule: str = "drop-later") -> Kept:
    """Apply a rule to the pairs of one set of n images.

    `drop-later` is the published rule: of every pair the later image goes, even where the earlier one goes too, so a
    chain i ~ j ~ k loses both j and k. `representatives` walks the images in order and drops one only if an image that
    stays is like it. The pair that removed an image is the one with its earliest partner (its earliest kept partner
    under `representatives`).

    Raises:
        InputError: for an unknown rule, or pairs that do not belong to n images.
    """
    if rule not in RULES:
        raise InputError(f"rule: expected one of {', '.join(RULES)}, got {rule!r}")
    if len(pairs) and not (pairs.i.min() >= 0 and (pairs.i < pairs.j).all() and pairs.j.max() < n):
        raise InputError(f"pairs: expected 0 <= i < j < {n}")
    if pairs.first is not None:
        return _kept_of_equals(pairs, pairs.first, n, rule)
    by_later = by_both(pairs.j, pairs.i)
    earlier, later = pairs.i[by_later], pairs.j[by_later]
    removed, orphans = (
        _representatives(earlier, later, n) if rule == "representatives" else _drop_later(earlier, later, n)
    )
    stays = removed < 0
    gone = np.flatnonzero(~stays)
    return Kept(np.flatnonzero(stays), gone, np.stack([removed[gone], gone], axis=1), rule, orphans)


def by_both(first: np.ndarray, then: np.ndarray) -> np.ndarray:
    """The order of pairs by one number and then by the other: numbers of images, far below 2^31, make one key."""
    return np.argsort(first.astype(np.int64) << 32 | then)


def _kept_of_equals(pairs: Pairs, first: np.ndarray, n: int, rule: str) -> Kept:
    """What `kept` says of all pairs, from those of first ones: an image equal to an earlier one goes with it.

    It goes in any case: because of what removed the first, which it is as much like, or else because of the first.
    """
    own = (first[pairs.i] == pairs.i) & (first[pairs.j] == pairs.j)
    result = kept(Pairs(pairs.i[own], pairs.j[own], pairs.correlation[own], pairs.threshold), n, rule)
    partner = np.full(n, -1, dtype=np.int64)
    partner[result.removed] = result.because[:, 0]
    numbers = np.arange(n)
    copies = first != numbers
    partner[copies] = np.where(partner[first[copies]] >= 0, partner[first[copies]], first[copies])
    gone = np.flatnonzero(partner >= 0)
    sizes = np.bincount(first, minlength=n)
    covered = np.zeros(n, dtype=bool)
    stays = partner < 0
    covered[pairs.j[own][stays[pairs.i[own]]]] = True
    orphans = 0 if rule == "representatives" else int(sizes[result.removed][~covered[result.removed]].sum())
    return Kept(np.flatnonzero(stays), gone, np.stack([partner[gone], gone], axis=1), rule, orphans)


@numba.njit(cache=True)
def _drop_later(earlier: np.ndarray, later: np.ndarray, n: int) -> tuple[np.ndarray, int]:
    """(n,) first partner or -1, and the number of removed images without a kept partner; pairs sorted by later."""
    removed = np.full(n, -1, dtype=np.int64)
    for p in range(len(later)):
        if removed[later[p]] < 0:
            removed[later[p]] = earlier[p]
    covered = np.zeros(n, dtype=np.bool_)
    for p in range(len(later)):
        if removed[earlier[p]] < 0:
            covered[later[p]] = True
    return removed, int(((removed >= 0) & ~covered).sum())


@numba.njit(cache=True)
def _representatives(earlier: np.ndarray, later: np.ndarray, n: int) -> tuple[np.ndarray, int]:
    """(n,) first kept partner or -1 (and no orphans, by construction); pairs sorted by later, then earlier."""
    removed = np.full(n, -1, dtype=np.int64)
    for p in range(len(later)):
        if removed[later[p]] < 0 and removed[earlier[p]] < 0:
            removed[later[p]] = earlier[p]
    return removed, 0
