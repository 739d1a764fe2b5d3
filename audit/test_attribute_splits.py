"""Claims on splits by attribute: purity and balance, overlap in identity, and all forty attributes (T 5.2, 6.4)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.measures.attribute_splits import (
    against_random_halves,
    every_attribute,
    measure_attribute_halves,
    share_in_both,
)
from audit.measures.made_up_splits import (
    PRINTED,
    built_halves,
    made_up_attributes,
    published_verdict,
    split_defects,
    two_attributes,
)
from audit.measures.record import cite
from audit.plots.splits import heat_map, lists_against_lists, size_and_overlap
from core.splits.build import Split, by_attributes
from fixtures.published.files import Published
from reports.expectations import CELEBA, metadata_suite, validate
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.fixture
def data_docs(request: pytest.FixtureRequest, evidence: ClaimRecord) -> Path | None:
    """Where this claim's Data Docs go, if they were asked for."""
    return evidence.folder / "data-docs" / evidence.claim.id if request.config.getoption("--data-docs") else None


# --------------------------------------------------------------------------------------------------- attribute halves


@pytest.mark.claim("T-eyeglasses-split")
def test_eyeglasses_split(evidence: ClaimRecord, published_or_none: Published | None, data_docs: Path | None) -> None:
    measure_attribute_halves(evidence, published_or_none, "Eyeglasses", "list_eyeglasses_yesno.txt", data_docs)


@pytest.mark.claim("T-male-split")
def test_male_split(evidence: ClaimRecord, published_or_none: Published | None, data_docs: Path | None) -> None:
    measure_attribute_halves(evidence, published_or_none, "Male", "list_male_yesno.txt", data_docs)


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(claim, marks=[pytest.mark.control(claim, "positive"), pytest.mark.control(claim, "negative")])
        for claim in PRINTED
    ],
)
def test_halves_as_built_and_with_one_defect(judge: Judge, claim: str) -> None:
    names, labels = built_halves(claim)
    assert published_verdict(judge, claim, names, labels) == "reproduced"
    first, last = names[0], names[-1]
    for defect in ([last, *names[1:-1], first], [*names[:-1], first], names[:-2], [*names[:-1], names[-2]]):
        assert published_verdict(judge, claim, defect, labels) == "refuted"
    flipped = labels.copy()
    flipped[first] = -1
    assert published_verdict(judge, claim, names, flipped) == "refuted"


# ------------------------------------------------------------------------------ attribute halves: overlap in identity


