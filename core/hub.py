"""Models and tensors that others published: found by their folder names, fetched at a pinned revision, hashed.

The layout is that of Kadkhodaie et al. (2024), which Topeza (2025) kept:
`UNet/<data>/0to255_RF_90x90_set_size_<N>[_swapped]/model.pt` beside tensors such as `train40x40_no_repeats.pt`.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.data.corpus import Corpus, load_corpus
from core.errors import InputError
from core.files import sha256_file, write_atomic
from core.runs import Origin, Record, RunStore
from core.splits.build import baseline
from core.tensors import read_json, read_published
from core.unet import architecture

MODELS, DATASETS = "Sylvain-Topeza/inria-models", "Sylvain-Topeza/inria-datasets"
LOCK = "hub.json"
FOLDER = re.compile(r"(?P<low>\d+)to(?P<high>\d+)(_RF_\d+x\d+)?_set_size_(?P<n>\d+)(?P<swapped>_swapped)?")

# Words in the name of a model's data by which its halves are not random; attributes as CelebA spells them.
PROTOCOLS = {"glass": "Eyeglasses", "male": "Male", "gender": "Male", "identit": "identity", "overlap": "identity"}


@dataclass(frozen=True)
class PublishedModel:
    """One published checkpoint: trained on the first `n` images of `data` (group A) or the last `n` (B, swapped)."""

    path: Path
    data: str
    n: int
    group: str

    @property
    def protocol(self) -> str:
        """How its halves were made, as the name of its data says."""
        return next((how for word, how in PROTOCOLS.items() if word in self.data.lower()), "random")


def find_models(root: Path | str) -> list[PublishedModel]:
    """Checkpoints below `root` whose folders follow the published names, by data, size and group.

    Raises:
        InputError: if there are none, or one is a link that leads out of `root`.
    """
    root = Path(root)
    found = []
    for path in sorted([*root.rglob("model.pt"), *root.rglob("model.safetensors")]):
        if match := FOLDER.fullmatch(path.parent.name):
            _inside(path, root)
            group = "B" if match["swapped"] else "A"
            found.append(PublishedModel(path, path.parent.parent.name, int(match["n"]), group))
    if not found:
        expected = "UNet/<data>/0to255_RF_90x90_set_size_<N>[_swapped]/model.pt"
        raise InputError(f"{root}: no model found, expected {expected}")
    return sorted(found, key=lambda m: (m.data, m.n, m.group))


def find_tensors(root: Path | str) -> list[Path]:
    """Tensor files (`*.pt` outside model folders) below `root`."""
    root = Path(root)
    paths = [p for p in sorted(root.rglob("*.pt")) if not FOLDER.fullmatch(p.parent.name)]
    for path in paths:
        _inside(path, root)
    return paths


def read_images(path: Path) -> Tensor:
    """A published image tensor, (n, c, h, w) float32 in [0, 1].

    Raises:
        InputError: if the file holds anything else.
    """
    tensors = read_published(path)
    images = tensors.get("data")
    if images is None or images.ndim != 4 or not torch.is_floating_point(images):
        shapes = {name: tuple(t.shape) for name, t in list(tensors.items())[:3]}
        raise InputError(f"{path}: holds {shapes}, expected one float tensor (n, c, h, w)")
    low, high = (float(x) for x in torch.aminmax(images))
    if not (low >= 0 and high <= 1):
        raise InputError(f"{path}: values from {low:g} to {high:g}, expected [0, 1]")
    return images.float()


def import_models(
    root: Path | str,
    store: RunStore,
    *,
    corpus: Path | None = None,
    data: str | None = None,
    protocol: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Record]:
    """Copy every published model below `root` into the store, labelled by its folder names.

    Args:
        root: the published tree.
        store: where the models go.
        corpus: the saved corpus that the models were trained on, if it is here: group A is then its first N images
            and B its last N, at most half of them each, as the published training code has it.
        data: only the models of this `<data>` folder; needed with a corpus where there are several, as each is of its
            own images.
        protocol: `random`, `identity` or an attribute, where the name of the data says nothing or something else.
        progress: called with (models done, models in all).

    Raises:
        InputError: naming the first file that is not a checkpoint of this network, or the way in which the corpus
            cannot be what it was trained on; those before it stay imported.
    """
    models = find_models(root)
    folders = sorted({model.data for model in models})
    if data is not None and data not in folders:
        raise InputError(f"--data: got {data!r}, expected one of {', '.join(folders)}")
    if corpus and data is None and len(folders) > 1:
        raise InputError(f"--corpus: {root} has models of {', '.join(folders)}; name those of this corpus with --data")
    models = [model for model in models if data in (None, model.data)]
    loaded = load_corpus(corpus) if corpus else None
    records = []
    for done, model in enumerate(models, start=1):
        how = protocol or model.protocol
        label = {"scale": "published", "protocol": how, "data": model.data, "n": model.n, "group": model.group}
        state, images, origin = read_published(model.path), None, None
        if corpus and loaded:
            _check_size(model, state, loaded)
            split = baseline(loaded.names, min(model.n, len(loaded) // 2), "ends")
            origin = Origin(str(corpus.resolve()), split.groups[model.group])
            half = loaded.by_names(origin.names)
            _check_purity(model, how, half)
            images = half.images
        source = str(model.path.relative_to(root))
        records.append(store.add(state, label=label, source=source, images=images, origin=origin))
        if progress:
            progress(done, len(models))
    return records


def _check_size(model: PublishedModel, state: Mapping[str, Tensor], corpus: Corpus) -> None:
    """The weights fit images of many sizes; what is known is their channels, their blocks, and what names say."""
    channels, *sides = corpus.images.shape[1:]
    found = architecture(state)
    if channels != found["in_channels"] or any(side % 2 ** found["blocks"] for side in sides):
        raise InputError(
            f"{model.path}: takes {found['in_channels']} x (multiple of {2 ** found['blocks']})^2 pixels, but the "
            f"corpus has images of {channels} x {sides[0]} x {sides[1]}"
        )
    named = re.search(r"(\d+)x(\d+)", model.data)
    if named and [int(side) for side in named.groups()] != sides:
        raise InputError(f"{model.path}: is of {named[0]} images, but the corpus has {sides[0]}x{sides[1]}")


def _check_purity(model: PublishedModel, protocol: str, half: Corpus) -> None:
    """The first half of an attribute's data has it, the last has not, where the corpus knows."""
    if half.attributes is not None and protocol in half.attributes:
        wrong = int((half.attributes[protocol] != (1 if model.group == "A" else -1)).sum())
        if wrong:
            raise InputError(
                f"{model.path}: of group {model.group} by {protocol}, but {wrong:,} of its {len(half):,} images in the "
                "corpus are labelled otherwise; expected the corpus in the order in which it was trained"
            )


