"""LPIPS as an embedding, held against the `lpips` package."""

import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from core.errors import InputError
from core.metrics import lpips as module
from core.metrics import lpips_weights as weights
from core.metrics.lpips import Embedding, nearest_lpips, rerank, squared_distance
from core.metrics.lpips_models import SHIFT_TOLERANT, import_lpips, package_model
from core.tests.children import in_child


@pytest.fixture(scope="module", params=["vgg", "alex"])
def embedding(request: pytest.FixtureRequest) -> Embedding:
    try:
        return Embedding(request.param)
    except weights.WeightsMissing as error:
        pytest.skip(str(error))


def _images(n: int, seed: int, size: int = 32) -> torch.Tensor:
    """Smooth random images: distances of all magnitudes."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.nn.functional.interpolate(torch.rand(n, 1, 5, 5, generator=g), (size, size), mode="bilinear")
    return (0.8 * coarse + 0.2 * torch.rand(n, 1, size, size, generator=g)).clamp(0, 1)


def _package(model: torch.nn.Module, a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """The package's own values, as it is meant to be called: (n, 3, h, w) in [-1, 1]."""
    a, b = (x.expand(-1, 3, -1, -1) * 2 - 1 for x in (a, b))
    with torch.no_grad():
        rows = [model(image.expand(len(b), -1, -1, -1), b).flatten().numpy() for image in a]
    return np.stack(rows).astype(np.float64)


def _assert_equal(found: torch.Tensor, expected: np.ndarray) -> None:
    """Within 1e-5 relative; below 1e-3, where the package itself moves by 1e-4 with the batch size, within rounding.

    Features of length about one carry float32 rounding r, so that |e(x) - e(y)|^2 = d moves by about 2 r sqrt(d).
    """
    allowed = np.where(expected >= 1e-3, 1e-5 * expected, 1e-6 * np.sqrt(expected))
    worst = (np.abs(found.numpy() - expected) - allowed).max()
    assert worst <= 0, f"off by {worst} more than allowed"


def test_values_are_those_of_the_package(embedding: Embedding) -> None:
    a = _images(3, 0)
    b = torch.cat([_images(3, 1), a[:1] + 0.002, a[1:2].flip(-1), torch.zeros(1, 1, 32, 32)]).clamp(0, 1)
    expected = _package(package_model(embedding.net), a, b)
    found = embedding.matrix(a, b)
    assert expected.min() < 1e-3 < 0.1 < expected.max()  # near copies and strangers
    _assert_equal(found, expected)
    np.testing.assert_allclose(embedding.distance(a, b[:3]), np.diag(expected[:, :3]), rtol=1e-5)


def test_epsilon_stands_where_the_package_puts_it(embedding: Embedding) -> None:
    """Outside the root: with features of length 1e-10, x / (|x| + 1e-10) has length one half."""
    lpips = import_lpips()
    assert float(lpips.normalize_tensor(torch.full((1, 1, 1, 1), 1e-10))) == pytest.approx(0.5)
    assert module.EPSILON == 1e-10