@pytest.mark.claim("T-attribute-identity-overlap")
def test_attribute_identity_overlap(evidence: ClaimRecord, published: Published) -> None:
    cite(evidence, "list_eyeglasses_yesno.txt", "list_male_yesno.txt", "links_identities-faces.txt", "attributes.zip")
    identities = published.identities
    halves = {"glasses": published.eyeglasses, "male": published.male}
    lists = {"training": published.train, "set aside": published.test}
    for name, both_halves in halves.items():
        lists[name] = both_halves[: len(both_halves) // 2]
        lists[f"not {name}"] = both_halves[len(both_halves) // 2 :]
    lists["subset 1"], lists["subset 2"] = published.identity_halves
    places = {name: identities.index.get_indexer(pd.Index(held)) for name, held in lists.items()}
    owners = {name: identities.to_numpy()[at] for name, at in places.items()}
    path = evidence.figure("lists", lists_against_lists(places, owners))
    evidence.add("lists_compared", len(lists), kind="published", unit="lists", figures=[path])
    for attribute, names in (("Eyeglasses", published.eyeglasses), ("Male", published.male)):
        half = len(names) // 2
        people = identities.loc[list(names)].to_numpy()
        a, b = people[:half], people[half:]
        both = np.intersect1d(a, b)
        value, interval = against_random_halves(a, b, identities.to_numpy(), seed=0)
        evidence.add(
            f"difference_{attribute}",
            value,
            kind="published",
            n=200,
            interval=interval,
            interval_method="2.5 % to 97.5 % of random halves",
            seeds="0",
            varies="random halves of all images",
            note=f"{share_in_both(a, b, int(identities.max()) + 1):.1%} of the identities are in both halves",
        )
        labels = published.attributes[attribute]
        unsure = int((labels.groupby(identities.loc[labels.index].to_numpy()).nunique() > 1).sum())
        touched = f"touching {np.isin(a, b).sum():,} images with and {np.isin(b, a).sum():,} without"
        evidence.add(f"identities_in_both_{attribute}", len(both), kind="published", unit="identities", note=touched)
        evidence.add(f"identities_with_both_labels_{attribute}", unsure, kind="published", unit="identities")


@pytest.mark.control("T-attribute-identity-overlap", "positive")
def test_an_attribute_of_the_person_separates_people(judge: Judge) -> None:
    people = np.arange(4000) // 20
    found = two_attributes(people[people % 2 == 0], people[people % 2 == 1], people)
    assert judge("T-attribute-identity-overlap", found) == "reproduced"


@pytest.mark.control("T-attribute-identity-overlap", "negative")
def test_an_attribute_without_relation_to_the_person_does_not(judge: Judge) -> None:
    people = np.random.default_rng(3).permutation(np.arange(4000) // 20)
    assert (
        judge("T-attribute-identity-overlap", two_attributes(people[:1000], people[1000:2000], people)) != "reproduced"
    )
    spread = np.repeat(np.arange(200), 20)
    assert judge("T-attribute-identity-overlap", two_attributes(spread[::20], spread[1::20], spread)) == "refuted"


# ----------------------------------------------------------------------------------------------- all forty attributes


@pytest.mark.claim("T-other-attributes")
def test_every_attribute(evidence: ClaimRecord, published: Published, data_docs: Path | None) -> None:
    cite(evidence, "attributes.zip", "links_identities-faces.txt")
    table, shifts = every_attribute(published.attributes, published.identities, seed=0)
    figures = [evidence.figure("shifts", heat_map(shifts)), evidence.figure("overlap", size_and_overlap(table))]
    evidence.add("splits_built", len(table), kind="published", unit="attributes", seeds="0", figures=figures)
    for name in ("impure", "unbalanced", "shared"):
        evidence.add(name, int(table[name].sum()), kind="published", n=len(table), unit="images")
    whole = published.attributes.assign(name=published.attributes.index, identity=published.identities)
    checked = validate(whole, metadata_suite(totals=CELEBA), name="CelebA", docs=data_docs)
    suite = "Great Expectations on the whole table: counts, unique names, values, identities, known totals. "
    missed = len(checked.failed)
    note = suite + "; ".join(checked.failed)
    evidence.add("expectations_failed", missed, kind="published", n=checked.expectations, note=note)
    for name in ("images", "shared_identities", "with_seen_without", "without_seen_with"):
        least, most = table[name].idxmin(), table[name].idxmax()
        note = f"from {least} ({table[name].min():.4g}) to {most} ({table[name].max():.4g})"
        evidence.add(f"median_{name}", float(table[name].median()), kind="published", n=len(table), note=note)
    others = shifts.loc[:, shifts.index].abs().to_numpy() - np.eye(len(shifts))
    row, column = divmod(int(others.argmax()), len(shifts))
    pair = f"the split on {shifts.index[row]} shifts {shifts.index[column]} most"
    evidence.add("largest_side_effect", float(others.max()), kind="published", n=len(shifts), note=pair)
    for attribute, found in table.to_dict("index").items():
        evidence.add(
            f"split_{attribute}",
            int(found["images"]),
            kind="published",
            unit="images a side",
            note=f"{found['shared_identities']:,} identities on both sides: {found['with_seen_without']:.1%} of the "
            f"images with, {found['without_seen_with']:.1%} of those without",
        )


@pytest.mark.control("T-other-attributes", "positive")
def test_forty_made_up_attributes(judge: Judge) -> None:
    assert judge("T-other-attributes", split_defects(*made_up_attributes())) == "reproduced"


@pytest.mark.control("T-other-attributes", "negative")
@pytest.mark.parametrize("defect", ["impure", "unbalanced", "shared", "a missing attribute"])
def test_defects_of_attribute_splits_are_noticed(judge: Judge, monkeypatch: pytest.MonkeyPatch, defect: str) -> None:
    attributes, identities = made_up_attributes()
    build = by_attributes

    def broken(names: list[str], labels: dict[str, pd.Series], seed: int) -> dict[str, Split]:
        splits = build(names, labels, seed)
        first, split = next((name, split) for name, split in splits.items() if len(split.groups["A"]) > 1)
        a, b = split.groups["A"], split.groups["B"]
        groups = {
            "impure": {"A": (b[0], *a[1:]), "B": (a[0], *b[1:])},
            "unbalanced": {"A": a, "B": b[:-1]},
            "shared": {"A": a, "B": (*b[1:], a[0])},
        }[defect]
        return {**splits, first: replace(split, groups=groups)}

    if defect == "a missing attribute":
        attributes = attributes.iloc[:, 1:]
    else:
        monkeypatch.setattr("audit.measures.attribute_splits.by_attributes", broken)
    assert judge("T-other-attributes", split_defects(attributes, identities)) == "refuted"
