"""The elementwise work of the exact join, compiled: bounds, prefixes and what they leave over.

Every kernel decides with one inequality. Split two rows after m components, a = (a_m, a_r) and b = (b_m, b_r):
|<a, b>| <= |<a_m, b_m>| + |a_r| |b_r| (Cauchy-Schwarz). A pair whose right-hand side does not exceed `tau`, the
threshold less the rounding margin of `core.dedup.join.plan.margin`, is no near-duplicate of either sign. For a whole
leaf of rows inside a ball (centre c, radius q, in the first `BALL` components, remainders at most R) the same
inequality reads |<a, b>| <= |<a_m, c>| + |a_m| q + |a_r| R: one scalar test for all of them.
"""

from __future__ import annotations

import numba
import numpy as np

LEAF = 64  # rows that fall together to one scalar test
GROUP = 64  # leaves whose tests are evaluated together
BALL = 4  # components in which a leaf is a ball
PREFIX = 8  # components that the fused kernel compares

# Counters: leaf tests, leaves opened, pairs past the prefix, pairs past the last bound.
TESTED, OPENED, SURVIVED, FOUND = range(4)

# The margin covers any order of additions and any contraction; no value here is NaN or infinite.
_FAST = {"contract", "reassoc", "nnan", "ninf", "nsz"}
_ROUND_UP = 1 + 2.0**-20  # more than the rounding of a float64 norm to float32 and of the few operations after it


@numba.njit(nogil=True, cache=True, fastmath=_FAST, inline="always")
def _finish(x, y, s, level, ends, rest_x, rest_y, tau):  # type: ignore[no-untyped-def]
    """Carry the product `s` of the first ends[level] components on, until a bound rules the pair out or all are in."""
    alive = True
    for n in range(level + 1, len(ends)):
        part = np.float32(0)
        for k in range(ends[n - 1], ends[n]):
            part += x[k] * y[k]
        s += part
        if abs(s) + rest_x[n] * rest_y[n] <= tau:
            alive = False
            break
    return alive, s


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
            while k > ends[level]:
                k -= 1
                tail += np.float64(stored[r, k]) * np.float64(stored[r, k])
            out[r, level] = np.float32(np.sqrt(tail) * _ROUND_UP)
    return out