def test_three_channels_and_the_declared_range(embedding: Embedding) -> None:
    images, more = _images(3, 0), _images(3, 1)
    expected = embedding.distance(images, more)
    trunk = weights.load(embedding.net)
    colour = Embedding(embedding.net, channels=3, value_range=(-1.0, 1.0), trunk=trunk)
    found = colour.distance(*(2 * x.expand(-1, 3, -1, -1) - 1 for x in (images, more)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_normalisation_trap_changes_the_values(embedding: Embedding) -> None:
    """Dividing one image by 255 because its maximum exceeds 1.1 is not LPIPS of these images: refused instead."""
    images = 1.2 * _images(2, 0) + 0.2
    with pytest.raises(InputError, match=r"expected \[0, 1\] as declared"):
        embedding.distance(images, _images(2, 1))
    trapped = embedding.distance(images / 255, _images(2, 1))
    assert (trapped > 1.2 * embedding.distance(images.clamp(0, 1), _images(2, 1))).all()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (_images(2, 0).expand(-1, 3, -1, -1), "expected .n, 1, h, w"),
        (_images(2, 0) - 0.5, "declared"),
        (_images(2, 0) * torch.nan, "declared"),
        (_images(2, 0)[:0], "n >= 1"),
    ],
)
def test_bad_images(embedding: Embedding, images: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        embedding.embed(images)


def test_batch_size_changes_nothing(embedding: Embedding) -> None:
    images = _images(9, 0)
    torch.testing.assert_close(
        embedding.embed_all(images, batch=2), embedding.embed_all(images, batch=9), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("batch", [7])
def test_search_equals_brute_force(embedding: Embedding, batch: int) -> None:
    """Exhaustive search against a matrix of the package's own values, with copies and near copies planted."""
    queries, train = _images(4, 0), _images(24, 1)
    train[10], train[20] = queries[0], (queries[1] + 0.001).clamp(0, 1)
    train[21] = (queries[1] + 0.002).clamp(0, 1)
    found = nearest_lpips(embedding, queries, train, 5, batch=batch)
    expected = _package(package_model(embedding.net), queries, train)
    order = np.argsort(expected, axis=1)[:, :5]
    np.testing.assert_array_equal(found.index, order)
    _assert_equal(found.value, np.take_along_axis(expected, order, 1))
    assert found.value[0, 0] == 0 and found.index[1, :2].tolist() == [20, 21]


def test_screening_alone_would_get_near_copies_wrong(embedding: Embedding) -> None:
    """The control of the exact step: |a|^2 + |b|^2 - 2 ab in float32 loses distances of near copies."""
    a = _images(1, 0)
    b = (a + torch.linspace(0, 2e-4, 30)[:, None, None, None]).clamp(0, 1)
    x, y = embedding.embed(a), embedding.embed(b)
    rough = x.square().sum() + y.square().sum(1) - 2 * (y @ x[0])
    exact = squared_distance(y, x)
    assert ((rough - exact).abs()[1:] > 1e-2 * exact[1:]).any()
    found = nearest_lpips(embedding, a, b, 30, batch=8)
    torch.testing.assert_close(found.value[0], exact.sort().values, rtol=1e-3, atol=1e-12)
    # where not all of a batch are kept, what the screening ranks a little too far must be measured again all the same
    several = (
        a
        + torch.linspace(1e-5, 3e-4, 200)[torch.randperm(200, generator=torch.Generator().manual_seed(0))][
            :, None, None, None
        ]
    ).clamp(0, 1)
    vectors = embedding.embed_all(several, batch=200)
    for k in (1, 5, 20):
        best = squared_distance(vectors, x[0]).sort().values[:k]
        found = nearest_lpips(embedding, a, several, k, batch=200)
        torch.testing.assert_close(found.value[0], best, rtol=1e-6, atol=1e-14)


def test_a_search_is_resumed(embedding: Embedding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, train = _images(3, 0), _images(40, 1)
    whole = nearest_lpips(embedding, queries, train, 4, batch=8)

    def stop(done: int, total: int) -> None:
        if done >= 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nearest_lpips(embedding, queries, train, 4, batch=8, state=tmp_path, state_every=1, progress=stop)
    seen: list[int] = []
    again = nearest_lpips(embedding, queries, train, 4, batch=8, state=tmp_path, progress=lambda d, _: seen.append(d))
    assert seen == [32, 40]
    assert torch.equal(again.index, whole.index) and torch.equal(again.value, whole.value)
    other = train.clone()
    other[39, 0, 0, 0] += 0.01
    seen.clear()
    nearest_lpips(embedding, queries, other, 4, batch=8, state=tmp_path, progress=lambda d, _: seen.append(d))
    assert seen[0] == 8  # another training set is another search


def test_queries_beyond_the_memory_take_more_passes(embedding: Embedding, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, train = _images(5, 0), _images(12, 1)
    whole = nearest_lpips(embedding, queries, train, 3)
    monkeypatch.setattr(module, "QUERY_BYTES", 2 * 4 * embedding.embed(queries[:1]).shape[1])
    chunked = nearest_lpips(embedding, queries, train, 3)
    assert torch.equal(chunked.index, whole.index)
    torch.testing.assert_close(chunked.value, whole.value, rtol=1e-6, atol=0)


def test_a_search_in_a_file_is_that_in_memory(embedding: Embedding, tmp_path: Path) -> None:
    queries, train = _images(3, 0), _images(20, 1)
    np.save(tmp_path / "train.npy", train.numpy())
    mapped = np.load(tmp_path / "train.npy", mmap_mode="r")
    whole = nearest_lpips(embedding, queries, train, 4, batch=8)
    for state in (None, tmp_path / "state"):
        found = nearest_lpips(embedding, queries, mapped, 4, batch=8, state=state)
        assert torch.equal(found.index, whole.index) and torch.equal(found.value, whole.value)
    with pytest.raises(InputError, match="train: found missing values"):
        nearest_lpips(embedding, queries, np.full_like(train.numpy(), np.nan), 4)


def child_nearest(told: str, file: str, mode: Literal["r"] | None) -> None:
    """Search in a file, mapped or read; write down the largest memory of the process's own in MiB."""
    torch.set_num_threads(1)
    seen = [0]

    def look(_done: int, _total: int) -> None:
        lines = Path("/proc/self/status").read_text().splitlines()
        seen.extend(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

    train = np.load(file, mmap_mode=mode)
    nearest_lpips(Embedding("alex", size=35), torch.rand(2, 1, 256, 256), train, 2, batch=8, progress=look)
    Path(told).write_text(str(max(seen) / 1024))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc/self/status, which only Linux has")
def test_images_in_a_file_are_streamed(embedding: Embedding, tmp_path: Path) -> None:
    """200 images of 256 x 256 are 52 MB: in memory (the control) they are counted, mapped they are not.

    Counted is memory of the process's own: pages of the file are the system's cache, which it takes back at need.
    """
    if embedding.net != "alex":
        pytest.skip("one backbone is enough")
    np.save(tmp_path / "train.npy", np.random.default_rng(0).random((200, 1, 256, 256), dtype=np.float32))
    peaks = {}
    for mode in ("r", None):
        assert in_child(child_nearest, str(tmp_path / "peak"), str(tmp_path / "train.npy"), mode) == 0
        peaks[mode] = float((tmp_path / "peak").read_text())
    assert peaks[None] - peaks["r"] > 40  # of 52 MB; the rest is what allocators round


def test_products_are_taken_in_full_precision(embedding: Embedding, monkeypatch: pytest.MonkeyPatch) -> None:
    """The screening's rounding bound is float32's: TF32 or bfloat16 products would pass over neighbours."""
    seen: list[str] = []
    merge = module._merge_batch

    def spy(*arguments: Any) -> Any:
        seen.append(torch.get_float32_matmul_precision())
        return merge(*arguments)

    monkeypatch.setattr(module, "_merge_batch", spy)
    found = torch.get_float32_matmul_precision()
    try:
        for setting in ("medium", "high"):
            torch.set_float32_matmul_precision(setting)
            nearest_lpips(embedding, _images(2, 0), _images(4, 1), 2, batch=2)
            assert torch.get_float32_matmul_precision() == setting
    finally:
        torch.set_float32_matmul_precision(found)
    assert seen == ["highest"] * 4
    with pytest.raises(KeyboardInterrupt), module.full_precision():
        raise KeyboardInterrupt
    assert torch.get_float32_matmul_precision() == found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_finds_what_a_cpu_finds(embedding: Embedding) -> None:
    queries, train = _images(5, 0), torch.cat([_images(60, 1), _images(2, 0) + 1e-3]).clamp(0, 1)
    cpu = nearest_lpips(embedding, queries, train, 5)
    gpu = nearest_lpips(Embedding(embedding.net, device="cuda"), queries, train, 5)
    assert torch.equal(cpu.index, gpu.index)
    _assert_equal(gpu.value, cpu.value.numpy())


def test_rerank_gives_each_query_its_own_candidates(embedding: Embedding) -> None:
    queries, train = _images(3, 0), _images(20, 1)
    candidates = torch.tensor([[3, 1, 19], [1, 0, 7], [5, 5, 2]])
    matrix = embedding.matrix(queries, train)
    torch.testing.assert_close(
        rerank(embedding, queries, train, candidates, batch=2), matrix.gather(1, candidates), rtol=1e-5, atol=0
    )


def test_resizing_is_bilinear_and_declared(embedding: Embedding) -> None:
    trunk = weights.load(embedding.net)
    large = Embedding(embedding.net, size=64, trunk=trunk)
    a, b = (torch.nn.functional.interpolate(x, (64, 64), mode="bilinear") for x in (_images(2, 0), _images(2, 1)))
    torch.testing.assert_close(
        large.distance(_images(2, 0), _images(2, 1)), embedding.distance(a, b), rtol=1e-5, atol=0
    )
    assert large.key != embedding.key


def test_a_random_trunk_is_never_lpips(embedding: Embedding) -> None:
    trunk = {name: torch.randn_like(value) for name, value in weights.load(embedding.net).items()}
    with pytest.raises(InputError, match="SHA-256"):
        Embedding(embedding.net, trunk=trunk)


def test_without_weights_there_is_no_embedding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(folder: Path) -> Path:
        raise weights.WeightsMissing("no network; `samenoise weights` brings them")

    monkeypatch.setenv("SAMENOISE_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(weights, "_download", offline)
    with pytest.raises(weights.WeightsMissing, match="samenoise weights"):
        Embedding()


def test_construction_draws_no_random_numbers(embedding: Embedding) -> None:
    before = torch.get_rng_state()
    package_model(embedding.net)
    assert torch.equal(before, torch.get_rng_state())


# --- the shift-tolerant form


@pytest.fixture(scope="module", params=sorted(SHIFT_TOLERANT))
def tolerant(request: pytest.FixtureRequest) -> Embedding:
    try:
        return Embedding(request.param)
    except weights.WeightsMissing as error:
        pytest.skip(str(error))


def test_shift_tolerant_values_are_those_of_its_package(tolerant: Embedding) -> None:
    a, b = _images(2, 0, size=40), _images(3, 1, size=40)
    _assert_equal(tolerant.matrix(a, b), _package(package_model(tolerant.net), a, b))
    assert tolerant.key != Embedding(tolerant.net[3:]).key


def test_shift_tolerant_weights_are_pinned(tolerant: Embedding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHIFT_TOLERANT, tolerant.net, "0" * 64)
    with pytest.raises(InputError, match=r"expected 000.*stlpips-pytorch 0\.0\.2"):
        Embedding(tolerant.net)


def test_without_its_package_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stlpips_pytorch.stlpips", None)
    with pytest.raises(weights.WeightsMissing, match="pip install stlpips-pytorch"):
        Embedding("st-vgg")
    assert "IPython" not in sys.modules or sys.modules["IPython"].__file__
