"""What the exact join needs to know before it starts: the rounding margin, the rotation, the order and the strategy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.dedup.join.device import check_device
from core.dedup.join.leaves import LEAF, LEVELS, PANEL, PREFIX, remainders
from core.dedup.join.rounding import TENSOR_UNIT, TF32, UNIT64, gamma, margin
from core.dedup.sources import RowSource
from core.machine import one_blas_thread

SAMPLE = 4096  # rows from which the rotation and the cost of each strategy are estimated
_TRIED = (8, 16, 32, 48, 64, 96, 128, 192, 256)

# Rough costs in nanoseconds on one core; only speed depends on them, never the result. A pair by leaves, and more where
# its leaf is carried on to 16 and to 32 components; a column of a product and the look at it; a pair carried on alone;
# a multiplication of the rotation. Then a pair decided in float64, and for each image read for that its values and its
# pixels: half an image a pair, since pairs share images, but each image no more than so many times.
_FUSED, _CARRIED, _COLUMN, _SCAN, _SURVIVOR, _ROTATED = 0.15, (0.15, 0.25), 0.025, 0.25, 40.0, 0.05
_DECIDED, _VALUE, _PIXEL, _READ_AGAIN = 200.0, 1.0, 0.6, 8


@dataclass(frozen=True)
class Plan:
    """How to find the candidates. Every plan finds all pairs above the threshold; they differ in speed alone."""

    threshold: float
    dimension: int
    rotation: np.ndarray | None  # (d, stored) float64, columns in falling order of energy; None: the rows themselves
    fused: bool  # leaves, compared in LEVELS components first, or the product of the first ends[0] components
    ends: tuple[int, ...]  # after which components the bound is tried again; the last is the width of stored rows
    orthogonality: float = 0.0  # bound on |Q Q^T - I|_F of the whole rotation
    device: str | None = None  # an accelerator for whole products of rows cut to TF32; None: this processor

    @property
    def columns(self) -> int:
        """Width of a stored row."""
        return self.ends[-1]

    @property
    def margin(self) -> float:
        """The rounding margin of this plan's fast products."""
        units = {"unit": TENSOR_UNIT, "stored": TF32} if self.device else {}
        return margin(self.dimension, self.orthogonality, **units)

    @property
    def tau(self) -> np.float32:
        """The largest float32 number not above threshold - margin."""
        value = np.float32(self.threshold - self.margin)
        exact = float(value) <= self.threshold - self.margin
        return value if exact else np.nextafter(value, np.float32(-1), dtype=np.float32)

    @property
    def levels(self) -> np.ndarray:
        """(len(ends),) int64: after which components remainders are kept."""
        return np.array(self.ends)

    def store(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(b, d) float64 rows -> (b, columns) float32, rotated, cut or padded, and (b, len(levels)) remainders.

        With t^2 = |Q^T z|^2 - |(Q^T z)_m|^2 for what is cut off, |Q^T z|^2 <= (1 + orthogonality) |z|^2, and the
        computed squares of z and w off by less than 4 sqrt(d) gamma64_d N^2 each, the slack added here keeps the tail
        an upper bound.
        """
        stored = np.zeros((len(rows), self.columns), dtype=np.float32)
        if self.rotation is None:
            stored[:, : rows.shape[1]] = rows
            return stored, remainders(stored, np.zeros(len(rows)), self.levels)
        rotated = rows @ self.rotation
        stored[:, : rotated.shape[1]] = rotated
        slack = 2 * self.orthogonality + 8 * np.sqrt(self.dimension) * gamma(self.dimension, UNIT64)
        tails = np.maximum(0.0, np.einsum("rd,rd->r", rows, rows) - np.einsum("rd,rd->r", rotated, rotated))
        return stored, remainders(stored, tails + slack, self.levels)


def make_plan(
    sources: Sequence[RowSource], threshold: float, memory: int, prune: bool | None = None, device: str | None = None
) -> Plan:
    """Choose rotation and strategy from a sample of rows.

    Args:
        sources: one set, or two of equal dimension.
        threshold: of the join.
        memory: bytes that the plan may take; without room for a rotation the plain product is used.
        prune: force pruning by leaves (True) or the plain product (False) instead of choosing.
        device: take whole products on this accelerator instead.

    Raises:
        InputError: if the device is not there, or multiplies less precisely than its margin assumes.
    """
    d = sources[0].dimension
    if device is not None:
        return Plan(threshold, d, None, False, (max(d, PREFIX),), device=check_device(device, d))
    plain = Plan(threshold, d, None, False, (max(d, PREFIX),))
    if prune is False or not all(len(s) for s in sources) or 6 * d * d * 8 > memory:
        return plain
    count = max(2, min(SAMPLE, memory // (32 * d)))
    sample = np.concatenate([_sample(s, count // len(sources), memory // 4) for s in sources])
    learnt, unseen = sample[::2], sample[1::2]  # a rotation flatters the rows that it was learnt from
    with one_blas_thread():
        vectors = np.linalg.eigh(learnt.T @ learnt)[1][:, ::-1]
        orthogonality = float(np.linalg.norm(vectors @ vectors.T - np.eye(d)))
        orthogonality += d * gamma(d, UNIT64)  # of computing it
        a, b = (half.astype(np.float32) @ vectors.astype(np.float32) for half in (unseen[::8], unseen[1::2]))
        shares = _shares(a, b, threshold - margin(d, orthogonality))
    fused, first = (True, PREFIX) if prune else _cheapest(shares)
    if not fused and first >= d:
        return plain
    image = _VALUE * d + _PIXEL * max(math.prod(source.shape[1:]) for source in sources)
    width = _width(shares, PANEL if fused else first, sum(map(len, sources)), _pairs(sources), image)
    levels = {*(LEVELS if fused else (first, 32)), 96, width}
    ends = tuple(sorted(m for m in levels if first <= m <= width))
    return Plan(threshold, d, np.ascontiguousarray(vectors[:, :width]), fused, ends, orthogonality)


def _sample(source: RowSource, count: int, memory: int) -> np.ndarray:
    """At most `count` rows, evenly spread; rows that are not finite count as zero here and are refused later."""
    chosen = np.unique(np.linspace(0, len(source) - 1, count).astype(np.int64))
    at_once = max(1, memory // (source.image_bytes + 8 * source.dimension))
    rows = np.concatenate([source.take(chosen[low : low + at_once]) for low in range(0, len(chosen), at_once)])
    return np.where(np.isfinite(rows), rows, 0.0)


def _shares(a: np.ndarray, b: np.ndarray, tau: float) -> dict[int, float]:
    """Number of components -> share of the pairs of a and b that it leaves; where it leaves none, one more than none.

    Args:
        a: (n, d) rotated rows.
        b: (m, d), others.
        tau: what a bound has to exceed.
    """
    d = a.shape[1]
    product, done, shares = np.zeros((len(a), len(b)), dtype=np.float32), 0, {}
    for m in (*(m for m in _TRIED if m < d), d):
        product += a[:, done:m] @ b[:, done:m].T
        done = m
        bound = np.abs(product) + np.outer(*(np.linalg.norm(rows[:, m:], axis=1) for rows in (a, b)))
        shares[m] = float((np.count_nonzero(bound > tau) + 1) / (product.size + 1))
    return shares


def _cheapest(shares: dict[int, float]) -> tuple[bool, int]:
    """(fused, first end) of the strategy that should cost least, by the share of pairs that each prefix leaves."""
    d = max(shares)
    best, choice = d * _COLUMN + _SCAN, (False, d)
    options = [((False, m), m * _COLUMN + _SCAN, left) for m, left in shares.items() if m < d]
    if d > PANEL:
        alive = [1 - np.exp(-LEAF * shares[m]) for m in LEVELS[:-1]]  # leaves that are carried on
        options.append(((True, PREFIX), _FUSED + float(np.dot(alive, _CARRIED)), shares[PANEL]))
    for option, cost, left in options:
        if cost + left * _SURVIVOR < best:
            best, choice = cost + left * _SURVIVOR, option
    return choice


def _width(shares: dict[int, float], least: int, rows: int, pairs: float, image: float) -> int:
    """How many components to store: each costs its rotation, and saves pairs that are decided in float64.

    `image` is the cost of the images that are read for one of these.
    """
    d = max(shares)
    costs = {}
    for m, left in shares.items():
        decided = pairs * left
        costs[m] = rows * d * m * _ROTATED + decided * _DECIDED + min(decided, _READ_AGAIN * rows) * image
    width = min((m for m in costs if least <= m < d), key=lambda m: costs[m], default=d)
    return width if costs[width] < costs[d] else max(d, least)


def _pairs(sources: Sequence[RowSource]) -> float:
    """Number of pairs within one set, or across two."""
    n, m = len(sources[0]), len(sources[-1])
    return n * m if len(sources) > 1 else n * (n - 1) / 2


def tree_order(head: np.ndarray, leaf: int = LEAF) -> np.ndarray:
    """An order of (n, k) points in which runs of `leaf` lie close together, by halving along the widest axis."""
    order = np.arange(len(head))
    stack = [(0, len(head))]
    while stack:
        low, high = stack.pop()
        leaves = -(-(high - low) // leaf)
        if leaves < 2:
            continue
        middle = low + leaves // 2 * leaf
        points = head[order[low:high]]
        axis = int(np.argmax(points.std(0)))
        order[low:high] = order[low:high][np.argpartition(points[:, axis], middle - low)]
        stack += [(low, middle), (middle, high)]
    return order


@dataclass(frozen=True)
class Side:
    """One set of rows, ready to be joined."""

    matrix: np.ndarray  # (n, columns) float32, in input order
    rest: np.ndarray  # (n, len(levels)) float32: remainders, rounded up
    order: np.ndarray | None  # (n,) int64 in which leaves lie together; None for the product
    index: np.ndarray | None = None  # (n,) int64, ascending: numbers of the images; None where all of a source join

    def part(self, index: np.ndarray) -> Side:
        """The first rows of the arrays as the rows of the images `index`."""
        n = len(index)
        return Side(self.matrix[:n], self.rest[:n], None if self.order is None else self.order[:n], index)
