"""Samplers for denoisers that are told the noise level: pure functions of noisy images and falling levels.

All solve dx / d sigma = (x - D(x, sigma)) / sigma without noise of their own. `sigmas` falls to the last positive
level; the step from there to 0 hands back D(x, sigma), where k-diffusion and EDM end as well (they write the 0 out).
"""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from core.denoisers.protocol import SigmaDenoiser, full_like_batch
from core.denoisers.sampling import CHUNK, falling_levels, noises
from core.errors import InputError

Sampler = Callable[[SigmaDenoiser, Tensor, Sequence[float]], Tensor]
"""(denoiser, noisy images (b, c, h, w) at sigmas[0], falling positive levels) -> images (b, c, h, w)."""


@torch.no_grad()
def sample_heun(denoiser: SigmaDenoiser, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Implements Algorithm 1 of Karras et al. (2022) for sigma(t) = t: Heun's second-order steps."""
    for now, after in itertools.pairwise(checked_levels(sigmas)):
        slope = (x - denoiser(x, full_like_batch(x, now))) / now
        ahead = x + (after - now) * slope
        slope_ahead = (ahead - denoiser(ahead, full_like_batch(x, after))) / after
        x = x + (after - now) * (slope + slope_ahead) / 2
    return denoiser(x, full_like_batch(x, sigmas[-1]))


@torch.no_grad()
def sample_ddim(denoiser: SigmaDenoiser, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Implements DDIM with eta = 0 (Song et al. 2021, eq. 12), which in x0 + sigma n is Euler's method."""
    for now, after in itertools.pairwise(checked_levels(sigmas)):
        denoised = denoiser(x, full_like_batch(x, now))
        x = denoised + (after / now) * (x - denoised)
    return denoiser(x, full_like_batch(x, sigmas[-1]))


@torch.no_grad()
def sample_dpm_solver(denoiser: SigmaDenoiser, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Implements DPM-Solver++(2M), Algorithm 2 of Lu et al. (2022b), for alpha = 1: lambda is -log sigma."""
    before, step_before = None, 0.0
    for now, after in itertools.pairwise(checked_levels(sigmas)):
        denoised, step = denoiser(x, full_like_batch(x, now)), math.log(now / after)
        aim = denoised if before is None else denoised + (denoised - before) * (step / (2 * step_before))
        x = (after / now) * x - math.expm1(-step) * aim
        before, step_before = denoised, step
    return denoiser(x, full_like_batch(x, sigmas[-1]))


SAMPLERS: dict[str, Sampler] = {"heun": sample_heun, "ddim": sample_ddim, "dpm-solver++": sample_dpm_solver}


def checked_levels(sigmas: Sequence[float]) -> Sequence[float]:
    """The levels themselves.

    Raises:
        InputError: unless there is one, all are positive and finite, and they fall.
    """
    if not len(sigmas) or not all(0 < s < math.inf for s in sigmas):
        raise InputError(f"sigmas: got {list(sigmas)}, expected at least one level, all positive")
    if any(now <= after for now, after in itertools.pairwise(sigmas)):
        raise InputError(f"sigmas: got {list(sigmas)}, expected levels that fall")
    return sigmas


def generate(
    denoiser: SigmaDenoiser,
    seeds: Sequence[int],
    *,
    sampler: str = "heun",
    sigmas: Sequence[float] | None = None,
    centre: Tensor | float | None = None,
    batch: int = CHUNK,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Sampled images, one a seed, (k, c, h, w) float32 on the CPU in the denoiser's `data_range`, not clipped.

    A seed is the same noise on every device, drawn on the CPU. The denoiser always sees `batch` images, filled up where
    fewer are left, so that no image depends on what is sampled with it beyond the last bits that the network's own
    arithmetic gives another place in a batch.

    Args:
        denoiser: what is sampled.
        seeds: one an image.
        sampler: `heun`, `ddim` or `dpm-solver++`.
        sigmas: falling levels; by default 40 from `sigma_max` to `sigma_min`, as Karras et al. (2022) space them.
        centre: where the noise of the start is centred, a value or an image (c, h, w); the middle of `data_range` by
            default. It matters where `sigma_max` is not large against the data.
        batch: images at once.
        device: where the images lie meanwhile.
        progress: called with (images done, images in all).

    Raises:
        InputError: for an unknown sampler, no seeds, or levels that do not fall or lie above `sigma_max`.
    """
    if sampler not in SAMPLERS:
        raise InputError(f"sampler: got {sampler!r}, expected one of {', '.join(SAMPLERS)}")
    if not len(seeds) or batch < 1:
        raise InputError(f"seeds, batch: got {len(seeds)} and {batch}, expected at least one of each")
    levels = falling_levels(denoiser.sigma_max, denoiser.sigma_min) if sigmas is None else sigmas
    levels = checked_levels(levels)
    where = sum(denoiser.data_range) / 2 if centre is None else centre
    done: list[Tensor] = []
    for start in range(0, len(seeds), batch):
        chosen = list(seeds[start : start + batch])
        noise = noises(chosen, denoiser.shape)
        noise = torch.cat([noise, noise[-1:].expand(batch - len(chosen), *denoiser.shape)])
        x = (where + levels[0] * noise).to(device)
        done.append(SAMPLERS[sampler](denoiser, x, levels)[: len(chosen)].cpu())
        if progress:
            progress(start + len(chosen), len(seeds))
    return torch.cat(done)
