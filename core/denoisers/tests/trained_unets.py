"""Small networks of diffusers trained on drawn images, and saved as pipelines with the images as pictures."""

import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from core.denoisers.tests.small_unets import diffusers, saved, small_unet

SIDE = 8
STEPS, LEARNING_RATE, BATCH = 1000, 3e-3, 64


def drawn(n: int, seed: int) -> Tensor:
    """Smooth images (n, 1, 8, 8) of light and dark patches, which no Gaussian describes, in [0.05, 0.95]."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.randn(n, 1, 4, 4, generator=g)
    smooth = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear", align_corners=True)
    return torch.sigmoid(6 * smooth) * 0.9 + 0.05


def folder(path: Path, images: Tensor, prefix: str = "") -> Path:
    """The images as pictures of a new folder."""
    path.mkdir()
    for k, image in enumerate((images[:, 0] * 255).round().byte().numpy()):
        Image.fromarray(image).save(path / f"{prefix}{k:04d}.png")
    return path


def trained(path: Path, images: Tensor, *, updates: int, seed: int) -> Path:
    """A pipeline of a UNet2DModel that predicts v, trained on the images in [-1, 1] as `diffusers` has it."""
    plain = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    network = small_unet(seed, sample_size=SIDE, **plain).train().requires_grad_(True)
    schedule = diffusers.DDPMScheduler(STEPS, prediction_type="v_prediction", beta_schedule="squaredcos_cap_v2")
    g, clean = torch.Generator().manual_seed(seed), 2 * images - 1
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    for k in range(updates):
        optimiser.param_groups[0]["lr"] = (
            LEARNING_RATE * min(1, (k + 1) / 50) * (1 + math.cos(math.pi * k / updates)) / 2
        )
        some = clean[torch.randint(len(clean), (BATCH,), generator=g)]
        time = torch.randint(STEPS, (BATCH,), generator=g)
        noise = torch.randn(some.shape, generator=g)
        noisy, velocity = (method(some, noise, time) for method in (schedule.add_noise, schedule.get_velocity))
        loss = (network(noisy, time, return_dict=False)[0] - velocity).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return saved(path, network.eval(), schedule)
