"""Which attributes were tried, and a balanced split on each of the forty (Topeza 2025, section 6.4)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit.measures.record import cite
from audit.plots.splits import heat_map, size_and_overlap
from core.splits.build import by_attributes
from core.splits.leakage import count_leakage
from core.splits.membership import Column, Membership, ordered
from fixtures.published.files import Published
from reports.expectations import CELEBA, metadata_suite, validate
from reports.record import ClaimRecord

FINDING = "finding: what a split on each of the forty attributes is like"
TOLD = {
    "images": "images a side",
    "shared_identities": "people on both sides",
    "with_seen_without": "share of images with, of people who are on the other side too",
    "without_seen_with": "share of images without, of people who are on the other side too",
}  # column of the table -> what the page calls it


def every_attribute(attributes: pd.DataFrame, identities: pd.Series, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A balanced split on each attribute by the recipe of T 3.4, and what it leaves shared.

    Returns:
        One row an attribute: images a side, impure, unbalanced and shared images, shared identities, share of the
        images of either side whose person is on the other; and (attributes, attributes) how the split in a row
        shifts the attribute in a column: its rate among images with, less its rate among those without.
    """
    rows, shifts = {}, {}
    names = list(attributes.index)
    owners, people = pd.factorize(identities.loc[names])
    coded = {name: pd.factorize(attributes[name]) for name in attributes.columns}
    values = {name: ordered(codes, kinds.tolist()) for name, (codes, kinds) in coded.items()}
    for name, split in by_attributes(names, {str(k): column for k, column in attributes.items()}, seed).items():
        at = attributes.index.get_indexer(pd.Index([*split.groups["A"], *split.groups["B"]]))
        found = count_leakage(
            Membership(
                ("A", "B"),
                np.repeat([0, 1], [len(split.groups["A"]), len(split.groups["B"])]),
                Column(at, names),
                Column(owners[at], people),
                {other: Column(column.codes[at], column.values) for other, column in values.items()},
            )
        )
        (pair,) = found.pairs
        held = [found.groups[side].attributes[name] for side in "AB"]
        rows[name] = {
            "images": found.groups["A"].images,
            "impure": held[0].get("-1", 0) + held[1].get("1", 0),
            "unbalanced": abs(found.groups["A"].images - found.groups["B"].images),
            "shared": pair.shared_images,
            "shared_identities": pair.shared_identities,
            "with_seen_without": pair.fraction_of_a,
            "without_seen_with": pair.fraction_of_b,
        }
        shifts[name] = {other: shift.rates[0].difference for other, shift in pair.attributes.items()}
    return pd.DataFrame.from_dict(rows, orient="index"), pd.DataFrame.from_dict(shifts, orient="index")


def halves_by_attribute(lists: Mapping[str, Sequence[str]], attributes: pd.DataFrame) -> set[str]:
    """Attributes that all images of one half of some list have and none of its other half does."""
    found: set[str] = set()
    for names in lists.values():
        held = attributes.loc[list(names)].to_numpy() > 0
        first, second = held[: len(held) // 2], held[len(held) // 2 :]
        pure = (first.all(0) & ~second.any(0)) | (second.all(0) & ~first.any(0))
        found |= set(attributes.columns[pure.tolist()])
    return found


def tried_measures(lists: Mapping[str, Sequence[str]], attributes: pd.DataFrame) -> dict[str, object]:
    """What T-other-attributes is judged by: which attributes part the published halves, and how many there are."""
    found = halves_by_attribute(lists, attributes)
    return {"attributes that published halves part by": ", ".join(sorted(found)), "offered": attributes.shape[1]}


def record_every_attribute(evidence: ClaimRecord, published: Published, data_docs: Path | None) -> None:
    """Which attributes were tried; beside it a split on each of the forty (T-other-attributes)."""
    cite(evidence, "attributes.zip", "links_identities-faces.txt", "list_eyeglasses_yesno.txt", "list_male_yesno.txt")
    lists = {
        "list_eyeglasses_yesno.txt": published.eyeglasses,
        "list_male_yesno.txt": published.male,
        "list_subset1.txt and list_subset2.txt": sum(published.identity_halves, ()),
        "train_filenames.txt": published.train,
        "test_filenames.txt": published.test,
    }
    note = f"first and second half of {', '.join(lists)}"
    for name, value in tried_measures(lists, published.attributes).items():
        evidence.add(name, value, kind="published", n=len(lists), note=note)
    record_splits(evidence, published, data_docs)


def record_splits(evidence: ClaimRecord, published: Published, data_docs: Path | None) -> None:
    """What splits on all forty attributes are like; no check hangs on it."""
    about: dict[str, Any] = {"kind": "published", "section": FINDING}
    table, shifts = every_attribute(published.attributes, published.identities, seed=0)
    figures = [evidence.figure("shifts", heat_map(shifts)), evidence.figure("overlap", size_and_overlap(table))]
    for name in ("impure", "unbalanced", "shared"):
        evidence.add(f"{name} images", int(table[name].sum()), n=len(table), unit="images", **about)
    whole = published.attributes.assign(name=published.attributes.index, identity=published.identities)
    checked = validate(whole, metadata_suite(totals=CELEBA), name="CelebA", docs=data_docs)
    suite = "Great Expectations on the whole table: counts, unique names, values, identities, known totals. "
    note = suite + "; ".join(checked.failed)
    evidence.add("expectations that failed", len(checked.failed), n=checked.expectations, note=note, **about)
    for name, told in TOLD.items():
        least, most = table[name].idxmin(), table[name].idxmax()
        note = f"from {least} ({table[name].min():.4g}) to {most} ({table[name].max():.4g})"
        evidence.add(f"{told}, median", float(table[name].median()), n=len(table), note=note, **about)
    others = shifts.loc[:, shifts.index].abs().to_numpy() - np.eye(len(shifts))
    row, column = divmod(int(others.argmax()), len(shifts))
    pair = f"the split on {shifts.index[row]} shifts {shifts.index[column]} most"
    evidence.add("largest side effect on another attribute", float(others.max()), n=len(shifts), note=pair, **about)
    rows = [
        {"attribute": attribute, **{told: found[name] for name, told in TOLD.items()}}
        for attribute, found in table.to_dict("index").items()
    ]
    evidence.add("a balanced split on each attribute", rows, seeds="0", figures=figures, **about)
