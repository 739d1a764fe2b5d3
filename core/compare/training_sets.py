"""The two training sets: read as the networks see images, checked against each other and against the networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.copies import checks
from core.copies.options import Options, StageProgress
from core.copies.sets import Facts, ImageSet, look, open_set
from core.data.pictures import Fit
from core.dedup.on_disk.inputs import Input, find_input
from core.denoisers.protocol import Shape
from core.errors import InputError
from core.seeds import generator

GROUPS = ("A", "B")
LEAST_IMAGES = 3  # that a criterion for copies takes


@dataclass(frozen=True, eq=False)
class TrainingSets:
    """What A and B were trained on.

    Attributes:
        inputs: as they were named.
        images: as files of pixels, of one shape.
        facts: what one pass over each set tells.
        places: folder of each set's working files.
        notes: sentences that a reader should know.
    """

    inputs: Mapping[str, Input]
    images: Mapping[str, ImageSet]
    facts: Mapping[str, Facts]
    places: Mapping[str, Path]
    notes: tuple[str, ...]

    def drawn(self, group: str, most: int, *, seed: int) -> Tensor:
        """At most so many images of a group, (n, c, h, w) float32 in [0, 1]: all, or a draw without replacement."""
        images = self.images[group]
        if len(images) <= most:
            return images.images(slice(0, len(images)))
        order = torch.randperm(len(images), generator=generator("cpu", seed, "compare, images"))[:most]
        return images.images(np.sort(order.numpy()))


def fit_of(shape: Shape, chosen: Fit | None) -> Fit | None:
    """How pictures are read for networks of images (c, h, w): as chosen, or squares cropped to the centre.

    Raises:
        InputError: if nothing was chosen and no square of grays or colours has that shape.
    """
    if chosen is not None:
        return chosen
    channels, height, width = shape
    if height != width or channels not in (1, 3):
        found = "x".join(map(str, shape))
        raise InputError(f"A: draws images of {found} (channels, height, width); say how pictures become such: --fit")
    return Fit("crop", height, channels == 3)


def find_training_sets(paths: Mapping[str, Path], shape: Shape, fit: Fit | None, axes: str | None) -> dict[str, Input]:
    """What was named for A and for B.

    Raises:
        InputError: if one is nothing that can be read.
    """
    found = {}
    for group, path in paths.items():
        one = find_input(path, axes=axes)
        pictures = one.pictures is not None and one.pictures.pixels is None
        found[group] = find_input(path, fit=fit_of(shape, fit), axes=axes) if pictures else one
    return found


def open_training_sets(
    inputs: Mapping[str, Input], shape: Shape, work: Path, options: Options, progress: StageProgress
) -> TrainingSets:
    """Both sets, read and checked.

    Raises:
        InputError: for images of another shape than the networks', of other ranges or colours than each other's, or too
            few.
    """
    places = {group: work / f"train-{group}" for group in GROUPS}
    images = {
        group: open_set(inputs[group], f"training images of {group}", places[group], options, progress)
        for group in GROUPS
    }
    for one in images.values():
        if tuple(one.shape) != tuple(shape):
            found, expected = ("x".join(map(str, size)) for size in (one.shape, shape))
            raise InputError(
                f"{one.given.path}: found {one.what} of {found} (channels, height, width), but the denoisers draw "
                f"{expected}; --fit reads pictures otherwise, arrays are kept"
            )
        if len(one) < LEAST_IMAGES:
            raise InputError(f"{one.given.path}: found {len(one)} {one.what}, expected at least {LEAST_IMAGES}")
    facts = {group: look(one, places[group], progress) for group, one in images.items()}
    pair = tuple((images[group], facts[group]) for group in GROUPS)
    checks.check_ranges(pair[0], pair[1])
    checks.check_colours(pair[0], pair[1])
    notes = [
        f"training pictures of {group} read as {one.given.fit}, the size of the networks' images"
        for group, one in images.items()
        if one.given.pictures is not None and one.given.pictures.pixels is None
    ]
    told = dict.fromkeys([*notes, *checks.notes(pair[0], pair[1])])
    return TrainingSets(inputs, images, facts, places, tuple(told))
