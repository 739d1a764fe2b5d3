"""Leaves of neighbouring rows: laid out for the compiled join, and the one test that passes over a whole leaf.

Take of each row e = (y_m, r): its first m = BALL components and its remainder, rounded up. A pair that exceeds `tau`
has <(+-y_m, r), (y'_m, r')> > tau for one of the signs (Cauchy-Schwarz). Let c be a direction of length one, and write
e' = R (cos t c + sin t w) with w of length one and perpendicular to c. For e of length at most A with <e, c> = A cos p
the part of e perpendicular to c is at most A sin p long, so that <e, e'> <= A R cos(p - t). Hence a row has a partner
in a leaf only if cos(p - t) > tau / (A R), that is, if p < t + arccos(tau / (A R)), or <e, c> > A cos(t + arccos(tau /
(A R))), where t and R are the largest of the leaf: one product of m + 1 numbers against one number. Members with
A R <= tau, such as rows of zeros, have no partner and do not count.
"""

from __future__ import annotations

import numba
import numpy as np

LEAF = 64  # rows that fall together to one test
BALL = 8  # components in which a leaf has a direction and an angle
PREFIX = 8  # components after which the members of an opened leaf are first looked at
PANEL = 32  # components in which they are compared together; the bound is tried after 8, 16 and 32
LEVELS = (8, 16, 32)
PANELS = len(LEVELS) - 1  # number of the last of them
LAYOUT = (LEAF, PREFIX, *LEVELS)  # what the join is compiled for
ROUND_UP = 1 + 2.0**-20  # more than the rounding of a float64 norm to float32 and of the few operations after it

# Of A. The float32 product of BALL + 1 numbers is off by at most 11 units of 2^-24, |c| by 2 of them, arccos near 1 by
# 1e-7 in float64; these come to less than 2^-19.
_SLACK = 2.0**-18


@numba.njit(nogil=True, cache=True)
def remainders(stored: np.ndarray, tails: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Norms of what lies beyond each end, (n, len(ends)) float32, rounded up.

    Args:
        stored: (n, columns) float32 rows.
        tails: (n,) squared norms of what is not stored.
        ends: after which components; the last is `columns`.
    """
    n = len(stored)
    out = np.empty((n, len(ends)), dtype=np.float32)
    for r in range(n):
        tail = tails[r]
        k = stored.shape[1]
        for level in range(len(ends) - 1, -1, -1):
            square = 0.0
            for column in range(ends[level], k):
                square += np.float64(stored[r, column]) * np.float64(stored[r, column])
            tail += square
            k = ends[level]
            out[r, level] = np.float32(np.sqrt(tail) * ROUND_UP)
    return out


@numba.njit(nogil=True, cache=True)
def row_panel(
    matrix: np.ndarray, index: np.ndarray, rest: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], float]:
    """The rows `index` laid out for the compiled join, and the largest |e| among them.

    Returns:
        ((BALL + 1, b) the e of each row, (b, PANEL) first components, (b, levels) remainders after each of LEVELS), A.
    """
    n = len(index)
    low = np.empty((BALL + 1, n), dtype=np.float32)
    head = np.empty((n, PANEL), dtype=np.float32)
    rests = np.empty((n, PANELS + 1), dtype=np.float32)
    longest = 0.0
    for i in range(n):
        row = index[i]
        head[i] = matrix[row, :PANEL]
        rests[i] = rest[row, : PANELS + 1]
        low[BALL, i] = rests[i, 0]
        square = np.float64(rests[i, 0]) ** 2
        for k in range(BALL):
            low[k, i] = head[i, k]
            square += np.float64(head[i, k]) ** 2
        longest = max(longest, square)
    return (low, head, rests), np.sqrt(longest) * (1 + 2.0**-40)


@numba.njit(nogil=True, cache=True)
def leaf_panel(matrix: np.ndarray, index: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leaves of the rows `index`, laid out for the compiled join; unused places are zero.

    Returns:
        (leaves, BALL + 1) directions, (leaves, PANEL, LEAF) first components of the members, (leaves, levels, LEAF)
        their remainders.
    """
    leaves = -(-len(index) // LEAF)
    centers = np.zeros((leaves, BALL + 1), dtype=np.float32)
    members = np.zeros((leaves, PANEL, LEAF), dtype=np.float32)
    member_rest = np.zeros((leaves, PANELS + 1, LEAF), dtype=np.float32)
    center = np.empty(BALL + 1)
    for p in range(leaves):
        center[:] = 0
        for j in range(min(LEAF, len(index) - p * LEAF)):
            row = index[p * LEAF + j]
            for k in range(PANEL):
                members[p, k, j] = matrix[row, k]
            for level in range(PANELS + 1):
                member_rest[p, level, j] = rest[row, level]
            for k in range(BALL):
                center[k] += members[p, k, j]
            center[BALL] += member_rest[p, 0, j]
        length = np.sqrt((center * center).sum())
        if length < 1e-12:
            center[:] = 0
            center[BALL] = length = 1.0
        for k in range(BALL + 1):
            centers[p, k] = center[k] / length
    return centers, members, member_rest


@numba.njit(nogil=True, cache=True)
def leaf_limits(
    centers: np.ndarray, members: np.ndarray, member_rest: np.ndarray, longest: float, tau: float
) -> np.ndarray:
    """(leaves,) float32: a row whose product with the direction is not above it has no partner in the leaf.

    Args:
        centers: of `leaf_panel`, as the two that follow.
        members: first components.
        member_rest: remainders.
        longest: A, the largest |e| of the rows on the other side.
        tau: what a bound has to exceed.
    """
    limits = np.full(len(centers), np.float32(-4))  # below every product
    for p in range(len(centers) if tau >= 0 else 0):
        cosine, largest, size = 1.0, 0.0, 0.0
        for k in range(BALL + 1):
            size += np.float64(centers[p, k]) ** 2
        for j in range(LEAF):
            square = np.float64(member_rest[p, 0, j]) ** 2
            along = np.float64(centers[p, BALL]) * np.float64(member_rest[p, 0, j])
            for k in range(BALL):
                square += np.float64(members[p, k, j]) ** 2
                along += np.float64(centers[p, k]) * np.float64(members[p, k, j])
            length = np.sqrt(square) * (1 + 2.0**-40)
            if length > 0 and longest * length > tau:
                largest = max(largest, length)
                cosine = min(cosine, along / (length * np.sqrt(size)))
        if largest == 0.0:
            limits[p] = 4.0  # above every product
            continue
        angle = np.arccos(max(-1.0, cosine)) + np.arccos(min(1.0, tau / (longest * largest)))
        if angle < np.pi:
            limits[p] = longest * (np.cos(angle) - _SLACK)
    return limits
