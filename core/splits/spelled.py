"""The texts of a column that rows show, and which of them stand in two groups once something is taken from them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from core.splits.arrow import positions, strings, taken
from core.splits.fingerprints import fingerprints, letters, repeated
from core.splits.membership import Column, Membership
from core.splits.presence import present

Texts: TypeAlias = pa.Array | pa.ChunkedArray
Change: TypeAlias = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True, eq=False)
class Spelled:
    """The texts of a column, with those that no row shows.

    Attributes:
        column: whose texts they are.
        values: (k,) the texts.
        at: (n,) ascending positions in `values` of those that rows show.
        codes: (n,) int32, their codes.
    """

    column: Column
    values: Texts
    at: np.ndarray
    codes: np.ndarray

    @cached_property
    def letters(self) -> tuple[np.ndarray, np.ndarray]:
        """As `core.splits.fingerprints.letters`."""
        return letters(self.values)

    @property
    def first(self) -> str:
        """The first text that a row shows; '' where none does."""
        return str(self.values[int(self.at[0])].as_py()) if len(self.at) else ""


def spelled_texts(column: Column) -> Spelled | None:
    """The texts of a column; None where they are numbers, which have one spelling."""
    codes = np.flatnonzero(present(column.codes, len(column.values))).astype(np.int32)
    if isinstance(column.values, pa.Array | pa.ChunkedArray):
        return Spelled(column, column.values, codes, codes) if is_text(column.values) else None
    values = np.asarray(column.values, dtype=object)[codes]
    if not all(isinstance(value, str) for value in values):
        return None
    return Spelled(column, strings(values.tolist()), np.arange(len(codes)), codes)


def is_text(values: Any) -> bool:
    """Whether these are texts in Arrow's form."""
    arrow = isinstance(values, pa.Array | pa.ChunkedArray)
    return arrow and (pa.types.is_string(values.type) or pa.types.is_large_string(values.type))


def across(
    membership: Membership, spelled: Spelled, values: Texts, change: Change
) -> tuple[int, tuple[tuple[str, str], tuple[str, str]]] | None:
    """How many changed values stand for two values in two groups, and the first two such values with their groups.

    Args:
        membership: the rows of all groups.
        spelled: whose values they were.
        values: one for each of `spelled.values`.
        change: what makes values equal that may be one.
    """
    found, column = fingerprints(values, change), spelled.column
    again = repeated(found if len(spelled.at) == len(found) else found[spelled.at])
    if not len(again):
        return None
    used = spelled.codes[again]
    encoded = change(taken(values, spelled.at[again])).dictionary_encode()
    key_of_used = positions(encoded.indices)
    values_a_key = np.bincount(key_of_used)
    if len(values_a_key) == len(used):
        return None
    key = np.full(len(column.values) + 1, -1, dtype=np.int32)  # the last entry is for the code -1
    key[used] = np.where(values_a_key[key_of_used] > 1, key_of_used, -1)
    rows = np.flatnonzero(key[column.codes] >= 0)
    keys_of_rows, groups, codes = key[column.codes[rows]], membership.group[rows], column.codes[rows]
    low = np.full(len(values_a_key), len(membership.groups), dtype=np.int64)
    high = np.full(len(values_a_key), -1, dtype=np.int64)
    np.minimum.at(low, keys_of_rows, groups)
    np.maximum.at(high, keys_of_rows, groups)
    spread = np.flatnonzero(high > low)
    if not len(spread):
        return None
    mine = np.flatnonzero(keys_of_rows == spread[0])
    first = mine[0]
    different = mine[codes[mine] != codes[first]]
    elsewhere = different[groups[different] != groups[first]]
    second = (elsewhere if len(elsewhere) else different)[0]
    shown = [(column.examples(codes[[at]])[0], membership.groups[groups[at]]) for at in (first, second)]
    return len(spread), (shown[0], shown[1])
