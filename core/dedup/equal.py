"""Images with equal rows: found by hash, verified, and taken together before the join where they are many.

A picture that stands n times in a set makes n (n - 1) / 2 pairs, which no join should decide one by one and no table
hold. Where equal rows make more than `LIMIT` such pairs, one of each joins for all, and the result lists each other
one with the first (`core.dedup.listing`); its statistics say for how many pairs that stands.

Constant images have no correlation, their rows are zero. They are compared by their pixels, and count as correlated
by 1 where these are equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from core.dedup.definition import correlations
from core.dedup.join.rounding import UNIT64, gamma
from core.dedup.sources import RowSource

LIMIT = 2**18  # pairs of equal rows that the join still decides one by one
KEY_BYTES = 16
_SORTING = 64  # bytes an image while keys are sorted


@dataclass(frozen=True)
class Equal:
    """Which images of a set have equal rows.

    Attributes:
        first: (n,) int64, the number of the first image with the same row, its own for most.
        constant: (n,) bool, whether the row is zero; then `first` is by pixels.
    """

    first: np.ndarray
    constant: np.ndarray

    @property
    def representatives(self) -> np.ndarray:
        """(m,) int64 numbers of the images that are equal to none before them."""
        return np.flatnonzero(self.first == np.arange(len(self.first)))

    @property
    def sizes(self) -> np.ndarray:
        """(n,) int64, how many images have the row of each representative, itself included; else 0."""
        return np.bincount(self.first, minlength=len(self.first))

    @property
    def pairs(self) -> int:
        """Number of pairs of images with equal rows."""
        sizes = self.sizes
        return int((sizes * (sizes - 1) // 2).sum())


@dataclass(frozen=True)
class Keys:
    """Hashes of rows, noted while they are read.

    Attributes:
        hashes: (n, KEY_BYTES) uint8, of the row; of the pixels where the row is zero.
        zero: (n,) bool, whether the row is zero.
    """

    hashes: np.ndarray
    zero: np.ndarray

    @classmethod
    def of(cls, n: int) -> Keys:
        """Room for n rows, in memory."""
        return cls(np.empty((n, KEY_BYTES), dtype=np.uint8), np.empty(n, dtype=bool))

    def note(self, source: RowSource, rows: np.ndarray, low: int) -> None:
        """Hash the rows (k, d) of the images from `low` on."""
        zero = np.logical_not(np.any(rows != 0, axis=1))
        self.zero[low : low + len(rows)] = zero
        self.hashes[low : low + len(rows)] = hashed(rows)
        for r in np.flatnonzero(zero).tolist():
            digest = hashlib.blake2b(_pixels(source, low + r), digest_size=KEY_BYTES, person=b"pixels").digest()
            self.hashes[low + r] = np.frombuffer(digest, dtype=np.uint8)


def hashed(rows: np.ndarray) -> np.ndarray:
    """Implements multilinear hashing (Lemire and Kaser 2014) of float64 rows (k, d): (k, KEY_BYTES) uint8.

    Two different rows share the 128 bits with a probability of 2^-128 over the factors, which are drawn once for all.
    Nobody has to trust it: rows of one hash are compared themselves (`find_equal`).
    """
    words = np.ascontiguousarray(rows).view(np.uint32)
    factors = np.random.default_rng(0).integers(0, 2**64, (KEY_BYTES // 4, words.shape[1] + 1), dtype=np.uint64)
    out = np.empty((len(rows), KEY_BYTES // 4), dtype=np.uint32)
    _multilinear(words, factors, out)
    return out.view(np.uint8)


@numba.njit(nogil=True, cache=True)
def _multilinear(words: np.ndarray, factors: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` (k, m) with the upper halves of f_0 + sum of f_i w_i modulo 2^64, for m sets of factors."""
    for r in range(len(words)):
        for h in range(len(factors)):
            s = factors[h, 0]
            for w in range(words.shape[1]):
                s += factors[h, w + 1] * np.uint64(words[r, w])
            out[r, h] = s >> np.uint64(32)


