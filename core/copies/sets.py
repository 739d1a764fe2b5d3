"""Samples, training images and held-out images as files of pixels that are read a part at a time."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.copies.options import Options, StageProgress
from core.data.gather import check_decoding, gather, load_headers, read_headers, save_headers
from core.data.pictures import KEEP, NOTES, Fit, read_picture
from core.data.unusable import refuse
from core.dedup.on_disk.inputs import Input, find_input
from core.dedup.sources import FileSource
from core.errors import InputError
from core.files import write_atomic

READ = 1024  # images read at a time, at most
READ_BYTES = 2**26  # of their float64 pixels
LEVELS = {"u1": 255.0, "u2": 65535.0}  # highest level of whole numbers that stand for pixels


@dataclass(frozen=True)
class Facts:
    """What one pass over a set's pixels tells.

    Attributes:
        low, high: least and greatest number, as stored.
        outside: share of pixels outside the declared range.
        at_ends: share of pixels that are exactly `low` or exactly `high` of the declared range.
        constant: number of images of one value.
        colourless: whether there are three channels and they are equal in every image.
        sha256: hash of the hashes of all images.
    """

    low: float
    high: float
    outside: float
    at_ends: tuple[float, float]
    constant: int
    colourless: bool
    sha256: str


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one file, all of one shape.

    Attributes:
        what: how sentences call it: samples, training images, held-out images.
        given: as the user named it.
        source: of the pixels.
        value_range: of the stored numbers, which become [0, 1].
        names: one an image.
        left_out: name -> why, of images that cannot be used.
        notes: kind of picture (`core.data.pictures.NOTES`) -> number of them.
        clip: whether what is outside the range is clipped to it.
    """

    what: str
    given: Input
    source: FileSource
    value_range: tuple[float, float]
    names: tuple[str, ...]
    left_out: dict[str, str]
    notes: dict[str, int]
    clip: bool = False

    def __len__(self) -> int:
        return len(self.source)

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width."""
        return self.source.shape[1:]

    def images(self, index: slice | np.ndarray) -> Tensor:
        """The images at `index`, (k, c, h, w) float32 in [0, 1] where they keep to their range."""
        values = self.source.pixels(index)
        low, high = self.value_range
        if (low, high) != (0.0, 1.0):
            values = (np.asarray(values, dtype=np.float64) - low) / (high - low)
        images = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        return images.clamp_(0, 1) if self.clip else images


def find_sets(
    paths: Sequence[Path | None], fit: Fit | None, *, axes: str | None = None
) -> tuple[list[Input | None], list[str]]:
    """What was named, all pictures to be read alike, and sentences for what was decided about how.

    Unless `fit` says otherwise, pictures become squares of 40 grays, as `samenoise prepare` reads them; beside an array
    of pixels, whose size is kept, they become squares of that size with its colours.

    Raises:
        InputError: if one is nothing that can be read.
    """
    found = [None if path is None else find_input(path, fit=fit, axes=axes) for path in paths]
    if fit is not None:
        return list(found), []
    kept = [(one, shape) for one in found if one is not None and (shape := _kept_shape(one)) is not None]
    files = [one for one in found if one is not None and one.fit not in (None, KEEP)]
    if not kept or not files:
        return list(found), []
    channels, height, width = kept[0][1]
    if height != width or channels not in (1, 3):
        return list(found), []
    alike = Fit("crop", height, channels == 3)
    sentences = [f"{one.path}: pictures read as {alike}, like the array {kept[0][0].path}" for one in files]
    return [replace(one, fit=alike) if one in files else one for one in found], sentences


def _kept_shape(given: Input) -> tuple[int, int, int] | None:
    """Channels, height and width of an array whose pixels are kept; None of files of pictures."""
    if given.file is not None:
        channels, height, width = FileSource(given.file, axes=given.axes).shape[1:]
        return channels, height, width
    assert given.pictures is not None
    return given.pictures.pixels[0] if given.pictures.pixels is not None and given.fit == KEEP else None


def open_set(given: Input, what: str, place: Path, options: Options, progress: StageProgress) -> ImageSet:
    """One set, its pictures decoded into a file of `place`; where an earlier run was stopped it goes on from there.

    Raises:
        InputError: naming the picture that cannot be used, unless those are to be left out; or for numbers that are no
            pixels.
    """
    place.mkdir(parents=True, exist_ok=True)
    left_out: dict[str, str] = {}
    notes: dict[str, int] = {}
    if given.file is not None:
        source = FileSource(given.file, label=str(given.path), axes=given.axes)
        if source.axes == "nd":
            raise InputError(f"{given.path}: found vectors {source.shape[0], source.shape[-1]}, expected images")
    else:
        source, left_out, notes = _gathered(given, what, place, options, progress)
    names = tuple(name for name in given.names or map(str, range(len(source))) if name not in left_out)
    if len(names) != len(source):
        raise InputError(f"{given.path}: found {len(names)} names for {len(source)} images")
    return ImageSet(what, given, source, _range_of(source, given, options), names, left_out, notes, options.clip)


def _gathered(
    given: Input, what: str, place: Path, options: Options, progress: StageProgress
) -> tuple[FileSource, dict[str, str], dict[str, int]]:
    assert given.pictures is not None and given.fit is not None
    kept, fit = place / "headers.npz", given.fit
    if not kept.exists():
        headers = read_headers(
            given.pictures,
            fit,
            threads=options.workers,
            memory=options.limit // 4,
            progress=lambda done, total: progress(f"looking at {what}", done, total),
        )
        save_headers(headers, kept)
    headers = load_headers(kept)
    check_decoding(given.pictures, headers, options.limit // 2)
    if not options.skip_bad:
        refuse([headers.trouble], place)
    file, bad = gather(
        given.pictures,
        headers,
        lambda stored: read_picture(stored, fit),
        place,
        memory=options.limit // 2,
        threads=options.workers,
        progress=lambda done, total: progress(f"reading {what}", done, total),
    )
    if not options.skip_bad:
        refuse([bad], place)
    said = {f"pictures {NOTES[kind]}": count for kind, count in headers.notes.items()}
    return FileSource(file, label=str(given.path), axes="nchw"), bad, said


def _range_of(source: FileSource, given: Input, options: Options) -> tuple[float, float]:
    """The range of the stored numbers: of levels theirs, of pictures [0, 1], of other numbers what was declared."""
    if source.dtype.kind == "f":
        return (0.0, 1.0) if given.pictures is not None and given.pictures.pixels is None else options.value_range
    top = LEVELS.get(source.dtype.str[1:])
    if top is None:
        raise InputError(
            f"{given.path}: found pixels of {source.dtype}, expected levels of 8 or 16 bits (uint8, uint16) or "
            "floating-point numbers"
        )
    return 0.0, top


def look(images: ImageSet, place: Path, progress: StageProgress) -> Facts:
    """One pass over a set, kept in `place`: its range, constant images, colours and hash.

    Raises:
        InputError: naming the first image with a pixel that is missing or infinite, or a set without images.
    """
    if not len(images):
        raise InputError(f"{images.given.path}: holds no image; expected {images.what}")
    note, file = place / "facts.json", place / "digests.npy"
    if note.exists() and file.exists():
        saved: dict[str, Any] = json.loads(note.read_text())
        return Facts(**{**saved, "at_ends": tuple(saved["at_ends"])})
    digests = np.empty((len(images), 32), dtype=np.uint8)
    low, high, ends, constant, colourless = np.inf, -np.inf, np.zeros(3), 0, images.shape[0] == 3
    step = max(1, min(READ, READ_BYTES // (8 * math.prod(images.shape))))
    for start in range(0, len(images), step):
        pixels = images.source.pixels(slice(start, start + step))
        bad = np.flatnonzero(~np.isfinite(pixels.astype(np.float64).sum(axis=(1, 2, 3))))
        if len(bad):
            raise InputError(
                f"{images.given.path}: image {images.names[start + bad[0]]} has a pixel that is NaN or infinite"
            )
        low, high = min(low, float(pixels.min())), max(high, float(pixels.max()))
        least, most = images.value_range
        where = pixels == least, pixels == most, (pixels < least) | (pixels > most)
        ends += [one.mean() * len(pixels) for one in where]
        constant += int((np.ptp(pixels.reshape(len(pixels), -1), axis=1) == 0).sum())
        colourless = colourless and bool((pixels == pixels[:, :1]).all())
        values = images.images(slice(start, start + step)).numpy()
        for k, image in enumerate(values):
            digests[start + k] = np.frombuffer(hashlib.sha256(image.tobytes()).digest(), dtype=np.uint8)
        progress(f"checking {images.what}", start + len(pixels), len(images))
    share = ends / len(images)
    found = Facts(
        low, high, share[2], (share[0], share[1]), constant, colourless, hashlib.sha256(digests.tobytes()).hexdigest()
    )
    partial = file.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.save(stream, digests)
    partial.replace(file)
    write_atomic(note, json.dumps(asdict(found)))
    return found


def digests(place: Path) -> np.ndarray:
    """SHA-256 of each image of a set that `look` has seen, as [0, 1] float32: (n,) of 32 bytes."""
    found = np.load(place / "digests.npy")
    return np.ascontiguousarray(found).view("V32")[:, 0]
