"""What the exact join needs to know before it starts: the rounding margin, the rotation, the order and the strategy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from core.dedup.join.device import check_device
from core.dedup.join.kernels import BALL, LEAF, PREFIX, remainders
from core.dedup.join.rounding import TENSOR_UNIT, TF32, UNIT64, gamma, margin
from core.dedup.sources import RowSource

SAMPLE = 4096  # rows from which the rotation and the cost of each strategy are estimated
CUT = 0.25  # share of 1 - threshold that the components not stored may hold on average
_LEVELS = (8, 16, 32, 64, 96, 128, 192, 256)

# Rough cost of a pair in nanoseconds on one core; only speed depends on it, never the result.
_FUSED, _COLUMN, _SCAN, _SURVIVOR = 0.4, 0.025, 0.25, 40.0


@dataclass(frozen=True)
class Plan:
    """How to find the candidates. Every plan finds all pairs above the threshold; they differ in speed alone."""

    threshold: float
    dimension: int
    rotation: np.ndarray | None  # (d, stored) float64, columns in falling order of energy; None: the rows themselves
    fused: bool  # leaves and a compiled prefix of PREFIX components, or the product of the first ends[0] components
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
        """(1 + len(ends),) int64: after which components remainders are kept, the ball's first."""
        return np.array((min(BALL, self.columns), *self.ends))

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
        rotated = (torch.from_numpy(rows) @ torch.from_numpy(self.rotation)).numpy()
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
    sample = torch.from_numpy(np.concatenate([_sample(s, count // len(sources), memory // 4) for s in sources]))
    learnt, unseen = sample[::2], sample[1::2].contiguous()  # a rotation flatters the rows that it was learnt from
    with one_thread():
        _, vectors = torch.linalg.eigh(learnt.T @ learnt)
        orthogonality = float(torch.linalg.norm(vectors @ vectors.T - torch.eye(d, dtype=torch.float64)))
    rotation = vectors.flip(1).contiguous().numpy()
    orthogonality += d * gamma(d, UNIT64)  # of computing it
    rotated = np.zeros((len(unseen), max(d, PREFIX)), dtype=np.float32)
    rotated[:, :d] = (unseen @ torch.from_numpy(rotation)).numpy()
    fused, first = (True, PREFIX) if prune else _cheapest(rotated, threshold - margin(d, orthogonality))
    if not fused and first >= d:
        return plain
    energies = np.square(rotated, dtype=np.float64).sum(0)
    kept = np.cumsum(energies) / max(float(energies.sum()), 1e-300)
    width = int(np.searchsorted(kept, 1 - (1 - threshold) * CUT)) + 1  # what is cut off blurs a pair by CUT (1 - t)
    width = max(-(-width // 16) * 16, first)
    width = width if 2 * width < d else max(d, PREFIX)
    ends = (first, *(m for m in (32, 96) if first < m < width), width)
    return Plan(threshold, d, rotation[:, :width].copy(), fused, tuple(dict.fromkeys(ends)), orthogonality)


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold torch to one thread: in small matrices, waiting for a second costs more than it brings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _sample(source: RowSource, count: int, memory: int) -> np.ndarray:
    """At most `count` rows, evenly spread; rows that are not finite count as zero here and are refused later."""
    chosen = np.unique(np.linspace(0, len(source) - 1, count).astype(np.int64))
    at_once = max(1, memory // (source.image_bytes + 8 * source.dimension))
    rows = np.concatenate([source.take(chosen[low : low + at_once]) for low in range(0, len(chosen), at_once)])
    return np.where(np.isfinite(rows), rows, 0.0)


def _cheapest(rotated: np.ndarray, tau: float) -> tuple[bool, int]:
    """(fused, first end) of the strategy that should cost least, by the share of sampled pairs each prefix leaves."""
    d = rotated.shape[1]
    a, b = rotated[::8], rotated[1::2]
    best, choice = d * _COLUMN + _SCAN, (False, d)
    product, done = np.zeros((len(a), len(b)), np.float32), 0
    for m in (m for m in _LEVELS if m < d):
        product += a[:, done:m] @ b[:, done:m].T
        done = m
        rests = [np.linalg.norm(x[:, m:], axis=1) for x in (a, b)]
        left = float(np.mean(np.abs(product) + np.outer(*rests) > tau)) if product.size else 0.0
        options = [((False, m), m * _COLUMN + _SCAN)] + ([((True, m), _FUSED)] if m == PREFIX else [])
        for option, cost in options:
            if cost + left * _SURVIVOR < best:
                best, choice = cost + left * _SURVIVOR, option
    return choice


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
