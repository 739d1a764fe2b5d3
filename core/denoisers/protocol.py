"""One form for every denoiser that is told the noise level, whoever trained it.

A denoiser is a function D(x, sigma) = E[x0 | x0 + sigma n = x] with n standard normal: the form of Karras et al. (2022)
and of k-diffusion. Nothing is scaled on the way in, so noise only adds ('variance exploding'). Everything is in the
units of the denoiser's own `data_range`, `sigma` too.
"""

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from core.denoisers.unet import Denoiser
from core.errors import InputError

Shape = tuple[int, int, int]
Range = tuple[float, float]
SIGMA_ROUNDING = 1e-5  # relative; a level that went through float32 may lie this far above `sigma_max`


@runtime_checkable
class SigmaDenoiser(Protocol):
    """Noisy images x (b, c, h, w) and their noise levels sigma (b,) -> the expected clean images (b, c, h, w)."""

    @property
    def shape(self) -> Shape:
        """(c, h, w) of the images."""

    @property
    def data_range(self) -> Range:
        """Values of black and white in the images it was trained on."""

    @property
    def sigma_min(self) -> float:
        """The lowest noise level that it was trained for, in units of `data_range`."""

    @property
    def sigma_max(self) -> float:
        """The highest noise level that it was trained for."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The expected clean images."""


class Adapter:
    """A denoiser around something else; checks what goes in and what comes out.

    Raises:
        InputError: for a shape, a range or levels that cannot be; when called, for images of another shape, and for
            levels that are no positive number or above `sigma_max`.
    """

    def __init__(self, shape: Shape, data_range: Range, sigma_min: float, sigma_max: float) -> None:
        if len(shape) != 3 or any(type(side) is not int or side < 1 for side in shape):
            raise InputError(f"shape: got {shape}, expected three positive whole numbers: channels, height, width")
        if len(data_range) != 2 or not all(map(math.isfinite, data_range)) or data_range[0] >= data_range[1]:
            raise InputError(f"data_range: got {data_range}, expected two numbers, the lower first, such as (-1, 1)")
        if not 0 < sigma_min < sigma_max < math.inf:
            raise InputError(
                f"sigma_min, sigma_max: got {sigma_min}, {sigma_max}; expected two positive numbers, the lower first"
            )
        self.shape: Shape = (shape[0], shape[1], shape[2])
        self.data_range: Range = (float(data_range[0]), float(data_range[1]))
        self.sigma_min, self.sigma_max = float(sigma_min), float(sigma_max)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Noisy images (b, c, h, w) and their noise levels (b,) -> expected clean images (b, c, h, w)."""
        if x.ndim != 4 or tuple(x.shape[1:]) != self.shape or not x.is_floating_point():
            raise InputError(f"x: got {tuple(x.shape)} {x.dtype}, expected floats of shape (b, *{self.shape})")
        if sigma.shape != x.shape[:1]:
            raise InputError(f"sigma: got shape {tuple(sigma.shape)}, expected one level an image, ({len(x)},)")
        if len(x) and not bool(((sigma > 0) & (sigma <= self.sigma_max * (1 + SIGMA_ROUNDING))).all()):
            raise InputError(
                f"sigma: got levels from {float(sigma.min()):g} to {float(sigma.max()):g}, expected levels above 0 "
                f"and at most {self.sigma_max:g}, the highest that this denoiser was trained for"
            )
        out = self._denoise(x, sigma)
        if out.shape != x.shape:
            raise InputError(f"{type(self).__name__}: gave shape {tuple(out.shape)} for images {tuple(x.shape)}")
        return out

    def _denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise NotImplementedError

    def readings(self) -> dict[str, SigmaDenoiser]:
        """The same network if its output meant something else, by what it would then be called."""
        return {}


class Told(Adapter):
    """A function of (x, sigma) that already is the denoiser, such as the networks of Karras et al. (2022)."""

    def __init__(
        self,
        denoise: Callable[[Tensor, Tensor], Tensor],
        *,
        shape: Shape,
        data_range: Range,
        sigma_min: float,
        sigma_max: float,
    ) -> None:
        super().__init__(shape, data_range, sigma_min, sigma_max)
        self.denoise = denoise

    def _denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.denoise(x, sigma)

    def readings(self) -> dict[str, SigmaDenoiser]:
        """What functions of (x, sigma) often give in place of the clean image."""
        return {
            "the noise, x - x0": self._reading(lambda x, out, sigma: x - out),
            "the noise in units of sigma (epsilon)": self._reading(lambda x, out, sigma: x - column(sigma) * out),
            "the score": self._reading(lambda x, out, sigma: x + column(sigma).square() * out),
        }

    def _reading(self, clean: Callable[[Tensor, Tensor, Tensor], Tensor]) -> SigmaDenoiser:
        denoise = self.denoise
        return Told(
            lambda x, sigma: clean(x, denoise(x, sigma), sigma),
            shape=self.shape,
            data_range=self.data_range,
            sigma_min=self.sigma_min,
            sigma_max=self.sigma_max,
        )


class Blind(Told):
    """A denoiser that infers the noise level from the image, such as this project's networks; `sigma` is passed over.

    Example: `Blind(lambda y: y - unet(y), shape=(1, 40, 40))`. The defaults are the levels of the published
    networks: trained up to 1 on images in [0, 1], and sampled down to 0.1. The lowest was 0.02 until 2026-11-28: the
    admission test, written then, tries every level from the lowest on, and it was set to where the published sampler
    ends.
    """

    def __init__(
        self,
        denoise: Denoiser,
        *,
        shape: Shape,
        data_range: Range = (0.0, 1.0),
        sigma_min: float = 0.1,
        sigma_max: float = 1.0,
    ) -> None:
        super().__init__(
            lambda x, sigma: denoise(x), shape=shape, data_range=data_range, sigma_min=sigma_min, sigma_max=sigma_max
        )


class InRange(Adapter):
    """A denoiser seen in another range of values: D'(x, s) = (D(a + k x, k s) - a) / k, the same function.

    Two denoisers are compared in one range; each maps it to its own.
    """

    def __init__(self, denoiser: SigmaDenoiser, data_range: Range) -> None:
        low, high = denoiser.data_range
        self.scale = (high - low) / (data_range[1] - data_range[0])
        self.offset = low - self.scale * data_range[0]
        super().__init__(denoiser.shape, data_range, denoiser.sigma_min / self.scale, denoiser.sigma_max / self.scale)
        self.denoiser = denoiser

    def _denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        return (self.denoiser(self.offset + self.scale * x, self.scale * sigma) - self.offset) / self.scale

    def readings(self) -> dict[str, SigmaDenoiser]:
        """Those of the denoiser, in this range."""
        return {name: InRange(other, self.data_range) for name, other in readings_of(self.denoiser).items()}


def in_range(denoiser: SigmaDenoiser, data_range: Range) -> SigmaDenoiser:
    """The denoiser for images in `data_range`: itself where that is its own."""
    return denoiser if tuple(denoiser.data_range) == tuple(data_range) else InRange(denoiser, data_range)


def readings_of(denoiser: SigmaDenoiser) -> dict[str, SigmaDenoiser]:
    """What else a denoiser's output might mean, where its adapter knows."""
    return denoiser.readings() if isinstance(denoiser, Adapter) else {}


