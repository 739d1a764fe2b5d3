"""Claims on CelebA's metadata: counts, the ten images set aside, the attribute file (T 2.2, 3.1)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.measures.attribute_repair import (
    attribute_text,
    lost_padding,
    record_repair,
    repair,
    repair_property,
    wrong_rows,
)
from audit.measures.metadata import holdout, metadata_counts, record_counts, record_holdout
from core.data.attributes import ATTRIBUTES, AttributeTable
from fixtures.published.files import Published
from reports.judge import Judge
from reports.record import ClaimRecord

# ------------------------------------------------------------------------------------------------------------- counts


@pytest.mark.claim("T-counts")
def test_counts(evidence: ClaimRecord, published_or_none: Published | None, celeba_dir: Path | None) -> None:
    record_counts(evidence, published_or_none, celeba_dir)


@pytest.fixture(scope="module")
def celeba_sized() -> tuple[pd.DataFrame, pd.Series]:
    """Tables of the printed size, made up: the first 13,193 wear glasses, the first 84,434 are male."""
    names = pd.Index([f"{k:06d}.jpg" for k in range(1, 202600)], name="name")
    attributes = pd.DataFrame(-1, index=names, columns=pd.Index(ATTRIBUTES), dtype=np.int8)
    attributes.loc[names[:13193], "Eyeglasses"] = 1
    attributes.loc[names[:84434], "Male"] = 1
    return attributes, pd.Series(np.arange(202599) % 10177 + 1, index=names)


@pytest.mark.control("T-counts", "positive")
def test_counts_of_tables_of_the_printed_size(celeba_sized: tuple[pd.DataFrame, pd.Series], judge: Judge) -> None:
    assert judge("T-counts", metadata_counts(*celeba_sized)) == "reproduced"


@pytest.mark.control("T-counts", "negative")
@pytest.mark.parametrize("defect", ["a lost image", "a flipped label", "a merged identity", "a lost column"])
def test_counts_notice(celeba_sized: tuple[pd.DataFrame, pd.Series], judge: Judge, defect: str) -> None:
    attributes, identities = celeba_sized[0].copy(), celeba_sized[1].copy()
    if defect == "a lost image":
        attributes = attributes.iloc[:-1]
    elif defect == "a flipped label":
        attributes.iloc[-1, ATTRIBUTES.index("Eyeglasses")] = 1
    elif defect == "a merged identity":
        identities[identities == 10177] = 1
    else:
        attributes = attributes.drop(columns="Bald")
    assert judge("T-counts", metadata_counts(attributes, identities)) == "refuted"


# ------------------------------------------------------------------------------------------------------------ hold-out


@pytest.mark.claim("T-holdout")
def test_holdout(evidence: ClaimRecord, published: Published) -> None:
    record_holdout(evidence, published)


@pytest.fixture
def lists_of_the_printed_size() -> tuple[list[str], list[str], pd.Series]:
    names = [f"{k:06d}.jpg" for k in range(1, 202600)]
    return names[10:], names[:10], pd.Series(np.arange(202599) // 20, index=names)


@pytest.mark.control("T-holdout", "positive")
def test_holdout_of_a_clean_cut(
    lists_of_the_printed_size: tuple[list[str], list[str], pd.Series], judge: Judge
) -> None:
    found = holdout(*lists_of_the_printed_size)
    assert found["held_out_of_trained_identities"] == 10
    assert judge("T-holdout", found) == "reproduced"


@pytest.mark.control("T-holdout", "positive")
def test_holdout_counts_identities_by_identity() -> None:
    identities = pd.Series([1, 1, 2, 3], index=["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    assert holdout(["a.jpg", "d.jpg"], ["b.jpg", "c.jpg"], identities)["held_out_of_trained_identities"] == 1


@pytest.mark.control("T-holdout", "negative")
@pytest.mark.parametrize("defect", ["a leaked image", "a forgotten image", "a foreign image"])
def test_holdout_notices(
    lists_of_the_printed_size: tuple[list[str], list[str], pd.Series], judge: Judge, defect: str
) -> None:
    train, test, identities = lists_of_the_printed_size
    if defect == "a leaked image":
        train[500] = test[3]
    elif defect == "a forgotten image":
        train = train[:-1]
    else:
        train[0] = "300000.jpg"
    assert judge("T-holdout", holdout(train, test, identities)) == "refuted"


# ---------------------------------------------------------------------------------------------------- attribute repair


@pytest.mark.claim("T-attribute-repair")
def test_attribute_repair(evidence: ClaimRecord, published_or_none: Published | None) -> None:
    record_repair(evidence, published_or_none)


@pytest.mark.control("T-attribute-repair", "positive")
def test_a_row_split_in_two_is_joined() -> None:
    names, values = ["000001.jpg", "000002.jpg"], np.ones((2, 40), dtype=np.int8)
    text = attribute_text(names, values)
    assert wrong_rows(repair, text[:-60] + "\n" + text[-60:], names, values) == 0
    assert lost_padding(text) == 0 and lost_padding(text[:-60] + text[-59:]) == 1


@pytest.mark.control("T-attribute-repair", "negative")
def test_readers_that_do_not_repair_are_caught(judge: Judge) -> None:
    def by_line(text: str) -> AttributeTable:
        """One row a line, as most readers of this file do it: short rows padded, pieces taken for rows."""
        lines = [line.split() for line in text.splitlines()[2:]]
        values = np.array([[int(v) if v in ("1", "-1") else -1 for v in (w[1:] + ["-1"] * 40)[:40]] for w in lines])
        return AttributeTable(ATTRIBUTES, tuple(words[0] for words in lines if words), values, ())

    def off_by_one(text: str) -> AttributeTable:
        read = repair(text)
        values = read.values.copy()
        values[-1] = np.roll(values[-1], 1)
        return AttributeTable(read.attributes, read.names, values, read.repaired)

    for reader in (by_line, off_by_one):
        found = repair_property(reader, 20, seed=2)
        assert found["rows_wrong"] > 0
        assert judge("T-attribute-repair", found) == "refuted"
    assert judge("T-attribute-repair", repair_property(repair, 20, seed=2)) == "reproduced"
