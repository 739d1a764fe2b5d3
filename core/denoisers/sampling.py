"""Implements the stochastic coarse-to-fine ascent of Kadkhodaie & Simoncelli (2021) as the published notebooks run it.

Every image has its own random stream and stopping time. On a CPU the denoiser always sees batches of one fixed shape,
so that image k is the same, bit for bit, whatever else is sampled with it and in which order; elsewhere it sees all
images that are not finished at once.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.denoisers.unet import Denoiser
from core.errors import InputError

CHUNK = 32  # images the denoiser sees at once on a CPU; part of the result's last bits, like the number of threads


@dataclass(frozen=True)
class Samples:
    """Sampled images and how they ended.

    Attributes:
        images: (k, c, h, w) float32 on CPU, not clipped.
        steps: (k,) int64, steps taken.
        sigmas: (k,) float32, noise level |f(y)| / sqrt(n) that the denoiser sees before the last denoising.
        converged: (k,) bool, False if the noise level rose above twice the start or the steps ran out.
        seeds: one an image.
        trajectories: one tensor (m, c, h, w) an image, if asked for: every `keep_every`-th state.
    """

    images: Tensor
    steps: Tensor
    sigmas: Tensor
    converged: Tensor
    seeds: tuple[int, ...]
    trajectories: tuple[Tensor, ...] = ()


def step_size(t: int, h0: float) -> float:
    """h_t = h0 t / (1 + h0 (t - 1)), rising from h0 towards 1."""
    return h0 * t / (1 + h0 * (t - 1))


def noise_amplitude(h: float, beta: float) -> float:
    """gamma_t / sigma_t = sqrt((1 - beta h)^2 - (1 - h)^2); 0 for beta = 1."""
    return math.sqrt(max((1 - beta * h) ** 2 - (1 - h) ** 2, 0.0))


def in_chunks(denoiser: Denoiser, chunk: int | None = None) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Residual f(y) = y - denoised (b, c, h, w) and its root mean square (b, 1, 1, 1), in batches of one shape.

    The last batch is padded with zero images: results for an image then do not depend on how many there are. Without
    a `chunk`, batches of `CHUNK` on a CPU; on an accelerator, idle with few images, all at once and no padding.
    """

    @torch.no_grad()
    def residual(y: Tensor) -> tuple[Tensor, Tensor]:
        if chunk is None and y.device.type != "cpu":
            f = y - denoiser(y)
            return f, f.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return by_chunks(y, chunk or CHUNK)

    def by_chunks(y: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        parts = []
        for part in y.split(chunk):
            padded = torch.zeros((chunk, *y.shape[1:]), dtype=y.dtype, device=y.device)
            padded[: len(part)] = part
            f = padded - denoiser(padded)
            parts.append((f[: len(part)], f.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()[: len(part)]))
        return torch.cat([f for f, _ in parts]), torch.cat([s for _, s in parts])

    return residual


def starts(seeds: Sequence[int], mean: Tensor, sigma_0: float) -> tuple[Tensor, list[torch.Generator]]:
    """Starting images mean + sigma_0 noise (k, c, h, w), and each image's stream behind its start.

    Noise is drawn on the CPU, so that a seed means the same noise on every device.
    """
    if mean.ndim != 3 or not mean.is_floating_point():
        raise InputError(f"mean: got {tuple(mean.shape)} {mean.dtype}, expected a float image (c, h, w)")
    if not seeds:
        raise InputError("seeds: got none, expected at least one")
    streams = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    return mean + sigma_0 * _noise(streams, mean), streams


def noises(seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """The noise of each seed, (k, *shape) float32: the same on every device and beside any other, drawn on the CPU."""
    return torch.stack([torch.randn(*shape, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds])


def _noise(streams: Sequence[torch.Generator], like: Tensor) -> Tensor:
    noise = torch.stack([torch.randn(like.shape, generator=stream) for stream in streams])
    return noise.to(like.device, like.dtype)


def sample(
    denoiser: Denoiser,
    seeds: Sequence[int],
    mean: Tensor,
    *,
    h0: float = 0.01,
    beta: float = 0.1,
    sigma_0: float = 1.0,
    sigma_end: float = 0.1,
    max_steps: int = 2000,
    chunk: int | None = None,
    keep_every: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """Stochastic ascent y <- y - h_t f(y) + gamma_t z until |f(y)| / sqrt(n) <= sigma_end, then one denoising.

    As published, the level is compared after the step that was taken with it; a start already below `sigma_end`
    takes no step. `beta` = 1 adds no noise. `mean` (c, h, w) is where the noise is centred; its device is used.
    """
    y, streams = starts(seeds, mean, sigma_0)
    residual = in_chunks(denoiser, chunk)
    active = torch.arange(len(y))  # compacted as images finish
    steps, converged = torch.zeros(len(y), dtype=torch.int64), torch.zeros(len(y), dtype=torch.bool)
    kept: list[list[Tensor]] = [[image.clone().cpu()] for image in y] if keep_every else []
    for t in range(1, max_steps + 1):
        f, sigma = residual(y[active])
        level = sigma.flatten().cpu()
        if t == 1 and (level <= sigma_end).any():
            converged[active[level <= sigma_end]] = True
            moving = level > sigma_end
            active, f, sigma, level = active[moving], f[moving], sigma[moving], level[moving]
        if not len(active):
            break
        h = step_size(t, h0)
        noise = _noise([streams[k] for k in active.tolist()], mean)
        y[active] = y[active] - h * f + noise_amplitude(h, beta) * sigma * noise
        steps[active] = t
        for k in active.tolist() if keep_every and t % keep_every == 0 else ():
            kept[k].append(y[k].clone().cpu())
        converged[active[level <= sigma_end]] = True
        active = active[(level > sigma_end) & (level <= 2 * sigma_0)]  # NaN is neither
        if progress:
            progress(len(y) - len(active), len(y))
    f, sigma = residual(y)
    trajectories = tuple(torch.stack(states) for states in kept)
    return Samples((y - f).cpu(), steps, sigma.flatten().cpu(), converged, tuple(seeds), trajectories)


def probability_flow(
    denoiser: Denoiser,
    seeds: Sequence[int],
    mean: Tensor,
    *,
    step: float = 0.05,
    sigma_0: float = 1.0,
    sigma_end: float = 0.1,
    chunk: int | None = None,
) -> Samples:
    """Deterministic variant: dy / d log(sigma) = f(y), integrated by Euler with one step size in log(sigma).

    The level is the denoiser's own, as in `sample`: an image stops when |f(y)| / sqrt(n) <= sigma_end.
    """
    y, _ = starts(seeds, mean, sigma_0)
    residual = in_chunks(denoiser, chunk)
    active = torch.arange(len(y))
    steps, converged = torch.zeros(len(y), dtype=torch.int64), torch.zeros(len(y), dtype=torch.bool)
    # four times the steps that an ideal denoiser needs
    for _ in range(4 * math.ceil(math.log(sigma_0 / sigma_end) / step)):
        f, sigma = residual(y[active])
        level = sigma.flatten().cpu()
        converged[active[level <= sigma_end]] = True
        moving = (level > sigma_end) & (level <= 2 * sigma_0)
        active, f = active[moving], f[moving]
        if not len(active):
            break
        y[active] = y[active] - step * f
        steps[active] += 1
    f, sigma = residual(y)
    return Samples((y - f).cpu(), steps, sigma.flatten().cpu(), converged, tuple(seeds))


def falling_levels(first: float = 1.0, last: float = 0.02, count: int = 40, rho: float = 7.0) -> tuple[float, ...]:
    """Noise levels from `first` to `last` whose roots of order `rho` are evenly spaced (Karras et al. 2022, eq. 5)."""
    begin, end = first ** (1 / rho), last ** (1 / rho)
    return tuple((begin + k / (count - 1) * (end - begin)) ** rho for k in range(count))


def heun(
    denoiser: Denoiser,
    seeds: Sequence[int],
    mean: Tensor,
    *,
    sigmas: Sequence[float] | None = None,
    order: int = 2,
    chunk: int | None = None,
) -> Samples:
    """Implements Algorithm 1 of Karras et al. (2022) for sigma(t) = t: dy / d sigma = f(y) / sigma.

    `order` 1 is Euler. `sigmas` falls from the start to the last level (default: `falling_levels`); one denoising ends
    the run. An image has converged where the denoiser saw the noise that it started from, within a factor of two, and
    ended with finite pixels: one that takes noise for an image would hand back the noise, alike for every such one.
    """
    sigmas = falling_levels() if sigmas is None else sigmas
    if order not in (1, 2) or any(a <= b for a, b in itertools.pairwise(sigmas)) or sigmas[-1] <= 0:
        raise InputError(f"heun: order {order} and levels {sigmas}, expected order 1 or 2 and falling positive levels")
    y, _ = starts(seeds, mean, sigmas[0])
    residual = in_chunks(denoiser, chunk)
    seen = torch.zeros(len(y))
    for now, after in itertools.pairwise(sigmas):
        f, level = residual(y)
        seen = level.flatten().cpu() if now == sigmas[0] else seen
        slope = f / now
        ahead = y + (after - now) * slope
        if order == 2:
            slope = (slope + residual(ahead)[0] / after) / 2
        y = y + (after - now) * slope
    f, sigma = residual(y)
    steps = torch.full((len(y),), len(sigmas) - 1)
    told = (seen >= sigmas[0] / 2) & (seen <= 2 * sigmas[0]) & torch.isfinite(sigma.flatten()).cpu()
    return Samples((y - f).cpu(), steps, sigma.flatten().cpu(), told, tuple(seeds))


def start_mean(start: str, group: Tensor, everything: Tensor | None = None) -> Tensor:
    """Where the noise is centred: the `group`'s mean image (published), one `shared` mean, or `none` (zeros).

    `group` and `everything` are (n, c, h, w); the means are taken in float64.
    """
    if start == "none":
        return torch.zeros_like(group[0])
    source = group if start == "group" else everything
    if start not in ("group", "shared") or source is None:
        raise InputError(f"start: got {start!r}, expected group, shared (with the images of both groups) or none")
    return source.mean(dim=0, dtype=torch.float64).to(source.dtype)
