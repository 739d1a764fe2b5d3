"""ONNX files and exported programs compute what was exported; more than tensors and operators is refused."""

import importlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.denoisers import load
from core.denoisers.conversions import Discrete
from core.denoisers.loading.diffusers_folder import calls
from core.denoisers.protocol import Blind, SigmaDenoiser
from core.denoisers.tests.small_unets import SHAPE, diffusers, small_unet
from core.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")
ALPHAS = diffusers.DDPMScheduler().alphas_cumprod
NOISY = torch.randn((5, *SHAPE), generator=torch.Generator().manual_seed(2))
LEVEL = torch.tensor([0.1, 0.2, 0.4, 0.7, 1.0])
KNOWN = {"data_range": [0, 1], "sigma_min": 0.02, "sigma_max": 1.0}


class Scaled(nn.Module):
    """A small denoiser that is told the level: x - sigma conv(x)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1)
        with torch.no_grad():
            self.layer.weight.copy_(torch.linspace(-1, 1, 9).view(1, 1, 3, 3))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x - sigma.view(-1, 1, 1, 1) * self.layer(x)


class Alone(Scaled):
    """The same without a level."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.layer(x)


class Unet(nn.Module):
    """A network of diffusers as a function of (images, times)."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = small_unet()

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.unet(x, t).sample


def write_pt2(path: Path, module: nn.Module, inputs: tuple[Tensor, ...], dynamic: Any) -> None:
    torch.export.save(torch.export.export(module.eval(), inputs, dynamic_shapes=dynamic), path)


def write_onnx(path: Path, module: nn.Module, inputs: tuple[Tensor, ...], dynamic: Any) -> None:
    torch.onnx.export(module.eval(), inputs, path, dynamic_shapes=dynamic, dynamo=True, verbose=False)


WRITERS: dict[str, Callable[..., None]] = {"pt2": write_pt2, "onnx": write_onnx}


def exported(folder: Path, kind: str, module: nn.Module, levels: bool = True, batch: int | None = None) -> Path:
    path = folder / f"model.{kind}"
    inputs = (torch.rand(batch or 2, *SHAPE), torch.rand(batch or 2))[: 2 if levels else 1]
    many = torch.export.Dim("b", min=1, max=63)
    dynamic = None if batch else tuple({0: many} for _ in inputs)
    WRITERS[kind](path, module, inputs, dynamic)
    return path


def say(path: Path, **known: Any) -> Path:
    path.with_name(path.name + ".json").write_text(json.dumps(known))
    return path


def close(found: SigmaDenoiser, expected: SigmaDenoiser) -> bool:
    with torch.no_grad():
        return torch.allclose(found(NOISY, LEVEL), expected(NOISY, LEVEL), atol=1e-5)


@pytest.mark.parametrize("batch", [None, 2, 8])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_denoiser_that_is_told_the_level(tmp_path: Path, kind: str, batch: int | None) -> None:
    module = Scaled()
    denoiser = load(say(exported(tmp_path, kind, module, batch=batch), **KNOWN))
    assert (denoiser.shape, denoiser.data_range, denoiser.sigma_min) == (SHAPE, (0.0, 1.0), 0.02)
    with torch.no_grad():
        assert torch.allclose(denoiser(NOISY, LEVEL), module(NOISY, LEVEL), atol=1e-6)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_blind_one_has_one_input(tmp_path: Path, kind: str) -> None:
    module = Alone()
    path = exported(tmp_path, kind, module, levels=False)
    denoiser = load(path, data_range=(0.0, 1.0), sigma_min=0.02, sigma_max=1.0)
    assert isinstance(denoiser, Blind)
    with torch.no_grad():
        assert torch.allclose(denoiser(NOISY, LEVEL), module(NOISY), atol=1e-6)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_network_of_diffusers_with_its_schedule_beside_it(tmp_path: Path, kind: str) -> None:
    module = Unet()
    path = exported(tmp_path, kind, module)
    for prediction in ("epsilon", "v"):
        say(path, data_range=[-1, 1], prediction=prediction, alphas_cumprod=ALPHAS.tolist())
        assert close(load(path), Discrete(calls(module.unet), ALPHAS, shape=SHAPE, prediction=prediction)), prediction


@pytest.mark.parametrize(
    ("known", "named"),
    [
        ({}, "does not say data_range, sigma_min, sigma_max; write model.pt2.json"),
        ({"data_range": [0, 1]}, "does not say sigma_min, sigma_max"),
        ({**KNOWN, "prediction": "epsilon"}, "sigma_min: was given"),
        ({"data_range": [0, 1], "prediction": "v"}, "does not say alphas_cumprod"),
        ({"data_range": [0, 1], "prediction": "flow"}, "does not say time_scale"),
        ({"range": [0, 1]}, "unknown entry 'range'"),
        ({"data_range": 1}, "data_range is 1"),
        ({"sigma_max": True}, "sigma_max is True"),
        ({"prediction": "noise"}, "prediction is noise"),
        ({"shape": [1, 16]}, "shape is"),
    ],
)
def test_what_is_not_said_or_said_wrongly_is_named(tmp_path: Path, known: dict[str, Any], named: str) -> None:
    path = say(exported(tmp_path, "pt2", Scaled()), **known)
    with pytest.raises(InputError, match=named):
        load(path)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_timestep_in_whole_numbers_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"model.{kind}"
    WRITERS[kind](path, Scaled(), (torch.rand(2, *SHAPE), torch.ones(2, dtype=torch.int64)), None)
    with pytest.raises(InputError, match=r"takes .*(int64|kind 5).*as float"):
        load(say(path, **KNOWN))


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_no_program_is_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"model.{kind}"
    for content in (b"", b"version https://git-lfs", exported(tmp_path, "pt2", Scaled()).read_bytes()[:3000]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"model.{kind}") as caught:
            load(path)
        assert "\n" not in str(caught.value)


def packed(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def tampered(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The archive with its records changed, written anew."""
    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].split("/")[0]
        records = {name.removeprefix(f"{root}/"): archive.read(name) for name in archive.namelist()}
    change(records)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, record in records.items():
            archive.writestr(f"{root}/{name}", record)
    return path


