"""Checkpoints as people have them: what holds one set of weights is read, what does not is refused in one line."""

import argparse
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.dedup.sources import FileSource
from core.denoisers.loading.checkpoint import read_state
from core.denoisers.unet import UNet
from core.errors import InputError
from core.training.published_models import import_models, read_images
from core.training.runs import RunStore

MODEL = UNet(2, 1, generator=torch.Generator().manual_seed(0))
STATE = MODEL.state_dict()


def saved(root: Path, held: Any) -> Path:
    path = root / "UNet/celeba/0to255_RF_90x90_set_size_10/model.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(held, bytes):
        path.write_bytes(held)
    else:
        torch.save(held, path)
    return path


def one_safe_line(message: str, path: Path) -> bool:
    forbidden = ("\n", "\x1b", "weights_only", "trust", "option")
    return path.parent.name in message and not any(word in message.lower() for word in forbidden)


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in STATE.items()}


OPTIMISER = torch.optim.Adam(MODEL.parameters()).state_dict()
READ: dict[str, tuple[Any, str]] = {
    "as published": (prefixed("module."), ""),
    "compiled": (prefixed("_orig_mod."), ""),
    "compiled in parallel": (prefixed("module._orig_mod.module."), ""),
    "nested": ({"model": STATE, "epoch": 3}, "model"),
    "nested and compiled": ({"state_dict": prefixed("_orig_mod."), "args": {"lr": 1e-3, "tags": ["a"]}}, "state_dict"),
    "numpy's numbers": ({"params": STATE, "best": np.float64(31.2), "n": np.int64(3), "ok": np.bool_(True)}, "params"),
    "an optimiser": (
        {"model_state_dict": STATE, "optimizer": OPTIMISER, "loss": torch.tensor(0.5)},
        "model_state_dict",
    ),
    "averaged": ({"n_averaged": torch.tensor(7), **prefixed("module.")}, ""),
    "moments by name": ({"model": STATE, "moments": {"step_size": torch.ones(3)}}, "model"),
}


@pytest.mark.parametrize("kind", READ)
def test_weights_are_found(tmp_path: Path, kind: str) -> None:
    held, entry = READ[kind]
    path = saved(tmp_path, held)
    state, found = read_state(path)
    assert found == entry and state.keys() == STATE.keys()
    assert all(torch.equal(state[name], value) for name, value in STATE.items())
    store = RunStore(tmp_path / "runs")
    record = import_models(tmp_path, store)[0]
    y = torch.rand(1, 1, 8, 8)
    assert torch.equal(store.get(record.key).model(y), MODEL.eval()(y))
    assert record.source.endswith(f"(weights under {entry!r})" if entry else "model.pt")


def test_which_of_several_is_asked(tmp_path: Path) -> None:
    average = {name: value + 1 for name, value in STATE.items()}
    path = saved(tmp_path, {"model": STATE, "ema": average})
    with pytest.raises(InputError, match=r"model.pt: holds weights under 'model', 'ema', expected one; name it with"):
        import_models(tmp_path, RunStore(tmp_path / "runs"))
    state, _ = read_state(path, name="ema")
    assert all(torch.equal(state[name], value) for name, value in average.items())
    with pytest.raises(InputError, match="found no weights under 'params' among 'model', 'ema'"):
        read_state(path, name="params")


