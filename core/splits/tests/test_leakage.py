import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.splits.leakage import count_leakage, rate_difference
from core.splits.membership import from_lists
from core.splits.requirements import violations
from core.splits.tables import read_table


@st.composite
def grouped(draw: st.DrawFn) -> Any:
    """Two or three groups of names that may share images, with identities and one attribute."""
    n = draw(st.integers(2, 30))
    names = [f"{i:06d}.jpg" for i in range(n)]
    identities = pd.Series(draw(st.lists(st.integers(1, 8), min_size=n, max_size=n)), index=names)
    male = pd.DataFrame({"Male": draw(st.lists(st.sampled_from([-1, 1]), min_size=n, max_size=n))}, index=names)
    some = st.lists(st.sampled_from(names), min_size=1, max_size=n, unique=True)
    groups = {name: draw(some) for name in draw(st.sampled_from(["AB", "ABC"]))}
    return groups, identities, male


@given(grouped())
def test_counts_equal_those_of_plain_sets(case: Any) -> None:
    groups, identities, male = case
    found = count_leakage(from_lists(groups, identities, male))
    who = {name: {identities[x] for x in listed} for name, listed in groups.items()}
    for name, listed in groups.items():
        counts = found.groups[name]
        assert (counts.rows, counts.images, counts.identities) == (len(listed), len(listed), len(who[name]))
        ones = sum(male.Male[x] == 1 for x in listed)
        assert counts.attributes["Male"].get("1", 0) == ones
        assert counts.purity["Male"] == pytest.approx(max(ones, len(listed) - ones) / len(listed))
    assert len(found.pairs) == len(groups) * (len(groups) - 1) // 2
    for pair in found.pairs:
        a, b = groups[pair.a], groups[pair.b]
        assert pair.shared_images == len(set(a) & set(b))
        assert pair.shared_identities == len(who[pair.a] & who[pair.b])
        assert pair.images_of_a_with_identity_in_b == sum(identities[x] in who[pair.b] for x in a)
        assert pair.images_of_b_with_identity_in_a == sum(identities[x] in who[pair.a] for x in b)
        assert pair.fraction_of_b == pytest.approx(np.mean([identities[x] in who[pair.a] for x in b]))
        rates = [male.Male[listed].eq(1).mean() for listed in (a, b)]
        assert pair.attributes["Male"].total_variation == pytest.approx(abs(rates[0] - rates[1]))
    listed = [x for names in groups.values() for x in names]
    by_person = male.Male[listed].groupby(identities[listed].to_numpy()).nunique()
    assert found.inconsistent_identities["Male"] == (by_person > 1).sum()


@given(grouped())
def test_requirements_hold_exactly_where_the_counts_say_so(case: Any) -> None:
    groups, identities, male = case
    found = count_leakage(from_lists(groups, identities, male))
    broken = {name for name, _ in violations(found, ["image", "identity", "attribute:Male", "balance:0"])}
    assert ("image" in broken) == any(p.shared_images for p in found.pairs)
    assert ("identity" in broken) == any(p.shared_identities for p in found.pairs)
    assert ("balance:0" in broken) == (len({len(listed) for listed in groups.values()}) > 1)
    values = [set(male.Male[listed]) for listed in groups.values()]
    apart = all(len(v) == 1 for v in values) and len(set.union(*values)) == len(values)
    assert ("attribute:Male" in broken) == (not apart)


@given(grouped())
def test_a_group_against_itself_leaks_entirely(case: Any) -> None:
    groups, identities, _ = case
    pair = count_leakage(from_lists({"A": groups["A"], "B": groups["A"]}, identities)).pairs[0]
    assert pair.shared_images == len(groups["A"])
    assert pair.fraction_of_a == pair.fraction_of_b == 1.0


def test_swapping_the_groups_swaps_the_counts() -> None:
    identities = pd.Series([1, 1, 1, 2, 3], index=list("abcde"))
    one = count_leakage(from_lists({"A": list("abd"), "B": list("ce")}, identities)).pairs[0]
    two = count_leakage(from_lists({"B": list("ce"), "A": list("abd")}, identities)).pairs[0]
    assert (one.images_of_a_with_identity_in_b, one.images_of_b_with_identity_in_a) == (2, 1)
    assert (two.images_of_a_with_identity_in_b, two.images_of_b_with_identity_in_a) == (1, 2)


