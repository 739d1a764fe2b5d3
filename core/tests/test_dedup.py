"""The definition, the rules and the exact join, against independent all-pairs answers on hostile corpora."""

import os
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import join_plan
from core.dedup import Kept, Pairs, kept, near_duplicates, pool
from core.dedup_rows import ArraySource, correlations, normalised_rows
from core.errors import InputError
from core.join_device import cut_to_tf32
from core.memory import parse_memory

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
few = settings(
    max_examples=600 if THOROUGH else 25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


def all_pairs(a: np.ndarray, b: np.ndarray | None, threshold: float, size: int) -> set[tuple[int, int]]:
    """The float64 answer, pair by pair, with nothing left out."""
    rows = [normalised_rows(x[:, None, None, :] if x.ndim == 2 else x, 1 if x.ndim == 2 else size) for x in (a,)]
    other = rows[0]
    if b is not None:
        other = normalised_rows(b[:, None, None, :] if b.ndim == 2 else b, 1 if b.ndim == 2 else size)
    i, j = (g.ravel() for g in np.meshgrid(np.arange(len(a)), np.arange(len(other)), indexing="ij"))
    if b is None:
        i, j = i[i < j], j[i < j]
    above = np.abs(correlations(rows[0], other, i, j)) > threshold
    return set(zip(i[above].tolist(), j[above].tolist(), strict=True))


def found(pairs: Pairs) -> set[tuple[int, int]]:
    assert sorted(zip(pairs.i, pairs.j, strict=True)) == list(zip(pairs.i, pairs.j, strict=True))
    return set(zip(pairs.i.tolist(), pairs.j.tolist(), strict=True))


@st.composite
def corpora(draw: st.DrawFn, threshold: float, longest: int = 230) -> np.ndarray:
    """Images among which every kind of trouble occurs, relative to `threshold`."""
    pooled, window, channels = draw(st.sampled_from([(2, 1, 1), (4, 1, 1), (4, 2, 1), (4, 2, 3), (6, 1, 2)]))
    n = draw(st.sampled_from([0, 1, 2, 3, 17, 63, 64, 65, 128, 129, longest]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    side = pooled * window
    decay = draw(st.sampled_from([0.0, 1.0, 3.0]))  # flat or steep spectrum
    images = rng.standard_normal((n, channels, side, side)) * (1.0 + np.arange(side)) ** -decay
    kinds = draw(st.lists(st.sampled_from("fcnkteb"), max_size=60))
    places = rng.permutation(n)[: len(kinds)]
    for place, kind in zip(sorted(places.tolist()), kinds, strict=False):
        source = images[int(rng.integers(max(1, place)))]
        if kind == "c":
            images[place] = source
        elif kind == "n":
            images[place] = 1 - source
        elif kind == "k":
            images[place] = rng.choice([0.0, 0.1, 0.5, 1.0])
        elif kind in "te":  # at the threshold, to 1e-7 or as near as float32 gets
            images[place] = _at(source, threshold + (rng.choice([-1e-7, 1e-7]) if kind == "t" else 0.0), window, rng)
        elif kind == "b":
            images[place] = source * 1e-3 + 1e3
    return images.astype(np.float32)


def _at(source: np.ndarray, correlation: float, window: int, rng: np.random.Generator) -> np.ndarray:
    """An image whose pooled correlation with `source` is +-`correlation`, but for rounding to float32."""
    c, h, _ = source.shape
    blocks = source.reshape(c, h // window, window, h // window, window).mean((2, 4))
    a = (blocks - blocks.mean()).ravel()
    if not a.any():
        return source
    a /= np.linalg.norm(a)
    e = rng.standard_normal(a.size)
    e -= e.mean()
    e -= a * (a @ e)
    correlation = min(correlation, 1.0)
    b = correlation * a + np.sqrt(1 - correlation**2) * e / np.linalg.norm(e)
    image = (rng.choice([-1.0, 1.0]) * b).reshape(blocks.shape)
    return image.repeat(window, axis=1).repeat(window, axis=2)


@few
@given(data=st.data(), threshold=st.sampled_from([1e-6, 0.3, 0.5, 0.9, 0.95, 0.999, 1.0]))
def test_result_is_the_float64_answer_whatever_the_tiles(data: st.DataObject, threshold: float) -> None:
    images = data.draw(corpora(threshold))
    size = {2: 2, 4: 4, 8: 4, 6: 6}[images.shape[2]]
    options = data.draw(
        st.fixed_dictionaries(
            {
                "prune": st.sampled_from([None, True, False]),
                "device": st.sampled_from([None, None, "cpu"]),
                "threads": st.integers(1, 3),
                "memory": st.sampled_from(["3MB", "16MB", "256MB"]),
            }
        )
    )
    pairs = near_duplicates(images, threshold=threshold, size=size, **options)  # type: ignore[arg-type]
    assert found(pairs) == all_pairs(images, None, threshold, size)
    assert (np.abs(pairs.correlation) > threshold).all()


@few
@given(data=st.data(), threshold=st.sampled_from([0.5, 0.95, 0.999]), prune=st.sampled_from([None, True, False]))
def test_across_two_sets(data: st.DataObject, threshold: float, prune: bool | None) -> None:
    images = data.draw(corpora(threshold))
    cut = data.draw(st.integers(0, len(images)))
    size = {2: 2, 4: 4, 8: 4, 6: 6}[images.shape[2]]
    pairs = near_duplicates(images[:cut], images[cut:], threshold=threshold, size=size, prune=prune, memory="16MB")
    assert found(pairs) == all_pairs(images[:cut], images[cut:], threshold, size)


@few
@given(data=st.data())
def test_the_margin_is_never_exceeded(data: st.DataObject) -> None:
    """The fast product, its remainders included, bounds the float64 value to within the proven margin."""
    images = data.draw(corpora(0.95, longest=64))
    if len(images) < 2:
        return
    size = {2: 2, 4: 4, 8: 4, 6: 6}[images.shape[2]]
    source = ArraySource(images, size=size)
    plan = join_plan.make_plan([source], 0.95, 10**9, prune=True)
    rows = source.rows(0, len(source))
    stored, rest = plan.store(rows)
    i, j = (g.ravel() for g in np.meshgrid(np.arange(len(rows)), np.arange(len(rows))))
    exact = np.abs(correlations(rows, rows, i, j)).reshape(len(rows), -1)
    for level, end in enumerate(plan.levels):
        fast = np.abs(stored[:, :end] @ stored[:, :end].T) + np.outer(rest[:, level], rest[:, level])
        assert (exact <= fast + plan.margin).all()


def test_margin_covers_exact_rational_arithmetic() -> None:
    """float32 dot products against exact ones, on rows chosen to round badly."""
    rng = np.random.default_rng(0)
    for d in (8, 50, 400):
        a, b = (ArraySource(rng.standard_normal((1, d)).astype(np.float32) ** 5).rows(0, 1)[0] for _ in range(2))
        exact = sum((Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True)), Fraction(0))
        fast = np.float32(0)
        for x, y in zip(a.astype(np.float32), b.astype(np.float32), strict=True):
            fast = np.float32(fast + np.float32(x * y))
        assert abs(float(exact) - float(fast)) <= join_plan.margin(d)
        assert abs(float(exact) - correlations(a[None], b[None], np.array([0]), np.array([0]))[0]) <= 1e-15 * d


def test_a_margin_of_zero_would_lose_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted defect: without the margin, pairs just above the threshold are lost; the suite's corpora show it."""
    rng = np.random.default_rng(3)
    base = rng.standard_normal((1, 1, 4, 4))
    images = np.concatenate([base, *[_at(base[0], 0.95 + 3e-8, 1, rng)[None] for _ in range(400)]]).astype(np.float32)
    truth = all_pairs(images, None, 0.95, 4)
    assert found(near_duplicates(images, size=4, prune=False)) == truth
    monkeypatch.setattr(join_plan, "margin", lambda *args, **kwargs: 0.0)
    assert found(near_duplicates(images, size=4, prune=False)) != truth


def test_rows_cut_to_tf32_stay_within_their_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accelerator's filter: rounding to eleven bits, and pairs that only its wider margin saves."""
    rng = np.random.default_rng(5)
    rows = ArraySource(rng.standard_normal((300, 400)).astype(np.float32)).rows(0, 300)
    cut = cut_to_tf32(torch.from_numpy(rows.astype(np.float32)))
    assert not (cut.view(torch.int32) & 0x1FFF).any()
    error = np.abs(cut.numpy() - rows)
    assert (error <= 2.0**-11 * 1.001 * np.abs(rows)).all() and error.max() > 2.0**-13 * np.abs(rows).max()
    low = join_plan.margin(400, unit=join_plan.TENSOR_UNIT, stored=join_plan.TF32)
    assert np.abs(cut.double().numpy() @ cut.double().numpy().T - rows @ rows.T).max() < low < 2e-3
    base = rng.standard_normal((1, 1, 4, 4))
    images = np.concatenate([base, *[_at(base[0], 0.95 + 1e-5, 1, rng)[None] for _ in range(60)]]).astype(np.float32)
    truth = all_pairs(images, None, 0.95, 4)
    assert found(near_duplicates(images, size=4, device="cpu")) == truth
    monkeypatch.setattr(join_plan, "margin", lambda *args, **kwargs: 0.0)
    assert found(near_duplicates(images, size=4, device="cpu")) != truth


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


@pytest.mark.parametrize("options", [{"prune": True}, {"prune": False}, {"device": "cpu"}])
def test_more_candidates_than_any_buffer_holds(options: dict[str, Any]) -> None:
    images = np.tile(np.random.default_rng(0).random((1, 1, 4, 4), dtype=np.float32), (700, 1, 1, 1))
    images[::3] = 1 - images[::3]
    pairs = near_duplicates(images, size=4, memory="3MB", threads=2, **options)
    assert len(pairs) == 700 * 699 // 2
    assert set(np.sign(pairs.correlation)) == {-1.0, 1.0}


def test_pooled_rows_give_the_pairs_of_the_images() -> None:
    images = np.random.default_rng(0).random((90, 1, 40, 40), dtype=np.float32)
    images[40] = images[3] + 0.01 * images[4]
    images[80] = 1 - images[3]
    assert found(near_duplicates(pool(images))) == found(near_duplicates(images)) == {(3, 40), (3, 80), (40, 80)}
    assert found(near_duplicates(images).above(0.9999)) == {(3, 80)} | {
        p for p in [(3, 40), (40, 80)] if p in found(near_duplicates(images, threshold=0.9999))
    }


def test_white_noise_takes_fewer_components_and_faces_take_leaves() -> None:
    """The strategy follows the spectrum; where no prefix helps, the whole product is taken."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((600, 400)).astype(np.float32)
    assert near_duplicates(noise, threshold=0.05).statistics["strategy"] == "product of 400 of 400 components"
    assert near_duplicates(noise).statistics["strategy"].startswith("product of ")
    steep = noise * (np.arange(1, 401) + 4.0).astype(np.float32) ** -1.27
    assert near_duplicates(steep).statistics["strategy"] == "leaves"


def test_progress_and_statistics_add_up() -> None:
    seen: list[tuple[int, int]] = []
    images = np.random.default_rng(0).random((500, 1, 4, 4), dtype=np.float32)
    pairs = near_duplicates(images, size=4, prune=True, progress=lambda done, total: seen.append((done, total)))
    assert [d for d, _ in seen] == list(range(1, seen[-1][1] + 1))
    counts = pairs.statistics
    assert counts["tasks"] == seen[-1][1]
    assert counts["pairs_in_all"] == 500 * 499 // 2
    assert counts["tiles_tested"] >= counts["tiles_compared"] > 0
    assert counts["pairs_past_prefix"] >= counts["pairs_decided_in_float64"] >= len(pairs)


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
        ({"size": 3}, "cannot be pooled to 3 rows"),
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
    with pytest.raises(InputError, match=r"expected shape \(n, c, h, w\) or \(n, d\), got \(2, 2, 2\)"):
        near_duplicates(np.zeros((2, 2, 2), np.float32))
    with pytest.raises(InputError, match="expected floating-point or uint8 pixels, got int64"):
        near_duplicates(np.zeros((2, 4), np.int64))
    with pytest.raises(InputError, match="against: expected 16 pooled values an image, got 20"):
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
