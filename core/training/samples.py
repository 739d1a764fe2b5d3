"""Samples of stored models: the network as a denoiser, where its sampling starts, and the images kept in the store.

Every sampled image follows from the model, the image where its noise is centred, the seed, the sampler's options and
the device; these make the key under which it is kept.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from core.cache import cached
from core.denoisers.sampling import falling_levels, heun, sample, start_mean
from core.denoisers.unet import Denoiser, UNet, denoise
from core.errors import InputError
from core.tensors import tensor_sha256
from core.training.config import HeunConfig, SampleConfig
from core.training.runs import Record, RunStore

SAMPLER_VERSION = 1  # raised with a change of the code that changes samples
SAMPLES = "samples"  # folder of the store


class UnknownStart(InputError):
    """The image where the sampling of a model starts is not known, as its training images are not."""


def network_denoiser(model: UNet, device: str, *, channels_last: bool = False) -> Denoiser:
    """A network as a denoiser: it computes on the device, returns where its input lies, and learns no more.

    `channels_last` is the memory layout of the weights; it moves the last bits of what is computed.
    """
    model = model.to(device).requires_grad_(False)
    if channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return lambda y: denoise(model, y.to(device)).to(y.device)


def start_image(store: RunStore, record: Record, start: str, partner: Record | None = None) -> Tensor:
    """Where the noise of a stored model is centred, (c, h, w): see `start_mean` for what `start` means.

    Both groups have one size, so that the mean of all their images is the mean of the two means.

    Args:
        store: of the model.
        record: the model.
        start: `group`, `shared` or `none`.
        partner: the model of the other group, for `shared`.

    Raises:
        UnknownStart: if the training images of the model, or for `shared` those of its partner, are not known.
    """
    if start == "shared" and partner is None:
        raise UnknownStart(f"{record.name} has no other group of the same training in {store.root}")
    known = [store.mean(r) for r in (record, partner if start == "shared" else None) if r is not None]
    means = [mean for mean in known if mean is not None]
    if start == "none":
        config, channels = record.config, record.model["architecture"]["in_channels"] if record.model else 1
        side = config.image_size if config else (means[0].shape[-1] if means else 40)
        return torch.zeros(channels, side, side)
    if len(means) < len(known):
        raise UnknownStart(f"the training images of {record.name} are not known; use --start none")
    return start_mean(start, means[0][None], torch.stack(means))


def sampled(
    denoiser: Denoiser,
    mean: Tensor,
    seeds: Sequence[int],
    config: SampleConfig | HeunConfig,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Images by the sampler that the options are of, (seeds, c, h, w), not kept; NaN where a seed did not converge."""
    told = progress or (lambda done, total: None)
    told(0, len(seeds))
    if isinstance(config, HeunConfig):
        done = heun(denoiser, seeds, mean, sigmas=falling_levels(*config.to_dict().values()))
    else:
        done = sample(denoiser, seeds, mean, progress=told, **config.to_dict())
    told(len(seeds), len(seeds))
    return torch.where(done.converged[:, None, None, None], done.images, torch.nan)


def kept_samples(
    root: Path,
    model: str,
    denoiser: Callable[[], Denoiser],
    mean: Tensor,
    seeds: Sequence[int],
    config: SampleConfig | HeunConfig,
    *,
    device: str,
    start: object = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Samples of a model: from the store where they were made before, else made and kept now.

    Args:
        root: the store.
        model: what the store calls the model.
        denoiser: gives the model where samples are missing.
        mean: (c, h, w), where the noise is centred; its device is the one that holds the images meanwhile.
        seeds: one an image.
        config: options of the stochastic ascent, or of Heun's method.
        device: where the model computes.
        start: plain JSON that says which image `mean` is; by default its hash.
        progress: called with (images done, images in all) while samples are made.

    Returns:
        Images (seeds, c, h, w), not clipped; those of seeds that did not converge are NaN.
    """

    def make() -> dict[str, Tensor]:
        return {"images": sampled(denoiser(), mean, seeds, config, progress=progress)}

    options = {"heun": config.to_dict()} if isinstance(config, HeunConfig) else config.to_dict()
    key: dict[str, object] = {
        "model": model,
        "mean": tensor_sha256(mean) if start is None else start,
        "seeds": list(seeds),
        "sampler": [SAMPLER_VERSION, options, device],
    }
    return cached(root / SAMPLES, key, make)["images"]


def not_converged(images: Tensor, seeds: Sequence[int]) -> list[int]:
    """The seeds whose samples, (seeds, c, h, w), are NaN as they did not converge."""
    lost = images.isnan().flatten(1).any(1).tolist()
    return [seed for seed, missing in zip(seeds, lost, strict=True) if missing]


def converged(images: Tensor, what: str) -> Tensor:
    """The samples, if every seed gave one; RuntimeError if not, as what is compared seed by seed must be whole."""
    if lost := len(not_converged(images, range(len(images)))):
        raise RuntimeError(f"{what}: {lost} of {len(images)} seeds did not converge")
    return images