def edit(records: dict[str, bytes], change: Callable[[Any], None], name: str = "models/model.json") -> None:
    value = json.loads(records[name])
    change(value)
    records[name] = json.dumps(value).encode()


def graph(program: Any) -> Any:
    return program["graph_module"]["graph"]


def operator(target: str) -> Callable[[dict[str, bytes]], None]:
    def change(program: Any) -> None:
        graph(program)["nodes"][0]["target"] = target

    return lambda records: edit(records, change)


def pickled(config: Any) -> None:
    config["config"]["layer.weight"]["use_pickle"] = True


def size(program: Any) -> None:
    graph(program)["tensor_values"]["x"]["sizes"][0] = {"as_expr": {"expr_str": "unheard(s0)", "hint": {"as_int": 2}}}


def named(program: Any) -> None:
    graph(program)["nodes"][0]["name"] = "two words"


OBJECT = packed({"a": Scaled()})  # more than tensors, and harmless
REFUSED: dict[str, Callable[[dict[str, bytes]], None]] = {
    "weight": lambda records: edit(records, pickled, "data/weights/model_weights_config.json"),
    "old weights": lambda records: records.update({"data/weights/model.pt": OBJECT}),
    "old constants": lambda records: records.update({"data/constants/model.pt": OBJECT}),
    "sample inputs": lambda records: records.update({"data/sample_inputs/model.pt": OBJECT}),
    "object": lambda records: records.update({"data/constants/custom_obj_0": b"text"}),
    "library": lambda records: records.update({"data/aotinductor/model/a.txt": b"text"}),
    "size": lambda records: edit(records, size),
    "guard": lambda records: edit(records, lambda program: program.update(guards_code=["unheard(s0)"])),
    "name": lambda records: edit(records, named),
    "python": operator("torch.nn.functional.relu"),
    "other operators": operator("torch.ops.prims.neg.default"),
    "no operator": operator("torch.ops.aten.unheard.default"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_program_of_more_than_tensors_and_operators_is_refused(tmp_path: Path, name: str) -> None:
    path = tampered(say(exported(tmp_path, "pt2", Scaled()), **KNOWN), REFUSED[name])
    with pytest.raises(InputError, match="may execute code"):
        load(path)


def test_an_archive_that_was_written_anew_is_read(tmp_path: Path) -> None:
    path = tampered(say(exported(tmp_path, "pt2", Scaled()), **KNOWN), lambda records: None)
    assert load(path).shape == SHAPE


def test_the_notes_of_a_program_are_left_alone(tmp_path: Path) -> None:
    def change(program: Any) -> None:
        for node in graph(program)["nodes"]:
            node["metadata"] = {
                "stack_trace": 'File "x.py", line 1, in f\n    two words\n',
                "custom": '{"a": "two words"}',
            }

    path = tampered(exported(tmp_path, "pt2", Scaled()), lambda records: edit(records, change))
    assert load(say(path, **KNOWN))(NOISY, LEVEL).shape == NOISY.shape


def test_weights_of_an_onnx_file_lie_beside_it(tmp_path: Path) -> None:
    onnx: Any = importlib.import_module("onnx")
    (tmp_path / "inside").mkdir()
    path = exported(tmp_path / "inside", "onnx", Scaled())
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=68)
    assert load(say(path, **KNOWN)).shape == SHAPE
    (tmp_path / "weights").write_bytes((tmp_path / "inside/weights").read_bytes())
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../weights"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"cannot read it .*weights"):
        load(path)
