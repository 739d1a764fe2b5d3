"""What the exact join costs, counted; what it refuses; and its accelerator path, on this processor and on CUDA."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from core.dedup.definition import correlations
from core.dedup.join import device as join_device
from core.dedup.join import plan as join_plan
from core.dedup.join import tiles as join_module
from core.dedup.join.device import DeviceRows, check_device, pairs_above
from core.dedup.join.tiles import Found, local_engine
from core.dedup.search import make_join, near_duplicates
from core.dedup.sources import ArraySource
from core.dedup.tests.duplicates import all_pairs, found, near_threshold
from core.errors import InputError


def white_noise(n: int = 3000, d: int = 400) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, d)).astype(np.float32)


def work(noise: np.ndarray, threshold: float, prune: bool | None) -> float:
    """Multiplications, and for each pair carried on by itself as many as the plan takes it to be worth."""
    found = near_duplicates(noise, threshold=threshold, prune=prune).statistics
    alone = join_plan._SURVIVOR / join_plan._COLUMN
    return found["multiplications_at_most"] + alone * found["pairs_past_prefix"]


@pytest.mark.parametrize("threshold", [0.95, 0.5, 0.3, 0.05])
def test_white_noise_costs_no_more_than_the_plain_product(threshold: float) -> None:
    """Counted, not timed: the clock is for `audit/bench`."""
    noise = white_noise(1500)
    plain = work(noise, threshold, prune=False)
    assert plain >= 1500 * 1499 // 2 * 400
    assert work(noise, threshold, prune=None) <= 1.2 * plain


def test_leaves_forced_upon_white_noise_would_cost_more() -> None:
    """Planted defect: the count sees what pruning costs where it cannot help."""
    noise = white_noise(1500)
    assert work(noise, 0.05, prune=True) > 1.2 * work(noise, 0.05, prune=False)


def test_code_compiled_for_other_leaves_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bounds would be those of other components, and pairs be missed."""
    rows = white_noise(300)
    near_duplicates(rows, prune=True)
    monkeypatch.setattr(join_module, "LAYOUT", (*join_module.LAYOUT[:-1], 48))
    with pytest.raises(RuntimeError, match="another layout"):
        near_duplicates(rows, prune=True)


