"""Splits written in every form: read rightly, or refused in one line; never a wrong count, never a traceback.

`HYPOTHESIS_PROFILE=thorough` runs three times the examples, `SAMENOISE_FUZZ=N` as many as it says a property.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data.attributes import ATTRIBUTES
from core.errors import InputError
from core.splits.leakage import count_leakage
from core.splits.reading import Given, read_groups
from core.splits.tests import writing
from core.splits.tests.writing import Counts, Row, counted, write
from core.tests.thorough import THOROUGH

MORE = int(os.environ.get("SAMENOISE_FUZZ", "0"))
SEEN: Counter[str] = Counter()


def examples(n: int) -> settings:
    return settings(
        max_examples=MORE or (3 * n if THOROUGH else n), deadline=None, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def figures() -> Iterator[None]:
    yield
    print({**SEEN})


def read(given: Given) -> Counts | None:
    """What the readers count, or None where they refuse in one line."""
    SEEN["inputs"] += 1
    try:
        membership, notes, _ = read_groups(given)
    except InputError as refusal:
        SEEN["refusals"] += 1
        assert "\n" not in str(refusal) and len(str(refusal)) < 600
        return None
    assert all(str(note) for note in notes)
    found = count_leakage(membership)
    return {
        (min(p.a, p.b), max(p.a, p.b)): (p.shared_images, -1 if p.shared_identities is None else p.shared_identities)
        for p in found.pairs
    }


def images_only(counts: Counts) -> Counts:
    return {pair: (images, -1) for pair, (images, _) in counts.items()}


@given(st.data())
@examples(170)
def test_tables_in_every_dialect(data: st.DataObject) -> None:
    rows = data.draw(writing.rows())
    name, content = data.draw(writing.table(rows))
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), name, content)
        found = read(Given(tables=[path], group_column="split", name_column="file", identity_column="who"))
    assert found == counted(rows)


@given(st.data())
@examples(100)
def test_quotes_that_do_not_pair_up(data: st.DataObject) -> None:
    rows = data.draw(writing.rows())
    name, content = data.draw(writing.table(rows, loose=True))
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), name, content)
        found = read(Given(tables=[path], group_column="split", name_column="file", identity_column="who"))
    assert found is None or found == counted(rows)


@given(st.data())
@examples(140)
def test_lists_of_every_form(data: st.DataObject) -> None:
    rows = data.draw(writing.rows())
    groups: dict[str, list[str]] = {}
    for image, _, group in rows:
        groups.setdefault(group, []).append(image)
    first = data.draw(st.booleans())
    forms = writing.LABELLED if first else writing.LIST_FORMS
    with tempfile.TemporaryDirectory() as name:
        folder, given_groups = Path(name), []
        for group, names in groups.items():
            file, content = data.draw(writing.packed(f"{group}.txt", data.draw(writing.listed(names, forms))))
            given_groups.append(f"{group}={write(folder, file, content)}")
        who = write(folder, "who.txt", data.draw(writing.identity_file(rows)))
        with_who = data.draw(st.booleans())
        found = read(
            Given(groups=given_groups, name_column="1" if first else None, identities=who if with_who else None)
        )
    assert found is None or found == (counted(rows) if with_who else images_only(counted(rows)))


@given(st.data())
@examples(50)
def test_partitions_and_folds(data: st.DataObject) -> None:
    rows = [row for row in data.draw(writing.rows(tuple("012345"))) if " " not in row[0]]
    apart = data.draw(st.sampled_from([" ", ",", "\t"]))
    text = data.draw(st.sampled_from(["", f"image_id{apart}partition\n"]))
    text += "".join(f"{image}{apart}{group}\n" for image, _, group in rows)
    merge = data.draw(st.sampled_from([None, "a=0,b=1-5", "a=0-1,b=2"]))
    into = {"a=0,b=1-5": dict(zip("012345", "abbbbb", strict=True)), "a=0-1,b=2": dict(zip("012", "aab", strict=True))}
    kept: list[Row] = rows if merge is None else [(i, w, into[merge][g]) for i, w, g in rows if g in into[merge]]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), data.draw(st.sampled_from(["p.txt", "p.csv"])), text)
        who = write(Path(folder), "who.txt", data.draw(writing.identity_file(rows))) if rows else None
        found = read(Given(tables=[path], identities=who, merge=merge))
    assert found is None or found == counted(kept)


@given(st.data())
@examples(50)
def test_a_column_a_group(data: st.DataObject) -> None:
    rows = data.draw(writing.rows())
    groups = sorted({group for *_, group in rows})
    people = {image: who for image, who, _ in rows}
    yes, no = data.draw(st.sampled_from([("1", "0"), ("True", "False"), ("yes", "no"), ("x", ""), ("1.0", "0.0")]))
    where = {(image, group) for image, _, group in rows}
    lines = [",".join(["file", "who", *(f"is_{g}" for g in groups)])]
    lines += [",".join([i, w, *(yes if (i, g) in where else no for g in groups)]) for i, w in people.items()]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "t.csv", "\n".join(lines) + "\n")
        wide = data.draw(st.sampled_from([None, ",".join(f"is_{g}" for g in groups)]))
        found = read(Given(tables=[path], group_column=wide, name_column="file", identity_column="who"))
    assert found == {(f"is_{a}", f"is_{b}"): both for (a, b), both in counted(rows).items()}


@given(st.data())
@examples(50)
def test_attribute_files(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 6))
    names = [f"{i:06d}.jpg" for i in range(n)]
    male = data.draw(st.lists(st.sampled_from([-1, 1]), min_size=n, max_size=n))
    form = data.draw(st.sampled_from(["celeba", "uncounted", "broken", "csv", "semicolons"]))
    rows = [f"{name} " + " ".join([str(value)] * 40) for name, value in zip(names, male, strict=True)]
    if form == "broken":
        at = data.draw(st.integers(0, n - 1))
        cut = data.draw(st.integers(11, len(rows[at]) - 1))
        rows[at] = rows[at][:cut] + "\n" + rows[at][cut:]
    text = "\n".join([*([] if form == "uncounted" else [str(n)]), " ".join(ATTRIBUTES), *rows, ""])
    if form in ("csv", "semicolons"):
        apart = "," if form == "csv" else ";"
        table = [f"image_id{apart}Male", *(f"{name}{apart}{value}" for name, value in zip(names, male, strict=True))]
        text = "\n".join(table) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        attributes = write(Path(folder), f"attributes.{'csv' if form == 'csv' else 'txt'}", text)
        a, b = (write(Path(folder), f"{g}.txt", "\n".join(part)) for g, part in (("a", names[:1]), ("b", names[1:])))
        SEEN["inputs"] += 1
        found = count_leakage(read_groups(Given(groups=[f"a={a}", f"b={b}"], attributes=attributes))[0])
    for group, part in (("a", male[:1]), ("b", male[1:])):
        ones = {value: part.count(int(value)) for value in found.groups[group].attributes["Male"]}
        assert found.groups[group].attributes["Male"] == ones


@given(st.data())
@examples(120)
def test_files_that_were_damaged_are_read_or_refused(data: st.DataObject) -> None:
    rows = data.draw(writing.rows())
    name, content = data.draw(writing.table(rows) | writing.table(rows, loose=True))
    raw = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b'"', b"\n", b"\r", b",", b"\t", b";", b"#", b"\0", b"\xff", b"{", b"[", b"=", b"  "])
        )
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), name, bytes(raw))
        name_column, who = data.draw(st.sampled_from([("file", "who"), (None, None)]))
        for given_ in (
            Given(tables=[path], group_column=who and "split", name_column=name_column, identity_column=who),
            Given(groups=[f"a={path}", f"b={path}[1:]"]),
            Given(groups=[f"a={path}", f"b={path}"], identities=path, attributes=path),
        ):
            read(given_)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@examples(40)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("x.csv", "x.txt", "x.parquet", "x.jsonl"):
            path = write(Path(folder), name, content)
            read(Given(tables=[path]))
            read(Given(groups=[f"a={path}", f"b={path}"]))
