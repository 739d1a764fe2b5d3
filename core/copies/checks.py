"""What makes a comparison of two sets of images mean nothing, found before anything is compared."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator

import numpy as np
from PIL import Image

from core.copies.sets import Facts, ImageSet
from core.dedup.on_disk.inputs import Input
from core.dedup.on_disk.looked_at import same_images
from core.errors import InputError

CLIPPED, UNCLIPPED = 0.2, 0.05  # share of pixels at the lowest value that clipping leaves, and that pictures have
CLIP = 0.05  # share of pixels that may lie outside the range and be clipped to it
HALF = 0.45  # a set that keeps to this much of the range, where the other fills it, was converted once too often
_LOOKED = 64  # pictures whose size is asked for


def check_files(first: Input, second: Input, what: str, other: str) -> None:
    """InputError if one set holds the very files of the other.

    Args:
        first, second: the sets.
        what, other: how sentences call them.
    """
    same = same_images([first, second], [first.names or ("",), second.names or ("",)])
    if same is None:
        return
    found = "the same file as"
    if first.pictures is not None:
        found = f"{int((same >= 0).sum()):,} of {len(same):,} {other} among the files of"
    raise InputError(f"{second.path}: found {found} {first.path}, expected {other} and {what} in files of their own")


def check_shapes(first: ImageSet, second: ImageSet) -> None:
    """InputError unless both sets have images of one size and as many channels."""
    if first.shape == second.shape:
        return
    found, expected = ("x".join(map(str, one.shape)) for one in (second, first))
    raise InputError(
        f"{second.given.path}: found {second.what} of {found} (channels, height, width), expected {expected} like the "
        f"{first.what} of {first.given.path}; --size N, with --color for colours, reads pictures alike, arrays are kept"
    )


def check_ranges(first: tuple[ImageSet, Facts], second: tuple[ImageSet, Facts]) -> None:
    """InputError unless both sets keep to their declared ranges and fill them alike.

    `first` is taken for what is right where the two differ.
    """
    for (images, facts), (other, beside) in ((second, first), (first, second)):
        low, high = images.value_range
        found = f"{images.given.path}: found {images.what} with values from {facts.low:g} to {facts.high:g}"
        near = f"beside {other.what} from {beside.low:g} to {beside.high:g}"
        if facts.outside > (CLIP if images.clip else 0):
            raise InputError(f"{found} {near}, expected [{low:g}, {high:g}]; {_advice(facts, low)}")
        if low < 0 <= facts.low and images.source.dtype.kind == "f":
            raise InputError(
                f"{found} {near}, expected some below 0 in a range declared as {low:g}:{high:g}: is it [0, {high:g}]?"
            )
    for (images, facts), (other, beside) in ((second, first), (first, second)):
        least, most = _filled(images, facts)
        lowest, greatest = _filled(other, beside)
        narrow = least > HALF or most < 1 - HALF
        if narrow and (greatest - lowest) > 1.5 * (most - least):
            raise InputError(
                f"{images.given.path}: found {images.what} that keep to {least:.3g} to {most:.3g} of their range, "
                f"where the {other.what} fill {lowest:.3g} to {greatest:.3g}: expected one scale; were they converted "
                "once too often?"
            )


def _filled(images: ImageSet, facts: Facts) -> tuple[float, float]:
    low, high = images.value_range
    return (facts.low - low) / (high - low), (facts.high - low) / (high - low)


def _advice(facts: Facts, low: float) -> str:
    if facts.high > 2 and facts.high <= 255 and facts.low >= 0:
        return "these look like levels of 0 to 255: save them as uint8, or say --range 0:255 if every array holds such"
    if low == 0 and facts.low < -0.5 and facts.outside > CLIP:
        return (
            "these look like [-1, 1]: save them as (x + 1) / 2 clipped to [0, 1], or say --range=-1:1 if every array is"
        )
    return (
        f"{facts.outside:.2g} of the pixels lie outside; --clip clips up to {CLIP:g} of them, --range LOW:HIGH "
        "declares another range of all arrays"
    )


def check_colours(first: tuple[ImageSet, Facts], second: tuple[ImageSet, Facts]) -> None:
    """InputError if one set has colours and the other three channels that are all equal."""
    if first[1].colourless == second[1].colourless:
        return
    (gray, _), (coloured, _) = (first, second) if first[1].colourless else (second, first)
    raise InputError(
        f"{gray.given.path}: found {gray.what} without colour, their three channels are equal, beside coloured "
        f"{coloured.what} in {coloured.given.path}; expected both alike: without --color pictures are compared in grays"
    )


def check_held_out(held_out: ImageSet, train: ImageSet, equal: np.ndarray) -> None:
    """InputError if a held-out image is a training image, pixel for pixel; `equal` (n,) holds its number, or -1."""
    inside = np.flatnonzero(equal >= 0)
    if len(inside):
        k = int(inside[0])
        raise InputError(
            f"{held_out.given.path}: {len(inside):,} of {len(held_out):,} held-out images are training images, pixel "
            f"for pixel, such as {held_out.names[k]} and {train.names[int(equal[k])]}; expected none"
        )


def equal_images(queries: np.ndarray, train: np.ndarray) -> np.ndarray:
    """For each of (q,) digests the place of an equal one among (n,), or -1."""
    values, first = np.unique(train, return_index=True)
    at = np.minimum(np.searchsorted(values, queries), len(values) - 1)
    return np.where(values[at] == queries, first[at], -1)


def notes(first: tuple[ImageSet, Facts], second: tuple[ImageSet, Facts]) -> Iterator[str]:
    """What a reader should know of two sets before the counts are believed, a sentence each."""
    for images, facts in (first, second):
        for kind, count in images.notes.items():
            yield f"{images.what}: {count:,} {kind}"
        if images.left_out:
            yield f"{images.what}: {len(images.left_out):,} that cannot be used are left out of every count"
        low, high = images.value_range
        if facts.low < low or facts.high > high:
            clipped = f"are clipped to [{low:g}, {high:g}], {facts.outside:.2g} of the pixels"
            yield f"{images.what}: values from {facts.low:g} to {facts.high:g} {clipped}"
        if facts.constant:
            yield f"{images.what}: {facts.constant:,} are of one value, which correlates with nothing"
        if images.given.passed_over:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in images.given.passed_over.items())
            yield f"{images.what}: passed over {kinds}"
    (train, known), (samples, facts) = first, second
    if facts.at_ends[0] > CLIPPED and known.at_ends[0] < UNCLIPPED:
        yield (
            f"{facts.at_ends[0]:.0%} of the samples' pixels have the lowest value, of the training images' "
            f"{known.at_ends[0]:.0%}: were samples in [-1, 1] clipped to [0, 1] when they were saved?"
        )
    sizes = [_sizes(one.given) for one in (train, samples)]
    if sizes[0] and sizes[1] and not set(sizes[0]) & set(sizes[1]):
        a, b = (counted.most_common(1)[0][0] for counted in sizes)
        yield (
            f"training pictures are of {a[0]}x{a[1]}, samples of {b[0]}x{b[1]}, and each are fitted as "
            f"{samples.given.fit}: where training itself cut or squeezed its pictures otherwise, copies are shifted or "
            "cropped copies here"
        )


def _sizes(given: Input) -> Counter[tuple[int, int]]:
    """Width and height of the first pictures of a collection of files; none of arrays."""
    found: Counter[tuple[int, int]] = Counter()
    if given.pictures is None or given.pictures.pixels is not None:
        return found
    for stored in given.pictures.stored(range(min(_LOOKED, len(given.pictures)))):
        if isinstance(stored.data, InputError | np.ndarray):
            continue
        try:
            with Image.open(io.BytesIO(stored.data) if isinstance(stored.data, bytes) else stored.data) as picture:
                found[picture.size] += 1
        except OSError:
            continue  # named elsewhere, as a picture that cannot be used
    return found
