"""A corpus: images with their names, identities and attributes under one fingerprint (after T 3.2)."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import torch

from core.data.repeated import first_repeated
from core.errors import InputError
from core.files import write_atomic
from core.tensors import read_json

SCHEMA = "samenoise/corpus/1"
_PIECE = 1 << 20  # bytes of images read at once


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of images beside their pixels; the fields are those of `Corpus`."""

    names: tuple[str, ...]
    identities: np.ndarray | None = None
    attributes: pd.DataFrame | None = None


@dataclass(frozen=True, eq=False)
class Corpus:
    """Images in a fixed order, with what is known about each.

    Attributes:
        images: (n, c, h, w) float32 in [0, 1].
        names: n unique file names, in the order of the tensor.
        identities: (n,) int64, or None.
        attributes: n rows, one int8 column an attribute with values -1 and +1, RangeIndex; or None.

    Raises:
        InputError: a field has the wrong type, shape or range, or a name occurs twice.
    """

    images: torch.Tensor
    names: tuple[str, ...]
    identities: np.ndarray | None = None
    attributes: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        images, n = self.images, len(self.names)
        if images.ndim != 4 or images.dtype != torch.float32:
            raise InputError(f"images: found {tuple(images.shape)} {images.dtype}, expected (n, c, h, w) torch.float32")
        if images.shape[0] != n or n == 0:
            raise InputError(f"names: found {n} names for {images.shape[0]} images, expected one each")
        low, high = (float(value) for value in torch.aminmax(images))
        if not (low >= 0.0 and high <= 1.0):  # False for NaN too
            raise InputError(f"images: found values in [{low:g}, {high:g}], expected [0, 1]")
        if len(set(self.names)) != n:
            raise InputError(f"names: {first_repeated(self.names)!r} occurs twice, expected unique names")
        if self.identities is not None and (self.identities.shape != (n,) or self.identities.dtype != np.int64):
            found = f"{self.identities.shape} {self.identities.dtype}"
            raise InputError(f"identities: found {found}, expected ({n},) int64")
        if self.attributes is not None:
            values = self.attributes.to_numpy()
            if len(values) != n or values.dtype != np.int8 or not np.isin(values, (-1, 1)).all():
                found = f"{len(values)} rows of {values.dtype}"
                raise InputError(f"attributes: found {found}, expected {n} rows of int8, each -1 or +1")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the shape, the names, the image bytes, and identities and attributes if they are there."""
        known = Known(self.names, self.identities, self.attributes)
        return _fingerprint(tuple(self.images.shape), known, [self.images.numpy()])

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.names)}

    def select(self, index: Sequence[int] | np.ndarray) -> "Corpus":
        """Return the images at `index` (unique integers in [0, n)), in that order.

        Raises:
            InputError: the index is empty, not of integers, out of range, or holds a position twice.
        """
        at = np.asarray(index)
        if at.ndim != 1 or at.size == 0 or not np.issubdtype(at.dtype, np.integer):
            raise InputError(f"index: found {at.dtype} {at.shape}, expected at least one integer position")
        if at.min() < 0 or at.max() >= len(self):
            raise InputError(f"index: found {at.min()} to {at.max()}, expected 0 to {len(self) - 1}")
        return Corpus(
            self.images[torch.from_numpy(at.astype(np.int64))],
            tuple(self.names[i] for i in at),
            None if self.identities is None else self.identities[at],
            None if self.attributes is None else self.attributes.iloc[at].reset_index(drop=True),
        )

    def by_names(self, names: Iterable[str]) -> "Corpus":
        """Return the images with these names, in this order.

        Raises:
            InputError: the corpus lacks a name (the first three are named), or the list is empty or repeats one.
        """
        wanted = list(names)
        missing = [name for name in wanted if name not in self._position]
        if missing:
            shown = ", ".join(repr(name) for name in missing[:3])
            raise InputError(
                f"names: {len(missing)} of {len(wanted)} are not in the corpus of {len(self)} images: {shown}"
            )
        return self.select(np.array([self._position[name] for name in wanted], dtype=np.int64))


def shuffled(names: Iterable[str], seed: int) -> list[str]:
    """Order `names` by the SHA-256 of seed and name: the same on every platform and library version.

    The order does not depend on the order of the input, and a subset keeps its relative order.
    """
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}\n{name}".encode()).digest())


def _fingerprint(shape: tuple[int, ...], known: Known, pixels: Iterable[np.ndarray]) -> str:
    """The fingerprint of images whose pixels come in pieces, in order."""
    head = {
        "schema": SCHEMA,
        "shape": list(shape),
        "names": known.names,
        "identities": known.identities is not None,
        "attributes": None if known.attributes is None else list(known.attributes.columns),
    }
    digest = hashlib.sha256(json.dumps(head, separators=(",", ":")).encode())
    for piece in pixels:
        digest.update(np.ascontiguousarray(piece, dtype="<f4").data)
    if known.identities is not None:
        digest.update(np.ascontiguousarray(known.identities, dtype="<i8").data)
    if known.attributes is not None:
        digest.update(np.ascontiguousarray(known.attributes.to_numpy(), dtype="i1").data)
    return digest.hexdigest()


def save_corpus(corpus: Corpus, directory: Path | str, provenance: Mapping[str, Any] | None = None) -> None:
    """Write `images.npy`, `names.txt`, `table.parquet` (name, identity, attributes) and, last, `corpus.json`.

    Each file is replaced atomically; `provenance` (JSON values) says where the corpus comes from.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    _save_array(directory / "images.npy", corpus.images.numpy())
    known = Known(corpus.names, corpus.identities, corpus.attributes)
    _save_known(directory, tuple(corpus.images.shape), known, corpus.fingerprint, provenance)


