"""Leaves passed over by an angle lose no pair; rows with a spectrum like photographs' against plain float64."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dedup.definition import normalised_rows
from core.dedup.equal import hashed
from core.dedup.join import plan
from core.dedup.join.leaves import BALL, LEAF, leaf_limits, leaf_panel, row_panel
from core.dedup.join.plan import make_plan, tree_order
from core.dedup.search import near_duplicates
from core.dedup.sources import ArraySource
from core.dedup.tests.duplicates import all_pairs, few, found

# Shares of energy of CelebA's photographs, 20x20: 0.49 in 4 components, 0.64 in 8, 0.84 in 32, 0.91 in 64.
ENERGY = (np.arange(1, 401) + 1.5) ** -1.6


@cache
def _axes(d: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(7).standard_normal((d, d)))[0]


def photograph_like(n: int, threshold: float, seed: int = 0, d: int = 400) -> np.ndarray:
    """(n, d) float32 rows that share a direction, with copies, negatives, zeros and pairs at the threshold."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, d)) * np.sqrt(ENERGY[:d])
    rows[:, 0] += 2 * np.sqrt(ENERGY[0])
    rows = rows @ _axes(d)
    rows -= rows.mean(1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    places = rng.permutation(n)
    for k, off in enumerate((-1e-7, -3e-8, 0.0, 3e-8, 1e-7) * 12):
        a, other = rows[places[k]], rng.standard_normal(d)
        other -= other.mean()
        other -= a * (a @ other)
        other /= np.linalg.norm(other)
        likeness = min(1.0, threshold + off)
        rows[places[n - 1 - k]] = (-1) ** k * (likeness * a + np.sqrt(1 - likeness**2) * other)
    rows[places[60:64]] = 0.0
    rows[places[64:70]] = rows[places[70:76]]
    rows[places[76:80]] = -rows[places[80:84]]
    return rows.astype(np.float32)


@pytest.mark.parametrize("threshold", [0.95, 0.9, 0.8])
@pytest.mark.parametrize("tile", [64, None])
def test_rows_like_photographs(threshold: float, tile: int | None) -> None:
    rows = photograph_like(500, threshold)
    truth = all_pairs(rows, None, threshold, 1)
    assert len(truth) > 30
    for prune in (None, True, False):
        pairs = near_duplicates(rows, threshold=threshold, prune=prune, tile=tile)
        assert found(pairs) == truth
        if prune:
            counts = pairs.statistics
            assert counts["strategy"] == "leaves"
            assert counts["pairs_past_prefix"] < counts["pairs_in_all"] / 10


def test_across_two_sets_of_rows_like_photographs() -> None:
    rows = photograph_like(500, 0.9, seed=1)
    truth = all_pairs(rows[:201], rows[201:], 0.9, 1)
    assert truth and found(near_duplicates(rows[:201], rows[201:], threshold=0.9, prune=True, tile=64)) == truth


@few
@given(
    threshold=st.sampled_from([1e-6, 0.3, 0.8, 0.95, 0.9999, 1.0]),
    seed=st.integers(0, 99),
    ordered=st.booleans(),
    n=st.sampled_from([1, 63, 64, 65, 200]),
)
def test_no_leaf_is_passed_over_that_holds_a_partner(threshold: float, seed: int, ordered: bool, n: int) -> None:
    low, centers, limits, bounds = _leaves(threshold, seed, ordered, n)
    opened = _products(low, centers) > limits
    assert opened[(bounds > threshold - 1e-4).any(axis=2)].all()


def test_leaves_without_their_angle_would_lose_pairs() -> None:
    """Planted defect: members taken to lie where their direction points."""
    low, centers, limits, bounds = _leaves(0.8, 0, True, 200)
    needed = (bounds > 0.8).any(axis=2)
    product = _products(low, centers)
    assert (product > limits)[needed].all() and not (product > limits).all()
    assert not (product > 0.8)[needed].all()


def _leaves(threshold: float, seed: int, ordered: bool, n: int) -> tuple[np.ndarray, ...]:
    """The e of rows (n, 9), directions and limits of leaves, and (n, leaves, LEAF) the bounds of all pairs."""
    rows = photograph_like(200, threshold, seed, 50)[:n]
    source = ArraySource(rows)
    plan = make_plan([source], threshold, 10**9, prune=True)
    matrix, rest = plan.store(source.rows(0, n))
    order = tree_order(matrix[:, :BALL]) if ordered else np.random.default_rng(seed).permutation(n)
    (low, _, _), longest = row_panel(matrix, order, rest)
    centers, members, member_rest = leaf_panel(matrix, order, rest)
    limits = leaf_limits(centers, members, member_rest, longest, threshold - 1e-4)
    inner = np.einsum("kn,pkj->npj", low[:BALL].astype(float), members[:, :BALL].astype(float))
    bounds = np.abs(inner) + low[BALL].astype(float)[:, None, None] * member_rest[:, 0]
    assert bounds.shape == (n, -(-n // LEAF), LEAF)
    return low.T, centers, limits, bounds


def _products(low: np.ndarray, centers: np.ndarray) -> Any:
    return np.abs(low[:, :BALL] @ centers[:, :BALL].T) + np.outer(low[:, BALL], centers[:, BALL])


def test_hashes_are_those_of_the_formula() -> None:
    rows = normalised_rows(np.random.default_rng(0).random((3, 1, 4, 4)), 4)
    factors = np.random.default_rng(0).integers(0, 2**64, (4, 33), dtype=np.uint64).tolist()
    for row, digest in zip(rows, hashed(rows), strict=True):
        words = row.view(np.uint32).tolist()
        sums = [f[0] + sum(a * b for a, b in zip(f[1:], words, strict=True)) for f in factors]
        assert digest.view(np.uint32).tolist() == [s % 2**64 >> 32 for s in sums]


def test_rows_that_differ_in_one_bit_or_in_order_have_other_hashes() -> None:
    row = normalised_rows(np.random.default_rng(1).random((1, 1, 4, 4)), 4)
    bits = [row.view(np.uint64) ^ np.eye(16, dtype=np.uint64)[k] << np.uint64(b) for k in range(16) for b in range(64)]
    others = np.concatenate([row, row[:, ::-1], *(b.view(np.float64) for b in bits)])
    assert len({digest.tobytes() for digest in hashed(others)}) == len(others) == 2 + 16 * 64
    assert (hashed(np.concatenate([row, row])) == hashed(row)).all()


@pytest.mark.parametrize("prune", [True, False])
def test_pairs_alike_in_late_components_alone_are_listed_once(prune: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of these the first components tell nothing: all depends on what is added beyond the panel, where all is kept."""
    monkeypatch.setattr(plan, "_width", lambda shares, *_: max(shares))
    rng, axes = np.random.default_rng(3), _axes(400)
    rows = rng.standard_normal((600, 64)) @ axes[:64]
    for k, (a, b) in enumerate(rng.permutation(600)[:10].reshape(5, 2)):
        rows[a], rows[b] = axes[100 + k], axes[100 + k] + 0.1 * axes[200 + k]
    pairs = near_duplicates(rows.astype(np.float32), prune=prune)
    assert found(pairs) == all_pairs(rows.astype(np.float32), None, 0.95, 1)
    assert len(pairs) == 5
