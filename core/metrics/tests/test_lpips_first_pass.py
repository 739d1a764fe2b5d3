"""The LPIPS search in two passes, held against the search in one: same neighbours, same values, whatever the bound."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import InputError
from core.metrics import lpips as module
from core.metrics import lpips_first_pass as first_pass
from core.metrics.lpips import Embedding, Found, nearest_lpips
from core.metrics.lpips_first_pass import FirstPass, choose
from core.metrics.lpips_state import Checkpoint
from core.metrics.lpips_weights import WeightsMissing

SIZE, K = 20, 4
CAPABLE: dict[str, Any] = {"avx512_bf16": True}


@pytest.fixture(scope="module")
def embedding() -> Embedding:
    try:
        return Embedding()
    except WeightsMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def queries() -> torch.Tensor:
    return _images(3, 0)


@pytest.fixture(scope="module")
def train(queries: torch.Tensor) -> torch.Tensor:
    """Strangers, and around each query eight images that bfloat16 cannot put in order; two of them are equal."""
    g = torch.Generator().manual_seed(2)
    near = [q + 0.1 * torch.rand(1, SIZE, SIZE, generator=g) for q in queries]
    ties = [n + 1e-4 * torch.rand(1, SIZE, SIZE, generator=g) for n in near for _ in range(8)]
    images = torch.cat([_images(40, 1), torch.stack(ties)]).clamp(0, 1)
    images = images[torch.randperm(len(images), generator=g)]
    images[50] = images[5] = queries[0]
    return images


@pytest.fixture(scope="module")
def exact(embedding: Embedding, queries: torch.Tensor, train: torch.Tensor) -> Found:
    return nearest_lpips(embedding, queries, train, K, batch=16, first_pass="float32")


@pytest.fixture(scope="module")
def both(embedding: Embedding, queries: torch.Tensor, train: torch.Tensor) -> Found:
    return nearest_lpips(embedding, queries, train, K, batch=16, first_pass="bfloat16")


def _images(n: int, seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    coarse = torch.nn.functional.interpolate(torch.rand(n, 1, 5, 5, generator=g), (SIZE, SIZE), mode="bilinear")
    return (0.8 * coarse + 0.2 * torch.rand(n, 1, SIZE, SIZE, generator=g)).clamp(0, 1)


def _same(found: Found, exact: Found) -> None:
    assert torch.equal(found.index, exact.index)
    torch.testing.assert_close(found.value, exact.value, rtol=1e-5, atol=1e-12)


def test_two_passes_find_what_one_finds(
    embedding: Embedding, queries: torch.Tensor, train: torch.Tensor, exact: Found, both: Found
) -> None:
    """The control: the first pass alone puts the near-ties into another order."""
    rough = FirstPass(embedding, embedding.embed(queries)).distances(train)
    assert not torch.equal(rough.argsort(dim=1)[:, :K], exact.index)
    found = both
    _same(found, exact)
    assert found.index[0, :2].tolist() == [5, 50] and found.value[0, :2].tolist() == [0, 0]
    (how,) = found.passes
    assert how.first == "bfloat16" and how.bound == first_pass.MARGIN * how.difference > 0
    assert 3 * K <= how.measured_again < len(train) and found.measured_again == how.measured_again
    assert (how.exceeded, how.searched_again) == (0, 0)


def test_the_sample_measures_how_far_the_first_pass_is_off(
    embedding: Embedding, queries: torch.Tensor, train: torch.Tensor
) -> None:
    first = FirstPass(embedding, embedding.embed(queries))
    off = (first.distances(train) - embedding.matrix(queries, train)).abs()
    assert first.difference(train, 64) == pytest.approx(float(off.max()), rel=0.01)


def test_a_bound_that_is_too_narrow_is_noticed_and_widened(
    embedding: Embedding, queries: torch.Tensor, train: torch.Tensor, exact: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FirstPass, "difference", lambda self, train, batch: 0.0)
    found = nearest_lpips(embedding, queries, train, K, batch=16, first_pass="bfloat16")
    _same(found, exact)
    (how,) = found.passes
    assert how.exceeded > 0 and how.bound == first_pass.MARGIN * how.difference > 0


def test_a_worse_network_than_the_sample_told_of_is_noticed(
    embedding: Embedding, queries: torch.Tensor, train: torch.Tensor, exact: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Defect in the network of the first pass, after the sample: one channel of the first layer is lost."""
    measure = FirstPass.difference

    def then_break(self: FirstPass, train: torch.Tensor, batch: int) -> float:
        told = measure(self, train, batch)
        self.net.slice1[2].weight[:8] = 0
        return told

    monkeypatch.setattr(FirstPass, "difference", then_break)
    found = nearest_lpips(embedding, queries, train, K, batch=16, first_pass="bfloat16")
    _same(found, exact)
    assert found.passes[0].exceeded > 0


