"""Pictures of any form become one corpus, gathered in a file within a memory limit; what was stopped goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.data.celeba import Listing
from core.data.collections.collection import Collection, Part, positions
from core.data.collections.labels import attributes_from, identities_from
from core.data.corpus import Known, save_gathered
from core.data.gather import Decode, Headers, check_decoding, gather, load_headers, read_headers, save_headers
from core.data.pictures import NOTES, Fit, Stored, read_image, read_picture
from core.data.preprocess import ALIGNED
from core.data.table import read_table
from core.data.unusable import LISTED, REFUSED, reasons, refuse
from core.errors import InputError
from core.files import sha256_text, write_atomic
from core.machine import cores, parse_memory

_SCHEMA = "samenoise/prepare/1"
_WORK = ".work"  # folder inside the output that an interrupted run leaves behind
_ROWS = 256  # images copied at a time where they change their order
StageProgress = Callable[[str, int, int], None]  # stage, done, total
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Saving:
    """Where a corpus goes, and what making it may take.

    Attributes:
        out: directory of the corpus.
        memory: bytes of pictures held and decoded at a time, like 256MB.
        threads: at work; one a core unless given.
        skip_bad: whether pictures that cannot be used are listed and left out.

    Raises:
        InputError: for a value out of its range.
    """

    out: Path
    memory: str = "256MB"
    threads: int | None = None
    skip_bad: bool = False

    def __post_init__(self) -> None:
        parse_memory(self.memory)
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads: got {self.threads}, expected at least one")

    @property
    def workers(self) -> int:
        """Threads at work."""
        return self.threads or cores()


@dataclass(frozen=True)
class Saved:
    """A corpus that was saved: shape of its images, fingerprint, and how many pictures were left out."""

    shape: tuple[int, ...]
    fingerprint: str
    left_out: int


@dataclass(frozen=True)
class Labels:
    """Where identities and attributes come from: a CSV table, or what is stored with the pictures.

    Attributes:
        table: CSV of name, identity and attributes, which also says which pictures, in which order.
        identity: `folder`, a column, or a pattern (`core.data.collections.labels`).
        attributes: the same, once an attribute.
    """

    table: Path | None = None
    identity: str | None = None
    attributes: Sequence[str] = ()


def prepare_pictures(
    pictures: Collection,
    fit: Fit,
    labels: Labels,
    saving: Saving,
    provenance: dict[str, Any],
    *,
    progress: StageProgress,
    tell: Tell,
) -> Saved:
    """Make a corpus of a collection and save it; it may be larger than the memory.

    Args:
        pictures: the collection.
        fit: how its pictures become arrays.
        labels: where identities and attributes come from.
        saving: where the corpus goes.
        provenance: what is kept with it.
        progress: called with (stage, done, total).
        tell: called with a sentence for what was passed over, and for pictures of a kind that a reader should know of.

    Raises:
        InputError: naming the file or column, what was found and what was expected.
    """
    rows = None if labels.table is None else read_table(labels.table)
    if rows is not None and not len(rows):
        raise InputError(f"{labels.table}: found no picture, expected at least one")
    at = list(range(len(pictures))) if rows is None else positions(pictures, rows["name"])
    identities, attributes = _known(pictures, at, rows, labels, tell)
    chosen = pictures if rows is None else Part(pictures, sorted(set(at)))
    names = tuple(pictures.names[k] for k in at)
    if len(set(names)) < len(names):
        twice = next(name for k, name in enumerate(names) if name in names[:k])
        raise InputError(f"{labels.table}: {twice!r} occurs twice, expected each picture once")
    work = _opened(saving.out, [chosen.signature, str(fit)])
    memory, kept = parse_memory(saving.memory), work / "headers.npz"
    if not kept.exists():
        report = _stage(progress, "looking")
        save_headers(read_headers(chosen, fit, threads=saving.workers, memory=memory // 4, progress=report), kept)
    headers = load_headers(kept)
    for kind, count in pictures.passed_over.items():
        tell(f"{count:,} passed over: {kind}")
    for note, count in headers.notes.items():
        tell(f"{count:,} pictures {NOTES[note]}")
    if pictures.remark:
        tell(pictures.remark)

    def decode(stored: Stored) -> np.ndarray:
        return _unit(read_picture(stored, fit), stored.label)

    known = Known(names, identities, attributes)
    return _saved(chosen, headers, decode, known, saving, work, provenance, progress)


def prepare_celeba(
    listing: Listing, size: int, saving: Saving, provenance: dict[str, Any], *, progress: StageProgress
) -> Saved:
    """Make a corpus of CelebA's aligned photographs, each of 178x218 RGB and whole, and save it (T 3.2).

    Args:
        listing: of the directory.
        size: pixels a side.
        saving: where the corpus goes.
        provenance: what is kept with it.
        progress: called with (stage, done, total).

    Raises:
        InputError: naming the image that is truncated or not 178x218 RGB.
    """
    pictures = listing.images
    taken = np.full(len(pictures), 24 * ALIGNED[0] * ALIGNED[1], dtype=np.int64)
    headers = Headers((1, size, size), "<f4", taken, {}, {})
    work = _opened(saving.out, [pictures.signature, "aligned", size])

    def decode(stored: Stored) -> np.ndarray:
        return read_image(stored, size).numpy()

    known = Known(pictures.names, listing.identities, listing.attributes)
    return _saved(pictures, headers, decode, known, saving, work, provenance, progress)


def _known(
    pictures: Collection, at: Sequence[int], rows: pd.DataFrame | None, labels: Labels, tell: Tell
) -> tuple[np.ndarray | None, pd.DataFrame | None]:
    """Identities and attributes of the pictures at these positions."""
    identities = attributes = None
    if rows is not None:
        identities = rows["identity"].to_numpy(np.int64) if "identity" in rows else None
        columns = rows.drop(columns=["name", "identity"], errors="ignore")
        attributes = columns.astype(np.int8) if len(columns.columns) else None
    if labels.identity is not None:
        if identities is not None:
            raise InputError(f"--identity-from {labels.identity}: {labels.table} has a column identity; one is enough")
        identities = identities_from(pictures, at, labels.identity, tell)
    if labels.attributes:
        found = attributes_from(pictures, at, labels.attributes)
        attributes = found if attributes is None else pd.concat([attributes, found], axis=1)
    return identities, attributes


def _unit(pixels: np.ndarray, label: str) -> np.ndarray:
    """Stored pixels as float32 in [0, 1]: levels of 8 or 16 bits over the highest, other numbers as they are.

    Raises:
        InputError: for other numbers out of that range.
    """
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= 1):  # true of what is not a number too
        raise InputError(f"{label}: found values in [{low:g}, {high:g}] of {pixels.dtype}, expected [0, 1] or levels")
    return pixels.astype(np.float32, copy=False)


def _opened(out: Path, asked: list[Any]) -> Path:
    """The work folder, kept if it was left by the same command on the same files."""
    work, key = out / _WORK, sha256_text(json.dumps([_SCHEMA, *asked]))
    note = work / "key"
    if not note.exists() or note.read_text() != key:
        if work.exists():
            shutil.rmtree(work)
        work.mkdir(parents=True)
        write_atomic(note, key)
    return work


def _stage(progress: StageProgress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)


def _saved(
    pictures: Collection,
    headers: Headers,
    decode: Decode,
    known: Known,
    saving: Saving,
    work: Path,
    provenance: dict[str, Any],
    progress: StageProgress,
) -> Saved:
    """Gather pictures, put them in order, and save them with what is known of each."""
    memory = parse_memory(saving.memory)
    check_decoding(pictures, headers, memory)
    if not saving.skip_bad:
        refuse([headers.trouble], saving.out)
    file, bad = gather(
        pictures,
        replace(headers, dtype="<f4"),
        decode,
        work,
        memory=memory,
        threads=saving.workers,
        progress=_stage(progress, "reading"),
    )
    if not saving.skip_bad:
        refuse([bad], saving.out)
    stay = [k for k, name in enumerate(known.names) if name not in bad]
    kept = Known(
        tuple(known.names[k] for k in stay),
        None if known.identities is None else known.identities[stay],
        None if known.attributes is None else known.attributes.iloc[stay].reset_index(drop=True),
    )
    images = _ordered(file, [name for name in pictures.names if name not in bad], kept.names)
    for listed in (REFUSED, LISTED):  # of an earlier run
        (saving.out / listed).unlink(missing_ok=True)
    if bad:
        write_atomic(saving.out / LISTED, reasons([bad]))
    shape, fingerprint = save_gathered(images, kept, saving.out, provenance)
    (work / "key").unlink()  # first, so that what a killed removal leaves behind is never taken up again
    shutil.rmtree(work)
    return Saved(shape, fingerprint, len(bad))


def _ordered(file: Path, gathered: Sequence[str], wanted: Sequence[str]) -> Path:
    """A `.npy` file of the images in the wanted order: the file itself where they stand in it."""
    if list(gathered) == list(wanted):
        return file
    at = {name: k for k, name in enumerate(gathered)}
    index = np.array([at[name] for name in wanted], dtype=np.int64)
    target = file.with_name("ordered.npy")
    shape = np.load(file, mmap_mode="r", allow_pickle=False).shape
    with target.open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(index), *shape[1:])}
        np.lib.format.write_array_header_1_0(stream, header)
        for low in range(0, len(index), _ROWS):
            images = np.load(file, mmap_mode="r", allow_pickle=False)  # anew: pages already read do not count
            stream.write(np.ascontiguousarray(images[index[low : low + _ROWS]]).data)
    return target
