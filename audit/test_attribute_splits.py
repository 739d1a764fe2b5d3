"""Claims on splits by attribute: purity and balance, overlap in identity, and all forty attributes (T 5.2, 6.4)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.measures.attribute_overlap import record_attribute_overlap
from audit.measures.attribute_splits import measure_attribute_halves
from audit.measures.every_attribute import record_every_attribute, tried_measures
from audit.measures.made_up_splits import (
    built_halves,
    halves_of,
    made_up_attributes,
    made_up_lists,
    published_verdict,
    split_defects,
    two_attributes,
)
from core.splits.build import Split, by_attributes
from fixtures.published.files import Published
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
        pytest.param(
            "T-eyeglasses-split",
            marks=[
                pytest.mark.control("T-eyeglasses-split", "positive"),
                pytest.mark.control("T-eyeglasses-split", "negative"),
            ],
        ),
        pytest.param(
            "T-male-split",
            marks=[
                pytest.mark.control("T-male-split", "positive"),
                pytest.mark.control("T-male-split", "negative"),
            ],
        ),
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
    record_attribute_overlap(evidence, published)


@pytest.mark.control("T-attribute-identity-overlap", "positive")
def test_an_attribute_of_the_person_separates_people(judge: Judge) -> None:
    people = np.arange(4000) // 20
    found = two_attributes(people[people % 2 == 0], people[people % 2 == 1], people)
    assert judge("T-attribute-identity-overlap", found) == "reproduced"


@pytest.mark.control("T-attribute-identity-overlap", "negative")
def test_an_attribute_without_relation_to_the_person_does_not(judge: Judge) -> None:
    people = np.random.default_rng(3).permutation(np.arange(4000) // 20)
    found = two_attributes(people[:1000], people[1000:2000], people)
    assert judge("T-attribute-identity-overlap", found) != "reproduced"
    spread = np.repeat(np.arange(200), 20)
    assert judge("T-attribute-identity-overlap", two_attributes(spread[::20], spread[1::20], spread)) == "refuted"


# ----------------------------------------------------------------------------------------------- all forty attributes


@pytest.mark.claim("T-other-attributes")
def test_every_attribute(evidence: ClaimRecord, published: Published, data_docs: Path | None) -> None:
    record_every_attribute(evidence, published, data_docs)


@pytest.mark.control("T-other-attributes", "positive")
def test_two_lists_of_halves_by_attribute_are_two_attributes(judge: Judge) -> None:
    lists, attributes = made_up_lists()
    assert judge("T-other-attributes", tried_measures(lists, attributes)) == "reproduced"


@pytest.mark.control("T-other-attributes", "negative")
@pytest.mark.parametrize("defect", ["a third attribute", "one image on the other side", "a missing attribute"])
def test_other_lists_and_tables_are_noticed(judge: Judge, defect: str) -> None:
    lists, attributes = made_up_lists()
    if defect == "a third attribute":
        lists["list_smiling_yesno.txt"] = halves_of(attributes, "Smiling")
    elif defect == "one image on the other side":
        names = lists["list_male_yesno.txt"]
        lists["list_male_yesno.txt"] = [names[-1], *names[1:-1], names[0]]
    else:
        attributes = attributes.drop(columns="Smiling")
    assert judge("T-other-attributes", tried_measures(lists, attributes)) == "refuted"


@pytest.mark.control("T-other-attributes", "negative")
@pytest.mark.parametrize("defect", ["impure", "unbalanced", "shared", "a missing attribute"])
def test_defects_of_attribute_splits_are_counted(monkeypatch: pytest.MonkeyPatch, defect: str) -> None:
    attributes, identities = made_up_attributes()
    sound = {"splits_built": 40, "impure": 0, "unbalanced": 0, "shared": 0}
    assert split_defects(attributes, identities) == sound
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
        monkeypatch.setattr("audit.measures.every_attribute.by_attributes", broken)
    assert split_defects(attributes, identities) != sound
