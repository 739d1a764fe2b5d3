"""The exact join against independent all-pairs answers on hostile corpora."""

from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.dedup.definition import correlations
from core.dedup.join import plan as join_plan
from core.dedup.join.device import cut_to_tf32
from core.dedup.join.tiles import local_engine
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.dedup.search import as_pairs, make_join, near_duplicates
from core.dedup.sources import ArraySource
from core.dedup.tests.duplicates import all_pairs, corpora, few, found, near_threshold, pooled_size

TILES = st.sampled_from([64, 128, 192, None])
OPTIONS = {
    "prune": st.sampled_from([None, True, False]),
    "device": st.sampled_from([None, None, "cpu"]),
    "threads": st.integers(1, 3),
    "memory": st.sampled_from(["16MB", "256MB"]),
}


@few
@given(data=st.data(), threshold=st.sampled_from([1e-6, 0.3, 0.5, 0.9, 0.95, 0.999, 1.0]), tile=TILES)
def test_result_is_the_float64_answer_whatever_the_tiles(
    data: st.DataObject, threshold: float, tile: int | None
) -> None:
    images = data.draw(corpora(threshold, tile=tile))
    size = pooled_size(images)
    options: dict[str, Any] = data.draw(st.fixed_dictionaries(OPTIONS))
    pairs = near_duplicates(images, threshold=threshold, size=size, tile=tile, **options)
    assert found(pairs) == all_pairs(images, None, threshold, size)
    assert (np.abs(pairs.correlation) > threshold).all()


@few
@given(data=st.data(), threshold=st.sampled_from([0.5, 0.95, 0.999]), tile=TILES, seed=st.integers(0, 99))
def test_leaves_cut_by_tile_edges_anywhere(data: st.DataObject, threshold: float, tile: int | None, seed: int) -> None:
    """Whatever order the leaves stand in; in that of the input the copies planted at tile edges fall apart."""
    images = data.draw(corpora(threshold, tile=tile))
    size = pooled_size(images)
    source = ArraySource(images, size=size)
    leaves = make_join(source, threshold=threshold, memory="16MB", threads=1, tile=tile, prune=True, equal=True)
    order = data.draw(st.sampled_from(["tree", "input", "shuffled"]))
    if leaves.a.order is not None and order != "tree":
        rng = np.random.default_rng(seed)
        leaves.a.order[:] = np.arange(len(images)) if order == "input" else rng.permutation(len(images))
    pairs = as_pairs((part for _, part in local_engine(leaves, leaves.tasks)), leaves)
    assert found(pairs) == all_pairs(images, None, threshold, size)


@few
@given(
    data=st.data(),
    threshold=st.sampled_from([0.5, 0.95, 0.999]),
    prune=st.sampled_from([None, True, False]),
    tile=TILES,
)
def test_across_two_sets(data: st.DataObject, threshold: float, prune: bool | None, tile: int | None) -> None:
    images = data.draw(corpora(threshold, tile=tile))
    cut = data.draw(st.integers(0, len(images)))
    size = pooled_size(images)
    pairs = near_duplicates(
        images[:cut], images[cut:], threshold=threshold, size=size, prune=prune, memory="16MB", tile=tile
    )
    assert found(pairs) == all_pairs(images[:cut], images[cut:], threshold, size)


@few
@given(data=st.data(), threshold=st.sampled_from([0.5, 0.95, 0.999]), tile=TILES, threads=st.integers(1, 3))
def test_files_give_the_float64_answer(data: st.DataObject, threshold: float, tile: int | None, threads: int) -> None:
    images = data.draw(corpora(threshold, tile=tile))
    size = pooled_size(images)
    with TemporaryDirectory() as folder:
        np.save(Path(folder) / "x.npy", images)
        options = Options(threshold, size=size, memory="16MB", threads=threads, tile=tile)
        run([find_input(Path(folder) / "x.npy")], Path(folder) / "out", options)
        pairs = pd.read_parquet(Path(folder) / "out" / "pairs.parquet")
    assert set(zip(pairs["i"].tolist(), pairs["j"].tolist(), strict=True)) == all_pairs(images, None, threshold, size)


@few
@given(data=st.data())
def test_the_margin_is_never_exceeded(data: st.DataObject) -> None:
    """The fast product, its remainders included, bounds the float64 value to within the proven margin."""
    images = data.draw(corpora(0.95, longest=64))
    if len(images) < 2:
        return
    size = pooled_size(images)
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
    images = near_threshold(400, 3e-8, seed=3)
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
    images = near_threshold(60, 1e-5, seed=5)
    truth = all_pairs(images, None, 0.95, 4)
    assert found(near_duplicates(images, size=4, device="cpu")) == truth
    monkeypatch.setattr(join_plan, "margin", lambda *args, **kwargs: 0.0)
    assert found(near_duplicates(images, size=4, device="cpu")) != truth


@pytest.mark.parametrize("options", [{"prune": True}, {"prune": False}, {"device": "cpu"}])
def test_more_candidates_than_any_buffer_holds(options: dict[str, Any]) -> None:
    images = np.tile(np.random.default_rng(0).random((1, 1, 4, 4), dtype=np.float32), (700, 1, 1, 1))
    images[::3] = 1 - images[::3]
    pairs = near_duplicates(images, size=4, memory="3MB", threads=2, **options)
    assert len(pairs) == 700 * 699 // 2
    assert set(np.sign(pairs.correlation)) == {-1.0, 1.0}


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
