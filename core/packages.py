"""Packages that are not always here or not always whole: one line with the command where one is absent."""

import importlib
import re
import sys
import warnings
from types import ModuleType

import torch

from core.errors import InputError

_operators: list[torch.library.Library] = []  # definitions live as long as the object that made them


def optional(name: str, extra: str, what: str) -> ModuleType:
    """A package of one of this project's extras.

    Args:
        name: as it is imported.
        extra: which extra brings it.
        what: who needs it, for the message.

    Raises:
        InputError: with the command that installs it, if it is not here.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != name.split(".")[0]:
            raise  # it is here, and something that it needs is not
        package = name.split(".")[0]
        raise InputError(f"{what} needs {package}: pip install 'samenoise[{extra}]' brings it") from error


def import_torchvision() -> None:
    """Imports torchvision, whatever its compiled operators think of this build of torch.

    torchvision's default wheel beside a CPU build of torch finds none of its compiled operators and then fails on
    import, where it describes their shapes ('operator torchvision::nms does not exist'). For its definitions of
    networks and its transforms none is needed: each operator that the import asks for is declared, without a kernel.
    """
    for _ in range(16):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the image decoders cannot be loaded either
                importlib.import_module("torchvision")
            break
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
                del sys.modules[name]  # half imported
            _operators.append(torch.library.Library("torchvision", "FRAGMENT"))
            _operators[-1].define(f"{missing[1]}(Tensor a, Tensor b, float c) -> Tensor")
