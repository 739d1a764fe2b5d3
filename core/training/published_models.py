"""Models and tensors that others published: found by their folder names, fetched at a pinned revision, hashed.

The layout is that of Kadkhodaie et al. (2024), which Topeza (2025) kept:
`UNet/<data>/0to255_RF_90x90_set_size_<N>[_swapped]/model.pt` beside tensors such as `train40x40_no_repeats.pt`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.data.corpus import Corpus, load_corpus
from core.denoisers.loading.checkpoint import read_state
from core.denoisers.unet import architecture
from core.errors import InputError
from core.splits.build import baseline
from core.tensors import first_words, read_published
from core.training.runs import Origin, Record, RunStore

MODELS, DATASETS = "Sylvain-Topeza/inria-models", "Sylvain-Topeza/inria-datasets"
FOLDER = re.compile(r"(?P<low>\d+)to(?P<high>\d+)(_RF_\d+x\d+)?_set_size_(?P<n>\d+)(?P<swapped>_swapped)?")

# Words in the name of a model's data by which its halves are not random; attributes as CelebA spells them.
PROTOCOLS = {"glass": "Eyeglasses", "male": "Male", "gender": "Male", "identit": "identity", "overlap": "identity"}


@dataclass(frozen=True)
class PublishedModel:
    """One published checkpoint, of group A (first `n` images of `data`) or B (last `n`, folders called `_swapped`)."""

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
            check_inside(path, root)
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
        check_inside(path, root)
    return paths


def read_images(path: Path, *, name: str | None = None) -> Tensor:
    """A published image tensor, (n, c, h, w) float32 in [0, 1].

    Args:
        path: `.pt` with one tensor or tensors by name, or `.safetensors`.
        name: which tensor, where the file holds several and none is called `data`.

    Raises:
        InputError: if the file holds anything else.
    """
    tensors = read_published(path)
    chosen = "data" if name is None and "data" in tensors else name
    if chosen is None and len(tensors) == 1:
        chosen = next(iter(tensors))
    shapes = ", ".join(f"{first_words(str(k), 40)} {tuple(t.shape)} {t.dtype}" for k, t in sorted(tensors.items())[:4])
    shapes = f"{shapes} and {len(tensors) - 4} more" if len(tensors) > 4 else shapes or "no tensor"
    if chosen is None and tensors:
        raise InputError(f"{path}: holds {len(tensors)} tensors, {shapes}; expected one float tensor, or --name NAME")
    images = tensors.get(chosen) if chosen is not None else None
    if images is None or images.ndim != 4 or not torch.is_floating_point(images) or images.numel() == 0:
        wanted = "" if name is None else f" called {name!r}"
        raise InputError(f"{path}: holds {shapes}, expected one float tensor{wanted} of shape (n, c, h, w)")
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
    state: str | None = None,
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
        state: the entry of a checkpoint that holds the weights (`model`, `ema`), where several do.
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
        images = origin = None
        weights, entry = read_state(model.path, name=state)
        if corpus and loaded:
            _check_size(model, weights, loaded)
            split = baseline(loaded.names, min(model.n, len(loaded) // 2), "ends")
            origin = Origin(str(corpus.resolve()), split.groups[model.group])
            half = loaded.by_names(origin.names)
            _check_purity(model, how, half)
            images = half.images
        source = str(model.path.relative_to(root)) + (f" (weights under {first_words(entry, 40)!r})" if entry else "")
        records.append(store.add(weights, label=label, source=source, images=images, origin=origin))
        if progress:
            progress(done, len(models))
    return records


def _check_size(model: PublishedModel, state: Mapping[str, Tensor], corpus: Corpus) -> None:
    """The weights fit images of many sizes; what is known is their channels, their blocks, and what names say."""
    channels, *sides = corpus.images.shape[1:]
    found = architecture(state, source=str(model.path))
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


def check_inside(path: Path, root: Path) -> Path:
    """The path itself, or InputError if it leads out of `root`."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{path}: leads out of {root}")
    return path
