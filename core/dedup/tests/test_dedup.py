"""The definition, the rules, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.dedup.definition import normalised_rows
from core.dedup.pairs import Kept, Pairs, kept
from core.dedup.search import near_duplicates, pool
from core.dedup.tests.duplicates import few, found
from core.errors import InputError
from core.machine import parse_memory


def test_definition_against_an_independent_form() -> None:
    rng = np.random.default_rng(1)
    images = torch.from_numpy(rng.random((40, 3, 40, 60), dtype=np.float32))
    down = torch.nn.functional.avg_pool2d(images.double(), 2)
    down = down - down.mean(dim=(1, 2, 3), keepdim=True)
    expected = (down / down.flatten(1).norm(dim=1)[:, None, None, None]).flatten(1).numpy()
    np.testing.assert_allclose(normalised_rows(images.numpy()), expected, atol=1e-14)
    np.testing.assert_allclose(pool(images), expected.astype(np.float32), atol=1e-7)
    assert (normalised_rows(images.numpy())[7:9] == normalised_rows(images[7:9].numpy())).all()


def test_constant_images_are_like_nothing() -> None:
    images = np.full((5, 1, 40, 40), 0.1, dtype=np.float32) * np.arange(1, 6, dtype=np.float32)[:, None, None, None]
    assert not normalised_rows(images).any()
    assert len(near_duplicates(images, threshold=1e-6)) == 0


def test_threshold_one_reports_nothing_and_copies_count_below_it() -> None:
    images = np.tile(np.random.default_rng(0).random((1, 1, 20, 20), dtype=np.float32), (70, 1, 1, 1))
    assert len(near_duplicates(images, threshold=1.0)) == 0
    pairs = near_duplicates(images, threshold=np.nextafter(1.0, 0) - 1e-14)
    assert len(pairs) == 70 * 69 // 2
    assert len(kept(pairs, 70).kept) == 1


def test_pooled_rows_give_the_pairs_of_the_images() -> None:
    images = np.random.default_rng(0).random((90, 1, 40, 40), dtype=np.float32)
    images[40] = images[3] + 0.01 * images[4]
    images[80] = 1 - images[3]
    assert found(near_duplicates(pool(images))) == found(near_duplicates(images)) == {(3, 40), (3, 80), (40, 80)}
    assert found(near_duplicates(images).above(0.9999)) == {(3, 80)} | {
        p for p in [(3, 40), (40, 80)] if p in found(near_duplicates(images, threshold=0.9999))
    }


def make_pairs(*ij: tuple[int, int]) -> Pairs:
    array = np.array(sorted(ij), dtype=np.int64).reshape(-1, 2)
    return Pairs(array[:, 0], array[:, 1], np.full(len(array), 0.99), 0.95)


def test_a_chain_under_both_rules() -> None:
    chain = make_pairs((0, 1), (1, 2), (2, 3))
    later, some = kept(chain, 5), kept(chain, 5, "representatives")
    assert later.kept.tolist() == [0, 4] and later.orphans == 2
    assert some.kept.tolist() == [0, 2, 4] and some.orphans == 0
    assert later.because.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert some.because.tolist() == [[0, 1], [2, 3]]


@few
@given(st.integers(1, 30), st.data())
def test_rules_hold_their_promises(n: int, data: st.DataObject) -> None:
    edges = data.draw(st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] < e[1])))
    pairs = make_pairs(*edges)
    later, some = kept(pairs, n), kept(pairs, n, "representatives")
    assert set(later.removed.tolist()) == {j for _, j in edges}
    stays = set(some.kept.tolist())
    assert not any(i in stays and j in stays for i, j in edges)  # no two kept images are alike
    assert all(
        any((i, j) in edges for i in stays) for j in some.removed.tolist()
    )  # each removed one is like a kept one
    assert stays >= set(later.kept.tolist())
    covered = {j for i, j in edges if i in set(later.kept.tolist())}
    assert later.orphans == len(set(later.removed.tolist()) - covered)
    for result in (later, some):
        assert isinstance(result, Kept)
        assert sorted([*result.kept, *result.removed]) == list(range(n))
        assert all(
            (int(i), int(j)) in edges and j == r for (i, j), r in zip(result.because, result.removed, strict=True)
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": 0.0}, "threshold: expected a number in (0, 1], got 0.0"),
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": 1.5}, "threshold"),
        ({"memory": "10kB"}, "cannot hold a tile"),
        ({"memory": "plenty"}, "memory: expected bytes or a size like 256MB, got 'plenty'"),
        ({"threads": -1}, "threads"),
        ({"size": 0}, "size"),
    ],
)
def test_bad_arguments(change: dict[str, object], message: str) -> None:
    images = np.random.default_rng(0).random((4, 1, 4, 4), dtype=np.float32)
    with pytest.raises(InputError) as error:
        near_duplicates(images, **{"size": 4, **change})  # type: ignore[arg-type]
    assert message in str(error.value)


def test_bad_images() -> None:
    images = np.random.default_rng(0).random((9000, 1, 4, 4), dtype=np.float32)
    images[8123, 0, 2, 1] = np.nan
    with pytest.raises(InputError, match="images: image 8123 has a pixel that is NaN or infinite"):
        near_duplicates(images, size=4)
    with pytest.raises(InputError, match="against: image 1 "):
        near_duplicates(images[:3], np.array([images[0], images[0] + np.inf]), size=4)
    with pytest.raises(InputError, match=r"expected shape .* or \(n, d\), got \(2, 2, 2, 2, 2\)"):
        near_duplicates(np.zeros((2, 2, 2, 2, 2), np.float32))
    with pytest.raises(InputError, match="expected floating-point or whole-number pixels, got complex64"):
        near_duplicates(np.zeros((2, 4), np.complex64))
    with pytest.raises(InputError, match="against: found 20 pooled values an image, expected 16"):
        near_duplicates(images[:2], np.ones((2, 20), np.float32), size=4)
    with pytest.raises(InputError, match="rule: expected one of drop-later, representatives, got 'newest'"):
        kept(make_pairs((0, 1)), 2, "newest")
    with pytest.raises(InputError, match="pairs: expected 0 <= i < j < 2"):
        kept(make_pairs((0, 5)), 2)
    with pytest.raises(InputError, match=r"threshold: expected at least 0\.95"):
        make_pairs((0, 1)).above(0.5)


@pytest.mark.parametrize(
    ("text", "value"), [("256MB", 256_000_000), ("1.5GiB", 3 * 2**29), (4096, 4096), ("1 kb", 1000)]
)
def test_memory_sizes(text: int | str, value: int) -> None:
    assert parse_memory(text) == value
