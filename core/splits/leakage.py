"""What leaks between groups that are meant to be apart, counted in images and in people.

'Disjoint' depends on what is counted: two groups without an image in common may show the same people
(Topeza 2025, 5.3). A share of shared ids hides how many images they touch, so every pair of groups is counted both
ways: the images of B whose identity is in A, and the images of A whose identity is in B.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from core.splits.membership import Column, Membership
from core.splits.notes import Note
from core.splits.presence import distinct, first_of_each, present, touching
from core.splits.rest import RestCounts, against_rest

if TYPE_CHECKING:
    from core.stats import Interval

_PEOPLE = (
    "shared_identities",
    "images_of_b_with_identity_in_a",
    "fraction_of_b",
    "images_of_a_with_identity_in_b",
    "fraction_of_a",
)
_ALIKE = ("near_duplicate_pairs", "images_of_a_near_b", "images_of_b_near_a")


@dataclass(frozen=True)
class GroupCounts:
    """One group: `images` are distinct, `rows` may repeat them; purity is the share of the commonest value."""

    rows: int
    images: int
    identities: int | None
    images_without_identity: int | None
    attributes: Mapping[str, Mapping[str, int]]  # attribute -> value -> images
    purity: Mapping[str, float | None]


@dataclass(frozen=True)
class Rate:
    """How often one value occurs in a and in b: the difference is rate_a - rate_b."""

    value: str
    rate_a: float
    rate_b: float
    difference: float
    interval: Interval


@dataclass(frozen=True)
class Shift:
    """How an attribute differs between two groups; `total_variation` is half the summed difference of rates."""

    total_variation: float
    rates: tuple[Rate, ...]  # of the larger value where there are two, else of each


@dataclass(frozen=True)
class PairCounts:
    """One pair of groups; None where identities or images were not given."""

    a: str
    b: str
    shared_images: int
    shared_identities: int | None
    images_of_b_with_identity_in_a: int | None
    fraction_of_b: float | None
    images_of_a_with_identity_in_b: int | None
    fraction_of_a: float | None
    near_duplicate_pairs: int | None
    images_of_a_near_b: int | None
    images_of_b_near_a: int | None
    attributes: Mapping[str, Shift]
    examples: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Leakage:
    """All groups, every pair of them once (both directions inside), and labels that contradict each other.

    `notes` counts what was left out; `said` is what was assumed, guessed or passed over while reading; `looked_at` is
    how many rows, images, identities and pairs of groups the counts are about.
    """

    groups: Mapping[str, GroupCounts]
    pairs: tuple[PairCounts, ...]
    inconsistent_identities: Mapping[str, int]  # attribute -> identities with images of both labels
    images_with_two_identities: int | None
    notes: Mapping[str, int] = field(default_factory=dict)
    rest: tuple[RestCounts, ...] = ()
    said: tuple[Note, ...] = ()
    looked_at: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The form that `samenoise verify --json` writes."""
        return asdict(self)


def count_leakage(membership: Membership, near: Mapping[tuple[str, str], np.ndarray] | None = None) -> Leakage:
    """Count everything that one pass over the rows can tell.

    Args:
        membership: rows of two or more groups.
        near: near-duplicates across groups, if they were looked for: (a, b) -> (p, 2) codes of an image of a and an
            image of b (`membership.image`), for every pair of groups in order.
    """
    n_images, n_groups = len(membership.image.values), len(membership.groups)
    identity = membership.identity
    rows = [np.flatnonzero(membership.group == g) for g in range(n_groups)]
    totals = [len(r) for r in rows]
    rows = [first_of_each(membership.image.codes, r, n_images) for r in rows]
    has_image = [present(membership.image.codes[r], n_images) for r in rows]
    has_identity = [present(identity.codes[r], len(identity.values)) for r in rows] if identity else []
    tallies = [{key: _counts(column, r) for key, column in membership.attributes.items()} for r in rows]
    groups = {}
    for g, name in enumerate(membership.groups):
        counts = tallies[g]
        groups[name] = GroupCounts(
            totals[g],
            len(rows[g]),
            int(has_identity[g].sum()) if identity else None,
            int((identity.codes[rows[g]] < 0).sum()) if identity else None,
            {key: _named(membership.attributes[key], found) for key, found in counts.items()},
            {key: _purity(found[1:]) for key, found in counts.items()},
        )
    pairs = []
    for a in range(n_groups):
        for b in range(a + 1, n_groups):
            names = (membership.groups[a], membership.groups[b])
            both = np.flatnonzero(has_image[a] & has_image[b])
            examples = {"images": membership.image.examples(both)}
            people: dict[str, Any] = dict.fromkeys(_PEOPLE)
            if identity:
                known = np.flatnonzero(has_identity[a] & has_identity[b])
                examples["identities"] = identity.examples(known)
                touched = [touching(identity.codes[rows[x]], has_identity[y]) for x, y in ((a, b), (b, a))]
                people = {
                    "shared_identities": len(known),
                    "images_of_b_with_identity_in_a": touched[1],
                    "fraction_of_b": touched[1] / len(rows[b]),
                    "images_of_a_with_identity_in_b": touched[0],
                    "fraction_of_a": touched[0] / len(rows[a]),
                }
            alike: dict[str, Any] = dict.fromkeys(_ALIKE)
            if near is not None:
                found = near[names]
                alike = {
                    "near_duplicate_pairs": len(found),
                    "images_of_a_near_b": len(np.unique(found[:, 0])),
                    "images_of_b_near_a": len(np.unique(found[:, 1])),
                }
                first = found[:5].ravel()
                listed = membership.image.examples(first, most=10)
                examples["near_duplicates"] = [" ~ ".join(listed[i : i + 2]) for i in range(0, len(listed), 2)]
            shifts = {
                key: _shift(c.values, tallies[a][key], tallies[b][key]) for key, c in membership.attributes.items()
            }
            pairs.append(
                PairCounts(
                    a=names[0],
                    b=names[1],
                    shared_images=len(both),
                    **people,
                    **alike,
                    attributes={key: shift for key, shift in shifts.items() if shift},
                    examples=examples,
                )
            )
    return Leakage(
        groups,
        tuple(pairs),
        {key: _inconsistent(identity, column) for key, column in membership.attributes.items()} if identity else {},
        _contradicted(membership.image, identity) if identity else None,
        dict(membership.notes),
        against_rest(membership, rows, has_image, has_identity, near),
        membership.said,
        _looked_at(membership, len(pairs)),
    )


