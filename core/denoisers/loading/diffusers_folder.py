"""A folder that diffusers wrote with `DDPMPipeline.save_pretrained`: a UNet2DModel beside its scheduler, unconditional.

Only the network and the schedule are built. The pipeline's own class is not, no code in the folder is run, weights are
read from safetensors alone, and nothing is fetched.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.denoisers.conversions import Discrete, Flow, Network
from core.denoisers.loading.given import Given
from core.denoisers.protocol import Range, SigmaDenoiser
from core.errors import InputError
from core.packages import import_torchvision, optional
from core.tensors import first_words, read_json

INDEX, NETWORK, SCHEDULER = "model_index.json", "unet", "scheduler"
CONFIG, SCHEDULE = "config.json", "scheduler_config.json"
WEIGHTS = "diffusion_pytorch_model"
DISCRETE = (  # all hold the same schedule and read a prediction in the same way; what they do with it is theirs
    *("DDPMScheduler", "DDPMParallelScheduler", "DDIMScheduler", "DDIMParallelScheduler", "PNDMScheduler"),
    *("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "LMSDiscreteScheduler"),
    *("KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DEISMultistepScheduler", "UniPCMultistepScheduler"),
    *("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"),
)
FLOW = "FlowMatchEulerDiscreteScheduler"
PREDICTIONS = {"epsilon": "epsilon", "sample": "sample", "v_prediction": "v"}  # diffusers' names and ours
RANGE: Range = (-1.0, 1.0)  # what diffusers' pipelines and training scripts take images to


def is_diffusers(path: Path) -> bool:
    """Whether a folder looks like a saved pipeline or a part of one."""
    return any((path / name).is_file() for name in (INDEX, CONFIG)) or (path / NETWORK).is_dir()


def load_diffusers(path: Path, given: Given, *, device: str = "cpu") -> SigmaDenoiser:
    """The denoiser of a saved pipeline.

    Args:
        path: the folder.
        given: shape, where the network's configuration names no size; data range, where it is not [-1, 1].
        device: where the network computes.

    Raises:
        InputError: naming the folder and what is not supported in it or not there; where diffusers is not installed.
    """
    _check_pipeline(path)
    # old pipelines have both configurations at the top
    unet, schedule_folder = (path / part if (path / part).is_dir() else path for part in (NETWORK, SCHEDULER))
    network, scheduler = read_json(unet / CONFIG), read_json(schedule_folder / SCHEDULE)
    _check_network(unet, network)
    prediction = _check_scheduler(schedule_folder, scheduler)
    given.only("shape", "data_range", source=f"{path}, a diffusers folder,")
    shape = given.shape or _shape(unet, network)
    data_range = given.data_range or RANGE
    diffusers = _diffusers()
    model = _weights(diffusers, unet).to(device).eval().requires_grad_(False)
    schedule = _schedule(diffusers, schedule_folder, scheduler)
    if scheduler["_class_name"] == FLOW:
        scale = float(schedule.config.num_train_timesteps)
        return Flow(calls(model), shape=shape, data_range=data_range, time_scale=scale)
    return Discrete(calls(model), schedule.alphas_cumprod, prediction=prediction, shape=shape, data_range=data_range)


def _diffusers() -> Any:
    import_torchvision()
    return optional("diffusers", "diffusers", "a diffusers folder")


def calls(model: Any) -> Network:
    """The network as a function of (images, times) that returns where and as precise as its input."""

    def network(x: Tensor, time: Tensor) -> Tensor:
        out = model(x.to(model.device, model.dtype), time.to(model.device), return_dict=False)[0]
        return out.to(x.device, x.dtype)

    return network


def _check_pipeline(path: Path) -> None:
    """Refuses what is no unconditional pipeline in pixels, by the parts that the folder has."""
    parts = set(read_json(path / INDEX)) if (path / INDEX).is_file() else set()
    parts |= {child.name for child in path.iterdir() if child.is_dir()}
    for part, what in {
        "vae": "a latent model (it has a vae): its noise is not added to pixels",
        "vqvae": "a latent model (it has a vqvae): its noise is not added to pixels",
        "text_encoder": "conditional on text",
        "tokenizer": "conditional on text",
        "image_encoder": "conditional on an image",
        "controlnet": "conditional on an image",
        "transformer": "a transformer",
    }.items():
        if part in parts:
            raise InputError(f"{path}: {what}; expected an unconditional UNet2DModel and its scheduler")
    if not any((path / name).is_file() for name in (f"{SCHEDULER}/{SCHEDULE}", SCHEDULE)):
        raise InputError(
            f"{path}: has no scheduler; expected the folder of the pipeline, with {NETWORK}/ and "
            f"{SCHEDULER}/ (DDPMPipeline(unet, scheduler).save_pretrained)"
        )


def _check_network(folder: Path, config: dict[str, Any]) -> None:
    name = config.get("_class_name")
    if name != "UNet2DModel":
        what = "a conditional network, " if "Condition" in str(name) else ""
        raise InputError(f"{folder}: {what}{name}, expected an unconditional UNet2DModel")
    if config.get("class_embed_type") is not None or config.get("num_class_embeds") is not None:
        raise InputError(
            f"{folder}: conditional on a class (class_embed_type or num_class_embeds), expected no condition"
        )
    inputs, outputs = config.get("in_channels"), config.get("out_channels")
    if inputs != outputs:
        learned = inputs and outputs == 2 * inputs
        why = "predicts its variance as well" if learned else "gives images of other channels than it takes"
        raise InputError(f"{folder}: {why} (in_channels {inputs}, out_channels {outputs}), expected as many")
    if config.get("time_embedding_type", "positional") != "positional":
        raise InputError(
            f"{folder}: told the noise level by a {config['time_embedding_type']} embedding (score SDE), "
            "expected a positional one of the timestep"
        )


def _check_scheduler(folder: Path, config: dict[str, Any]) -> str:
    """The prediction, in our words; '' for flow matching, which has one."""
    name = config.get("_class_name")
    if name == FLOW:
        return ""
    if name not in DISCRETE:
        raise InputError(f"{folder}: {name}, expected one of {', '.join(DISCRETE)} or {FLOW}")
    if str(config.get("variance_type")).startswith("learned"):
        raise InputError(
            f"{folder}: variance_type {config['variance_type']!r}, expected a variance that is not learned"
        )
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise InputError(f"{folder}: prediction_type {prediction!r}, expected one of {', '.join(PREDICTIONS)}")
    return PREDICTIONS[prediction]


def _schedule(diffusers: Any, folder: Path, config: dict[str, Any]) -> Any:
    try:
        return getattr(diffusers, config["_class_name"]).from_config(config)
    except Exception as error:  # of many kinds: the configuration comes from outside
        raise InputError(f"{folder}: diffusers cannot build its schedule ({first_words(str(error))})") from error


def _shape(folder: Path, config: dict[str, Any]) -> tuple[int, int, int]:
    size = config.get("sample_size")
    sides = (size, size) if isinstance(size, int) else tuple(size or ())
    if len(sides) != 2:
        raise InputError(f"{folder}: its configuration names no sample_size; give the shape (channels, height, width)")
    return config.get("in_channels", 3), sides[0], sides[1]


def _weights(diffusers: Any, folder: Path) -> torch.nn.Module:
    if not list(folder.glob(f"{WEIGHTS}*.safetensors")):
        pickled = [p.name for p in sorted(folder.glob("*.bin")) + sorted(folder.glob("*.pt"))]
        beside = f", only {pickled[0]}, which is not opened: it may execute code" if pickled else ""
        raise InputError(
            f"{folder}: no {WEIGHTS}.safetensors{beside}; save it again with save_pretrained(folder, "
            "safe_serialization=True)"
        )
    try:
        model, found = diffusers.UNet2DModel.from_pretrained(
            str(folder), use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False, output_loading_info=True
        )
    except Exception as error:  # safetensors', torch's and diffusers' own: the folder comes from outside
        raise InputError(f"{folder}: cannot be loaded by diffusers ({first_words(str(error))})") from error
    wrong = [*found["missing_keys"], *found["unexpected_keys"], *found["mismatched_keys"]]
    if wrong:
        raise InputError(f"{folder}: {len(wrong)} weights are missing or not of this network, such as {wrong[0]}")
    if not all(bool(torch.isfinite(value).all()) for value in model.state_dict().values()):
        raise InputError(f"{folder}: holds weights that are not finite")
    return model