def column(sigma: Tensor) -> Tensor:
    """Levels (b,) as (b, 1, 1, 1), to be multiplied with images."""
    return sigma.reshape(-1, 1, 1, 1)


def checked(denoiser: object, source: str) -> SigmaDenoiser:
    """Somebody else's object, if it has the protocol's attributes and they make sense.

    Raises:
        InputError: naming `source` and what is missing or wrong.
    """
    missing = [name for name in ("shape", "data_range", "sigma_min", "sigma_max") if not hasattr(denoiser, name)]
    if missing or not callable(denoiser):
        lacks = f"without {', '.join(missing)}" if missing else "that cannot be called"
        raise InputError(
            f"{source}: gives a {type(denoiser).__name__} {lacks}, expected a denoiser(x, sigma) with shape, "
            "data_range, sigma_min and sigma_max"
        )
    assert isinstance(denoiser, SigmaDenoiser)
    try:
        Adapter(denoiser.shape, denoiser.data_range, float(denoiser.sigma_min), float(denoiser.sigma_max))
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{source}: {error}") from error
    return denoiser


def full_like_batch(x: Tensor, sigma: float) -> Tensor:
    """One level for every image of a batch, (b,), where and as precise as the images."""
    return torch.full((len(x),), sigma, dtype=x.dtype, device=x.device)
