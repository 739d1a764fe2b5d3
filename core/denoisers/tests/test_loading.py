"""What a user names becomes a denoiser, or one line that says what it is and what was expected; no code is run."""

import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from core.denoisers import load
from core.denoisers.protocol import Told
from core.denoisers.tests.small_unets import SHAPE, diffusers, saved, small_unet
from core.denoisers.unet import UNet
from core.errors import InputError
from core.training.config import TrainConfig
from core.training.runs import Record, RunStore

pytestmark = pytest.mark.usefixtures("one_thread")
NETWORK = UNet(4, 2, generator=torch.Generator().manual_seed(0)).eval()
NOISY = torch.rand((3, 1, 8, 8), generator=torch.Generator().manual_seed(1))
LEVEL = torch.tensor([0.1, 0.5, 1.0])


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def pipeline(folder: Path, **scheduler: Any) -> Path:
    return saved(folder / "model", small_unet(), diffusers.DDPMScheduler(**scheduler))


def refused(folder: Path | str, named: str, **options: Any) -> None:
    with pytest.raises(InputError, match=named) as caught:
        load(folder, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "prediction"),
    [
        *[("DDIMScheduler", p) for p in ("epsilon", "sample", "v_prediction")],
        ("PNDMScheduler", "epsilon"),
        ("DPMSolverMultistepScheduler", "v_prediction"),
        ("EulerDiscreteScheduler", "epsilon"),
        ("HeunDiscreteScheduler", "sample"),
    ],
)
def test_schedulers_of_one_schedule_load_alike(tmp_path: Path, name: str, prediction: str) -> None:
    unet = small_unet()
    options = {"prediction_type": prediction, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
    reference = load(saved(tmp_path / "a", unet, diffusers.DDPMScheduler(**options)))
    found = load(saved(tmp_path / "b", unet, getattr(diffusers, name)(**options)))
    x, sigma = torch.randn(3, *SHAPE), torch.tensor([0.1, 2.0, 80.0])
    assert torch.allclose(found(x, sigma), reference(x, sigma), atol=1e-4)
    assert found.sigma_max == pytest.approx(reference.sigma_max)


def test_flow_matching_of_diffusers_loads_with_its_time(tmp_path: Path) -> None:
    unet = small_unet()
    denoiser = load(saved(tmp_path, unet, diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)))
    x, time = torch.randn(2, *SHAPE), torch.tensor([0.25, 0.9])
    point_to_data = x - time.view(-1, 1, 1, 1) * unet(x, 1000 * time).sample
    sigma = time / (1 - time)
    assert torch.allclose(denoiser(x * (1 + sigma.view(-1, 1, 1, 1)), sigma), point_to_data, atol=1e-5)


def test_an_old_pipeline_has_its_files_at_the_top(tmp_path: Path) -> None:
    folder = pipeline(tmp_path)
    expected = load(folder)(torch.ones(1, *SHAPE), torch.ones(1))
    for part in ("unet", "scheduler"):
        for file in (folder / part).iterdir():
            shutil.move(file, folder / file.name)
        (folder / part).rmdir()
    assert torch.equal(load(folder)(torch.ones(1, *SHAPE), torch.ones(1)), expected)


def test_shape_and_range_can_be_said(tmp_path: Path) -> None:
    folder = pipeline(tmp_path)
    rewrite(folder / "unet/config.json", sample_size=None)
    refused(folder, "give the shape")
    denoiser = load(folder, shape=(1, 32, 32), data_range=(0.0, 1.0))
    assert (denoiser.shape, denoiser.data_range) == ((1, 32, 32), (0.0, 1.0))
    refused(folder, "sigma_max: was given", sigma_max=3.0)


UNETS: dict[str, tuple[dict[str, Any], str]] = {
    "conditional": ({"_class_name": "UNet2DConditionModel"}, "a conditional network, UNet2DConditionModel"),
    "video": ({"_class_name": "UNet3DModel"}, "UNet3DModel"),
    "class": ({"num_class_embeds": 10}, "conditional on a class"),
    "class embedding": ({"class_embed_type": "timestep"}, "conditional on a class"),
    "learned variance": ({"out_channels": 2}, "predicts its variance"),
    "score": ({"time_embedding_type": "fourier"}, "fourier"),
    "too large": ({"block_out_channels": [16, 48]}, "cannot be loaded|missing or not of this network"),
}


@pytest.mark.parametrize("case", UNETS)
def test_a_network_that_is_something_else_is_refused_by_name(tmp_path: Path, case: str) -> None:
    changes, named = UNETS[case]
    folder = pipeline(tmp_path)
    rewrite(folder / "unet/config.json", **changes)
    refused(folder, named)


SCHEDULERS: dict[str, tuple[dict[str, Any], str]] = {
    "learned variance": ({"variance_type": "learned_range"}, "learned_range"),
    "prediction": ({"prediction_type": "flow_prediction"}, "flow_prediction"),
    "score": ({"_class_name": "ScoreSdeVeScheduler"}, "ScoreSdeVeScheduler"),
    "consistency": ({"_class_name": "LCMScheduler"}, "LCMScheduler"),
    "anything": ({"_class_name": "os.system"}, "os.system"),
    "unknown betas": ({"beta_schedule": "mine"}, "cannot build its schedule"),
}


@pytest.mark.parametrize("case", SCHEDULERS)
def test_a_schedule_that_is_something_else_is_refused_by_name(tmp_path: Path, case: str) -> None:
    changes, named = SCHEDULERS[case]
    folder = pipeline(tmp_path)
    rewrite(folder / "scheduler/scheduler_config.json", **changes)
    refused(folder, named)


