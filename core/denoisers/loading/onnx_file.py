"""An ONNX file, run by onnxruntime: a graph of known operators, which no code of the file's own can be part of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.denoisers.loading.batches import in_batches_of
from core.denoisers.loading.given import Given, as_denoiser
from core.denoisers.protocol import SigmaDenoiser
from core.errors import InputError
from core.packages import optional
from core.tensors import first_words

FLOATS = {"tensor(float16)": np.float16, "tensor(float)": np.float32, "tensor(double)": np.float64}
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def load_onnx(path: Path, given: Given, *, device: str = "cpu") -> SigmaDenoiser:
    """The denoiser of an ONNX file; what the file does not say stands in `FILE.json` or is given.

    Raises:
        InputError: naming the file, if onnxruntime cannot read it, or its inputs are not images and a level in floats;
            where onnxruntime is not installed or has nothing to run on the device.
    """
    runtime = optional("onnxruntime", "onnx", str(path))
    provider = PROVIDERS.get(device.split(":")[0], device)
    if provider not in runtime.get_available_providers():
        raise InputError(f"{path}: onnxruntime has no {provider}, expected a device that it was built for, such as cpu")
    try:
        session = runtime.InferenceSession(str(path), providers=[provider])
    except Exception as error:  # onnxruntime's own, of many kinds: the file comes from outside
        why = str(error).split(" failed:", 1)[-1]  # before it, the path once more
        raise InputError(f"{path}: onnxruntime cannot read it ({first_words(why)})") from error
    inputs = session.get_inputs()
    images = inputs[0]
    if len(images.shape) != 4 or any(value.type not in FLOATS for value in inputs) or len(session.get_outputs()) != 1:
        found = ", ".join(f"{value.name} {value.type} {value.shape}" for value in inputs)
        raise InputError(
            f"{path}: takes {first_words(found)} and gives {len(session.get_outputs())} outputs; expected images "
            "(b, c, h, w), or these and a level or time (b,), as floats, and one output"
        )
    if any(len(value.shape) != 1 for value in inputs[1:]):
        raise InputError(f"{path}: {inputs[1].name} has shape {inputs[1].shape}, expected one level an image, (b,)")
    batch, *sides = images.shape
    shape = Given(shape=(sides[0], sides[1], sides[2])) if all(type(side) is int for side in sides) else Given()
    return as_denoiser(
        in_batches_of(_runs(session, inputs), batch if type(batch) is int else None),
        len(inputs),
        given.or_else(Given.beside(path)).or_else(shape),
        source=str(path),
    )


def _runs(session: Any, inputs: Any) -> Callable[..., Tensor]:
    def network(*values: Tensor) -> Tensor:
        fed = {
            value.name: np.ascontiguousarray(tensor.detach().cpu().numpy().astype(FLOATS[value.type]))
            for value, tensor in zip(inputs, values, strict=True)
        }
        (out,) = session.run(None, fed)
        return torch.from_numpy(out).to(values[0].device, values[0].dtype)

    return network