@numba.njit(nogil=True, cache=True)
def row_panel(matrix: np.ndarray, index: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First components (b, PREFIX) of the rows `index`, and (b, 3): norm in, and remainders past, ball and prefix."""
    head = np.empty((len(index), PREFIX), dtype=np.float32)
    norms = np.empty((len(index), 3), dtype=np.float32)
    for i in range(len(index)):
        square = 0.0
        for k in range(PREFIX):
            head[i, k] = matrix[index[i], k]
            if k < BALL:
                square += np.float64(head[i, k]) * np.float64(head[i, k])
        norms[i, 0] = np.float32(np.sqrt(square) * _ROUND_UP)
        norms[i, 1] = rest[index[i], 0]
        norms[i, 2] = rest[index[i], 1]
    return head, norms


@numba.njit(nogil=True, cache=True)
def leaf_panel(
    matrix: np.ndarray, index: np.ndarray, rest: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Leaves of the rows `index`, laid out for the fused kernel.

    Returns:
        centers (groups, BALL, GROUP), limits (groups, 2, GROUP) with radius and largest remainder of each leaf,
        members (leaves, PREFIX, LEAF), member remainders past the prefix (leaves, LEAF); unused places are zero.
    """
    leaves = -(-len(index) // LEAF)
    groups = -(-leaves // GROUP)
    centers = np.zeros((groups, BALL, GROUP), dtype=np.float32)
    limits = np.zeros((groups, 2, GROUP), dtype=np.float32)
    members = np.zeros((leaves, PREFIX, LEAF), dtype=np.float32)
    member_rest = np.zeros((leaves, LEAF), dtype=np.float32)
    center = np.empty(BALL)
    for p in range(leaves):
        rows = index[p * LEAF : min((p + 1) * LEAF, len(index))]
        largest = np.float32(0)
        center[:] = 0
        for j in range(len(rows)):
            for k in range(PREFIX):
                members[p, k, j] = matrix[rows[j], k]
                if k < BALL:
                    center[k] += members[p, k, j]
            largest = max(largest, rest[rows[j], 0])
            member_rest[p, j] = rest[rows[j], 1]
        g, q = p // GROUP, p % GROUP
        for k in range(BALL):
            centers[g, k, q] = center[k] / len(rows)
        radius = 0.0
        for j in range(len(rows)):
            square = 0.0
            for k in range(BALL):
                square += (np.float64(members[p, k, j]) - np.float64(centers[g, k, q])) ** 2
            radius = max(radius, square)
        limits[g, 0, q] = np.float32(np.sqrt(radius) * _ROUND_UP)
        limits[g, 1, q] = largest
    return centers, limits, members, member_rest


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def join_leaves(  # type: ignore[no-untyped-def]
    start, diagonal, x, y, rows, columns, rest_x, rest_y, ends, tau, row_side, leaf_side, out, values, counts
):
    """Pairs of `rows` of x and `columns` of y that no bound rules out, from (group, row) `start` on.

    Writes (row number, row number) to `out` and the fast product to `values`, adds to `counts`, and returns the number
    written and where to start again: (number of groups, 0) when all is done. It stops early when `out`, which must
    hold LEAF * GROUP pairs at least, might not hold one row's pairs more. On the diagonal a pair is met once.
    """
    head, norms = row_side
    centers, limits, members, member_rest = leaf_side
    leaves = len(members)
    bound = np.empty(GROUP, dtype=np.float32)
    n = 0
    group, first = start
    while group < len(centers):
        c0, c1, c2, c3 = centers[group, 0], centers[group, 1], centers[group, 2], centers[group, 3]
        radius, largest = limits[group, 0], limits[group, 1]
        for i in range(first, len(head)):
            if len(out) - n < LEAF * GROUP:
                return n, group, i
            lowest = (i + 1) // LEAF if diagonal else 0
            tests = min(GROUP, leaves - group * GROUP) - max(0, lowest - group * GROUP)
            if tests <= 0:
                continue
            counts[TESTED] += tests
            a0, a1, a2, a3 = head[i, 0], head[i, 1], head[i, 2], head[i, 3]
            a4, a5, a6, a7 = head[i, 4], head[i, 5], head[i, 6], head[i, 7]
            inside, beyond, rest = norms[i, 0], norms[i, 1], norms[i, 2]
            open_leaves = np.int32(0)
            for q in range(GROUP):
                v = abs(a0 * c0[q] + a1 * c1[q] + a2 * c2[q] + a3 * c3[q]) + inside * radius[q] + beyond * largest[q]
                bound[q] = v
                open_leaves += np.int32(v > tau)
            if open_leaves == 0:
                continue
            for q in range(GROUP):
                p = group * GROUP + q
                if bound[q] <= tau or p >= leaves or p < lowest:
                    continue
                counts[OPENED] += 1
                b, r = members[p], member_rest[p]
                survivors = np.int32(0)
                for j in range(LEAF):
                    s = a0 * b[0, j] + a1 * b[1, j] + a2 * b[2, j] + a3 * b[3, j]
                    s += a4 * b[4, j] + a5 * b[5, j] + a6 * b[6, j] + a7 * b[7, j]
                    survivors += np.int32(abs(s) + rest * r[j] > tau)
                if survivors == 0:
                    continue
                for j in range(LEAF):
                    s = a0 * b[0, j] + a1 * b[1, j] + a2 * b[2, j] + a3 * b[3, j]
                    s += a4 * b[4, j] + a5 * b[5, j] + a6 * b[6, j] + a7 * b[7, j]
                    column = p * LEAF + j
                    if abs(s) + rest * r[j] <= tau or column >= len(columns) or (diagonal and column <= i):
                        continue
                    counts[SURVIVED] += 1
                    u, w = rows[i], columns[column]
                    alive, s = _finish(x[u], y[w], s, 0, ends, rest_x[u, 1:], rest_y[w, 1:], tau)
                    if alive:
                        counts[FOUND] += 1
                        out[n, 0], out[n, 1], values[n] = u, w, s
                        n += 1
        group += 1
        first = 0
    return n, group, 0


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def scan_product(  # type: ignore[no-untyped-def]
    start, product, low_x, low_y, one_set, x, y, rest_x, rest_y, ends, tau, out, values, counts
):
    """Pairs that no bound rules out, given the products of their first ends[0] components, from row `start` on.

    `product` (a, b) belongs to the rows from low_x of x and from low_y of y; in one set only pairs with the row of x
    before that of y count. Writes as `join_leaves` does; returns the number written and the row to start again with.
    `out` must hold b pairs at least.
    """
    columns = product.shape[1]
    rest = np.ascontiguousarray(rest_y[low_y : low_y + columns, 1])
    n = 0
    for i in range(start, len(product)):
        if len(out) - n < columns:
            return n, i
        u = low_x + i
        r = rest_x[u, 1]
        line = product[i]
        for block in range(0, columns, LEAF):
            part, part_rest = line[block : block + LEAF], rest[block : block + LEAF]
            survivors = np.int32(0)
            for j in range(len(part)):
                survivors += np.int32(abs(part[j]) + r * part_rest[j] > tau)
            if survivors == 0:
                continue
            for j in range(len(part)):
                w = low_y + block + j
                if abs(part[j]) + r * part_rest[j] <= tau or (one_set and w <= u):
                    continue
                counts[SURVIVED] += 1
                alive, s = _finish(x[u], y[w], part[j], 0, ends, rest_x[u, 1:], rest_y[w, 1:], tau)
                if alive:
                    counts[FOUND] += 1
                    out[n, 0], out[n, 1], values[n] = u, w, s
                    n += 1
    return n, len(product)
