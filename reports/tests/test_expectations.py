import re
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.expectations import group_suite, metadata_suite, validate

N = 60


@pytest.fixture
def table() -> Any:
    names = [f"{i:06d}.jpg" for i in range(1, N + 1)]
    male = np.where(np.arange(N) < N // 2, 1, -1)
    return pd.DataFrame({"name": names, "identity": np.arange(N) // 3, "Male": male, "Young": 1})


def check(table: pd.DataFrame, **options: Any) -> Any:
    return validate(table, metadata_suite(("Male", "Young"), **options), name="small")


def test_good_metadata_passes_without_a_connection(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    found = check(table, totals={"images": N, "identities": N // 3, "Male": N // 2})
    assert (found.success, found.failed) == (True, ())
    assert found.expectations == 12


DEFECTS: dict[str, tuple[str, int, Any]] = {
    "unique": ("name", 1, "000001.jpg"),
    "match_regex": ("name", 1, "img/000002.jpg"),
    "in_set": ("Male", 0, 0),
    "identity": ("identity", 4, None),
    "sum_to_be_between": ("Male", 0, -1),
    "unique_value_count": ("identity", 0, 999),
}


@pytest.mark.parametrize("which", DEFECTS)
def test_every_planted_defect_is_caught(table: pd.DataFrame, which: str) -> None:
    column, row, value = DEFECTS[which]
    table[column] = table[column].astype(object)
    table.loc[row, column] = value
    found = check(table, totals={"images": N, "identities": N // 3, "Male": N // 2})
    assert not found.success
    assert any(which in sentence for sentence in found.failed)


def test_a_missing_row_is_caught(table: pd.DataFrame) -> None:
    found = check(table[1:], totals={"images": N})
    assert found.failed == ("expect_table_row_count_to_equal: found 59",)


@pytest.mark.parametrize(
    ("rows_of_b", "failed"),
    [
        (slice(30, 60), set()),
        (slice(29, 59), {"image", "identity", "pure"}),
        (slice(31, 60), {"balanced"}),
        (slice(31, 61), {"balanced"}),
    ],
)
def test_custom_expectations_on_groups(table: pd.DataFrame, rows_of_b: slice, failed: set[str]) -> None:
    groups = pd.concat([table[:30].assign(group="A"), table[rows_of_b].assign(group="B")], ignore_index=True)
    found = validate(groups, group_suite(identity=True, attribute="Male", tolerance=0), name="groups")
    assert found.expectations == 4
    assert {
        word for word in ("image", "identity", "pure", "balanced") if any(word in s[:45] for s in found.failed)
    } == failed


def test_shared_identities_are_told_in_words(table: pd.DataFrame) -> None:
    table.loc[45, "identity"] = 0
    groups = table.assign(group=["A"] * 30 + ["B"] * 30)
    (sentence,) = validate(groups, group_suite(identity=True), name="groups").failed
    assert "A and B share 1 identity (0): 3 of 30 images of A (10.00%)" in sentence


def test_an_unknown_column_is_a_failure_and_not_a_pass(table: pd.DataFrame) -> None:
    found = validate(table, group_suite(), name="groups")
    assert not found.success
    assert "group" in found.failed[0]


def test_data_docs_need_no_network(table: pd.DataFrame, tmp_path: Path) -> None:
    found = validate(table, metadata_suite(("Male",)), name="small", docs=tmp_path / "docs")
    pages = list((tmp_path / "docs").rglob("*.html"))
    assert found.docs in pages
    assert len(pages) == 3
    for page in pages:
        text = page.read_text()
        assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|\bsrc\s*=", text)
        for target in re.findall(r'href="([^"#:]+)"', text):
            assert (page.parent / target).resolve().is_file(), target
    linked = re.findall(r'href="([^"]+)"', found.docs.read_text())
    assert len(linked) == 2
