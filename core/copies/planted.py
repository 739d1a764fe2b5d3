"""Copies planted on purpose: training images changed as copies are, on which the criteria show what they can see."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from core.metrics.known_copies import Kind, perturb

ORIGINALS = 128  # training images that each kind is made of
SIDE = 40  # pixels a side at which a shift is one pixel
KINDS: dict[str, tuple[Kind, float] | None] = {  # how it is called -> what is done, and how much
    "exact": None,
    "brightened": ("brightness", 0.1),
    "recompressed": ("jpeg", 50),
    "shifted": ("shift", 1),
    "cropped": ("crop", 0.1),
    "flipped": ("flip", 0),
}


def kinds(shape: tuple[int, ...]) -> dict[str, str]:
    """The kinds that images (c, h, w) can be planted as, each with a sentence for what is done."""
    shift = _pixels(shape)
    told = {
        "exact": "the training image itself",
        "brightened": "brighter or darker by a tenth of the range",
        "recompressed": "through a JPEG file of quality 50",
        "shifted": f"moved by {shift} pixel{'s' * (shift > 1)} along a diagonal, borders repeated",
        "cropped": "a tenth of each side cut away, enlarged again",
        "flipped": "mirrored left to right",
    }
    return {kind: what for kind, what in told.items() if kind != "recompressed" or shape[0] in (1, 3)}


def plant(images: Tensor, kind: str, *, seed: int) -> Tensor:
    """Copies of one kind of (n, c, h, w) images in [0, 1]."""
    change = KINDS[kind]
    if change is None:
        return images
    name, amount = change
    return perturb(images, name, _pixels(images.shape[1:]) if name == "shift" else amount, seed=seed)


def drawn(n: int, count: int, seed: int) -> np.ndarray:
    """Numbers of `count` of n images, or of all of them, at random and in ascending order."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:count])


def _pixels(shape: tuple[int, ...]) -> int:
    return max(1, round(min(shape[-2:]) / SIDE))
