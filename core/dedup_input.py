"""What `samenoise dedup` reads, a part at a time: saved corpora, CelebA, folders of pictures, tensor files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from core.celeba import find_file, read_image
from core.dedup_rows import POOLED_SIZE, check_layout, normalised_rows, pooling_window
from core.errors import InputError
from core.files import write_atomic
from core.folder import SUFFIXES, read_picture
from core.preprocess import ALIGNED

Progress = Callable[[int, int], None]
BATCH = 256  # pictures decoded between two notes of progress


@dataclass
class FileSource:
    """Images of a `.npy` or `.pt` file as float64 rows, read a part at a time.

    The file is mapped anew for every read, so that pages already read do not count as this process's memory, and so
    that the source can be sent to another process that sees the same file.

    Attributes:
        path: of an array or tensor (n, c, h, w) or (n, d).
        size: number of pooled rows; ignored for vectors.
        skip_bad: take an image with a pixel that is not finite as like nothing, and list it in `bad`.
    """

    path: Path
    size: int = POOLED_SIZE
    skip_bad: bool = False
    label: str = ""
    bad: set[int] = field(default_factory=set)
    digests: np.ndarray | None = None  # (n, 32) uint8, filled with the SHA-256 of the images that `rows` reads

    def __post_init__(self) -> None:
        self.label, self.path = self.label or str(self.path), self.path.resolve()
        array = self._map()
        check_layout(array.shape, array.dtype, self.label)
        vectors = array.ndim == 2
        self.shape = (len(array), 1, 1, array.shape[1]) if vectors else array.shape
        self.size = 1 if vectors else self.size
        window = pooling_window(self.shape, self.size, self.label)
        _, c, h, w = self.shape
        self.dimension = c * (h // window) * (w // window)
        self.image_bytes = 4 * c * h * w

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "digests": None}  # those that read rows elsewhere only decide pairs

    def _map(self) -> np.ndarray:
        try:
            if self.path.suffix == ".npy":
                return np.load(self.path, mmap_mode="r", allow_pickle=False)
            tensor = torch.load(self.path, map_location="cpu", mmap=True, weights_only=True)
        except Exception as error:  # both libraries raise many kinds for a file that is not theirs
            reason = str(error).split("\n")[0][:200]
            raise InputError(f"{self.path}: not a readable tensor ({reason})") from error
        if not isinstance(tensor, torch.Tensor):
            raise InputError(f"{self.path}: found a {type(tensor).__name__}, expected one tensor")
        return tensor.detach().numpy()

    def __len__(self) -> int:
        return self.shape[0]

    def pixels(self, index: slice | np.ndarray) -> np.ndarray:
        """(k, c, h, w) copies of the images at `index`, as stored."""
        return np.array(self._map()[index]).reshape(-1, *self.shape[1:])

    def rows(self, low: int, high: int) -> np.ndarray:
        """Float64 rows low..high, checked for pixels that are not finite."""
        pixels = self.pixels(slice(low, high))
        rows = normalised_rows(pixels, self.size)
        if self.digests is not None:
            for r, image in enumerate(pixels):
                self.digests[low + r] = np.frombuffer(hashlib.sha256(image.tobytes()).digest(), dtype=np.uint8)
        for r in np.flatnonzero(~np.isfinite(rows[:, 0])).tolist():
            if not self.skip_bad:
                raise InputError(f"{self.label}: image {low + r} has a pixel that is NaN or infinite")
            self.bad.add(low + r)
            rows[r] = 0.0
        return rows

    def take(self, index: np.ndarray) -> np.ndarray:
        """Float64 rows of the images numbered `index`."""
        return normalised_rows(self.pixels(index), self.size)


@dataclass(frozen=True)
class Input:
    """One set as the user named it.

    Attributes:
        path: what was named.
        file: the `.npy` or `.pt` file of its images; None while a folder's pictures are not gathered in one yet.
        names: one an image, in order; None for bare tensors, whose images are called by their number.
        resize: pictures only: side of the square to which each is cropped and resized.
    """

    path: Path
    file: Path | None
    names: tuple[str, ...] | None
    resize: int | None = None

    @property
    def signature(self) -> dict[str, Any]:
        """What tells, without reading the images, that this is the input of an earlier run."""
        if self.file is not None:
            at = self.file.stat()
            return {"path": str(self.file.resolve()), "bytes": at.st_size, "modified": at.st_mtime_ns}
        stats = [(self.path / name).stat() for name in self.names or ()]
        listing = [[name, s.st_size, s.st_mtime_ns] for name, s in zip(self.names or (), stats, strict=True)]
        return {"path": str(self.path.resolve()), "resize": self.resize, "pictures": listing}


def find_input(path: Path, *, resize: int | None = None) -> Input:
    """Recognise a saved corpus, a CelebA directory, a folder of pictures, or a tensor file.

    Raises:
        InputError: if it is none of them.
    """
    if path.suffix in (".npy", ".pt", ".pth") and path.is_file():
        return Input(path, path, None)
    if (path / "corpus.json").is_file():
        return Input(path, path / "images.npy", _lines(path / "names.txt"))
    if not path.is_dir():
        raise InputError(f"{path}: expected a saved corpus, a CelebA directory, a folder of pictures, .npy or .pt")
    folder = find_file(path, "img_align_celeba") or path
    names = sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES)
    if not names:
        raise InputError(f"{path}: found no picture ({', '.join(sorted(SUFFIXES))}), expected at least one")
    return Input(folder, None, tuple(names), resize)


def _lines(path: Path) -> tuple[str, ...]:
    try:
        return tuple(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable list of names ({error})") from error


def read_any(path: Path, resize: int | None) -> np.ndarray:
    """One picture, (c, h, w) float32 in [0, 1].

    Aligned CelebA photographs become 40x40 grays as the report prepares them, any other picture stays as it is, gray
    or RGB, unless it is to be resized.

    Raises:
        InputError: naming the file, if it cannot be read.
    """
    if resize is not None:
        return read_picture(path, resize).numpy()
    try:
        with Image.open(path) as image:
            if image.size == ALIGNED and image.mode == "RGB":
                return read_image(path).numpy()
            gray = image.mode in ("1", "L", "LA", "I;16")
            pixels = np.asarray(image.convert("L" if gray else "RGB"), dtype=np.float32) / np.float32(255)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable picture ({error})") from error
    return pixels[None] if gray else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def gather(
    given: Input, work: Path, *, skip_bad: bool, threads: int, progress: Progress | None = None
) -> tuple[Path, tuple[str, ...], dict[str, str]]:
    """Decode the pictures of a folder into `work`/images.npy; where an earlier run was stopped, go on from there.

    Returns:
        the file, the names of its images in order, and name -> reason for those left out.

    Raises:
        InputError: for an unreadable picture or one of another size, unless `skip_bad`.
    """
    assert given.names is not None
    note, target, raw = work / "pictures.json", work / "images.npy", work / "images.raw"
    state: dict[str, Any] = {"read": 0, "first": None, "shape": None, "skipped": {}}
    if note.exists():
        state = json.loads(note.read_text())
    if not target.exists():
        with raw.open("r+b" if raw.exists() else "w+b") as stream, ThreadPoolExecutor(threads) as pool:
            written = state["read"] - len(state["skipped"])
            stream.truncate(written and written * 4 * int(np.prod(state["shape"])))
            stream.seek(0, os.SEEK_END)
            for low in range(state["read"], len(given.names), BATCH):
                names = given.names[low : low + BATCH]
                for name, picture in zip(names, _decoded(given, names, pool), strict=True):
                    if isinstance(picture, np.ndarray) and state["shape"] is None:
                        state |= {"first": name, "shape": list(picture.shape)}
                    trouble = _trouble(given.path / name, picture, state)
                    if trouble and not skip_bad:
                        raise InputError(trouble)
                    if trouble:
                        state["skipped"][name] = trouble
                    else:
                        stream.write(np.ascontiguousarray(picture, dtype="<f4").tobytes())
                stream.flush()
                os.fsync(stream.fileno())
                state["read"] = low + len(names)
                write_atomic(note, json.dumps(state))
                if progress:
                    progress(state["read"], len(given.names))
        if state["shape"] is None:
            raise InputError(f"{given.path}: none of its {len(given.names)} pictures can be read")
        _prepend_header(raw, target, (state["read"] - len(state["skipped"]), *state["shape"]))
    skipped: dict[str, str] = state["skipped"]
    return target, tuple(name for name in given.names if name not in skipped), skipped


def _trouble(path: Path, picture: np.ndarray | InputError, state: dict[str, Any]) -> str | None:
    """Why a picture cannot be taken, if it cannot."""
    if isinstance(picture, InputError):
        return str(picture)
    if list(picture.shape) == state["shape"]:
        return None
    found, wanted = ("x".join(map(str, shape)) for shape in (picture.shape, state["shape"]))
    return (
        f"{path}: found {found} (channels, height, width), expected {wanted} like {state['first']}; "
        "--resize N makes all pictures equal"
    )


def _decoded(given: Input, batch: tuple[str, ...], pool: ThreadPoolExecutor) -> Iterator[np.ndarray | InputError]:
    def decode(name: str) -> np.ndarray | InputError:
        try:
            return read_any(given.path / name, given.resize)
        except InputError as error:
            return error

    return pool.map(decode, batch)


def _prepend_header(raw: Path, target: Path, shape: tuple[int, ...]) -> None:
    """Make a `.npy` file of raw float32 bytes, a piece at a time."""
    partial = target.with_suffix(".partial")
    with raw.open("rb") as source, partial.open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        while piece := source.read(2**22):
            stream.write(piece)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(target)
    raw.unlink()