def test_one_planted_image_among_a_hundred_thousand_is_caught() -> None:
    names = [f"{i:06d}.jpg" for i in range(100_000)]
    identities = pd.Series(np.arange(100_000) // 20, index=names)
    a, b = names[:50_000], names[50_000:]
    assert not violations(count_leakage(from_lists({"A": a, "B": b}, identities)), ["image", "identity"])
    b[31_415] = a[27_182]
    broken = violations(count_leakage(from_lists({"A": a, "B": b}, identities)), ["image", "identity"])
    assert broken[0] == ("image", "A and B share 1 image (027182.jpg)")
    assert "share 1 identity (1359)" in broken[1][1]
    assert "1 of 50,000 of B" in broken[1][1]


def test_balance_is_a_share_of_the_larger_group() -> None:
    names = [f"{i}" for i in range(199)]
    found = count_leakage(from_lists({"A": names[:100], "B": names[100:]}))
    assert not violations(found, ["balance"])
    assert violations(found, ["balance:0.009"])[0][1].startswith("B has 99 images, A has 100: 1.00% fewer")


@pytest.mark.parametrize("require", ["images", "attribute", "attribute:Hat", "identity", "duplicate", "balance:x"])
def test_a_requirement_that_cannot_be_judged_is_refused(require: str) -> None:
    found = count_leakage(from_lists({"A": ["a"], "B": ["b"]}))
    with pytest.raises(InputError):
        violations(found, [require])


def test_near_duplicates_are_counted_from_both_sides() -> None:
    membership = from_lists({"A": ["a", "b", "c"], "B": ["d", "e"]})
    near = {("A", "B"): np.array([[0, 3], [1, 3], [1, 4]])}
    found = count_leakage(membership, near)
    pair = found.pairs[0]
    assert (pair.near_duplicate_pairs, pair.images_of_a_near_b, pair.images_of_b_near_a) == (3, 2, 2)
    assert violations(found, ["duplicate"]) == [
        (
            "duplicate",
            "A and B: 2 images of A have a near-duplicate in B, 2 of B one in A (a ~ d, b ~ d, b ~ e)",
        )
    ]
    assert not violations(count_leakage(membership, {("A", "B"): np.empty((0, 2), int)}), ["duplicate"])


@pytest.mark.parametrize(
    ("counts", "interval"),
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((6, 7, 2, 7), (0.0582, 0.8062)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((0, 10, 0, 20), (-0.1611, 0.2775)),
        ((10, 10, 0, 20), (0.6791, 1.0)),
    ],
)
def test_interval_agrees_with_newcombes_table(counts: tuple[int, int, int, int], interval: tuple[float, float]) -> None:
    """Newcombe (1998), table II, method 10."""
    ours = rate_difference(*counts)
    assert (ours.low, ours.high) == pytest.approx(interval, abs=6e-5)


def test_unknown_images_are_named_or_skipped() -> None:
    identities = pd.Series([1, 2], index=["1.jpg", "2.jpg"])
    groups = {"A": ["1.jpg", "3.jpg"], "B": ["2.jpg"]}
    with pytest.raises(InputError, match=r"identities: 1 of 3 images .* '3\.jpg' \(names there look like '1\.jpg'\)"):
        from_lists(groups, identities)
    found = count_leakage(from_lists(groups, identities, on_unknown="skip"))
    assert found.notes == {"images without identities": 1}
    assert found.groups["A"].images_without_identity == 1
    assert found.pairs[0].shared_identities == 0
    with pytest.raises(InputError, match=r"there it is called '1\.jpg'"):
        from_lists({"A": ["x/1.png"], "B": ["2.jpg"]}, identities)


def test_too_few_or_empty_groups_are_refused() -> None:
    with pytest.raises(InputError, match="found 1"):
        from_lists({"A": ["a"]})
    with pytest.raises(InputError, match="group B: found no image"):
        from_lists({"A": ["a"], "B": []})


TABLE = pd.DataFrame(
    {
        "file": ["p1.png", "p2.png", "p3.png", "p4.png", "p4.png"],
        "split": ["train", "train", "test", "test", "test"],
        "patient": [7, 7, 7, 9, 9],
        "sex": ["f", "f", "f", "m", "m"],
        "age": [1, 2, 10, 30, 30],
    }
)


def write(path: Path, table: pd.DataFrame) -> Any:
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_a_table_of_any_data_set(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"t.{suffix}", TABLE)
    found = count_leakage(read_table(path, group_column="split", name_column="file", identity_column="patient"))
    assert (found.groups["test"].rows, found.groups["test"].images) == (3, 2)
    assert found.groups["test"].attributes["sex"] == {"f": 1, "m": 1}
    assert list(found.groups["test"].attributes["age"]) == ["1", "2", "10", "30"]
    (pair,) = found.pairs
    assert (pair.a, pair.b, pair.shared_identities, pair.examples["identities"]) == ("test", "train", 1, ["7"])
    assert (pair.fraction_of_a, pair.fraction_of_b) == (0.5, 1.0)
    assert len(pair.attributes["age"].rates) == 4
    assert len(pair.attributes["sex"].rates) == 1
    json.dumps(found.as_json(), allow_nan=False)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_missing_identities_are_counted_or_refused(tmp_path: Path, suffix: str) -> None:
    table = TABLE.assign(patient=[7.0, np.nan, 7.0, np.nan, np.nan])
    path = write(tmp_path / f"t.{suffix}", table)
    options: dict[str, Any] = {"group_column": "split", "name_column": "file", "identity_column": "patient"}
    with pytest.raises(InputError, match=r"3 of 5 rows have no patient, the first is row 2"):
        read_table(path, **options)
    found = count_leakage(read_table(path, on_unknown="skip", **options))
    assert found.notes == {"rows without patient": 3}
    assert found.groups["test"].images_without_identity == 1
    assert found.pairs[0].shared_identities == 1


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_without_a_group_are_left_out(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"t.{suffix}", TABLE.assign(split=["train", "", "test", "test", "test"]))
    found = count_leakage(read_table(path, group_column="split", name_column="file", on_unknown="skip"))
    assert found.groups["train"].images == 1
    assert found.notes == {"rows without split or file": 1}


def test_an_image_with_two_identities_breaks_the_identity_requirement(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", TABLE.assign(patient=[1, 2, 3, 4, 5]))
    found = count_leakage(read_table(path, group_column="split", name_column="file", identity_column="patient"))
    assert found.images_with_two_identities == 1
    assert violations(found, ["identity"]) == [("identity", "two identities are given for 1 image")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,split\na,x\nb\xe9,y\n", "line 3: found byte 0xe9, expected UTF-8"),
        (b"name\xe9,split\na,x\n", "line 1: found byte 0xe9"),
        (b"\xff\xfen\x00a\x00\xd8", "begins as UTF-16 and is not"),
        (b"name;fold\na;x\n", "found no column 'split'; its columns are name, fold"),
        (b"name,split\na,x\nb\n", "1 of 2 rows have no split or name, the first is row 2"),
        (b"name,split\na,x\nb,y,z\n", "line 3: found 3 values apart by commas; expected 2"),
        (b"name,split,split\na,x,y\n", "'split' stands twice"),
        (b"name,split\na,x\nb,x\n", "found 1 (x); expected two or more"),
        (b"", "t.csv"),
    ],
)
def test_bad_csv_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / "t.csv", group_column="split")
    assert message in str(caught.value)


