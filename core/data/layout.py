"""The order of the axes of an array of images: said by the caller, or inferred where only one reading makes sense."""

from __future__ import annotations

import numpy as np

from core.errors import InputError

AXES = ("nchw", "nhwc")
_CHANNELS = (1, 3, 4)  # how many a picture has


def check_axes(axes: str | None) -> str | None:
    """`axes` itself, or InputError unless it is one of AXES or None."""
    if axes is not None and axes not in AXES:
        raise InputError(f"axes: expected nchw or nhwc, got {axes!r}")
    return axes


def find_axes(shape: tuple[int, ...], axes: str | None, label: str) -> tuple[str, str | None]:
    """How an array of `shape` is read: its axes, and a sentence about it where they were inferred.

    Two axes are vectors (`nd`), three are gray pictures (`nhw`). Of four, either the second counts the channels
    (`nchw`) or the last (`nhwc`): where the caller does not say, it is the one that has 1, 3 or 4 entries. If both
    have, or neither has, or the other reading alone has square pictures, the squares decide what they can decide.

    Raises:
        InputError: for another number of axes, an empty image, or two readings that make sense.
    """
    check_axes(axes)
    if len(shape) not in (2, 3, 4) or 0 in shape[1:]:
        raise InputError(f"{label}: expected shape (n, c, h, w), (n, h, w, c), (n, h, w) or (n, d), got {tuple(shape)}")
    by = "x".join(map(str, shape[1:]))
    if len(shape) == 2:
        return "nd", None
    if len(shape) == 3:
        if axes is None and shape[2] in _CHANNELS and shape[1] not in _CHANNELS:
            raise InputError(
                f"{label}: {tuple(shape)} is one picture (h, w, c) or {shape[0]:,} gray ones (n, h, w) of {by}; "
                "expected a fourth axis that counts the images"
            )
        return "nhw", f"three axes are read as (n, h, w): {shape[0]:,} gray images of {by}"
    if axes is not None:
        return axes, None
    first, last = shape[1] in _CHANNELS, shape[3] in _CHANNELS
    squares = shape[2] == shape[3], shape[1] == shape[2]  # as nchw, as nhwc
    inferred = None
    if first == last and squares[0] != squares[1]:
        inferred = "nchw" if squares[0] else "nhwc" if last else None
    elif first == last and not first and not any(squares) and shape[1] < min(shape[2:]):
        inferred = "nchw"
    elif first != last and not (squares[1] if first else squares[0]):
        inferred = "nchw" if first else "nhwc"
    if inferred is None:
        raise InputError(
            f"{label}: {tuple(shape)} can be (n, c, h, w) or (n, h, w, c); --axes nchw or --axes nhwc says which"
        )
    if inferred == "nchw":
        return inferred, None
    several = ", all compared as they are (a fourth is not taken for transparency)" if shape[3] == 4 else ""
    return (
        inferred,
        f"read as channels last (n, h, w, c): images of {shape[1]}x{shape[2]}, channels {shape[3]}{several}",
    )


def channels_first(images: np.ndarray, axes: str) -> np.ndarray:
    """A view (n, c, h, w) of an array whose axes `find_axes` found."""
    if axes == "nd":
        return images[:, None, None, :]
    if axes == "nhw":
        return images[:, None]
    return images.transpose(0, 3, 1, 2) if axes == "nhwc" else images


def check_pixels(dtype: np.dtype, label: str) -> None:
    """InputError unless values of `dtype` are pixels: floating-point or whole numbers."""
    if dtype.kind not in "fiu":
        raise InputError(f"{label}: expected floating-point or whole-number pixels, got {dtype}")
