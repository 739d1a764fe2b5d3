import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.files import names_sha256
from core.splits import build as splits


@st.composite
def corpora(draw: st.DrawFn) -> Any:
    """Names, identities, labels: one identity may hold most images, many hold one, labels may be nearly constant."""
    counts = draw(st.lists(st.sampled_from([1, 1, 1, 2, 3, 20]), min_size=2, max_size=12))
    identities = np.repeat(np.arange(len(counts)) * 7 - 3, counts)
    n = len(identities)
    names = [f"{i:06d}.jpg" for i in draw(st.permutations(range(1, n + 1)))]
    rare = draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=max(1, n - 1)).filter(lambda s: len(s) < n))
    labels = np.where(np.isin(np.arange(n), list(rare)), 1, -1).astype(np.int8)
    return names, identities, labels


@given(corpora(), st.data())
def test_baseline_groups_are_disjoint_and_as_defined(corpus: Any, data: st.DataObject) -> None:
    names = corpus[0]
    n = data.draw(st.integers(1, len(names) // 2))
    ends, consecutive = splits.baseline(names, n), splits.baseline(names, n, "consecutive")
    assert list(ends.groups["A"]) == names[:n] == list(consecutive.groups["A"])
    assert list(ends.groups["B"]) == names[-n:]
    assert list(consecutive.groups["B"]) == names[n : 2 * n]
    for split in (ends, consecutive):
        assert not set(split.groups["A"]) & set(split.groups["B"])
        assert split.order_sha256 == names_sha256(names)


@given(corpora(), st.integers(0, 3))
def test_attribute_groups_are_pure_balanced_and_keep_the_minority_whole(corpus: Any, seed: int) -> None:
    names, _, labels = corpus
    split = splits.by_attribute(names, labels, seed, attribute="Hat")
    label = dict(zip(names, labels, strict=True))
    minority = min((labels == 1).sum(), (labels == -1).sum())
    assert split.sizes == {"A": minority, "B": minority}
    assert {label[name] for name in split.groups["A"]} == {1}
    assert {label[name] for name in split.groups["B"]} == {-1}
    whole = "A" if (labels == 1).sum() <= (labels == -1).sum() else "B"
    assert set(split.groups[whole]) == {n for n in names if label[n] == (1 if whole == "A" else -1)}


@given(corpora(), st.integers(0, 3))
def test_identity_groups_share_no_identity_and_lose_no_image(corpus: Any, seed: int) -> None:
    names, identities, _ = corpus
    split = splits.by_identity(names, identities, seed)
    owner = dict(zip(names, identities, strict=True))
    people = {group: {owner[name] for name in listed} for group, listed in split.groups.items()}
    assert not people["A"] & people["B"]
    assert sorted(split.groups["A"] + split.groups["B"]) == sorted(names)


@given(corpora())
def test_identity_groups_are_no_less_balanced_than_a_coin(corpus: Any) -> None:
    names, identities, _ = corpus
    counts = np.unique(identities, return_counts=True)[1]
    a, b = splits.by_identity(names, identities, 0).sizes.values()
    signs = np.array(list(itertools.product([-1, 1], repeat=min(len(counts), 12))))
    assert abs(a - b) <= np.abs(signs @ counts).mean() + 1e-9


def test_identity_groups_are_even_where_single_images_exist() -> None:
    counts = [400, 90, 90, 30] + [1] * 300
    identities = np.repeat(np.arange(len(counts)), counts)
    a, b = splits.by_identity([f"{i}.png" for i in range(len(identities))], identities, 1).sizes.values()
    assert abs(a - b) <= 1


@given(corpora(), st.integers(0, 3), st.randoms())
def test_the_choice_does_not_depend_on_the_input_order(corpus: Any, seed: int, random: Any) -> None:
    names, identities, labels = corpus
    turn = list(range(len(names)))
    random.shuffle(turn)
    again = [names[i] for i in turn]
    for build, column in ((splits.by_attribute, labels), (splits.by_identity, identities)):
        assert build(names, column, seed).groups == build(again, column[turn], seed).groups


@given(corpora(), st.integers(0, 3))
def test_round_trip_and_the_same_bytes_twice(tmp_path_factory: pytest.TempPathFactory, corpus: Any, seed: int) -> None:
    names, identities, labels = corpus
    for split in (
        splits.baseline(names, 1),
        splits.by_attribute(names, labels, seed),
        splits.by_identity(names, identities, seed),
    ):
        first, second = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
        splits.save_split(split, first)
        assert splits.load_split(first) == split
        splits.save_split(splits.load_split(first), second)
        for path in first.iterdir():
            assert path.read_bytes() == (second / path.name).read_bytes()
        assert (first / "A.txt").read_bytes() == "".join(f"{n}\n" for n in split.groups["A"]).encode()


def test_known_bytes() -> None:
    """Pinned: a change here would silently change every split that was ever published with its seed."""
    names = [f"{i:06d}.jpg" for i in range(1, 13)]
    assert splits.hash_order(names, 0, "test")[:3] == ("000011.jpg", "000008.jpg", "000001.jpg")
    split = splits.by_identity(names, [1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7], 4)
    assert [names_sha256(split.groups[g])[:12] for g in "AB"] == ["8ea035f4ef88", "6926ceca32ac"]
    split = splits.by_attribute(names, [1, -1, -1] * 4, 4)
    assert [names_sha256(split.groups[g])[:12] for g in "AB"] == ["c1a96d575f3e", "b97ed56374e9"]


def test_orders_differ_by_seed_and_are_unbiased() -> None:
    names = [f"{i:06d}.jpg" for i in range(400)]
    first = [splits.hash_order(names, seed, "test")[0] for seed in range(400)]
    assert len(set(first)) > 200
    low = sum(name < "000200.jpg" for name in first)
    assert 150 < low < 250


def test_many_attributes_at_once_are_the_same_splits() -> None:
    names = [f"{i}.png" for i in range(40)]
    table = {"x": [1, 0] * 20, "y": [-1] * 39 + [1]}
    assert splits.by_attributes(names, table, 3) == {
        name: splits.by_attribute(names, column, 3, attribute=name) for name, column in table.items()
    }


def test_n_takes_the_front_of_each_group() -> None:
    names = [f"{i}.png" for i in range(40)]
    whole = splits.by_attribute(names, [1, 0] * 20, 3)
    part = splits.by_attribute(names, [1, 0] * 20, 3, n=5)
    assert part.groups["B"] == whole.groups["B"][:5]
    part = splits.by_identity(names, np.arange(40) // 4, 3, n=5)
    assert part.groups["A"] == splits.by_identity(names, np.arange(40) // 4, 3).groups["A"][:5]


NAMES = ["a.png", "b.png", "c.png", "d.png"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: splits.baseline(NAMES, 3), "n: found 3; expected 1 to 2"),
        (lambda: splits.baseline(NAMES, 0), "n: found 0"),
        (lambda: splits.baseline(NAMES, 1, "middle"), "ends, consecutive"),
        (lambda: splits.baseline([], 1), "found none"),
        (lambda: splits.baseline([*NAMES, "b.png"], 1), "'b.png'"),
        (lambda: splits.baseline([*NAMES, "e\n.png"], 1), "fits on a line"),
        (lambda: splits.by_attribute(NAMES, [1, 1, 1, 1], 0, attribute="Male"), "attribute Male: found 1"),
        (lambda: splits.by_attribute(NAMES, [1, -1, 0, 1], 0), "found 3"),
        (lambda: splits.by_attribute(NAMES, [1, -1, -1, -1], 0, n=2), "n: found 2; expected 1 to 1"),
        (lambda: splits.by_attribute(NAMES, [1, -1], 0), "shape (2,)"),
        (lambda: splits.by_identity(NAMES, [5, 5, 5, 5], 0), "needs two or more"),
        (lambda: splits.by_identity(NAMES, [1, 2, np.nan, 3], 0), "1 of 4 are missing"),
        (lambda: splits.by_identity(NAMES, [1, 1, 1, 2], 0, n=2), "the smaller group"),
    ],
)
def test_bad_input_is_named(build: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=None) as caught:
        build()
    assert message in str(caught.value)


def test_a_changed_or_missing_list_is_refused(tmp_path: Path) -> None:
    splits.save_split(splits.baseline(NAMES, 2), tmp_path)
    (tmp_path / "B.txt").write_text("a.png\nd.png\n")
    with pytest.raises(InputError, match=r"B\.txt.*was changed"):
        splits.load_split(tmp_path)
    (tmp_path / "B.txt").unlink()
    with pytest.raises(InputError, match=r"B\.txt"):
        splits.load_split(tmp_path)


def test_split_json_is_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not found"):
        splits.load_split(tmp_path)
    (tmp_path / "split.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        splits.load_split(tmp_path)
    (tmp_path / "split.json").write_text(json.dumps({"schema": splits.SCHEMA}))
    with pytest.raises(InputError, match="a key is missing"):
        splits.load_split(tmp_path)
    record: dict[str, Any] = {"schema": splits.SCHEMA, "kind": "x", "parameters": {}, "seed": None, "order_sha256": ""}
    outside = {"A": {"file": "../../secret.txt", "sha256": "0"}}
    (tmp_path / "split.json").write_text(json.dumps({**record, "groups": outside}))
    with pytest.raises(InputError, match=str(tmp_path / "secret.txt")):
        splits.load_split(tmp_path)


def test_group_names_are_plain(tmp_path: Path) -> None:
    split = splits.baseline(NAMES, 1)
    odd = splits.Split(split.kind, {"../A": ("a.png",)}, {}, None, "")
    with pytest.raises(InputError, match="letters"):
        splits.save_split(odd, tmp_path)
