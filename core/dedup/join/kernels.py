"""The elementwise work of the exact join, compiled: bounds, prefixes and what they leave over.

Every kernel decides with one inequality. Split two rows after m components, a = (a_m, a_r) and b = (b_m, b_r):
|<a, b>| <= |<a_m, b_m>| + |a_r| |b_r| (Cauchy-Schwarz). A pair whose right-hand side does not exceed `tau`, the
threshold less the rounding margin of `core.dedup.join.plan.margin`, is no near-duplicate of either sign. Leaves of
neighbouring rows are passed over by one test for all of them (`core.dedup.join.leaves`).
"""

from __future__ import annotations

import numba
import numpy as np

from core.dedup.join.leaves import LAYOUT, LEAF, LEVELS, PANELS, PREFIX

# Counters: leaf tests, leaves opened, multiplications of whole leaves, pairs carried on alone, pairs past all bounds.
TESTED, OPENED, MULTIPLIED, SURVIVED, FOUND = range(5)

# The margin covers any order of additions and any contraction; no value here is NaN or infinite.
_FAST = {"contract", "reassoc", "nnan", "ninf", "nsz"}

TOGETHER = 4  # rows that a row is compared with at once beyond the panel, each written out in `_finish`

# How many of a leaf are alive is counted in the type of the bounds: in another the loop is half as fast. For the same
# reason helpers take whole arrays and unsigned numbers of rows and components: each view of a row costs two atomic
# additions, and a number that could count from the end keeps a loop from going eight at a time.
_NONE, _ONE = np.float32(0), np.float32(1)