def archive(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr(name, "x")
    return stream.getvalue()


REFUSED: dict[str, tuple[Any, str]] = {
    "a pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
        "a Git LFS pointer.*git lfs pull",
    ),
    "a page": (b"\n<!DOCTYPE html><html>Sign in</html>", "a web page"),
    "an empty file": (b"", "the file is empty"),
    "an archive": (archive("photos/a.jpg"), r"a zip archive that is no checkpoint \(holds photos/a.jpg\)"),
    "an archive with terminal codes": (archive("\x1b[31mred"), r"no checkpoint \(holds red\)"),
    "garbage": (bytes(range(256)), "cannot be read as tensors only"),
    "an object": ({"model": STATE, "args": argparse.Namespace(lr=1)}, r"holds a Python object \(argparse.Namespace\)"),
    "an array": ({"model": STATE, "curve": np.zeros(3)}, r"holds a Python object \(numpy.*_reconstruct\)"),
    "a list": ([STATE], "holds a list, expected weights by name"),
    "nothing": ({}, "found no weights among nothing"),
    "two levels": ({"checkpoint": {"model": STATE}}, "found no weights among 'checkpoint'"),
    "numbers": ({"epoch": 3}, "found no weights among 'epoch'"),
    "a network of other depth": ({**STATE, "encoder.40.0.weight": torch.zeros(1)}, "encoder.1.0.weight is missing"),
    "no width": ({**STATE, "encoder.0.0.weight": torch.zeros(0, 1, 3, 3)}, r"encoder.0.0.weight is \(0, 1, 3, 3\)"),
    "a 0-d weight": ({**STATE, "encoder.0.0.weight": torch.tensor(1.0)}, "encoder.0.0.weight is missing"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_checkpoint_is_named_in_one_safe_line(tmp_path: Path, kind: str) -> None:
    held, says = REFUSED[kind]
    path = saved(tmp_path, held)
    with pytest.raises(InputError, match=says) as refusal:
        import_models(tmp_path, RunStore(tmp_path / "runs"))
    assert one_safe_line(str(refusal.value), path)
    if isinstance(held, bytes):
        for read in (read_images, FileSource):
            with pytest.raises(InputError, match=says) as refusal:
                read(path)
            assert one_safe_line(str(refusal.value), path)


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.builds(np.float64, st.floats()),
    st.builds(np.int64, st.integers(-9, 9)),
    st.lists(st.integers(), max_size=3),
    st.lists(st.integers(0, 3), max_size=4).map(torch.zeros),
    st.just(torch.tensor(float("nan"))),
)


@st.composite
def states(draw: st.DrawFn) -> dict[Any, Any]:
    """The network's weights, prefixed, with some entries lost, added, or replaced by something else."""
    prefix = draw(st.lists(st.sampled_from(["module.", "_orig_mod.", "net."]), max_size=3).map("".join))
    state: dict[Any, Any] = prefixed(prefix)
    for name in draw(st.lists(st.sampled_from(sorted(state)), max_size=2)):
        state.pop(name, None)
    state |= draw(
        st.dictionaries(st.sampled_from(sorted(state)) | st.text(max_size=30) | st.integers(), leaves, max_size=2)
    )
    return state


names_of_entries = st.sampled_from(["model", "state_dict", "ema", "params", "optimizer", "\x1b[1m", ""]) | st.integers()
structures = st.recursive(
    states() | st.dictionaries(st.text(max_size=5), leaves, max_size=3),
    lambda inner: st.dictionaries(names_of_entries, inner | leaves, max_size=3),
    max_leaves=4,
)


@given(structures | leaves)
@example({"model": {}})
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_structure_is_read_or_refused_in_one_safe_line(tmp_path_factory: pytest.TempPathFactory, held: Any) -> None:
    root = tmp_path_factory.mktemp("any")
    path = saved(root, held)
    try:
        record = import_models(root, RunStore(root / "runs"))[0]
    except InputError as refusal:
        assert one_safe_line(str(refusal), path)
        return
    assert record.model is not None and record.model["architecture"]["base_channels"] == 2


IMAGES = torch.rand(4, 1, 8, 8)


def test_one_tensor_of_any_name_is_enough_and_several_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"images": IMAGES}, path)
    assert torch.equal(read_images(path), IMAGES)
    safetensors.torch.save_file({"train": IMAGES, "labels": torch.zeros(4)}, path)
    with pytest.raises(InputError, match=r"2 tensors, labels \(4,\) .*train \(4, 1, 8, 8\) .*or --name NAME"):
        read_images(path)
    assert torch.equal(read_images(path, name="train"), IMAGES)
    with pytest.raises(InputError, match="expected one float tensor called 'test'"):
        read_images(path, name="test")
    safetensors.torch.save_file({"data": IMAGES, "labels": torch.zeros(4)}, path)
    assert torch.equal(read_images(path), IMAGES)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match=r"x\.safetensors: holds a Git LFS pointer"):
        read_images(path)
