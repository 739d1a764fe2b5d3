"""The networks behind LPIPS, built by the packages that define them and filled with weights that are accounted for.

`vgg` and `alex` are LPIPS 0.1 (Zhang et al. 2018, package `lpips`); `st-vgg` and `st-alex` its shift-tolerant form
(Ghildyal and Liu 2022, package `stlpips-pytorch`, optional). All of them unit-normalise features at each place and
weigh squared differences by a linear head.
"""

import importlib
import re
import sys
import warnings
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from core.errors import InputError
from core.files import sha256_file
from core.metrics import lpips_weights as weights
from core.packages import import_torchvision

SHIFT_TOLERANT = {  # SHA-256 of the weights that stlpips-pytorch 0.0.2 carries, trunk and heads in one file
    "st-vgg": "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250",
    "st-alex": "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
}


def import_lpips() -> ModuleType:
    """The `lpips` package, which takes the definitions of VGG and AlexNet from torchvision."""
    import_torchvision()
    return importlib.import_module("lpips")


def package_model(net: str = "vgg", trunk: dict[str, Tensor] | None = None) -> nn.Module:
    """The package's own model of `net` with real weights, every key accounted for; inputs (n, 3, h, w) in [-1, 1].

    `trunk` defaults to `core.metrics.lpips_weights.load(net)`; the shift-tolerant nets bring theirs.

    Raises:
        WeightsMissing: if the weights are not here and cannot be fetched. A random trunk is not LPIPS.
    """
    if net in SHIFT_TOLERANT:
        return _filled(*_shift_tolerant(net))
    trunk = weights.load(net) if trunk is None else weights.check(net, trunk, "trunk")
    lpips = import_lpips()
    # on the meta device no random number is drawn and torchvision's 124 M classifier parameters take no memory
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lpips asks torchvision for networks in a deprecated way
        model = lpips.LPIPS(net=net, pnet_rand=True, pretrained=False, verbose=False)
    # not lpips' own loading: it is not strict, and leaves heads random that a file does not hold
    head_file = Path(str(lpips.__file__)).parent / "weights" / "v0.1" / f"{net}.pth"
    state = torch.load(head_file, map_location="cpu", weights_only=True)
    state |= {f"scaling_layer.{name}": value for name, value in lpips.lpips.ScalingLayer().state_dict().items()}
    for name in model.state_dict():
        if place := re.fullmatch(r"net\.slice\d\.(\d+\.\w+)", name):
            state[name] = trunk[f"features.{place[1]}"]
    return _filled(model, state)


def fingerprint(net: str) -> str:
    """SHA-256 of the weights of `net`, as pinned."""
    return SHIFT_TOLERANT[net] if net in SHIFT_TOLERANT else weights.trunk_of(net).sha256


def _shift_tolerant(net: str) -> tuple[nn.Module, dict[str, Tensor]]:
    import_lpips()  # for torchvision, which stlpips-pytorch needs as well
    unneeded = {"IPython": "embed", "torchsummary": "summary"}  # it imports them, never uses them, and requires neither
    absent = {name: attribute for name, attribute in unneeded.items() if name not in sys.modules}
    for name, attribute in absent.items():
        sys.modules[name] = ModuleType(name)
        setattr(sys.modules[name], attribute, None)
    try:
        package = importlib.import_module("stlpips_pytorch.stlpips")
    except ModuleNotFoundError as error:
        raise weights.WeightsMissing(
            f"{net}: the package stlpips-pytorch is not installed; `pip install stlpips-pytorch==0.0.2` brings it"
        ) from error
    finally:
        for name in absent:
            del sys.modules[name]
    path = Path(str(package.__file__)).parent / "weights" / "vST0.0" / f"{net[3:]}_shift_tolerant.pth"
    if (found := sha256_file(path)) != SHIFT_TOLERANT[net]:
        raise InputError(f"{path}: found SHA-256 {found}, expected {SHIFT_TOLERANT[net]} (stlpips-pytorch 0.0.2)")
    with torch.device("meta"):
        model = package.LPIPS(net=net[3:], variant="shift_tolerant", pretrained=False, verbose=False)
    return model, torch.load(path, map_location="cpu", weights_only=True)


def _filled(model: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    """The model with exactly these weights, for evaluation."""
    heads = {name: value for name, value in state.items() if name.startswith("lin")}
    # a head is registered twice, by name and in a list
    listed = {re.sub(r"^lin(?=\d)", "lins.", name): value for name, value in heads.items()}
    model.load_state_dict(state | listed, strict=True, assign=True)
    if any((value < 0).any() for value in heads.values()):
        raise InputError("heads: found negative weights, expected those of LPIPS, which have none")
    return model.eval().requires_grad_(False)
