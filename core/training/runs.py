"""The store of trained models: keyed by the hash of everything that determines the weights, every file checked.

Layout: `<root>/<key>/record.json` (label, options, data, history, hash of the model), `model.safetensors`, and while
training `checkpoint.json` with its two states. A lock per key lets many processes and machines fill one store.
"""

import contextlib
import fcntl
import json
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.data.corpus import Corpus, load_corpus
from core.denoisers.loading.networks import MODEL, RECORD, read_record, stored_network
from core.denoisers.unet import UNet, architecture, load_published
from core.errors import InputError
from core.files import sha256_bytes, sha256_text, write_atomic
from core.machine import versions
from core.tensors import pack, read_json, read_tensors, tensor_sha256
from core.training.config import TrainConfig
from core.training.state import History, discard_state
from core.training.train import TRAINER_VERSION, TrainResult, train, training_identity

MEAN, NAMES = "mean.safetensors", "names.txt"


@dataclass(frozen=True)
class Origin:
    """Where training images can be found again: a saved corpus, and their names in order."""

    corpus: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """What the store knows of one model; `label` says what it is for people (split, group, size, ...)."""

    key: str
    path: Path
    kind: str  # "trained" here, or "imported"
    label: dict[str, Any]
    config: TrainConfig | None
    seed: int | None
    data: dict[str, Any]
    model: dict[str, Any] | None  # file, sha256 and architecture; None until training ends
    history: History = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    source: str = ""

    @property
    def name(self) -> str:
        """What people call it: scale, data or protocol, size and group; the key where its label says nothing."""
        label = self.label
        told = (label.get("scale"), label.get("data", label.get("protocol")), label.get("n"), label.get("group"))
        return " ".join(str(value) for value in told if value is not None) or self.key[:16]

    @property
    def epochs(self) -> int:
        """Epochs done, of the finished model or of its newest state."""
        if self.model:
            return len(self.history)
        with contextlib.suppress(InputError):
            return int(read_json(self.path / "checkpoint.json")["last"]["epochs"])
        return 0