@numba.njit(nogil=True, cache=True, fastmath=_FAST, forceinline=True)
def _finish(x, y, u, listed, sums, m, level, ends, rest_x, rest_y, tau):  # type: ignore[no-untyped-def]
    """Carry products of x[u] with the first `m` listed rows of y on, until a bound rules each out: how many are left.

    `sums` has their products in ends[level] components, and then in all; both lists keep their order, and have room
    for a multiple of TOGETHER. As many rows go through the components together, as each would wait for itself.
    """
    for n in range(level + 1, len(ends)):
        low, high = np.uint64(ends[n - 1]), np.uint64(ends[n])
        r = rest_x[u, n]
        for q in range(m, -(-m // TOGETHER) * TOGETHER):
            listed[q], sums[q] = listed[m - 1], _NONE
        left = 0
        for q in range(0, m, TOGETHER):
            v0, v1 = np.uint64(listed[q]), np.uint64(listed[q + 1])
            v2, v3 = np.uint64(listed[q + 2]), np.uint64(listed[q + 3])
            s0 = s1 = s2 = s3 = _NONE
            for k in range(low, high):
                a = x[u, k]
                s0 += a * y[v0, k]
                s1 += a * y[v1, k]
                s2 += a * y[v2, k]
                s3 += a * y[v3, k]
            s0 += sums[q]
            s1 += sums[q + 1]
            s2 += sums[q + 2]
            s3 += sums[q + 3]
            for place, v, s in ((q, v0, s0), (q + 1, v1, s1), (q + 2, v2, s2), (q + 3, v3, s3)):
                listed[left], sums[left] = v, s
                left += int(place < m and abs(s) + r * rest_y[v, n] > tau)
        m = left
        if m == 0:
            break
    return m


@numba.njit(nogil=True, cache=True, fastmath=_FAST, forceinline=True)
def _any_alive(sums, head, i, members, leaf, rest, member_rest, tau):  # type: ignore[no-untyped-def]
    """Put products of PREFIX components of row `i` with a leaf's members into `sums`: whether the bound leaves any."""
    a0, a1, a2, a3 = head[i, 0], head[i, 1], head[i, 2], head[i, 3]
    a4, a5, a6, a7 = head[i, 4], head[i, 5], head[i, 6], head[i, 7]
    r = rest[i, 0]
    n = _NONE
    for j in range(LEAF):
        s = a0 * members[leaf, 0, j] + a1 * members[leaf, 1, j] + a2 * members[leaf, 2, j] + a3 * members[leaf, 3, j]
        s += a4 * members[leaf, 4, j] + a5 * members[leaf, 5, j] + a6 * members[leaf, 6, j] + a7 * members[leaf, 7, j]
        sums[j] = s
        n += _ONE if abs(s) + r * member_rest[leaf, 0, j] > tau else _NONE
    return n > 0


@numba.njit(nogil=True, cache=True, fastmath=_FAST, forceinline=True)
def _add_eight(sums, head, i, members, leaf, k):  # type: ignore[no-untyped-def]
    """Add the products of components k to k + 7 of row `i` with those of each member of a leaf."""
    a0, a1, a2, a3 = head[i, k], head[i, k + 1], head[i, k + 2], head[i, k + 3]
    a4, a5, a6, a7 = head[i, k + 4], head[i, k + 5], head[i, k + 6], head[i, k + 7]
    for j in range(LEAF):
        s = a0 * members[leaf, k, j] + a1 * members[leaf, k + 1, j]
        s += a2 * members[leaf, k + 2, j] + a3 * members[leaf, k + 3, j]
        s += a4 * members[leaf, k + 4, j] + a5 * members[leaf, k + 5, j]
        sums[j] += s + a6 * members[leaf, k + 6, j] + a7 * members[leaf, k + 7, j]


@numba.njit(nogil=True, cache=True, fastmath=_FAST, forceinline=True)
def _compare_leaf(sums, head, i, members, leaf, rest, member_rest, tau, counts):  # type: ignore[no-untyped-def]
    """Products of row `i` with the members of a leaf in `sums`, after PANEL components, or False once none can pass."""
    counts[MULTIPLIED] += PREFIX * LEAF
    if not _any_alive(sums, head, i, members, leaf, rest, member_rest, tau):
        return False
    done = PREFIX
    alive = True
    for level in range(1, PANELS + 1):
        while done < LEVELS[level]:
            _add_eight(sums, head, i, members, leaf, done)
            done += 8
        r = rest[i, level]
        n = _NONE
        for j in range(LEAF):
            n += _ONE if abs(sums[j]) + r * member_rest[leaf, level, j] > tau else _NONE
        if n == 0:
            alive = False
            break
    counts[MULTIPLIED] += (done - PREFIX) * LEAF
    return alive


@numba.njit(nogil=True, cache=True, fastmath=_FAST, forceinline=True)
def _leaf_bounds(low, centers, leaf, top, bound):  # type: ignore[no-untyped-def]
    """Products of the first `top` rows of (BALL + 1, b) with a leaf's direction, of the better sign."""
    c0, c1, c2, c3 = centers[leaf, 0], centers[leaf, 1], centers[leaf, 2], centers[leaf, 3]
    c4, c5, c6, c7 = centers[leaf, 4], centers[leaf, 5], centers[leaf, 6], centers[leaf, 7]
    c8 = centers[leaf, 8]
    for i in range(top):
        s = c0 * low[0, i] + c1 * low[1, i] + c2 * low[2, i] + c3 * low[3, i]
        s += c4 * low[4, i] + c5 * low[5, i] + c6 * low[6, i] + c7 * low[7, i]
        bound[i] = abs(s) + c8 * low[8, i]


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def join_leaves(  # type: ignore[no-untyped-def]
    start,
    diagonal,
    x,
    y,
    rows,
    columns,
    rest_x,
    rest_y,
    ends,
    tau,
    row_side,
    leaf_side,
    limits,
    out,
    values,
    counts,
    layout,
):
    """Pairs of `rows` of x and `columns` of y that no bound rules out, from (leaf of columns, row) `start` on.

    Writes (row number, row number) to `out` and the fast product to `values`, adds to `counts`, and returns the number
    written and where to start again: (number of leaves, 0) when all is done. It stops early when `out`, which must
    hold LEAF pairs at least, might not hold one row's pairs more. On the diagonal a pair is met once.

    Compiled code is kept by the date of this file alone, with the constants of leaves as they were: `layout` says what
    they are, and code that was compiled for another refuses, where it would miss pairs.
    """
    if layout != LAYOUT:
        raise RuntimeError("the join was compiled for leaves of another layout: remove core/dedup/join/__pycache__")
    low, head, rest = row_side
    centers, members, member_rest = leaf_side
    bound = np.empty(len(head), dtype=np.float32)
    opened = np.empty(len(head) + 1, dtype=np.int32)
    sums = np.empty(LEAF, dtype=np.float32)
    listed = np.empty(LEAF, dtype=np.int64)
    n = 0
    leaf, first = start
    while leaf < len(members):
        top = min(len(head), (leaf + 1) * LEAF) if diagonal else len(head)
        _leaf_bounds(low, centers, leaf, top, bound)
        m = 0
        for i in range(first, top):
            opened[m] = i
            m += int(bound[i] > limits[leaf])
        counts[TESTED] += top - first
        for p in range(m):
            i = opened[p]
            if len(out) - n < LEAF:
                counts[TESTED] -= top - i
                return n, leaf, i
            counts[OPENED] += 1
            if not _compare_leaf(sums, head, np.uint64(i), members, np.uint64(leaf), rest, member_rest, tau, counts):
                continue
            r = rest[i, PANELS]
            begin = max(0, i + 1 - leaf * LEAF) if diagonal else 0
            left = 0
            for j in range(begin, min(LEAF, len(columns) - leaf * LEAF)):
                s = sums[j]
                listed[left], sums[left] = columns[leaf * LEAF + j], s
                left += int(abs(s) + r * member_rest[leaf, PANELS, j] > tau)
            counts[SURVIVED] += left
            u = np.uint64(rows[i])
            left = _finish(x, y, u, listed, sums, left, PANELS, ends, rest_x, rest_y, tau)
            counts[FOUND] += left
            for q in range(left):
                out[n, 0], out[n, 1], values[n] = u, listed[q], sums[q]
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
    sums = np.empty(LEAF, dtype=np.float32)
    listed = np.empty(LEAF, dtype=np.int64)
    n = 0
    for i in range(start, len(product)):
        if len(out) - n < columns:
            return n, i
        u = np.uint64(low_x + i)
        r = rest_x[u, 0]
        for block in range(0, columns, LEAF):
            end = min(block + LEAF, columns)
            survivors = _NONE
            for j in range(block, end):
                survivors += _ONE if abs(product[i, j]) + r * rest[j] > tau else _NONE
            if survivors == 0:
                continue
            begin = max(block, low_x + i + 1 - low_y) if one_set else block
            left = 0
            for j in range(begin, end):
                s = product[i, j]
                listed[left], sums[left] = low_y + j, s
                left += int(abs(s) + r * rest[j] > tau)
            counts[SURVIVED] += left
            left = _finish(x, y, u, listed, sums, left, 0, ends, rest_x, rest_y, tau)
            counts[FOUND] += left
            for q in range(left):
                out[n, 0], out[n, 1], values[n] = u, listed[q], sums[q]
                n += 1
    return n, len(product)
