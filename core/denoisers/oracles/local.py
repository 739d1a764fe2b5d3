"""Closed-form predictors of what networks generate: local posterior means over the training images.

`Local` is the local score machine of Kamb and Ganguli (2025, arXiv 2412.20292); with `anywhere`, the equivariant one
with borders; `Composite` is the patch set posterior composite of Niedoba et al. (2025, arXiv 2411.19339) with square
patches; `WienerLocal` is Lukoianov et al. (2025, arXiv 2509.09672), whose locality is that of the Wiener filter.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import torch
from torch import Tensor

from core.denoisers.oracles.base import positive
from core.denoisers.oracles.gaussian import Gaussian
from core.denoisers.oracles.patches import MEMORY, Part, Patchwise, nearest
from core.errors import InputError

Schedule = int | Mapping[float, int]  # a window's side in pixels: one, or by noise level


class _Windowed(Patchwise):
    """Square windows whose side is given, or that of the noise level in a table nearest to the image's, in ratio."""

    def __init__(
        self, images: Tensor, window: Schedule, *, dtype: torch.dtype = torch.float32, memory: int | str = MEMORY
    ) -> None:
        super().__init__(images, dtype=dtype, memory=memory)
        self.windows = dict(window) if isinstance(window, Mapping) else {1.0: window}
        if not self.windows:
            raise InputError("window: found no noise level; expected at least one")
        for sigma, side in self.windows.items():
            positive(sigma, "window: noise level")
            self._check(side)

    def _check(self, side: int) -> None:
        if side < 1:
            raise InputError(f"window: found {side} pixels; expected at least 1")

    def _key(self, sigma: float) -> float:
        return self.windows[nearest(self.windows, sigma)]

    def _indices(self, rows: Sequence[int], columns: Sequence[int]) -> Tensor:
        """Indices (c len(rows) len(columns),) of a rectangle of pixels in all channels."""
        c, h, w = self.shape
        return torch.arange(c * h * w).reshape(c, h, w)[:, list(rows)][:, :, list(columns)].flatten()


class Local(_Windowed):
    """Each pixel's posterior mean given the window centred on it, cut off where the image ends.

    The window is compared with the training images' at the same place; with `anywhere`, with theirs at every place that
    is as far from each border as the window reaches, so that only the borders tell where a pixel is (the paper's
    equivariant machine with zero padding). The side is odd. A window that reaches every border from everywhere makes it
    `Empirical`'s posterior mean.
    """

    def __init__(
        self,
        images: Tensor,
        window: Schedule,
        *,
        anywhere: bool = False,
        dtype: torch.dtype = torch.float32,
        memory: int | str = MEMORY,
    ) -> None:
        super().__init__(images, window, dtype=dtype, memory=memory)
        self.anywhere = anywhere

    def _check(self, side: int) -> None:
        super()._check(side)
        if side % 2 == 0:
            raise InputError(f"window: found {side} pixels; expected an odd number, to have a centre")

    def _parts(self, key: float) -> list[Part]:
        reach = int(key) // 2
        _, h, w = self.shape
        places: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for i, j in product(range(h), range(w)):
            borders = tuple(min(reach, away) for away in (i, h - 1 - i, j, w - 1 - j))
            places.setdefault(borders if self.anywhere else (i, j), []).append((i, j))
        return [Part(*self._stacked(group, reach)) for group in places.values()]

    def _stacked(self, places: Sequence[tuple[int, int]], reach: int) -> tuple[Tensor, Tensor]:
        _, h, w = self.shape

        def near(i: int, end: int) -> range:
            return range(max(0, i - reach), min(end, i + reach + 1))

        compared = torch.stack([self._indices(near(i, h), near(j, w)) for i, j in places])
        return compared, torch.stack([self._indices([i], [j]) for i, j in places])


class Composite(_Windowed):
    """Posterior means of all square patches that lie inside the image, given themselves; where they overlap, averaged.

    Patches are compared with the training images' at the same place.
    """

    def _check(self, side: int) -> None:
        super()._check(side)
        if side > min(self.shape[1:]):
            raise InputError(f"window: found {side} pixels; expected at most {min(self.shape[1:])}, the image's side")

    def _parts(self, key: float) -> list[Part]:
        side = int(key)
        _, h, w = self.shape
        corners = product(range(h - side + 1), range(w - side + 1))
        patches = [self._indices(range(i, i + side), range(j, j + side))[None] for i, j in corners]
        return [Part(patch, patch) for patch in patches]


class WienerLocal(Patchwise):
    """Each pixel's posterior mean given the pixels to which the Wiener filter of the training images is sensitive.

    Pixel q is compared for pixel p where |W[q, p] / W[q, q]| is at least `threshold` of its largest value, W being the
    filter (d, d) at this noise level: as in the published code, each row is divided by its own diagonal. A pixel is one
    channel's. The masks are those of the nearest of `levels`, in ratio; the posterior uses the image's own level.
    """

    def __init__(
        self,
        images: Tensor,
        levels: Sequence[float],
        *,
        threshold: float = 0.02,
        dtype: torch.dtype = torch.float32,
        memory: int | str = MEMORY,
    ) -> None:
        super().__init__(images, dtype=dtype, memory=memory)
        if not levels:
            raise InputError("levels: found none; expected at least one noise level")
        for level in levels:
            positive(level, "levels")
        if not 0 < threshold <= 1:
            raise InputError(f"threshold: found {threshold}; expected a number above 0, at most 1")
        self.levels, self.threshold = tuple(levels), threshold
        self.gaussian = Gaussian.from_images(images)

    def _key(self, sigma: float) -> float:
        return nearest(self.levels, sigma)

    def masks(self, sigma: float) -> Tensor:
        """Which pixels are compared (row) for which (column), (d, d) bool, at this noise level."""
        gain = self.gaussian.gain(sigma)
        own = gain.diagonal()[:, None]
        relative = (gain / torch.where(own.abs() < 1e-6, torch.ones_like(own), own)).abs()
        return (relative >= self.threshold * relative.max()) | torch.eye(len(gain), dtype=torch.bool)

    def _parts(self, key: float) -> list[Part]:
        masks = self.masks(key)
        return [Part(mask.nonzero()[:, 0][None], torch.tensor([[p]])) for p, mask in enumerate(masks.T)]
