"""Other parametrisations as denoisers: networks of a discrete schedule (DDPM), and of flow matching.

Both see a scaled image and a time. The image x = x0 + sigma n is scaled to what they were trained on, sigma is turned
into their time, and what they predict into x0.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from core.denoisers.protocol import Adapter, Range, Shape, SigmaDenoiser, column
from core.errors import InputError

Network = Callable[[Tensor, Tensor], Tensor]
"""Scaled images (b, c, h, w) and times (b,) float -> the prediction (b, c, h, w)."""

PREDICTIONS = {"epsilon": "epsilon-prediction", "sample": "sample-prediction", "v": "v-prediction"}
WHOLE = 1e-3  # an interpolated time nearer than this to a whole one is that one: levels come in float32


class Schedule:
    """The noise levels of a discrete schedule, sigma = sqrt((1 - abar) / abar), and the times between them.

    Args:
        alphas_cumprod: abar (T,), the share of the signal's power that is left at each time; falls from near 1. Times
            at its end where nothing is left (abar = 0) have no finite sigma and are left out.

    Raises:
        InputError: if it does not fall from below 1 to above 0, or has fewer than two times.
    """

    def __init__(self, alphas_cumprod: Tensor) -> None:
        left = alphas_cumprod.detach().to("cpu", torch.float64).flatten()
        while len(left) and float(left[-1]) == 0:
            left = left[:-1]
        if len(left) < 2 or not bool(((left > 0) & (left < 1)).all()) or not bool((left.diff() < 0).all()):
            raise InputError(
                f"alphas_cumprod: got {len(alphas_cumprod)} values, expected at least two that fall from below 1 to "
                "above 0"
            )
        self.sigmas = ((1 - left) / left).sqrt()

    def time(self, sigma: Tensor) -> Tensor:
        """The time (b,) of each level (b,), linear in log sigma between two; the first time below the first level."""
        known = self.sigmas.to(sigma.device).log()
        level = sigma.to(torch.float64).log()
        above = torch.searchsorted(known, level).clamp(1, len(known) - 1)
        low, high = known[above - 1], known[above]
        time = above - 1 + ((level - low) / (high - low)).clamp(0, 1)
        whole = time.round()
        return torch.where((time - whole).abs() < WHOLE, whole, time)


class Discrete(Adapter):
    """A network trained on sqrt(abar) x0 + sqrt(1 - abar) n at whole times, as in Ho et al. (2020).

    With sigma = sqrt((1 - abar) / abar) it sees x / sqrt(1 + sigma^2). Its output is epsilon (n), the sample (x0), or v
    of Salimans & Ho (2022), sqrt(abar) n - sqrt(1 - abar) x0. Nothing is clipped.

    Args:
        network: called with scaled images and times.
        alphas_cumprod: abar (T,); see `Schedule`.
        prediction: `epsilon`, `sample` or `v`.
        shape: (c, h, w).
        data_range: of the images that it was trained on.
    """

    def __init__(
        self,
        network: Network,
        alphas_cumprod: Tensor,
        *,
        shape: Shape,
        prediction: str = "epsilon",
        data_range: Range = (-1.0, 1.0),
    ) -> None:
        if prediction not in PREDICTIONS:
            raise InputError(f"prediction: got {prediction!r}, expected one of {', '.join(PREDICTIONS)}")
        self.schedule = Schedule(alphas_cumprod)
        super().__init__(shape, data_range, float(self.schedule.sigmas[0]), float(self.schedule.sigmas[-1]))
        self.network, self.alphas_cumprod, self.prediction = network, alphas_cumprod, prediction

    def _denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        level = column(sigma).to(x.dtype)
        grown = (1 + level.square()).sqrt()
        out = self.network(x / grown, self.schedule.time(sigma))
        if self.prediction == "sample":
            return out
        return x - level * out if self.prediction == "epsilon" else (x / grown - level * out) / grown

    def readings(self) -> dict[str, SigmaDenoiser]:
        """The same network with each other prediction."""
        given: dict[str, Any] = {"shape": self.shape, "data_range": self.data_range}
        return {
            name: Discrete(self.network, self.alphas_cumprod, prediction=prediction, **given)
            for prediction, name in PREDICTIONS.items()
            if prediction != self.prediction
        }


class Flow(Adapter):
    """A network trained by flow matching on straight lines, (1 - t) x0 + t n, predicting n - x0 (Liu et al. 2023).

    With t = sigma / (1 + sigma), that is sigma = t / (1 - t), it sees x / (1 + sigma). At t = 1 there is no image left
    and no finite sigma.

    Args:
        network: called with points of the line and `time_scale` t.
        shape: (c, h, w).
        data_range: of the images that it was trained on.
        time_scale: what the network calls the end of the line: 1, or 1000 in diffusers.
        t_min, t_max: the times it is asked at, inside (0, 1).
    """

    def __init__(
        self,
        network: Network,
        *,
        shape: Shape,
        data_range: Range = (-1.0, 1.0),
        time_scale: float = 1.0,
        t_min: float = 1e-3,
        t_max: float = 1 - 1e-3,
    ) -> None:
        if not 0 < t_min < t_max < 1:
            raise InputError(f"t_min, t_max: got {t_min}, {t_max}; expected two numbers inside (0, 1), the lower first")
        super().__init__(shape, data_range, t_min / (1 - t_min), t_max / (1 - t_max))
        self.network, self.time_scale, self.t_min, self.t_max = network, time_scale, t_min, t_max

    def _denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self._point(x, sigma) - column(self._time(sigma)).to(x.dtype) * self._velocity(x, sigma)

    def _time(self, sigma: Tensor) -> Tensor:
        return sigma / (1 + sigma)

    def _point(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x / (1 + column(sigma).to(x.dtype))

    def _velocity(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.network(self._point(x, sigma), self.time_scale * self._time(sigma))

    def readings(self) -> dict[str, SigmaDenoiser]:
        """The same network with the line walked the other way: data at t = 1, as in Lipman et al. (2023)."""
        scale, network = self.time_scale, self.network
        reversed_line = Flow(
            lambda x, t: -network(x, scale - t),
            shape=self.shape,
            data_range=self.data_range,
            time_scale=scale,
            t_min=self.t_min,
            t_max=self.t_max,
        )
        return {"flow matching with the data at t = 1": reversed_line}