def test_merging_looks_at_every_count_once() -> None:
    looks = 0

    class Counts(dict[str, int]):
        def get(self, *args: Any) -> Any:
            nonlocal looks
            looks += 1
            return super().get(*args)

        def __iter__(self) -> Iterator[str]:
            nonlocal looks
            looks += 1
            return super().__iter__()

        def items(self) -> Any:
            nonlocal looks
            looks += 1
            return super().items()

    none = np.empty(0, np.int64)
    parts = [Found(none, none, np.empty(0), Counts(tasks=1, tiles=k)) for k in range(300)]
    assert Found.merge(parts).counts == {"tasks": 300, "tiles": 300 * 299 // 2}
    assert looks == 300


def test_more_pairs_than_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.tile(np.random.default_rng(0).random((1, 1, 4, 4), dtype=np.float32), (300, 1, 1, 1))
    monkeypatch.setattr(join_module, "CHECK_EVERY", 10_000)
    monkeypatch.setattr(join_module, "available_memory", lambda: 10**9)
    assert len(near_duplicates(images, size=4)) == 300 * 299 // 2
    monkeypatch.setattr(join_module, "available_memory", lambda: 10**6)
    with pytest.raises(InputError, match=r"pairs: the .* found so far .* a higher threshold leaves fewer"):
        near_duplicates(images, size=4)


def test_what_is_not_a_number_is_like_nothing() -> None:
    """NaN must not be clipped to -1, which is above every threshold in absolute value."""
    rows = np.array([[np.nan, 1.0], [0.6, 0.8], [np.inf, 0.0], [3.0, 4.0], [-3.0, -4.0]])
    values = correlations(rows, rows, np.array([0, 0, 1, 1, 1]), np.array([1, 2, 1, 3, 4]))
    assert np.isnan(values[:2]).all() and not (np.abs(values[:2]) > 0.5).any()
    assert values[2:].tolist() == [1.0, 1.0, -1.0]


@pytest.mark.parametrize("tile", [0, -64, 10**6])
def test_a_tile_that_does_not_fit(tile: int) -> None:
    with pytest.raises(InputError, match="tile: expected 1 to "):
        near_duplicates(white_noise(100), tile=tile, memory="16MB", threads=1)


# ------------------------------------------------------------------------------------------------------ accelerators


def test_rows_go_to_the_device_once_where_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ArraySource(white_noise(640))
    crowded = make_join(source, device="cpu", tile=64, threads=2)
    assert len(list(local_engine(crowded, crowded.tasks))) == 55
    assert 10 < crowded.on_device.uploads <= 2 * 55
    monkeypatch.setattr(join_device, "_free_memory", lambda device: 10**9)
    roomy = make_join(source, device="cpu", tile=64, threads=2)
    list(local_engine(roomy, roomy.tasks))
    assert roomy.on_device.uploads == 10


def test_tiles_of_a_device_follow_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ArraySource(white_noise(8000, 16))
    for free, block in ((72 * 640**2, 640), (72 * 10**10, 1024)):
        monkeypatch.setattr(join_device, "_free_memory", lambda device, free=free: free)
        assert make_join(source, device="cpu").budget.block == block


def test_the_cache_of_a_device_does_not_travel() -> None:
    rows = DeviceRows()
    rows.block(white_noise(8), 0, 4, "cpu")
    function, arguments = rows.__reduce__()
    assert function(*arguments).uploads == 0 and rows.uploads == 1


def test_tensor_cores_are_switched_on_once_for_all_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting of the whole process must not flicker while other threads multiply."""
    seen: list[bool] = []
    original = join_device.pairs_above

    def noted(*arguments: Any) -> Any:
        seen.append(torch.backends.cuda.matmul.allow_tf32)
        return original(*arguments)

    monkeypatch.setattr(join_module, "pairs_above", noted)
    switches = 0
    real = join_device.tensor_cores

    def counted() -> Any:
        nonlocal switches
        switches += 1
        return real()

    monkeypatch.setattr(join_module, "tensor_cores", counted)
    before = torch.backends.cuda.matmul.allow_tf32
    near_duplicates(white_noise(300, 16), device="cpu", tile=64)
    assert seen == [True] * 15 and switches == 1
    assert torch.backends.cuda.matmul.allow_tf32 == before


@pytest.mark.parametrize("most", [1, 7, 10**6])
@pytest.mark.parametrize("diagonal", [True, False])
def test_places_above_come_in_runs_of_rows(most: int, diagonal: bool) -> None:
    x = torch.from_numpy(white_noise(50, 3))
    product = (x @ x.T).abs()
    expected = (product > 1.5).triu(1) if diagonal else product > 1.5
    runs = list(pairs_above(x, x, 1.5, diagonal, most))
    assert np.concatenate([places for places, _ in runs]).tolist() == expected.nonzero().tolist()
    np.testing.assert_array_equal(np.concatenate([values for _, values in runs]), product[expected].numpy())
    assert all(len(places) <= most or len(set(places[:, 0].tolist())) == 1 for places, _ in runs)


def test_a_device_less_precise_than_assumed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_device("cpu") == "cpu"
    monkeypatch.setattr(join_device, "TENSOR_UNIT", 2.0**-32)  # better than any float32 sum
    with pytest.raises(InputError, match="less precise than TF32"):
        check_device("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("tile", [64, 192, None])
def test_an_accelerator_gives_the_float64_answer(tile: int | None) -> None:
    noise = white_noise(3000)
    noise[1000:1100] = noise[:100] + 0.1 * noise[200:300]
    noise[2000:2100] = -noise[:100]
    there, here = (near_duplicates(noise, device=device, tile=tile) for device in ("cuda", None))
    assert found(there) == found(here) and len(here) >= 200
    np.testing.assert_array_equal(there.correlation, here.correlation)
    images = near_threshold(60, 1e-5, seed=5)
    assert found(near_duplicates(images, size=4, device="cuda")) == all_pairs(images, None, 0.95, 4)