@pytest.mark.parametrize(("part", "named"), [("vae", "latent"), ("vqvae", "latent"), ("text_encoder", "text")])
def test_a_pipeline_with_other_parts_is_refused_by_name(tmp_path: Path, part: str, named: str) -> None:
    folder = pipeline(tmp_path)
    rewrite(folder / "model_index.json", **{part: ["diffusers", "Something"]})
    refused(folder, named)


class Trap:
    """A pickle that leaves a file where it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "name", ["network-snapshot-001.pkl", "model.ckpt", "model.pt", "model.pth", "model.safetensors"]
)
def test_no_pickle_is_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    refused(tmp_path / name, "executes code" if name.endswith(("pkl", "ckpt")) else name)
    assert not (tmp_path / "sprung").exists()


def test_a_pipeline_of_pickled_weights_is_not_opened(tmp_path: Path) -> None:
    folder = pipeline(tmp_path)
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    refused(folder, "diffusion_pytorch_model.bin, which is not opened")
    assert not (tmp_path / "sprung").exists()


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    folder = pipeline(tmp_path)
    file = folder / "unet/diffusion_pytorch_model.safetensors"
    state = safetensors.torch.load_file(file)
    state["conv_in.weight"][0] = float("nan")
    safetensors.torch.save_file(state, file)
    refused(folder, "not finite")


def test_a_folder_without_a_part_says_which(tmp_path: Path) -> None:
    folder = pipeline(tmp_path)
    shutil.rmtree(folder / "scheduler")
    refused(folder, "no scheduler")
    shutil.rmtree(folder / "unet")
    refused(folder, "config.json|scheduler")
    refused(tmp_path, "expected a diffusers folder")


def store_of(root: Path) -> Record:
    """A store with one model, trained for two steps."""
    store = RunStore(root)
    config = TrainConfig(image_size=8, base_channels=4, blocks=2, exposures=8, epochs=1, batch=4)
    store.get_or_train(torch.rand(4, 1, 8, 8), config, seed=0)
    return store.records()[0]


def test_a_model_of_the_store_by_folder_and_by_key(tmp_path: Path) -> None:
    record = store_of(tmp_path)
    network = RunStore(tmp_path).get(record.key).model
    for denoiser in (load(record.path), load(record.key, runs=tmp_path), load(record.key[:6], runs=tmp_path)):
        assert (denoiser.shape, denoiser.data_range, denoiser.sigma_max) == ((1, 8, 8), (0.0, 1.0), 1.0)
        assert torch.equal(denoiser(NOISY, LEVEL), NOISY - network(NOISY))
    (record.path / "model.safetensors").write_bytes(b"something else")
    refused(record.path, "damaged")


def test_a_key_that_is_not_there_or_begins_several_is_told(tmp_path: Path) -> None:
    for last in "12":
        folder = tmp_path / f"abcd{last}"
        folder.mkdir()
        (folder / "record.json").write_text("{}")
    with pytest.raises(InputError, match="2 models"):
        load("abcd", runs=tmp_path)
    with pytest.raises(InputError, match="nor a key of"):
        load("ffff", runs=tmp_path)


def test_a_published_checkpoint_tells_its_size_by_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "train8x8_no_repeats/0to255_RF_90x90_set_size_10/model.pt"
    file.parent.mkdir(parents=True)
    torch.save({f"module.{name}": value for name, value in NETWORK.state_dict().items()}, file)
    assert torch.equal(load(file)(NOISY, LEVEL), NOISY - NETWORK(NOISY))
    assert torch.equal(load(file.parent)(NOISY, LEVEL), NOISY - NETWORK(NOISY))
    bare = shutil.copy(file, tmp_path / "model.pt")
    refused(Path(bare), "give the shape")
    assert load(bare, shape=(1, 16, 16), sigma_max=0.5).sigma_max == 0.5


def write_module(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str = "my_denoisers") -> None:
    (folder / f"{name}.py").write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)


def test_code_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "from core.denoisers.protocol import Told\n"
        "def half():\n"
        "    return Told(lambda x, sigma: x / 2, shape=(1, 8, 8), data_range=(-1, 1), sigma_min=0.01, sigma_max=80)\n"
        "def nothing():\n"
        "    return lambda x, sigma: x\n"
        "def fails():\n"
        "    raise OSError('no weights\\nhere')\n"
    )
    write_module(tmp_path, monkeypatch, text, "halves")
    denoiser = load("halves:half")
    assert isinstance(denoiser, Told) and torch.equal(denoiser(NOISY, LEVEL), NOISY / 2)
    for name, named in {
        "halves:nothing": "without shape, data_range, sigma_min, sigma_max",
        "halves:fails": "raised OSError: no weights",
        "halves:other": "no function other",
        "no_such_module:half": "no module no_such_module",
    }.items():
        refused(name, named)
    refused("halves:half", "shape: was given", shape=(1, 8, 8))


def test_a_module_that_lacks_a_package_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(tmp_path, monkeypatch, "import surely_not_installed\n", "lacking")
    refused("lacking:half", "needs surely_not_installed")


@pytest.mark.parametrize(
    ("package", "extra"), [("diffusers", "diffusers"), ("onnxruntime", "onnx")], ids=["diffusers", "onnx"]
)
def test_an_absent_extra_is_one_line_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    path = pipeline(tmp_path) if package == "diffusers" else tmp_path / "model.onnx"
    if package != "diffusers":
        path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)
    refused(path, rf"pip install 'samenoise\[{extra}\]'")


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"x")
    refused(tmp_path / "picture.png", "of kind .png")
    refused(tmp_path / "nowhere", "no such file or folder")
