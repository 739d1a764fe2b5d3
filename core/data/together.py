"""Pictures in memory as one tensor, and how many are of a kind that a reader should know of."""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from core.data.gather import mapped
from core.data.pictures import KEEP, NOTES, Fit, Stored, as_floats, read_header, read_picture
from core.errors import InputError
from core.machine import cores

_HELD = 1 << 26  # bytes of undecoded pictures held at a time


def notes_of(pictures: Iterable[Stored], fit: Fit) -> dict[str, int]:
    """How many pictures are of each kind that a reader should know of (`core.data.pictures.NOTES`), in words."""
    files = (one for one in pictures if fit != KEEP or not isinstance(one.data, np.ndarray))
    kinds = Counter(kind for picture in files for kind in read_header(picture, fit).notes)
    return {f"pictures {NOTES[kind]}": count for kind, count in kinds.items()}


def read_all(
    pictures: Iterable[Stored], n: int, fit: Fit, *, progress: Callable[[int, int], None] | None = None
) -> torch.Tensor:
    """Pictures as one (n, c, h, w) float32 tensor in [0, 1], in order.

    Raises:
        InputError: naming the file, if it cannot be read or has another shape than the first.
    """
    images, first = torch.empty(0, 1, 1, 1), ""
    with ThreadPoolExecutor(cores()) as pool:
        try:
            each = mapped(pool, lambda one: as_floats(read_picture(one, fit)), pictures, _HELD)
            for done, (stored, pixels) in enumerate(each):
                if not done:
                    images, first = torch.empty(n, *pixels.shape), stored.label
                if pixels.shape != images.shape[1:]:
                    found, expected = ("x".join(map(str, shape)) for shape in (pixels.shape, images.shape[1:]))
                    raise InputError(
                        f"{stored.label}: found {found} (channels, height, width), expected {expected} like {first}; "
                        "crop:N or squeeze:N instead of keep makes all equal"
                    )
                images[done] = torch.from_numpy(pixels)
                if progress:
                    progress(done + 1, n)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return images
