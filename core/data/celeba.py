"""Reads CelebA's own files: attributes (broken rows repaired, T 3.1), identities, partition, lists, images (T 3.2)."""

import io
import os
import re
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from core.data.attributes import NAME, repair_attribute_text
from core.data.collections.folder import Folder
from core.data.corpus import Corpus, shuffled
from core.data.lists import lines_of, read_text
from core.data.pictures import read_image
from core.data.repeated import refuse_repeated
from core.errors import InputError

Note = Callable[[str], None]
PLACES = ("", "Anno", "Img", "Eval")
KNOWN = re.compile(r"(?i)^(list_|identity|img_align).*\.(txt|csv|zip|7z|parquet)$")
IMAGES = 202_599  # of the whole
_PAIR = re.compile(r"\s*\S+\s+-?[0-9]{1,18}\s*")
_CHUNK = 64  # images decoded by one thread between two reports of progress


def read_attributes(path: Path | str, *, note: Note | None = None) -> pd.DataFrame:
    """Read an attribute file, `.txt` or a `.zip` that holds one, broken rows repaired, or Kaggle's `.csv`.

    Returns:
        One int8 column an attribute, values -1 and +1, the image names as index.

    Raises:
        InputError: the file is missing, unreadable, or cannot be repaired (the line is named).
    """
    text = read_text(path)
    if Path(path).suffix.lower() == ".csv":
        return _attributes_of_csv(text, path)
    table = repair_attribute_text(text, source=str(path))
    if note and not table.counted:
        note(f"{path}: has no line that counts its images, so that rows lost at its end would not be noticed")
    return table.frame()


def _attributes_of_csv(text: str, path: Path | str) -> pd.DataFrame:
    table = _table_of_csv(text, path)
    values = table.iloc[:, 1:]
    wrong = ~values.isin(("-1", "1"))
    if values.shape[1] == 0 or wrong.to_numpy().any():
        row, column = (int(k) for k in np.argwhere(wrong.to_numpy())[0]) if values.shape[1] else (-1, -1)
        found = repr(str(values.iloc[row, column])[:40]) if values.shape[1] else "no attribute"
        raise InputError(f"{path}, line {row + 2}: found {found}, expected a name and values -1 or 1")
    index = pd.Index(table.iloc[:, 0], name="name")
    return values.astype(np.int8).set_axis(index, axis=0)


def _table_of_csv(text: str, path: Path | str) -> pd.DataFrame:
    """A table with a header as texts, its first column image names, each once."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row of more values than the header has
            table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, index_col=False)
    except (ValueError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise InputError(f"{path}: not a readable CSV table ({str(error).splitlines()[0][:120]})") from error
    if not len(table):
        raise InputError(f"{path}: found no row, expected a header and a row an image")
    refuse_repeated(list(table.iloc[:, 0]), range(2, len(table) + 2), path)
    return table


def read_identities(path: Path | str) -> pd.Series:
    """Read the identity file (`name identity` a line, or a CSV with a header): int64 identities, indexed by image name.

    Raises:
        InputError: the file is missing or empty, a line has another form, or a name occurs twice.
    """
    return _read_pairs(path, "identity")


def read_partition(path: Path | str) -> pd.Series:
    """Read the partition file (`name 0|1|2` a line, or a CSV; train, validation, test), with the names as index.

    Raises:
        InputError: as `read_identities`; or a value other than 0, 1 and 2.
    """
    partition = _read_pairs(path, "partition")
    other = partition[~partition.isin((0, 1, 2))]
    if len(other):
        raise InputError(f"{path}: {other.index[0]} has the value {other.iloc[0]}, expected 0, 1 or 2")
    return partition


def find_file(root: Path | str, name: str) -> Path | None:
    """Return where a file or folder of CelebA stands: in `root`, or where the official distribution puts it.

    A folder that holds no image but another folder of its own name, as Kaggle's archive unpacks, is entered.
    """
    path = next((p for folder in PLACES if (p := Path(root) / folder / name).exists()), None)
    if path and (inner := path / name).is_dir() and not any(NAME.fullmatch(entry.name) for entry in path.iterdir()):
        return inner
    return path


def require_file(root: Path | str, name: str) -> Path:
    """Return what `find_file` finds, or raise an InputError that names it."""
    if (path := find_file(root, name)) is None:
        packed = find_file(root, f"{name}.zip")
        found = f"found {packed.name} but no {name}: unpack it" if packed else f"found no {name}"
        raise InputError(f"{root}: {found}, expected a directory in CelebA's layout")
    return path


def passed_over(root: Path | str, used: Sequence[Path | None]) -> list[str]:
    """Names of CelebA's files below `root` that were not read: a second form of one that was, boxes, a partition."""
    beside = [entry for folder in PLACES if (Path(root) / folder).is_dir() for entry in (Path(root) / folder).iterdir()]
    return sorted(entry.name for entry in beside if entry.is_file() and KNOWN.search(entry.name) and entry not in used)