def test_other_bad_tables_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "t.xlsx").write_bytes(b"x")
    pd.DataFrame({"name": ["a", "b"], "split": [["x"], ["y"]]}).to_parquet(tmp_path / "n.parquet")
    many = pd.DataFrame({"name": [str(i) for i in range(2000)], "split": [str(i) for i in range(2000)]})
    many.to_csv(tmp_path / "many.csv", index=False)
    for name, message in {
        "t.parquet": r"t\.parquet: ",
        "t.xlsx": "t.xlsx: found no column 'split'",
        "none.csv": "no such file",
        "n.parquet": "cannot be counted",
        "many.csv": "2,000 values; expected at most 100",
    }.items():
        with pytest.raises(InputError, match=message):
            read_table(tmp_path / name, group_column="split")


def test_wide_columns_are_no_attributes_unless_named(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": [f"{i}.png" for i in range(1200)], "split": ["x", "y"] * 600, "path": range(1200)})
    path = write(tmp_path / "t.csv", table)
    membership = read_table(path, group_column="split")
    assert not membership.attributes
    assert membership.notes == {"values in column path, not counted as an attribute": 1200}
    with pytest.raises(InputError, match="1,200 values"):
        read_table(path, group_column="split", attributes=["path"])


SCALE = """
import resource, sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from core.splits.leakage import count_leakage
from core.splits.tables import read_table
n, path = 1_000_000, sys.argv[1]
rng = np.random.default_rng(0)
names = np.char.add(np.arange(n).astype("U7"), ".jpg")
pq.write_table(pa.table({"name": names, "split": rng.choice(["a", "b"], n), "who": rng.integers(0, n // 5, n)}), path)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = count_leakage(read_table(path, group_column="split", identity_column="who"))
print(found.pairs[0].shared_identities, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_grows_by_less_than_300_bytes_a_row(tmp_path: Path) -> None:
    """Ten million rows must fit into 4 GB; peak resident memory is measured in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", SCALE, str(tmp_path / "t.parquet")], capture_output=True, text=True, check=True
    )
    shared, kilobytes = map(int, ran.stdout.split())
    assert shared > 100_000
    assert kilobytes < 300_000