def save_gathered(
    images: Path, known: Known, directory: Path | str, provenance: Mapping[str, Any] | None = None
) -> tuple[tuple[int, ...], str]:
    """Save a corpus whose images stand in a `.npy` file of (n, c, h, w) float32 in [0, 1], which is moved into place.

    The file is read in pieces, so that a corpus may be larger than the memory.

    Returns:
        shape of the images, and the fingerprint.
    """
    directory = Path(directory)
    with images.open("rb") as stream:
        np.lib.format.read_magic(stream)
        shape, _, _ = np.lib.format.read_array_header_1_0(stream)
        fingerprint = _fingerprint(shape, known, _pieces(stream))
    directory.mkdir(parents=True, exist_ok=True)
    images.replace(directory / "images.npy")
    _save_known(directory, shape, known, fingerprint, provenance)
    return shape, fingerprint


def _pieces(stream: BinaryIO) -> Iterator[np.ndarray]:
    while piece := stream.read(_PIECE):
        yield np.frombuffer(piece, "<f4")


def _save_known(
    directory: Path, shape: tuple[int, ...], known: Known, fingerprint: str, provenance: Mapping[str, Any] | None
) -> None:
    """Write all but the images, `corpus.json` last."""
    write_atomic(directory / "names.txt", "".join(f"{name}\n" for name in known.names))
    table = pd.DataFrame({"name": list(known.names)})
    if known.identities is not None:
        table["identity"] = known.identities
    if known.attributes is not None:
        table = pd.concat([table, known.attributes], axis=1)
    write_atomic(directory / "table.parquet", table.to_parquet(index=False))
    about = {
        "schema": SCHEMA,
        "fingerprint": fingerprint,
        "shape": list(shape),
        "identities": known.identities is not None,
        "attributes": None if known.attributes is None else list(known.attributes.columns),
        "provenance": dict(provenance or {}),
    }
    write_atomic(directory / "corpus.json", json.dumps(about, indent=1) + "\n")


def load_corpus(directory: Path | str, mmap: bool = True) -> Corpus:
    """Read a corpus that `save_corpus` wrote, and check its fingerprint.

    Raises:
        InputError: a file is missing or unreadable, or the contents differ from what was saved.
    """
    directory = Path(directory)
    try:
        (directory / "corpus.json").stat()  # one that is not there has a message of its own
        about = read_json(directory / "corpus.json")
        if about.get("schema") != SCHEMA:
            raise InputError(f"{directory}/corpus.json: found schema {about.get('schema')!r}, expected {SCHEMA!r}")
        # copy-on-write: torch refuses to promise anything about read-only memory
        images = np.load(directory / "images.npy", mmap_mode="c" if mmap else None, allow_pickle=False)
        table = pd.read_parquet(directory / "table.parquet")
        columns, fingerprint = about["attributes"], str(about["fingerprint"])
        corpus = Corpus(
            torch.from_numpy(images),
            tuple(table["name"]),
            table["identity"].to_numpy(np.int64) if about["identities"] else None,
            None if columns is None else table[columns].astype(np.int8),
        )
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file, expected a saved corpus") from error
    except NotADirectoryError as error:
        raise InputError(f"{directory}: found a file, expected the folder of a saved corpus") from error
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{directory}: not a readable corpus ({error})") from error
    if corpus.fingerprint != fingerprint:
        raise InputError(
            f"{directory}: fingerprint is {corpus.fingerprint[:12]}, expected {fingerprint[:12]}: "
            "the files are not those that were saved"
        )
    return corpus


def _save_array(path: Path, array: np.ndarray) -> None:
    """Atomic `np.save` that never holds a second copy in memory."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
        try:
            np.save(stream, array, allow_pickle=False)
            stream.flush()
            os.fsync(stream.fileno())
            Path(stream.name).chmod(0o644)
            Path(stream.name).replace(path)
        except BaseException:
            Path(stream.name).unlink(missing_ok=True)
            raise