def test_what_the_list_cannot_settle_is_searched_in_float32(
    embedding: Embedding, queries: torch.Tensor, train: torch.Tensor, exact: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that ends among the near-ties; the queries whose list reaches beyond them need no other search."""
    monkeypatch.setattr(module, "listed", lambda k: 8)
    strangers = torch.cat([queries[:2], _images(1, 9)])
    apart = nearest_lpips(embedding, strangers, train, 1, batch=16, first_pass="bfloat16")
    _same(apart, nearest_lpips(embedding, strangers, train, 1, batch=16, first_pass="float32"))
    found = nearest_lpips(embedding, queries, train, K, batch=16, first_pass="bfloat16")
    _same(found, exact)
    assert found.passes[0].searched_again > apart.passes[0].searched_again


@pytest.mark.parametrize("stop_after", [2, 5])  # batches: of the four of the first pass, and of those measured again
def test_a_search_is_resumed_in_either_pass(
    embedding: Embedding, queries: torch.Tensor, train: torch.Tensor, both: Found, tmp_path: Path, stop_after: int
) -> None:
    about: dict[str, Any] = {"batch": 16, "state": tmp_path, "state_every": 1, "first_pass": "bfloat16"}
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if len(seen) == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nearest_lpips(embedding, queries, train, K, progress=stop, **about)
    found = nearest_lpips(embedding, queries, train, K, progress=lambda *told: seen.append(told), **about)
    _same(found, both)
    assert found.measured_again == both.measured_again and seen[-1][0] == seen[-1][1]
    assert len(seen) == len(train) / 16 + -(-both.measured_again // 16)  # no batch twice
    assert len(list(tmp_path.iterdir())) == 1


def test_one_precision_never_goes_on_where_the_other_was(
    embedding: Embedding, queries: torch.Tensor, train: torch.Tensor, tmp_path: Path
) -> None:
    files = [Checkpoint(tmp_path, embedding, queries, train, K, first).path for first in ("float32", "bfloat16")]
    assert files[0] != files[1]


def test_chunks_of_queries_and_files(
    embedding: Embedding,
    queries: torch.Tensor,
    train: torch.Tensor,
    exact: Found,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    np.save(tmp_path / "train.npy", train.numpy())
    mapped = np.load(tmp_path / "train.npy", mmap_mode="r")
    monkeypatch.setattr(module, "QUERY_BYTES", 2 * 4 * embedding.embed(queries[:1]).shape[1])
    found = nearest_lpips(embedding, queries, mapped, K, batch=16, first_pass="bfloat16")
    _same(found, exact)
    assert [how.first for how in found.passes] == ["bfloat16"] * 2
    assert found.measured_again == sum(how.measured_again for how in found.passes)


def test_bad_images_are_refused_by_the_first_pass(
    embedding: Embedding, queries: torch.Tensor, train: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_pass, "SAMPLE", 2)
    broken = train.clone()
    broken[40, 0, 3, 3] = torch.nan
    with pytest.raises(InputError, match="train: found missing values"):
        nearest_lpips(embedding, queries, broken, K, first_pass="bfloat16")
    with pytest.raises(InputError, match="first_pass: found 'int8', expected float32 or bfloat16"):
        nearest_lpips(embedding, queries, train, K, first_pass="int8")


def test_two_passes_are_made_where_they_pay(embedding: Embedding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: CAPABLE, raising=False)
    assert choose(embedding, 64, 20_000, 10) == "bfloat16"
    assert choose(embedding, 64, 4_000, 10) == "float32"  # most images are among the nearest of some query
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True}, raising=False)
    assert choose(embedding, 64, 20_000, 10) == "float32"
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert choose(embedding, 64, 20_000, 10) == "float32"


def test_by_default_the_processor_decides(
    embedding: Embedding, queries: torch.Tensor, train: torch.Tensor, exact: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_pass, "SAMPLE", 8)
    for able, how in ((CAPABLE, "bfloat16"), ({}, "float32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able, raising=False)
        found = nearest_lpips(embedding, queries[:1], train, 1, batch=16)
        assert found.passes[0].first == how and found.index[0, 0] == exact.index[0, 0]
