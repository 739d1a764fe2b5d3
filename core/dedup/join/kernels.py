"""The elementwise work of the exact join, compiled: bounds, prefixes and what they leave over.

Every kernel decides with one inequality. Split two rows after m components, a = (a_m, a_r) and b = (b_m, b_r):
|<a, b>| <= |<a_m, b_m>| + |a_r| |b_r| (Cauchy-Schwarz). A pair whose right-hand side does not exceed `tau`, the
threshold less the rounding margin of `core.dedup.join.plan.margin`, is no near-duplicate of either sign. Leaves of
neighbouring rows are passed over by one test for all of them (`core.dedup.join.leaves`).
"""

from __future__ import annotations

import numba
import numpy as np

from core.dedup.join.leaves import LEAF, PANEL, PANELS, PREFIX

# Counters: leaf tests, leaves opened, multiplications of whole leaves, pairs carried on alone, pairs past all bounds.
TESTED, OPENED, MULTIPLIED, SURVIVED, FOUND = range(5)

# The margin covers any order of additions and any contraction; no value here is NaN or infinite.
_FAST = {"contract", "reassoc", "nnan", "ninf", "nsz"}


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


@numba.njit(nogil=True, cache=True, fastmath=_FAST, inline="always")
def _add_eight(sums, a, b, k):  # type: ignore[no-untyped-def]
    """Add the products of components k to k + 7 of a row with those of each member of a leaf (PANEL, LEAF)."""
    a0, a1, a2, a3, a4, a5, a6, a7 = a[k], a[k + 1], a[k + 2], a[k + 3], a[k + 4], a[k + 5], a[k + 6], a[k + 7]
    for j in range(LEAF):
        s = a0 * b[k, j] + a1 * b[k + 1, j] + a2 * b[k + 2, j] + a3 * b[k + 3, j]
        sums[j] += s + a4 * b[k + 4, j] + a5 * b[k + 5, j] + a6 * b[k + 6, j] + a7 * b[k + 7, j]


@numba.njit(nogil=True, cache=True, fastmath=_FAST, inline="always")
def _alive(sums, rest, member_rest, tau):  # type: ignore[no-untyped-def]
    """How many members of a leaf the bound does not rule out, given their products and remainders."""
    n = np.int32(0)
    for j in range(LEAF):
        n += np.int32(abs(sums[j]) + rest * member_rest[j] > tau)
    return n


@numba.njit(nogil=True, cache=True, fastmath=_FAST, inline="always")
def _compare_leaf(sums, a, rest, b, member_rest, tau, counts):  # type: ignore[no-untyped-def]
    """Products of a row with the members of a leaf in `sums`, after PANEL components, or False once none can pass."""
    a0, a1, a2, a3, a4, a5, a6, a7 = a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]
    r, w = rest[0], member_rest[0]
    n = np.int32(0)
    for j in range(LEAF):
        s = a0 * b[0, j] + a1 * b[1, j] + a2 * b[2, j] + a3 * b[3, j]
        s += a4 * b[4, j] + a5 * b[5, j] + a6 * b[6, j] + a7 * b[7, j]
        sums[j] = s
        n += np.int32(abs(s) + r * w[j] > tau)
    alive = n > 0
    done = PREFIX
    level = 1
    while alive and done < PANEL:
        for k in range(done, 2 * done, 8):
            _add_eight(sums, a, b, k)
        done *= 2
        alive = _alive(sums, rest[level], member_rest[level], tau) > 0
        level += 1
    counts[MULTIPLIED] += done * LEAF
    return alive


@numba.njit(nogil=True, cache=True, fastmath=_FAST, inline="always")
def _leaf_bounds(low, center, top, bound):  # type: ignore[no-untyped-def]
    """Products of the first `top` rows of (BALL + 1, b) with a leaf's direction, of the better sign."""
    c0, c1, c2, c3, c4, c5, c6, c7 = (
        center[0],
        center[1],
        center[2],
        center[3],
        center[4],
        center[5],
        center[6],
        center[7],
    )
    c8 = center[8]
    for i in range(top):
        s = c0 * low[0, i] + c1 * low[1, i] + c2 * low[2, i] + c3 * low[3, i]
        s += c4 * low[4, i] + c5 * low[5, i] + c6 * low[6, i] + c7 * low[7, i]
        bound[i] = abs(s) + c8 * low[8, i]


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def join_leaves(  # type: ignore[no-untyped-def]
    start, diagonal, x, y, rows, columns, rest_x, rest_y, ends, tau, row_side, leaf_side, limits, out, values, counts
):
    """Pairs of `rows` of x and `columns` of y that no bound rules out, from (leaf of columns, row) `start` on.

    Writes (row number, row number) to `out` and the fast product to `values`, adds to `counts`, and returns the number
    written and where to start again: (number of leaves, 0) when all is done. It stops early when `out`, which must
    hold LEAF pairs at least, might not hold one row's pairs more. On the diagonal a pair is met once.
    """
    low, head, rest = row_side
    centers, members, member_rest = leaf_side
    bound = np.empty(len(head), dtype=np.float32)
    opened = np.empty(len(head) + 1, dtype=np.int32)
    sums = np.empty(LEAF, dtype=np.float32)
    n = 0
    leaf, first = start
    while leaf < len(members):
        top = min(len(head), (leaf + 1) * LEAF) if diagonal else len(head)
        _leaf_bounds(low, centers[leaf], top, bound)
        m = 0
        for i in range(first, top):
            opened[m] = i
            m += int(bound[i] > limits[leaf])
        counts[TESTED] += top - first
        for q in range(m):
            i = opened[q]
            if len(out) - n < LEAF:
                counts[TESTED] -= top - i
                return n, leaf, i
            counts[OPENED] += 1
            if not _compare_leaf(sums, head[i], rest[i], members[leaf], member_rest[leaf], tau, counts):
                continue
            r, w = rest[i, PANELS], member_rest[leaf, PANELS]
            for j in range(LEAF):
                column = leaf * LEAF + j
                if abs(sums[j]) + r * w[j] <= tau or column >= len(columns) or (diagonal and column <= i):
                    continue
                counts[SURVIVED] += 1
                u, v = rows[i], columns[column]
                alive, s = _finish(x[u], y[v], sums[j], PANELS, ends, rest_x[u], rest_y[v], tau)
                if alive:
                    counts[FOUND] += 1
                    out[n, 0], out[n, 1], values[n] = u, v, s
                    n += 1
        leaf += 1
        first = 0
    return n, leaf, 0


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
    rest = np.ascontiguousarray(rest_y[low_y : low_y + columns, 0])
    n = 0
    for i in range(start, len(product)):
        if len(out) - n < columns:
            return n, i
        u = low_x + i
        r = rest_x[u, 0]
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
                alive, s = _finish(x[u], y[w], part[j], 0, ends, rest_x[u], rest_y[w], tau)
                if alive:
                    counts[FOUND] += 1
                    out[n, 0], out[n, 1], values[n] = u, w, s
                    n += 1
    return n, len(product)
