"""Near-duplicates across groups: the same picture under two names, which lists and tables cannot show."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.data.collections.collection import full_pictures, positions
from core.data.collections.find import open_collection
from core.data.corpus import load_corpus
from core.data.pictures import KEEP, Fit, Stored, read_full
from core.data.together import notes_of, read_all
from core.dedup.confirmed import Names, SecondLook, Seen, chosen_pairs, look_at, parting
from core.dedup.pairs import THRESHOLD, Pairs
from core.dedup.search import near_duplicates
from core.errors import InputError
from core.machine import cores
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


@dataclass
class Again:
    """A second look at the pairs across groups, at full size and in colour, where there are pictures to look at.

    Attributes:
        confirm: keep only confirmed pairs.
        counts: what `core.dedup.confirmed.SecondLook.counts` says of all pairs across groups, or `not_looked` with
            the reason; set by the search.
        seen: the look itself, with the names of the images that its pairs count; None where nothing was looked at.
    """

    confirm: bool = False
    counts: dict[str, Any] | None = None
    seen: tuple[Seen, Names] | None = None


def near_duplicates_across(
    membership: Membership,
    images: Path | str,
    *,
    threshold: float = THRESHOLD,
    fit: Fit | None = None,
    progress: Callable[[int, int], None] | None = None,
    tell: Callable[[str, int], None] | None = None,
    again: Again | None = None,
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
        again: a second look, which takes what it confirms and is given its counts.

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
    every: list[Pairs] = []
    for a, name_a in enumerate(membership.groups):
        for b in range(a + 1, len(membership.groups)):
            two = pixels[place[members[a]]], pixels[place[members[b]]]
            pairs = near_duplicates(*two, threshold=threshold, axes="nchw")
            listed = np.stack([members[a][pairs.i], members[b][pairs.j]], axis=1)
            alike = listed if pairs.total == len(listed) else StandingPairs(listed, pairs.total)
            found[name_a, membership.groups[b]] = alike
            every.append(Pairs(listed[:, 0], listed[:, 1], pairs.correlation, threshold))
    return (
        found
        if again is None
        else _looked_again(found, every, dict(zip(codes, names, strict=True)), images, fit, again)
    )


def _looked_again(
    found: dict[tuple[str, str], Any],
    every: list[Pairs],
    names: dict[int, str],
    images: Path | str,
    fit: Fit | None,
    again: Again,
) -> dict[tuple[str, str], Any]:
    """The pairs of each two groups, all or only those that the second look confirms; its counts go to `again`."""
    threshold = every[0].threshold
    i, j, correlation = (np.concatenate([getattr(p, name) for p in every]) for name in ("i", "j", "correlation"))
    pairs = Pairs(i, j, correlation, threshold)
    picture = _full(Path(images), names, fit)
    if picture is None:
        if again.confirm:
            raise InputError(f"--confirm: {images} holds small images or arrays; expected a collection of pictures")
        again.counts = {"not_looked": "no full-size pictures: an array or a corpus holds the small images only"}
        return found
    if again.confirm and any(isinstance(alike, StandingPairs) for alike in found.values()):
        raise InputError("--confirm: more equal images than pairs can be listed; expected every pair listed")
    index = chosen_pairs(pairs, every=again.confirm)
    value = look_at(pairs, index, picture, picture, threads=cores())
    look = SecondLook(index, value, parting(value))
    again.counts = {**look.counts(pairs), "only_confirmed_kept": again.confirm}
    again.seen = Seen(look, pairs, (picture, picture)), (names, names)
    if not again.confirm:
        return found
    parts = np.split(look.confirms, np.cumsum([len(p) for p in every])[:-1])
    return {names: alike[stay] for (names, alike), stay in zip(found.items(), parts, strict=True)}


def _full(images: Path, names: dict[int, str], fit: Fit | None) -> Callable[[int], np.ndarray] | None:
    """What reads the full-size picture of a code; None where the images are arrays or a corpus."""
    if (images / "corpus.json").is_file():
        return None
    if images.is_dir() and _stand_there(list(names.values()), images.resolve()):
        return lambda code: read_full(images / names[code], fit or Fit())
    picture = full_pictures(open_collection(images), names.values(), fit)
    if picture is None:
        return None
    place = {code: k for k, code in enumerate(names)}
    return lambda code: picture(place[code])


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