def _pixels(source: RowSource, number: int) -> bytes:
    """The values of one image as bytes, equal for equal numbers of whatever type."""
    values = source.values(np.array([number]))
    wide = values.dtype.kind in "iu" and values.dtype.itemsize == 8
    return (values if wide else values.astype(np.float64) + 0.0).tobytes()  # no negative zero


def find_equal(source: RowSource, keys: Keys, memory: int, at_once: int) -> Equal:
    """Group the images of a source by their keys, and compare the rows or pixels of each group themselves.

    Args:
        source: of the images; those in its `bad` are equal to none.
        keys: of all its images.
        memory: bytes for sorting keys, a part at a time.
        at_once: images read at a time.
    """
    n = len(keys.zero)
    first = np.arange(n)
    parts = max(1, -(-n * _SORTING // memory))
    high, low = (np.ascontiguousarray(keys.hashes[:, k : k + 8]).view("<u8")[:, 0] for k in (0, 8))
    for part in range(parts):
        chosen = np.flatnonzero(high % np.uint64(parts) == part) if parts > 1 else np.arange(n)
        order = chosen[np.lexsort((low[chosen], high[chosen]))]  # stable: within a group in their own order
        begins = np.ones(len(order), dtype=bool)
        begins[1:] = (high[order[1:]] != high[order[:-1]]) | (low[order[1:]] != low[order[:-1]])
        starts = np.flatnonzero(begins)
        first[order] = order[starts[np.cumsum(begins) - 1]]
    zero = np.array(keys.zero)
    bad = np.array(sorted(getattr(source, "bad", ())), dtype=np.int64)
    first[bad], zero[bad] = bad, False
    copies = np.flatnonzero(first != np.arange(n))
    for begin in range(0, len(copies), max(1, at_once)):
        some = copies[begin : begin + max(1, at_once)]
        other = some[~_same(source, some, first[some], zero[some])]
        first[other] = other
    return Equal(first, zero)


def _same(source: RowSource, a: np.ndarray, b: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """(k,) whether images a[k] and b[k] have equal rows, or equal pixels where the row is zero."""
    originals, where = np.unique(b, return_inverse=True)
    same = (source.take(a) == source.take(originals)[where]).all(axis=1)
    for k in np.flatnonzero(zero):
        same[k] = _pixels(source, a[k]) == _pixels(source, b[k])
    return same


def worth_collapsing(sides: Sequence[Equal], threshold: float, dimension: int) -> bool:
    """Whether equal rows are so many that one of each should join for all.

    A row of the definition correlates with itself by more than 1 - 4 gamma_{d+8}; where the threshold lies between
    that and 1 it is not known beforehand whether equal images count, and each is decided.
    """
    decided = threshold >= 1.0 or threshold < 1.0 - 4 * gamma(dimension + 8, UNIT64)
    return decided and sum(side.pairs for side in sides) > LIMIT


def own_correlations(source: RowSource, numbers: np.ndarray, constant: np.ndarray, at_once: int) -> np.ndarray:
    """(k,) float64 correlation of each image with a copy of itself: about 1, and 1 for constant images."""
    out = np.ones(len(numbers))
    for low in range(0, len(numbers), max(1, at_once)):
        part = slice(low, low + max(1, at_once))
        rows = source.take(numbers[part])
        place = np.arange(len(rows))
        out[part] = correlations(rows, rows, place, place)
    out[constant[numbers]] = 1.0
    return out


def constants_across(first: RowSource, second: RowSource, a: Equal, b: Equal) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (i, j) of representatives of two sets that are constant and have equal pixels."""
    places = {_pixels(first, i): i for i in a.representatives[a.constant[a.representatives]].tolist()}
    met = [(places.get(_pixels(second, j), -1), j) for j in b.representatives[b.constant[b.representatives]].tolist()]
    pairs = np.array([pair for pair in met if pair[0] >= 0], dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
