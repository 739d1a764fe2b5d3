"""Claims on CelebA's metadata: counts, the ten images set aside, the attribute file (T 2.2, 3.1)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.measures.attribute_repair import (
    attribute_text,
    break_rows,
    lost_padding,
    repair,
    repair_property,
    wrong_rows,
)
from audit.measures.metadata import holdout, metadata_counts
from audit.measures.record import cite
from core.data.attributes import ATTRIBUTES, AttributeTable
from core.data.celeba import read_attributes, read_identities, require_file
from core.files import sha256_file
from fixtures.published.files import Published
from reports.judge import Judge
from reports.record import ClaimRecord

# ------------------------------------------------------------------------------------------------------------- counts


@pytest.mark.claim("T-counts")
def test_counts(evidence: ClaimRecord, published_or_none: Published | None, celeba_dir: Path | None) -> None:
    if published_or_none is not None:
        cite(evidence, "attributes.zip", "links_identities-faces.txt")
        for name, value in metadata_counts(published_or_none.attributes, published_or_none.identities).items():
            evidence.add(name, value, kind="published", n=len(published_or_none.attributes))
    if celeba_dir is not None:
        files = [require_file(celeba_dir, name) for name in ("list_attr_celeba.txt", "identity_CelebA.txt")]
        for path in files:
            evidence.input(f"CelebA: {path.name}", sha256=sha256_file(path))
        attributes = read_attributes(files[0])
        for name, value in metadata_counts(attributes, read_identities(files[1])).items():
            evidence.add(name, value, kind="celeba", n=len(attributes))


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
    cite(evidence, "train_filenames.txt", "test_filenames.txt", "links_identities-faces.txt")
    found = holdout(published.train, published.test, published.identities)
    others = [int((published.identities == published.identities[name]).sum()) - 1 for name in published.test]
    for name, value in found.items():
        note = None
        if name == "held_out_of_trained_identities":
            note = f"each of these people has {min(others)} to {max(others)} images in the training list"
        evidence.add(name, value, kind="published", n=len(published.identities), note=note)


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
    tables = 400
    found = repair_property(repair, tables, seed=0)
    note = f"{found.pop('rows_broken')} rows of {tables} random tables broken by one to four line ends each"
    for name, value in found.items():
        evidence.add(name, value, kind="property", n=tables, seeds="0", note=note)
    if published_or_none is None:
        return
    cite(evidence, "attributes.zip")
    table, n = published_or_none.attribute_table, len(published_or_none.attribute_table.names)
    forty = table.values.shape[1] == 40 and np.isin(table.values, (-1, 1)).all()
    evidence.add("rows", n, kind="published", n=n)
    evidence.add("rows_without_forty_values", 0 if forty else n, kind="published", n=n)
    evidence.add(
        "rows_broken_as_published",
        len(table.repaired),
        kind="published",
        n=n,
        note="no row of the published file is broken: it is the repaired one, the breaks themselves are not published",
    )
    seams = lost_padding(published_or_none.attribute_text)
    evidence.add(
        "rows_with_a_lost_blank",
        seams,
        kind="published",
        n=n,
        note="values are padded to two characters, except once in each of these rows, before a +1 inside the row: what "
        "joining two pieces with one blank would leave behind (before a -1 it would leave no trace)",
    )
    rows = 2000
    text = break_rows(published_or_none.attribute_text, np.random.default_rng(1), rows)
    evidence.add(
        "rows_wrong_after_breaking",
        wrong_rows(repair, text, table.names, table.values),
        kind="published",
        n=rows,
        seeds="1",
        note=f"the published file with {rows} rows broken at random, repaired and compared with itself",
    )


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