def fetch(
    repository: str,
    out: Path | str,
    *,
    kind: str,
    revision: str | None = None,
    patterns: Iterable[str] = ("*",),
    endpoint: str | None = None,
) -> list[Path]:
    """Download files of a Hugging Face repository at one commit and hold each against its hash.

    The commit and the hashes are written to `hub.json` beside the files. A later call uses that commit unless another
    is asked for, downloads only what is missing, and refuses a file that has changed.

    Args:
        repository: `owner/name`.
        out: directory of the files.
        kind: `model` or `dataset`.
        revision: a full commit hash; by default the locked one, or at the first call what `main` is then.
        patterns: names to fetch, as in a shell.
        endpoint: another hub, for instance a mirror.

    Raises:
        InputError: if `huggingface_hub` is not installed, the hub cannot be reached, or a hash differs.
    """
    try:
        from huggingface_hub import HfApi, hf_hub_download
    except ImportError as error:
        raise InputError("huggingface_hub is not installed: pip install 'samenoise[hub]'") from error
    if revision is not None and not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise InputError(f"revision: got {revision!r}, expected a full commit hash of 40 hexadecimal digits")
    out, patterns = Path(out), tuple(patterns)
    lock = read_json(out / LOCK) if (out / LOCK).exists() else {}
    if lock and lock.get("repository") != repository:
        raise InputError(f"{out / LOCK}: is of {lock.get('repository')}, expected {repository}")
    if lock and revision not in (None, lock["revision"]):
        raise InputError(f"{out / LOCK}: locked to {lock['revision']}, asked for {revision}; use another directory")
    api = HfApi(endpoint=endpoint)
    try:
        commit = revision or lock.get("revision") or api.repo_info(repository, repo_type=kind).sha
        entries = api.list_repo_tree(repository, recursive=True, revision=commit, repo_type=kind)
        wanted = [e for e in entries if hasattr(e, "blob_id") and any(fnmatch(e.path, p) for p in patterns)]
        hashes: dict[str, Any] = dict(lock.get("files", {}))
        paths = []
        for entry in wanted:
            path = _inside(out / entry.path, out)
            if not path.exists():
                hf_hub_download(
                    repository, entry.path, repo_type=kind, revision=commit, local_dir=out, endpoint=endpoint
                )
            if not _is_what_the_hub_says(path, entry) or hashes.get(entry.path) not in (None, sha256_file(path)):
                raise InputError(f"{path}: its hash is not that of {repository} at {commit}; delete it and try again")
            hashes[entry.path] = sha256_file(path)
            paths.append(path)
            body = {"repository": repository, "kind": kind, "revision": commit, "files": hashes}
            write_atomic(out / LOCK, json.dumps(body, indent=1, sort_keys=True))
    except InputError:
        raise
    except Exception as error:  # the library has its own and its HTTP client's exceptions
        raise InputError(f"{repository}: the hub did not answer ({type(error).__name__}: {error})") from error
    if not paths:
        raise InputError(f"{repository} at {commit}: no file is named {' or '.join(patterns)}")
    return paths


def _is_what_the_hub_says(path: Path, entry: Any) -> bool:
    """Large files are known by SHA-256, small ones by git's SHA-1 of `blob <size>` and the bytes."""
    if entry.lfs is not None:
        return sha256_file(path) == entry.lfs.sha256
    raw = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest() == entry.blob_id


def _inside(path: Path, root: Path) -> Path:
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{path}: leads out of {root}")
    return path
