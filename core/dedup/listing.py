"""Which pairs are listed where one image of many equal ones has joined for all, and how many pairs that stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.dedup.equal import Equal, constants_across, own_correlations
from core.dedup.join.tiles import EMPTY, Found, Join
from core.dedup.pairs import by_both


@dataclass(frozen=True)
class Listing:
    """Pairs to be listed, sorted; `total` counts those that they stand for."""

    found: Found
    total: int
    first: np.ndarray | None  # within one set: what `core.dedup.pairs.Pairs.first` is


def list_pairs(found: Found, join: Join, twin: np.ndarray | None = None) -> Listing:
    """The pairs that a join has found, those of equal constant images, and those of images for which another joined.

    Args:
        found: by all tasks of the join, in any order.
        join: which knows the equal images.
        twin: across two sets, (n of the second,) int64: the image of the first that is the very same file, or -1;
            such a pair is not listed and not counted.
    """
    if join.equal is None or join.plan.threshold >= 1.0:  # above which nothing is
        return Listing(_merge(found), len(found.i), None)
    alone = join.a.index is None
    if join.second is None:
        found = _merge(found, _within(join, join.equal[0], alone))
        return Listing(found, *((len(found.i), None) if alone else _standing_within(found, join.equal[0])))
    a, b = join.equal
    i, j = constants_across(join.first, join.second, a, b)
    if alone:
        i, j = _products(i, j, a, b)
    found = _merge(found, Found(i, j, np.ones(len(i))))
    twin = np.full(len(b.first), -1) if twin is None else twin
    apart = twin[found.j] != found.i
    if alone:
        return Listing(_chosen(found, apart), int(apart.sum()), None)
    met = np.flatnonzero(twin >= 0)
    total = int((a.sizes[found.i] * b.sizes[found.j]).sum())
    total -= int(np.isin(a.first[twin[met]] * len(b.first) + b.first[met], found.i * len(b.first) + found.j).sum())
    back = np.full(len(a.first), -1)
    back[twin[met]] = met
    of_b = _covering(found.j, found.i, found.correlation, b, a, twin)
    of_a = _covering(found.i, found.j, found.correlation, a, b, back)
    every = _merge(_chosen(found, apart), Found(of_b.j, of_b.i, of_b.correlation), of_a)
    keys = every.i * len(b.first) + every.j
    once = np.ones(len(keys), dtype=bool)
    once[1:] = keys[1:] != keys[:-1]
    return Listing(_chosen(every, once), total, None)


def _within(join: Join, equal: Equal, alone: bool) -> Found:
    """Pairs that the join does not meet: of constant images, or of each image with the first that is equal to it."""
    copies = np.flatnonzero(equal.first != np.arange(len(equal.first)))
    if alone:
        copies = copies[equal.constant[copies]]
        by_first = copies[np.argsort(equal.first[copies], kind="stable")]
        groups = np.split(by_first, np.flatnonzero(np.diff(equal.first[by_first])) + 1) if len(copies) else []
        i, j = [], []
        for group in groups:
            members = np.append(equal.first[group[0]], group)
            earlier, later = np.triu_indices(len(members), 1)
            i.append(members[earlier])
            j.append(members[later])
        pairs = np.concatenate(i or [EMPTY.i]), np.concatenate(j or [EMPTY.j])
        return Found(*pairs, np.ones(len(pairs[0])))
    originals, where = np.unique(equal.first[copies], return_inverse=True)
    values = own_correlations(join.first, originals, equal.constant, join.budget.decided)
    return Found(equal.first[copies], copies, values[where])


def _standing_within(found: Found, equal: Equal) -> tuple[int, np.ndarray]:
    """How many pairs the listed ones stand for, and the first image equal to each."""
    own = (equal.first[found.i] == found.i) & (equal.first[found.j] == found.j)
    sizes = equal.sizes
    total = int((sizes[found.i[own]] * sizes[found.j[own]]).sum())
    return total + equal.pairs, equal.first


def _products(i: np.ndarray, j: np.ndarray, a: Equal, b: Equal) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of images equal to i[k] and to j[k]."""
    pairs = [np.meshgrid(np.flatnonzero(a.first == x), np.flatnonzero(b.first == y)) for x, y in zip(i, j, strict=True)]
    return tuple(np.concatenate([EMPTY.i, *(pair[side].ravel() for pair in pairs)]) for side in (0, 1))  # type: ignore[return-value]


def _covering(
    mine: np.ndarray, other: np.ndarray, correlation: np.ndarray, own: Equal, others: Equal, twin: np.ndarray
) -> Found:
    """For each image of a side that is like one of the other, the pair with the earliest that is not its own file.

    Args:
        mine: (p,) first ones of this side.
        other: (p,) first ones of the other side that they are like.
        correlation: (p,) of both.
        own: of this side.
        others: of the other side.
        twin: (n,) the image of the other side that is the very same file, or -1.
    """
    order = by_both(mine, other)
    mine, other, correlation = mine[order], other[order], correlation[order]
    firsts, starts, counts = np.unique(mine, return_index=True, return_counts=True)
    if not len(firsts):
        return EMPTY
    place = np.searchsorted(firsts, own.first).clip(max=len(firsts) - 1)
    images = np.flatnonzero(firsts[place] == own.first)
    start, several = starts[place[images]], counts[place[images]] > 1
    n = len(others.first)
    copies = np.flatnonzero(others.first != np.arange(n))
    second = np.full(n, n)  # the second image of a group
    groups, at = np.unique(others.first[copies], return_index=True)
    second[groups] = copies[at]
    after = np.where(several, np.append(other, n)[start + 1], n)
    next_best = np.minimum(second[other[start]], after)
    twinned = twin[images] == other[start]
    partner = np.where(twinned, next_best, other[start])
    where = np.where(twinned & (after < second[other[start]]), start + 1, start)
    there = partner < n
    return Found(images[there], partner[there], correlation[where[there]])


def _merge(*parts: Found) -> Found:
    return Found.merge(parts, ordered=True)


def _chosen(found: Found, which: np.ndarray) -> Found:
    return Found(found.i[which], found.j[which], found.correlation[which], found.counts)
