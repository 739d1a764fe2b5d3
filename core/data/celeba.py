"""Reads CelebA's own files: attributes (broken rows repaired, T 3.1), identities, partition, lists, images (T 3.2)."""

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from core.data.attributes import NAME, repair_attribute_text
from core.data.corpus import Corpus, refuse_repeated, shuffled
from core.data.lists import lines_of, read_text
from core.data.pictures import read_image
from core.errors import InputError

_PAIR = re.compile(r"\s*\S+\s+-?[0-9]{1,18}\s*")
_CHUNK = 64  # images decoded by one thread between two reports of progress


def read_attributes(path: Path | str) -> pd.DataFrame:
    """Read an attribute file, `.txt` or a `.zip` that holds one, broken rows repaired.

    Returns:
        One int8 column an attribute, values -1 and +1, the image names as index.

    Raises:
        InputError: the file is missing, unreadable, or cannot be repaired (the line is named).
    """
    return repair_attribute_text(read_text(path), source=str(path)).frame()


def read_identities(path: Path | str) -> pd.Series:
    """Read the identity file (`name identity` a line): int64 identities with the image names as index.

    Raises:
        InputError: the file is missing or empty, a line has another form, or a name occurs twice.
    """
    return _read_pairs(path, "identity")


def read_partition(path: Path | str) -> pd.Series:
    """Read the partition file (`name 0|1|2` a line, for train, validation, test), with the names as index.

    Raises:
        InputError: as `read_identities`; or a value other than 0, 1 and 2.
    """
    partition = _read_pairs(path, "partition")
    other = partition[~partition.isin((0, 1, 2))]
    if len(other):
        raise InputError(f"{path}: {other.index[0]} has the value {other.iloc[0]}, expected 0, 1 or 2")
    return partition


def find_file(root: Path | str, name: str) -> Path | None:
    """Return where a file or folder of CelebA stands: in `root`, or where the official distribution puts it."""
    places = (Path(root) / folder / name for folder in ("", "Anno", "Img", "Eval"))
    return next((path for path in places if path.exists()), None)


def require_file(root: Path | str, name: str) -> Path:
    """Return what `find_file` finds, or raise an InputError that names it."""
    if (path := find_file(root, name)) is None:
        raise InputError(f"{root}: found no {name}, expected a directory in CelebA's layout")
    return path


def read_celeba(
    directory: Path | str,
    *,
    size: int = 40,
    order: Sequence[str] | int | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Corpus:
    """Read a directory in CelebA's layout into a corpus of (n, 1, size, size) images (T 3.2).

    The directory holds `img_align_celeba/` and, if they are known, `list_attr_celeba.txt` (or `.zip`) and
    `identity_CelebA.txt`, beside it or in the `Anno` folder of the official distribution.

    Args:
        directory: the data set's root.
        size: pixels a side; the report uses 40.
        order: the names to read in this order; a seed for a shuffle of all images (`core.data.corpus.shuffled`); or
            None for all images in the order of their names.
        threads: decoding threads, by default one a core.
        progress: called with (images done, images in all).

    Raises:
        InputError: a directory or image is missing, the order repeats a name, an image is truncated or not
            178x218 RGB, or a table lacks an image; the message names the file.
    """
    root = Path(directory)
    folder = require_file(root, "img_align_celeba")
    present = [entry.name for entry in folder.iterdir()]
    if order is None or isinstance(order, int):
        names = sorted(filter(NAME.fullmatch, present))
        names = names if order is None else shuffled(names, order)
    else:
        names = list(order)
    if not names:
        raise InputError(f"{folder}: found no image, expected NNNNNN.jpg")
    refuse_repeated(names, range(1, len(names) + 1), "order")
    _positions(pd.Index(present), names, folder)  # so no name leads out of the folder
    attributes = identities = None
    if attribute_file := find_file(root, "list_attr_celeba.txt") or find_file(root, "list_attr_celeba.zip"):
        table = read_attributes(attribute_file)
        attributes = table.iloc[_positions(table.index, names, attribute_file)].reset_index(drop=True)
    if identity_file := find_file(root, "identity_CelebA.txt"):
        links = read_identities(identity_file)
        identities = links.to_numpy()[_positions(links.index, names, identity_file)]
    images = torch.empty(len(names), 1, size, size)

    def fill(start: int) -> int:
        stop = min(start + _CHUNK, len(names))
        for at in range(start, stop):
            images[at] = read_image(folder / names[at], size)
        return stop

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        try:
            for done in pool.map(fill, range(0, len(names), _CHUNK)):
                if progress is not None:
                    progress(done, len(names))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Corpus(images, tuple(names), identities, attributes)


def _read_pairs(path: Path | str, what: str) -> pd.Series:
    """Read `name integer` lines into an int64 series."""
    text = read_text(path)
    lines = [(number, line) for number, line in enumerate(lines_of(text), 1) if line.strip()]
    if not lines:
        raise InputError(f"{path}: found no line, expected `name {what}` lines")
    for number, line in lines:
        if not _PAIR.fullmatch(line):
            raise InputError(f"{path}, line {number}: found {line[:80]!r}, expected `name {what}`")
    words = text.split()
    refuse_repeated(words[::2], [number for number, _ in lines], path)
    return pd.Series(np.array(words[1::2], dtype=np.int64), index=pd.Index(words[::2], name="name"), name=what)


def _positions(index: pd.Index, names: Sequence[str], path: Path) -> np.ndarray:
    """Return where `names` stand in a table's index, or refuse those that it lacks."""
    at = index.get_indexer(pd.Index(names))
    if (at < 0).any():
        missing = [name for name, position in zip(names, at, strict=True) if position < 0]
        raise InputError(f"{path}: lacks {len(missing)} of {len(names)} images, first {missing[0]!r}")
    return at
