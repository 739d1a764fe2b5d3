"""Many equal images: one joins for all, the lists are what the rules say of all pairs, and nothing is quadratic."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dedup import equal
from core.dedup.equal import Keys, find_equal
from core.dedup.join.tiles import local_engine
from core.dedup.on_disk import work
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.dedup.pairs import kept
from core.dedup.search import near_duplicates
from core.dedup.sources import ArraySource
from core.dedup.tests.duplicates import few, files, found
from core.errors import InputError


@st.composite
def clusters(draw: st.DrawFn, longest: int = 120) -> np.ndarray:
    """Images of 4x4 of which many are copies, near copies, negatives, or constant."""
    n = draw(st.integers(2, longest))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    seeds = rng.random((draw(st.integers(1, 5)), 1, 4, 4), dtype=np.float32)
    for k in range(1, len(seeds)):
        if draw(st.booleans()):
            seeds[k] = seeds[k - 1] + np.float32(0.2) * seeds[k]  # chains
    images = seeds[rng.integers(len(seeds), size=n)]
    for kind in draw(st.lists(st.sampled_from("nkr"), max_size=20)):
        place = int(rng.integers(n))
        if kind == "n":
            images[place] = 1 - images[place]
        elif kind == "k":
            images[place] = rng.choice([0.0, 0.5])
        else:
            images[place] = rng.random((1, 4, 4))
    return images


def collapsed(monkeypatch: pytest.MonkeyPatch, images: np.ndarray, *more: np.ndarray, **options: Any) -> Any:
    """The same search with copies taken together, however few they are."""
    with monkeypatch.context() as patch:
        patch.setattr(equal, "LIMIT", -1)
        return near_duplicates(images, *more, size=4, memory="16MB", **options)


@few
@given(
    images=clusters(), threshold=st.sampled_from([0.5, 0.95, 0.999, 1.0]), prune=st.sampled_from([None, True, False])
)
def test_what_is_kept_is_what_all_pairs_say(images: np.ndarray, threshold: float, prune: bool | None) -> None:
    whole = near_duplicates(images, size=4, threshold=threshold)
    with pytest.MonkeyPatch.context() as patch:
        some = collapsed(patch, images, threshold=threshold, prune=prune, tile=64)
    assert some.total == len(whole)
    assert found(some) <= found(whole) and len(some) <= len(whole)
    for rule in ("drop-later", "representatives"):
        expected, got = kept(whole, len(images), rule), kept(some, len(images), rule)
        assert got.kept.tolist() == expected.kept.tolist()
        assert got.because.tolist() == expected.because.tolist() and got.orphans == expected.orphans


@few
@given(images=clusters(), cut=st.integers(0, 120), threshold=st.sampled_from([0.5, 0.95, 0.999]))
def test_across_two_sets_every_image_that_has_a_pair_is_in_one(images: np.ndarray, cut: int, threshold: float) -> None:
    a, b = images[:cut], images[cut:]
    whole = near_duplicates(a, b, size=4, threshold=threshold)
    with pytest.MonkeyPatch.context() as patch:
        some = collapsed(patch, a, b, threshold=threshold)
    assert some.total == len(whole) and found(some) <= found(whole)
    for side in ("i", "j"):
        assert set(getattr(some, side).tolist()) == set(getattr(whole, side).tolist())
    earliest = {j: i for i, j in sorted(found(whole), reverse=True)}
    assert {j: min(i for i, k in found(some) if k == j) for j in earliest} == earliest


@few
@given(images=clusters(60), cut=st.integers(1, 59), data=st.data())
def test_the_very_same_file_is_no_duplicate_of_itself(images: np.ndarray, cut: int, data: st.DataObject) -> None:
    """Twins are any one-to-one part of the images that are equal in both sets."""
    from core.dedup.search import as_pairs, make_join

    a, b = images[:cut], images[cut:]
    twin = np.full(len(b), -1)
    free, choice = set(range(len(a))), st.booleans()
    for j in range(len(b)):
        same = [i for i in sorted(free) if (a[i] == b[j]).all()]
        if len(same) > 0 and bool(data.draw(choice)):
            twin[j] = same[data.draw(st.integers(0, len(same) - 1))]
            free.discard(int(twin[j]))
    results = []
    for limit in (10**9, -1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(equal, "LIMIT", limit)
            join = make_join(ArraySource(a, size=4), ArraySource(b, size=4), threshold=0.95, memory="16MB", equal=True)
            results.append(as_pairs((part for _, part in local_engine(join, join.tasks)), join, twin))
    whole, some = results
    assert not {(int(i), j) for j, i in enumerate(twin)} & (found(whole) | found(some))
    assert some.total == len(whole) and found(some) <= found(whole)
    earliest = {j: i for i, j in sorted(found(whole), reverse=True)}
    assert {j: min(i for i, k in found(some) if k == j) for j in earliest} == earliest
    assert set(some.i.tolist()) == set(whole.i.tolist())


def test_a_collision_of_hashes_joins_nothing() -> None:
    """Planted defect: all hashes are equal, and only the rows tell the images apart."""
    images = np.random.default_rng(0).random((40, 1, 4, 4), dtype=np.float32)
    images[7] = images[30] = images[3]
    source = ArraySource(images, size=4)
    keys = Keys.of(40)
    keys.note(source, source.rows(0, 40), 0)
    for parts in (10**9, 64):
        assert find_equal(source, keys, parts, 5).first[[3, 7, 30]].tolist() == [3, 3, 3]
    keys.hashes[:] = 1
    assert (find_equal(source, keys, 10**9, 5).first == np.arange(40)).all()


def test_constant_images_are_compared_by_their_pixels(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((20, 1, 20, 20), dtype=np.float32)
    images[4] = images[9] = images[17] = 0.25
    images[12] = 0.5
    assert found(near_duplicates(images)) == {(4, 9), (4, 17), (9, 17)}
    assert found(near_duplicates(images[:10], images[10:])) == {(4, 7), (9, 7)}
    assert not found(near_duplicates(images, threshold=1.0))
    np.save(tmp_path / "x.npy", images)
    result = run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options())
    about = result["looked_at"]["sets"][0]
    assert about["constant"] == 4 and about["equal_to_an_earlier_one"] == 2 and result["counts"]["pairs"] == 3
    table = pd.read_parquet(tmp_path / "out" / "equal.parquet")
    assert table[["image", "first", "constant"]].to_numpy().tolist() == [[9, 4, True], [17, 4, True]]


def test_images_that_cannot_be_used_are_equal_to_none(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((20, 1, 20, 20), dtype=np.float32)
    images[3] = images[8] = np.nan
    np.save(tmp_path / "x.npy", images)
    result = run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options(skip_bad=True))
    assert result["counts"]["pairs"] == 0 and result["looked_at"]["sets"][0]["constant"] == 0


def test_a_big_cluster_takes_as_many_decisions_as_there_are_images(tmp_path: Path) -> None:
    """6,000 copies of one picture, 2,000 of another that is like it, 1,000 of a third, among 500 others."""
    rng = np.random.default_rng(0)
    three = rng.random((3, 1, 20, 20), dtype=np.float32)
    three[1] = three[0] + np.float32(0.1) * three[1]
    images = np.concatenate([*(np.repeat(three[k : k + 1], n, 0) for k, n in enumerate((6000, 2000, 1000)))])
    images = np.concatenate([images, rng.random((500, 1, 20, 20), dtype=np.float32)])[rng.permutation(9500)]
    np.save(tmp_path / "x.npy", images)
    result = run([find_input(tmp_path / "x.npy")], tmp_path / "out", Options(memory="16MB"))
    assert result["search"]["pairs_decided_in_float64"] < 10 and result["search"]["pairs_in_all"] < 10**6
    full = 8000 * 7999 // 2 + 1000 * 999 // 2
    assert result["counts"] == {
        "images": [9500],
        "skipped": 0,
        "pairs": full,
        "removed": 7999 + 999,
        "removed_without_a_kept_likeness": 0,
        "kept": 502,
    }
    pairs = pd.read_parquet(tmp_path / "out" / "pairs.parquet")
    assert len(pairs) == result["search"]["pairs_listed"] == 5999 + 1999 + 999 + 1
    assert len((tmp_path / "out" / "removed.txt").read_text().splitlines()) == 8998
    other = near_duplicates(images)
    assert other.total == full and set(kept(other, 9500).kept.tolist()) == {
        int(name) for name in (tmp_path / "out" / "kept.txt").read_text().split()
    }
    with pytest.raises(InputError, match="equal images were taken together; search again"):
        other.above(0.99)


@pytest.mark.parametrize("moment", ["order_rows", "collapse", "find_equal", "search"])
def test_a_search_stopped_while_rows_move_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    rng = np.random.default_rng(0)
    images = np.repeat(rng.random((40, 1, 20, 20), dtype=np.float32), 50, 0)[rng.permutation(2000)]
    images[::31] = rng.random((len(images[::31]), 1, 20, 20))
    np.save(tmp_path / "x.npy", images)
    given = [find_input(tmp_path / "x.npy")]
    monkeypatch.setattr(equal, "LIMIT", 1000)
    options = Options(memory="16MB", threads=1)
    run(given, tmp_path / "whole", options)
    original = getattr(work, moment)

    def dies(*arguments: Any, **more: Any) -> Any:
        if moment == "collapse":  # in the middle: half of the rows have moved
            side, index, segment = arguments
            original(side, index[: len(index) // 2], segment)
        elif moment != "search":
            original(*arguments, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(work, moment, dies)
        if moment == "search":
            from core.dedup.on_disk import run as module

            patch.setattr(module, "search", dies)
        with pytest.raises(KeyboardInterrupt):
            run(given, tmp_path / "out", options)
    assert run(given, tmp_path / "out", options)["measured"]["resumed"]
    assert files(tmp_path / "out") == files(tmp_path / "whole")
