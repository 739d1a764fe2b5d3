"""From what a user names to a denoiser: which form it is, and who reads that form."""

import re
from pathlib import Path

from core.denoisers.loading.diffusers_folder import is_diffusers, load_diffusers
from core.denoisers.loading.exported import load_exported
from core.denoisers.loading.factory import load_factory
from core.denoisers.loading.given import Given
from core.denoisers.loading.networks import RECORD, find_stored, load_checkpoint, load_stored
from core.denoisers.loading.onnx_file import load_onnx
from core.denoisers.protocol import Range, Shape, SigmaDenoiser
from core.errors import InputError

FORMS = (
    "a diffusers folder, a checkpoint (.pt, .pth, .safetensors), a model of the store (its folder, or its key with the "
    "store), an ONNX file (.onnx), an exported program (.pt2) or module:factory"
)
FILES = {
    ".onnx": load_onnx,
    ".pt2": load_exported,
    ".pt": load_checkpoint,
    ".pth": load_checkpoint,
    ".safetensors": load_checkpoint,
}
PUBLISHED = ("model.safetensors", "model.pt")  # in a folder of its own, as it is published
PICKLES = (".pkl", ".pickle", ".ckpt", ".joblib")
FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def load(
    spec: str | Path,
    *,
    device: str = "cpu",
    runs: Path | str | None = None,
    shape: Shape | None = None,
    data_range: Range | None = None,
    sigma_min: float | None = None,
    sigma_max: float | None = None,
) -> SigmaDenoiser:
    """The denoiser that `spec` names: D(x, sigma) = E[x0 | x0 + sigma n = x].

    Nothing is fetched, no pickle is opened and no code is run, but that of `module:factory`, which names it.

    Example: `denoiser = load("cifar-ddpm"); clean = denoiser(x, sigma)`.

    Args:
        spec: a folder that diffusers saved, a published checkpoint, a model of the store (its folder, or its key or the
            beginning of it), an ONNX file, a `.pt2` file, or `module:factory`.
        device: where it computes; what it returns lies where its input does.
        runs: the store, for a key.
        shape: (channels, height, width), where the model does not say it.
        data_range: values of black and white, where the model does not say them or says others than it was trained on.
        sigma_min, sigma_max: noise levels it was trained for, in units of `data_range`, where the model does not say.

    Raises:
        InputError: naming `spec`, what was found and what was expected.
    """
    given = Given(shape=shape, data_range=data_range, sigma_min=sigma_min, sigma_max=sigma_max)
    path, name = Path(spec), str(spec)
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise InputError(
            f"{name}: a pickle, which executes code when it is opened, is not opened. Where you trust it, open it in "
            "your own code and name that as module:factory (EDM's networks are denoisers as they are: see "
            "core/denoisers/README.md), or export it once with torch.export.save"
        )
    if path.is_dir():
        if (path / RECORD).is_file():
            return load_stored(path, given, device=device)
        if is_diffusers(path):
            return load_diffusers(path, given, device=device)
        for name_inside in PUBLISHED:
            if (path / name_inside).is_file():
                return load_checkpoint(path / name_inside, given, device=device)
        raise InputError(f"{name}: a folder without {RECORD}, model_index.json or unet/; expected {FORMS}")
    if path.is_file():
        if suffix not in FILES:
            raise InputError(f"{name}: a file of kind {suffix or 'none'}, expected {FORMS}")
        return FILES[suffix](path, given, device=device)
    if runs is not None and (stored := find_stored(name, Path(runs))):
        return load_stored(stored, given, device=device)
    if FACTORY.fullmatch(name):
        given.only(source=f"{name}, whose object says all this itself,")
        return load_factory(name)
    at = f", nor a key of {runs}" if runs is not None else ""
    raise InputError(f"{name}: no such file or folder{at}; expected {FORMS}")
