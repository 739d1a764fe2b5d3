"""Counts over the integer codes of a membership: distinct values, first rows, which codes are present."""

import numpy as np

from core.splits.membership import Column


def distinct(column: Column) -> int:
    """How many values the rows of a column show."""
    return int(present(column.codes, len(column.values)).sum())


def first_of_each(codes: np.ndarray, rows: np.ndarray, n: int) -> np.ndarray:
    """Of rows that show the same image, the first; sorted."""
    mine = codes[rows]
    if int(present(mine, n).sum()) == len(mine):
        return rows
    place = np.arange(len(mine), dtype=np.int32)
    first = np.zeros(n, dtype=np.int32)
    first[mine[::-1]] = place[::-1]  # what is written last stays: the first row of each code
    return rows[first[mine] == place]


def present(codes: np.ndarray, n: int) -> np.ndarray:
    """(n,) bool: which of n codes are there; -1 stands for no value."""
    seen = np.zeros(n + 1, dtype=bool)
    seen[codes] = True  # -1 is the last entry
    return seen[:n]


def touching(codes: np.ndarray, there: np.ndarray) -> int:
    """How many of these codes, one a row, are among those that are there."""
    return int(np.append(there, False)[codes].sum())