@dataclass(frozen=True, eq=False)
class Listing:
    """The images of a directory in CelebA's layout, in an order, with what its tables know of each.

    Attributes:
        images: the collection of the image files.
        identities: (n,) int64, or None.
        attributes: n rows of -1 and +1, or None.
    """

    images: Folder
    identities: np.ndarray | None
    attributes: pd.DataFrame | None


def list_celeba(
    directory: Path | str, *, order: Sequence[str] | int | None = None, note: Note | None = None
) -> Listing:
    """List a directory in CelebA's layout without reading its images.

    The directory holds `img_align_celeba/` (or one in another, as Kaggle's archive unpacks) and, if they are known,
    `list_attr_celeba` (.txt, .zip or .csv) and `identity_CelebA` (.txt or .csv), beside it or in the `Anno` folder of
    the official distribution.

    Args:
        directory: the data set's root.
        order: the names to read in this order; a seed for a shuffle of all images (`core.data.corpus.shuffled`); or
            None for all images in the order of their names.
        note: called with a sentence for what was assumed or passed over.

    Raises:
        InputError: a directory or image is missing, the order repeats a name, or a table lacks an image.
    """
    root = Path(directory)
    folder = require_file(root, "img_align_celeba")
    if not folder.is_dir():
        raise InputError(f"{folder}: found a file, expected a folder of images")
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
    attribute_file = _first(root, "list_attr_celeba", (".txt", ".zip", ".csv"))
    identity_file = _first(root, "identity_CelebA", (".txt", ".csv"))
    if note and (others := passed_over(root, (attribute_file, identity_file))):
        note(f"{root}: {', '.join(others)} passed over; a corpus holds images, attributes and identities")
    if note and (strange := [p for p in present if not NAME.fullmatch(p) and not p.startswith(".")]):
        note(f"{folder}: {len(strange)} entries are no NNNNNN.jpg and passed over, first {sorted(strange)[0]!r}")
    if attribute_file:
        table = read_attributes(attribute_file, note=note)
        attributes = table.iloc[_positions(table.index, names, attribute_file)].reset_index(drop=True)
    if identity_file:
        links = read_identities(identity_file)
        identities = links.to_numpy()[_positions(links.index, names, identity_file)]
    return Listing(Folder(folder, names), identities, attributes)


def read_celeba(
    directory: Path | str,
    *,
    size: int = 40,
    order: Sequence[str] | int | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    note: Note | None = None,
) -> Corpus:
    """Read a directory in CelebA's layout into a corpus of (n, 1, size, size) images in memory (T 3.2).

    Args:
        directory: the data set's root, as `list_celeba` takes it.
        size: pixels a side; the report uses 40.
        order: as `list_celeba` takes it.
        threads: decoding threads, by default one a core.
        progress: called with (images done, images in all).
        note: called with a sentence for what was assumed or passed over.

    Raises:
        InputError: as `list_celeba`; or an image is truncated or not 178x218 RGB; the message names the file.
    """
    listing = list_celeba(directory, order=order, note=note)
    folder, names = listing.images.path, listing.images.names
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
    return Corpus(images, names, listing.identities, listing.attributes)


def celeba_in_part(directory: Path | str) -> str | None:
    """What says that a directory holds CelebA in part, by its images and lists; None where it holds the whole."""
    images = sum(bool(NAME.fullmatch(path.name)) for path in require_file(directory, "img_align_celeba").iterdir())
    if images < IMAGES:
        return f"{images:,} of CelebA's {IMAGES:,} images"
    listed = _first(Path(directory), "identity_CelebA", (".txt", ".csv"))
    if listed and (names := len(read_identities(listed))) < IMAGES:
        return f"{listed.name} names {names:,} of CelebA's {IMAGES:,} images"
    return None


def _first(root: Path, stem: str, suffixes: Sequence[str]) -> Path | None:
    return next((path for suffix in suffixes if (path := find_file(root, stem + suffix))), None)


def _read_pairs(path: Path | str, what: str) -> pd.Series:
    """Read `name integer` lines, or a CSV with a header, into an int64 series."""
    text = read_text(path)
    if Path(path).suffix.lower() == ".csv":
        table = _table_of_csv(text, path)
        if table.shape[1] != 2:
            raise InputError(f"{path}: found {table.shape[1]} columns, expected name and {what}")
        lines = [(k, f"{name} {value}") for k, (name, value) in enumerate(table.itertuples(index=False, name=None), 2)]
        text = "\n".join(line for _, line in lines)
    else:
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
