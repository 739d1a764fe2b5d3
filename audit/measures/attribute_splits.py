"""Splits by attribute: purity, balance, shared people and side effects (Topeza 2025, sections 3.4, 5.2 and 6.4)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from audit.measures.corpora import made_up_corpora
from audit.measures.record import cite
from core.splits.build import by_attribute, by_attributes
from core.splits.leakage import count_leakage
from core.splits.membership import Column, Membership, ordered
from fixtures.published.files import Published
from reports.expectations import group_suite, metadata_suite, validate
from reports.record import ClaimRecord


def attribute_halves(names: Sequence[str], labels: pd.Series) -> dict[str, int]:
    """The two halves of a published list, held against the labels of one attribute."""
    a, b = names[: len(names) // 2], names[len(names) // 2 :]
    known = labels.reindex(list(names)).to_numpy()
    return {
        "with": len(a),
        "without": len(b),
        "impure": int((known[: len(a)] != 1).sum() + (known[len(a) :] != -1).sum()),
        "shared": len(set(a) & set(b)),
        "repeated": len(names) - len(set(names)),
    }


def measure_attribute_halves(
    evidence: ClaimRecord, published: Published | None, attribute: str, file: str, docs: Path | None
) -> None:
    """Record the halves of one attribute, built on generated corpora and as published in `file`."""
    totals = dict.fromkeys(("impure", "shared", "repeated", "unbalanced"), 0)
    built = 0
    for seed, (order, _, labels) in enumerate(made_up_corpora(1)):
        groups = by_attribute(order, labels, seed).groups
        found = attribute_halves([*groups["A"], *groups["B"]], pd.Series(labels, index=order))
        found["unbalanced"] = abs(len(groups["A"]) - len(groups["B"]))
        totals = {name: total + found[name] for name, total in totals.items()}
        built += 1
    for name, value in totals.items():
        evidence.add(name, value, kind="property", n=built, varies="corpus, seed")
    if published is None:
        return
    cite(evidence, file, "attributes.zip")
    names = published.male if attribute == "Male" else published.eyeglasses
    for name, value in attribute_halves(names, published.attributes[attribute]).items():
        evidence.add(name, value, kind="published", n=len(names), unit="images")
    chosen = published.attributes.loc[list(names)]
    table = chosen.assign(name=chosen.index, identity=published.identities.loc[chosen.index].to_numpy())
    table["group"] = np.repeat(["with", "without"], [len(names) // 2, len(names) - len(names) // 2])
    checked = validate(
        table, metadata_suite() + group_suite(attribute=attribute, tolerance=0.0), name=attribute, docs=docs
    )
    evidence.add(
        "expectations_failed",
        len(checked.failed),
        kind="published",
        n=checked.expectations,
        note="Great Expectations: metadata suite, no shared image, pure, balanced. " + "; ".join(checked.failed),
    )
    held_out = set(published.test) & set(names)
    evidence.add("held_out_images_in_it", len(held_out), kind="published", n=len(published.test), unit="images")


def share_in_both(a: np.ndarray, b: np.ndarray, people: int) -> float:
    """Share of the identities of two groups (codes below `people`) that are in both."""
    in_a, in_b = np.zeros(people, dtype=bool), np.zeros(people, dtype=bool)
    in_a[a], in_b[b] = True, True
    return float((in_a & in_b).sum() / (in_a | in_b).sum())


def against_random_halves(
    a: np.ndarray, b: np.ndarray, everyone: np.ndarray, seed: int, draws: int = 200
) -> tuple[float, tuple[float, float]]:
    """The share of identities in both groups less that of random halves of equal size, with a range."""
    source = np.random.default_rng(seed)
    people = int(everyone.max()) + 1
    observed = share_in_both(a, b, people)
    random = []
    for _ in range(draws):
        order = source.permutation(everyone)
        random.append(share_in_both(order[: len(a)], order[len(a) : len(a) + len(b)], people))
    differences = observed - np.array(random)
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(differences.mean()), (float(low), float(high))


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
