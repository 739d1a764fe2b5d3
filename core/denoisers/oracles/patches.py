"""Posterior means of some pixels given other pixels: what closed-form predictors of networks are made of.

The optimum over a finite training set weighs whole images by their distance to the whole noisy image and returns
training images only. Predictors of what networks do instead weigh them for each pixel by a part of the image. A `Part`
says which pixels are compared and which are predicted; its posterior mean is the softmax-weighted mean over training
images (and places) with logits -|y - x|^2 / (2 sigma^2) over the pixels compared.

Images are (n, c, h, w). Arithmetic is float32 unless float64 is asked for: distances come from one product of pixels
less their mean gray, so that logits are off by about 1e-7 (|y|^2 + |x|^2) / sigma^2, the norms being over the part. Of
faces of 20x20 in [0, 1] that leaves predicted pixels within 1e-4 down to sigma = 0.05. The training set is passed over
in tiles, so that beside it at most about `memory` bytes are held, or what one image takes.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.denoisers.oracles.base import Oracle, finite
from core.errors import InputError
from core.machine import parse_memory

MEMORY = 256 * 10**6
LEAST = -60.0  # a smaller logit changes nothing, and its weight times a pixel is no normal float32, which is slow


@dataclass(frozen=True)
class Part:
    """Pixels that are compared and pixels that are predicted from them, at one place or at several alike.

    With several places, the training set holds the pixels at every one of them, and any may explain any.

    Attributes:
        compared: (places, m) int64, indices of flattened images (c h w).
        predicted: (places, o) int64, likewise.
    """

    compared: Tensor
    predicted: Tensor


def nearest(levels: Iterable[float], sigma: float) -> float:
    """The noise level nearest to `sigma`, in ratio."""
    return min(levels, key=lambda level: max(level / sigma, sigma / level))


class Patchwise(ABC):
    """A denoiser that predicts each pixel by the posterior mean of a part of the image; pixels predicted twice average.

    It is no `Oracle`: parts of an image do not make one density. It is told the noise level, or takes that which a
    density sees in the noisy image (`blind`).
    """

    def __init__(self, images: Tensor, *, dtype: torch.dtype = torch.float32, memory: int | str = MEMORY) -> None:
        if images.ndim != 4 or len(images) == 0:
            raise InputError(f"images: found shape {tuple(images.shape)}; expected a training set (n, c, h, w)")
        finite(images, "images")
        self.shape = tuple(images.shape[1:])
        rows = images.reshape(len(images), -1).to(torch.float64)
        self.grey = float(rows.mean())  # one for all pixels: a part may be compared with another place's
        self.columns = (rows - self.grey).T.to(dtype).contiguous()  # (d, n): a part's pixels are rows
        self.memory = parse_memory(memory)
        self._known: dict[float, Sequence[Part]] = {}

    @abstractmethod
    def _key(self, sigma: float) -> float:
        """What the parts depend on at this noise level: levels of one key share their parts."""

    @abstractmethod
    def _parts(self, key: float) -> Sequence[Part]:
        """Parts that predict every pixel at least once."""

    def denoise(self, y: Tensor, sigma: float | Tensor) -> Tensor:
        """Predicted clean images, in the shape and dtype of y (b, c, h, w); `sigma` one for all or one an image."""
        if y.ndim != 4 or tuple(y.shape[1:]) != self.shape or len(y) == 0:
            raise InputError(f"y: found shape {tuple(y.shape)}; expected noisy images (b, {str(self.shape)[1:-1]})")
        finite(y, "y")
        sigmas = torch.as_tensor(sigma, dtype=torch.float64)
        if sigmas.shape not in ((), (1,), (len(y),)):
            raise InputError(f"sigma: found {sigmas.numel()} levels for {len(y)} images; expected one, or one an image")
        sigmas = sigmas.expand(len(y))
        if not bool((torch.isfinite(sigmas) & (sigmas > 0)).all()):
            raise InputError(f"sigma: found {sigmas.tolist()}; expected positive numbers")
        centred = (y.reshape(len(y), -1).to(torch.float64) - self.grey).to(self.columns.dtype)
        keys = [self._key(float(s)) for s in sigmas]
        found = torch.empty_like(centred)
        for key in dict.fromkeys(keys):
            if key not in self._known:
                self._known[key] = self._parts(key)
            mine = torch.tensor([k == key for k in keys])
            found[mine] = self._composite(centred[mine], sigmas[mine], self._known[key])
        return (found.to(torch.float64) + self.grey).reshape(y.shape).to(y.dtype)

    def blind(self, sigmas: Sequence[float], *, seen_by: Oracle) -> Callable[[Tensor], Tensor]:
        """The same without being told sigma: each image's is what `seen_by` makes of it, among the levels given.

        A `Gaussian` fitted to the training images is cheap and knows the level within a few percent (`Oracle.level`).
        It plugs into the samplers as a network does.
        """
        levels = list(sigmas)
        if seen_by.d != len(self.columns):
            raise InputError(f"seen_by: found a density of {seen_by.d} dimensions; expected {len(self.columns)}")

        def denoiser(y: Tensor) -> Tensor:
            return self.denoise(y, seen_by.level(y, levels))

        return denoiser

    def _composite(self, y: Tensor, sigmas: Tensor, parts: Sequence[Part]) -> Tensor:
        total, count = torch.zeros_like(y), torch.zeros(y.shape[1], dtype=y.dtype)
        for part in parts:
            places, o = part.predicted.shape
            flat = part.predicted.flatten()
            total.index_add_(1, flat, self._posterior_mean(y, sigmas, part).reshape(len(y), places * o))
            count.index_add_(0, flat, torch.ones(len(flat), dtype=y.dtype))
        return total / count

    def _posterior_mean(self, y: Tensor, sigmas: Tensor, part: Part) -> Tensor:
        """Of the predicted pixels of a part, (b, places, o), in one pass with a running maximum."""
        places, m = part.compared.shape
        o = part.predicted.shape[1]
        precision = (1 / sigmas.square()).to(y.dtype).repeat_interleave(places)[:, None]
        queries = torch.cat([y[:, part.compared].reshape(-1, m) * precision, precision], dim=1)
        top = y.new_full((len(queries), 1), -math.inf)
        total = y.new_zeros(len(queries), o + 1)
        each = places * (2 * m + 2 * o + 2 * len(queries)) * y.element_size()
        tile = max(1, self.memory // each)
        for start in range(0, self.columns.shape[1], tile):
            keys, values = self._candidates(part, slice(start, start + tile))
            logits = queries @ keys
            higher = torch.maximum(top, logits.max(dim=1, keepdim=True).values)
            weights = logits.sub_(higher).clamp_(min=LEAST).exp_()
            total = total * (top - higher).exp() + weights @ values
            top = higher
        return (total[:, :-1] / total[:, -1:]).reshape(len(y), places, o)

    def _candidates(self, part: Part, images: slice) -> tuple[Tensor, Tensor]:
        """Pixels compared over -|x|^2 / 2, (m + 1, places n), and pixels predicted beside ones, (places n, o + 1)."""
        columns = self.columns[:, images]
        compared = columns[part.compared].transpose(0, 1).flatten(1)
        keys = torch.cat([compared, -compared.square().sum(dim=0, keepdim=True) / 2])
        values = columns[part.predicted].transpose(1, 2).flatten(0, 1)
        return keys, torch.cat([values, values.new_ones(len(values), 1)], dim=1)