def rate_difference(k_a: int, n_a: int, k_b: int, n_b: int) -> Interval:
    """95 % interval of k_a / n_a - k_b / n_b by Newcombe's (1998) method 10, from two Wilson intervals.

    It treats the groups as samples of what could have been drawn; for the groups themselves the difference is exact.
    """
    from core.stats import Interval, wilson  # scipy, which lists without attributes do without

    a, b = wilson(k_a, n_a), wilson(k_b, n_b)
    p, q = k_a / n_a, k_b / n_b
    low = p - q - math.hypot(p - a.low, b.high - q)
    high = p - q + math.hypot(a.high - p, q - b.low)
    return Interval(max(-1.0, low), min(1.0, high), "Newcombe from Wilson")


def _looked_at(membership: Membership, pairs: int) -> dict[str, int]:
    looked = {"rows": len(membership.group), "images": distinct(membership.image)}
    if membership.identity is not None:
        looked["identities"] = distinct(membership.identity)
    return {**looked, "groups": len(membership.groups), "pairs of groups": pairs}


def _counts(column: Column, rows: np.ndarray) -> np.ndarray:
    """(k + 1,) rows without a value, then of each value."""
    return np.bincount(column.codes[rows].astype(np.int32) + 1, minlength=len(column.values) + 1)


def _named(column: Column, counts: np.ndarray) -> dict[str, int]:
    named = {str(value): int(count) for value, count in zip(column.values, counts[1:], strict=True)}
    return {**named, "missing": int(counts[0])} if counts[0] else named


def _purity(counts: np.ndarray) -> float | None:
    return float(counts.max() / counts.sum()) if counts.sum() else None


def _shift(values: Sequence[Any], a: np.ndarray, b: np.ndarray) -> Shift | None:
    """From two results of `_counts`; None where one group has no value at all."""
    of_a, of_b = a[1:], b[1:]
    n_a, n_b = int(of_a.sum()), int(of_b.sum())
    if not n_a or not n_b:
        return None
    shown = range(len(of_a)) if len(of_a) > 2 else [len(of_a) - 1]
    rates = tuple(
        Rate(
            str(values[i]),
            float(of_a[i] / n_a),
            float(of_b[i] / n_b),
            float(of_a[i] / n_a - of_b[i] / n_b),
            rate_difference(int(of_a[i]), n_a, int(of_b[i]), n_b),
        )
        for i in shown
    )
    return Shift(float(np.abs(of_a / n_a - of_b / n_b).sum() / 2), rates)


def _inconsistent(identity: Column, column: Column) -> int:
    """Identities some of whose images have one value and some another."""
    known = np.flatnonzero((identity.codes >= 0) & (column.codes >= 0))
    return _with_two_values(identity.codes[known], column.codes[known], len(identity.values))


def _contradicted(image: Column, identity: Column) -> int:
    known = identity.codes >= 0
    if known.all():
        return _with_two_values(image.codes, identity.codes, len(image.values))
    return _with_two_values(image.codes[known], identity.codes[known], len(image.values))


def _with_two_values(keys: np.ndarray, values: np.ndarray, n: int) -> int:
    first = np.full(n, -1, dtype=values.dtype)
    first[keys] = values
    return int(present(keys[values != first[keys]], n).sum())
