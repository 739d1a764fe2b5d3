"""The streamed search: exact with twins joined, whatever the tile, and resumable."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.copies import search as searching
from core.copies.options import Options
from core.copies.search import Nearest, Queries, search
from core.copies.sets import ImageSet, look, open_set
from core.copies.tests.made_up import images
from core.dedup.on_disk.inputs import find_input
from core.machine import keep_freed_memory, peak_rss
from core.metrics.correlation import correlation_matrix
from core.tests.children import in_child

K = 5


def saved(path: Path, pixels: np.ndarray) -> ImageSet:
    np.save(path, pixels)
    return open_set(find_input(path), "training images", path.parent / path.stem, Options(), lambda *_: None)


def by_hand(queries: torch.Tensor, train: torch.Tensor, group: np.ndarray, own: np.ndarray, k: int) -> np.ndarray:
    """Numbers of the nearest image of each of the k nearest groups, (q, k)."""
    distance = (queries[:, None].double() - train[None].double()).flatten(2).norm(dim=2).numpy()
    rows = []
    for q, row in enumerate(distance):
        met: list[int] = []
        chosen = []
        for at in np.argsort(row, kind="stable"):
            if group[at] != own[q] and group[at] not in met:
                met.append(int(group[at]))
                chosen.append(int(at))
        rows.append(chosen[:k])
    return np.array(rows)


@pytest.mark.parametrize(("tile", "block"), [(7, 4), (64, 100), (1000, 1000)])
def test_the_nearest_groups_are_those_of_plain_sorting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tile: int, block: int
) -> None:
    monkeypatch.setattr(searching, "TILE", tile)
    monkeypatch.setattr(searching, "BLOCK", block)
    train, queries = images(90, 0), torch.cat([images(8, 1), images(90, 0)[40:42]])
    group = np.random.default_rng(0).integers(0, 30, 90)  # twins far from each other in the file, met in many tiles
    own = np.full(10, -1)
    own[8:] = group[40:42]
    asked = Queries(lambda part: queries[part], 10, own)
    found = search(asked, saved(tmp_path / "t.npy", train.numpy()), group, K, tmp_path / "w")
    expected = by_hand(queries, train, group, own, K)
    np.testing.assert_array_equal(found.groups.index, expected)
    distance = (queries[:, None].double() - train[expected].double()).flatten(2).norm(dim=2)
    np.testing.assert_allclose(found.groups.value, distance, atol=1e-6)
    alike = correlation_matrix(queries, train).numpy()
    alike[own[:, None] == group] = -1
    np.testing.assert_array_equal(found.like.index[:, 0], alike.argmax(axis=1))
    np.testing.assert_allclose(found.like.value[:, 0], alike.max(axis=1), atol=1e-9)


def test_a_copy_stands_at_exactly_nothing(tmp_path: Path) -> None:
    train = images(50, 0)
    asked = Queries(lambda part: train[10:20][part], 10, np.full(10, -1))
    found = search(asked, saved(tmp_path / "t.npy", train.numpy()), np.arange(50), K, tmp_path / "w")
    assert (found.groups.value[:, 0] == 0).all() and (found.groups.value[:, 1] > 0).all()
    assert found.groups.index[:, 0].tolist() == list(range(10, 20))


def test_a_constant_image_correlates_with_nothing(tmp_path: Path) -> None:
    train = torch.cat([torch.zeros(1, 1, 20, 20), images(9, 0)])
    asked = Queries(lambda part: torch.full((1, 1, 20, 20), 0.5)[part], 1, np.array([-1]))
    found = search(asked, saved(tmp_path / "t.npy", train.numpy()), np.arange(10), K, tmp_path / "w")
    assert found.like.value.tolist() == [[0.0]] and torch.isfinite(found.groups.value).all()


def test_a_stopped_search_goes_on_with_the_next_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "BLOCK", 4)
    train, queries = saved(tmp_path / "t.npy", images(60, 0).numpy()), images(12, 1)
    read: list[int] = []

    def run(stop: int | None) -> Nearest:
        def read_images(part: slice) -> torch.Tensor:
            if stop is not None and part.start >= stop:
                raise KeyboardInterrupt
            read.append(part.start)
            return queries[part]

        return search(Queries(read_images, 12, np.full(12, -1)), train, np.arange(60), K, tmp_path / "w")

    with pytest.raises(KeyboardInterrupt):
        run(stop=8)
    found = run(stop=None)
    assert read == [0, 4, 8]
    whole = search(Queries(lambda part: queries[part], 12, np.full(12, -1)), train, np.arange(60), K, tmp_path / "v")
    assert torch.equal(found.groups.index, whole.groups.index)


def child_look_and_search(file: str, out: str) -> None:
    """Peak memory, in bytes, of a look at a training set and a search in it, written to `out`."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as the command does; what is given back and when differs between processes
    place = Path(out).with_suffix(".work")
    train = open_set(find_input(Path(file)), "training images", place, Options(), lambda *_: None)
    look(train, place, lambda *_: None)
    queries = images(20, 1, size=40)
    search(Queries(lambda part: queries[part], 20, np.full(20, -1)), train, np.arange(len(train)), K, place)
    Path(out).write_text(str(peak_rss()))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc/self/status, which only Linux has")
def test_memory_does_not_follow_the_training_set(tmp_path: Path) -> None:
    peaks = []
    some = np.random.default_rng(0).random((4000, 1, 40, 40), dtype=np.float32)
    for n in (8000, 40000):  # 51 and 256 MB
        pixels = np.lib.format.open_memmap(tmp_path / f"{n}.npy", "w+", "f4", (n, 1, 40, 40))
        for low in range(0, n, len(some)):
            pixels[low : low + len(some)] = some
        del pixels
        assert in_child(child_look_and_search, str(tmp_path / f"{n}.npy"), str(tmp_path / f"{n}.txt")) == 0
        peaks.append(int((tmp_path / f"{n}.txt").read_text()))
    assert peaks[1] - peaks[0] < 100e6  # half of the 205 MB that the larger set would take more if held whole


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 1), ("uint16", 257), ("float64", 1 / 255)])
def test_numbers_of_every_kind_become_the_same_images(tmp_path: Path, dtype: str, top: float) -> None:
    levels = (images(6, 0) * 255).round().numpy()
    found = saved(tmp_path / "t.npy", (levels * top).astype(dtype)).images(slice(0, 6))
    np.testing.assert_allclose(found, levels / 255, atol=1e-7)