def training_environment(device: str) -> dict[str, str]:
    """What can move the last bits of a model: versions, processor, device."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") and torch.cuda.is_available() else device
    return {
        **versions(()),
        "torch": torch.__version__,  # with the build
        "machine": platform.machine(),
        "threads": str(torch.get_num_threads()),
        "device": name,
    }


class RunStore:
    """A directory of trained and imported models.

    Args:
        root: made at the first write.
        damaged: what `get_or_train` does with a model whose bytes do not hash to what was recorded: `retrain`
            (with a warning) or `refuse`.

    Raises:
        InputError: if the root is a file, or `damaged` is neither of the two.
    """

    def __init__(self, root: Path | str, *, damaged: str = "retrain") -> None:
        if damaged not in ("retrain", "refuse"):
            raise InputError(f"damaged: got {damaged!r}, expected retrain or refuse")
        self.root, self.damaged = Path(root), damaged
        if self.root.exists() and not self.root.is_dir():
            raise InputError(f"{self.root}: found a file, expected a folder of models")

    def key(self, images: Tensor | str, config: TrainConfig, seed: int, devices: int = 1) -> str:
        """Hash of images (or their `tensor_sha256`), options, seed, devices and trainer: the model's directory."""
        return training_identity(images, config, seed, devices)

    def finished(self, key: str) -> bool:
        """Whether there is a whole model under this key."""
        with contextlib.suppress(InputError):
            return (self.root / key / RECORD).exists() and self.record(key).model is not None
        return False

    def get_or_train(
        self,
        images: Tensor,
        config: TrainConfig,
        *,
        seed: int,
        label: Mapping[str, Any] | None = None,
        origin: Origin | None = None,
        test_images: Tensor | None = None,
        device: str = "cpu",
        devices: int = 1,
        progress: Callable[[int, int], None] | None = None,
        on_epoch: Callable[[dict[str, Any]], None] | None = None,
        images_sha256: str | None = None,
    ) -> TrainResult:
        """The model of these inputs: from the store, or trained now, or continued where it stopped.

        Whoever comes while another process trains the same model waits and takes its result. A finished model is read
        without a lock, so that it can be had from a store that cannot be written. The images are hashed once, or not
        at all where `images_sha256` brings their `tensor_sha256`.

        Raises:
            InputError: as `train` does; for a store that cannot be written; for a damaged model with `refuse`.
        """
        digest = images_sha256 or tensor_sha256(images)
        key = self.key(digest, config, seed, devices)
        with contextlib.suppress(InputError):
            if self.finished(key):
                return self.get(key)
        with self._lock(key):
            path = self.root / key
            if (path / RECORD).exists():
                try:
                    if self.record(key).model:
                        return self.get(key)
                except InputError as error:
                    if self.damaged == "refuse":
                        raise
                    warnings.warn(f"{error}; training it again", stacklevel=2)
            data = self._describe(path, images, digest, origin)
            record = Record(key, path, "trained", dict(label or {}), config, seed, data, None)
            self._write(record)
            result = train(
                images,
                config,
                seed=seed,
                directory=path,
                device=device,
                devices=devices,
                progress=progress,
                on_epoch=on_epoch,
                test_images=test_images,
                identity=key,
            )
            self._write(record, result.model.state_dict(), result.history, training_environment(device))
            discard_state(path)
            return result

    def get(self, key: str) -> TrainResult:
        """A finished model, checked against its recorded hash.

        Raises:
            InputError: if there is none, it is unfinished, or a file is damaged.
        """
        record = self.record(key)
        if record.model is None:
            raise InputError(f"{record.path}: training stopped after {record.epochs} epochs, no finished model yet")
        model = stored_network(record.path, record.model)
        return TrainResult(model, record.history, record.config, record.seed)

    def record(self, key: str) -> Record:
        """What is recorded under a key.

        Raises:
            InputError: if there is nothing, or the record is damaged.
        """
        path = self.root / key
        body = read_record(path)
        config = TrainConfig.from_dict(body["config"]) if body["config"] else None
        fields = {k: body[k] for k in ("kind", "label", "seed", "data", "model", "history", "environment", "source")}
        return Record(key=key, path=path, config=config, **fields)

    def records(self) -> list[Record]:
        """All readable records, by label; damaged ones are warned about and left out."""
        found = []
        for path in sorted(self.root.glob(f"*/{RECORD}")):
            try:
                found.append(self.record(path.parent.name))
            except InputError as error:
                warnings.warn(str(error), stacklevel=2)
        return sorted(found, key=lambda r: [str(v).rjust(12) for _, v in sorted(r.label.items())])

    def find(self, **label: Any) -> list[Record]:
        """Finished models whose label has all these entries."""
        return [r for r in self.records() if r.model and all(r.label.get(k) == v for k, v in label.items())]

    def mean(self, record: Record) -> Tensor | None:
        """Mean of the training images, (c, h, w): where the published sampling starts; None if it is not known.

        Raises:
            InputError: if its file is damaged.
        """
        if "mean" not in record.data:
            return None
        return read_tensors(record.path / MEAN, sha256=record.data["mean"])["mean"]

    def names(self, record: Record) -> tuple[str, ...]:
        """Names of the training images of a model in their corpus, in order.

        Raises:
            InputError: if they are not known.
        """
        if "corpus" not in record.data:
            raise InputError(f"{record.path}: it is not recorded where the training images are")
        try:
            return tuple((record.path / NAMES).read_text(encoding="utf-8").splitlines())
        except OSError as error:
            raise InputError(f"{record.path / NAMES}: cannot be read ({error.strerror})") from error

    def images(self, record: Record, corpus: Corpus | None = None) -> Tensor:
        """Training images of a model, (n, c, h, w), read again from the corpus they came from.

        `corpus` is that corpus, where it has been loaded already.

        Raises:
            InputError: if it is not known where they are, they are not there, or they are not the same.
        """
        names = self.names(record)
        images = (corpus or load_corpus(record.data["corpus"])).by_names(names).images
        if tensor_sha256(images) != record.data["sha256"]:
            raise InputError(f"{record.data['corpus']}: its images are not those of {record.key}")
        return images

    def busy(self, key: str) -> bool:
        """Whether another process holds this model's lock, so that one can do something else first."""
        path = self.root / key / ".lock"
        try:
            with path.open("r+") as handle:  # storage that is shared locks for writers only
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False  # nobody has been here, or the store cannot be written: then nobody trains either
        return False

    def add(
        self,
        state: Mapping[str, Tensor],
        *,
        label: Mapping[str, Any],
        source: str,
        images: Tensor | None = None,
        origin: Origin | None = None,
    ) -> Record:
        """Copy a model that was trained elsewhere into the store, keyed by the hash of its weights.

        `images` and `origin` are what it was trained on, where that is known. What an earlier import knew of the same
        weights stays known: a model without images keeps those it had, and labels are added to.

        Raises:
            InputError: if the state is not one of this network, or the store cannot be written.
        """
        model = UNet(*architecture(state, source=source).values())
        load_published(model, state, source=source)
        digest = sha256_bytes(pack(model.state_dict()))
        with self._lock(digest):
            path = self.root / digest
            known = self.record(digest) if self.finished(digest) else None
            label = {**(known.label if known else {}), **label}
            data = dict(known.data) if known else {}
            if images is not None:
                data = self._describe(path, images, tensor_sha256(images), origin)
            record = Record(digest, path, "imported", dict(label), None, None, data, None, source=source)
            self._write(record, model.state_dict(), [], {})
        return self.record(digest)

    def _describe(self, path: Path, images: Tensor, images_sha256: str, origin: Origin | None) -> dict[str, Any]:
        """What the record says of the images; their mean and names go to files of their own."""
        raw = pack({"mean": images.mean(dim=0, dtype=torch.float64).to(images.dtype)})
        data = {"sha256": images_sha256, "n": len(images), "mean": sha256_bytes(raw)}
        try:
            write_atomic(path / MEAN, raw)
            if origin:
                write_atomic(path / NAMES, "".join(f"{name}\n" for name in origin.names))
                data["corpus"] = origin.corpus
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
        return data

    def _write(
        self,
        record: Record,
        state: Mapping[str, Tensor] | None = None,
        history: History | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        model = None
        try:
            if state is not None:
                raw = pack(state)
                write_atomic(record.path / MODEL, raw)
                model = {"file": MODEL, "sha256": sha256_bytes(raw), "architecture": architecture(state)}
            body = {
                "schema": "samenoise/run/1",
                "trainer": TRAINER_VERSION,
                "key": record.key,
                "kind": record.kind,
                "label": record.label,
                "config": record.config.to_dict() if record.config else None,
                "seed": record.seed,
                "data": record.data,
                "model": model,
                "history": history or [],
                "environment": dict(environment or {}),
                "source": record.source,
            }
            digest = sha256_text(json.dumps(body, sort_keys=True))
            write_atomic(record.path / RECORD, json.dumps({**body, "sha256": digest}, indent=1))
        except OSError as error:
            raise InputError(f"{record.path}: cannot be written ({error.strerror})") from error

    @contextlib.contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        """Held by one process at a time, on one machine or on storage that shares locks; freed if it dies."""
        try:
            (self.root / key).mkdir(parents=True, exist_ok=True)
            handle = (self.root / key / ".lock").open("a")
        except OSError as error:
            raise InputError(f"{self.root}: the run directory cannot be written ({error.strerror})") from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
