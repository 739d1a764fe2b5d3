"""Near-duplicates across groups: the same picture under two names, which lists and tables cannot show."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.data.collections.collection import positions
from core.data.collections.find import open_collection
from core.data.corpus import load_corpus
from core.data.pictures import KEEP, Fit, Stored
from core.data.together import notes_of, read_all
from core.dedup.pairs import THRESHOLD
from core.dedup.search import near_duplicates
from core.errors import InputError
from core.splits.membership import Membership


@dataclass(frozen=True)
class StandingPairs:
    """Near-duplicate pairs with equal images taken together: every image that has a near-duplicate is in one of them.

    Attributes:
        listed: (p, 2) codes, which indices choose from.
        total: all pairs, which `len` gives.
    """

    listed: np.ndarray
    total: int

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.listed[index]


def near_duplicates_across(
    membership: Membership,
    images: Path | str,
    *,
    threshold: float = THRESHOLD,
    fit: Fit | None = None,
    progress: Callable[[int, int], None] | None = None,
    tell: Callable[[str, int], None] | None = None,
) -> dict[tuple[str, str], Any]:
    """Pairs of images, one in each of two groups, that `core.dedup` calls near-duplicates.

    Args:
        membership: rows of two or more groups.
        images: a saved corpus, or a folder that holds every image of every group under its name; or any collection of
            pictures that does (`core.data.collections`), under its name in it or the last part of that.
        threshold: absolute correlation above which two images count.
        fit: how pictures become arrays, as `samenoise dedup` takes it; by default gray squares of
            40 from their centre, and arrays of pixels as they are.
        progress: called with (images read, images in all).
        tell: called with (what, how many) for images of a kind that a reader should know of, such as constant ones.

    Returns:
        (a, b) -> (p, 2) codes of an image of a and one of b, for every pair of groups in order; it is what
        `core.splits.leakage.count_leakage` takes. An image that stands in both groups counts as its own near-duplicate.
        Where copies make too many pairs to be listed, `StandingPairs`.

    Raises:
        InputError: for an image that is missing, outside the folder or unreadable; its path is named.
    """
    codes = np.unique(membership.image.codes)
    names = membership.image.examples(codes, most=len(codes))
    pixels = _pixels(names, Path(images), fit, progress, tell)
    place = np.full(len(membership.image.values), -1, dtype=np.int64)
    place[codes] = np.arange(len(codes))
    members = [np.unique(membership.image.codes[membership.group == g]) for g in range(len(membership.groups))]
    if tell is not None:
        _tell_constant(pixels, tell)
    found: dict[tuple[str, str], Any] = {}
    for a, name_a in enumerate(membership.groups):
        for b in range(a + 1, len(membership.groups)):
            two = pixels[place[members[a]]], pixels[place[members[b]]]
            pairs = near_duplicates(*two, threshold=threshold, axes="nchw")
            listed = np.stack([members[a][pairs.i], members[b][pairs.j]], axis=1)
            alike = listed if pairs.total == len(listed) else StandingPairs(listed, pairs.total)
            found[name_a, membership.groups[b]] = alike
    return found


def _pixels(
    names: list[str],
    images: Path,
    fit: Fit | None,
    progress: Callable[[int, int], None] | None,
    tell: Callable[[str, int], None] | None,
) -> torch.Tensor:
    """(n, c, h, w) float32 in [0, 1]: the corpus's own images, or pictures of a folder or another collection."""
    if (images / "corpus.json").is_file():
        return load_corpus(images).by_names(names).images
    if images.is_dir() and _stand_there(names, images.resolve()):
        order, files = np.arange(len(names)), [images.resolve() / name for name in names]
        fit = fit or Fit()

        def pictures() -> Iterable[Stored]:
            return (Stored(str(file), file) for file in files)
    else:
        found = open_collection(images)
        at = np.array(positions(found, names))
        order, fit = np.argsort(at), fit or (Fit() if found.pixels is None else KEEP)

        def pictures() -> Iterable[Stored]:
            return found.stored(at[order].tolist())

    pixels = read_all(pictures(), len(names), fit, progress=progress)
    if tell is not None:
        for what, count in notes_of(pictures(), fit).items():
            tell(what, count)
    return pixels if (np.diff(order) > 0).all() else pixels[np.argsort(order)]


def _stand_there(names: list[str], root: Path) -> bool:
    """Whether a folder has a file of any of these names, none of which leads out of it."""
    for name in names:
        if not (root / name).resolve().is_relative_to(root):
            raise InputError(f"{name!r}: this name leads out of {root}")
    return any((root / name).is_file() for name in names)


def _tell_constant(pixels: torch.Tensor, tell: Callable[[str, int], None]) -> None:
    """How many images are constant."""
    flat = pixels.flatten(1)
    constant = int((flat == flat[:, :1]).all(dim=1).sum())
    if constant:
        tell("images of one value, which has no correlation: compared by their pixels", constant)
