"""The least favourable of several measures that must all hold, so that one check can stand for all of them."""

from collections.abc import Iterable

from core.stats import Interval

Measured = tuple[float, Interval]


def largest(found: Iterable[Measured], *, limit: float) -> Measured:
    """The measure that speaks most against all of them lying below `limit`.

    One whose whole interval lies at the limit or above refutes that; else the one that reaches highest decides: all lie
    below by their whole intervals if and only if it does.
    """
    rows = list(found)
    over = [row for row in rows if row[1].low >= limit]
    return max(over, key=lambda row: row[1].low) if over else max(rows, key=lambda row: row[1].high)


def smallest(found: Iterable[Measured], *, limit: float) -> Measured:
    """The measure that speaks most against all of them lying above `limit`; see `largest`."""
    rows = list(found)
    under = [row for row in rows if row[1].high <= limit]
    return min(under, key=lambda row: row[1].high) if under else min(rows, key=lambda row: row[1].low)
