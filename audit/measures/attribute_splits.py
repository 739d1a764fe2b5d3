"""Splits by attribute: purity, balance, shared people and side effects (Topeza 2025, sections 3.4, 5.2 and 6.4)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from audit.measures.corpora import made_up_corpora
from audit.measures.record import cite, record
from core.splits.build import by_attribute
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
    record(evidence, totals, kind="property", n=built, counted="splits", varies="corpus, seed")
    if published is None:
        return
    cite(evidence, file, "attributes.zip")
    names = published.male if attribute == "Male" else published.eyeglasses
    record(
        evidence,
        attribute_halves(names, published.attributes[attribute]),
        kind="published",
        n=len(names),
        unit="images",
    )
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
