"""Small networks of diffusers with random weights, alone and as saved pipelines."""

import importlib
from pathlib import Path
from typing import Any

import torch

from core.packages import import_torchvision

import_torchvision()  # diffusers imports it
diffusers: Any = importlib.import_module("diffusers")

SHAPE = (1, 16, 16)


def small_unet(seed: int = 0, **changes: Any) -> Any:
    """A UNet2DModel with one attention block, 0.18 million random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        options: dict[str, Any] = {
            "sample_size": 16,
            "in_channels": 1,
            "out_channels": 1,
            "block_out_channels": (16, 32),
            "layers_per_block": 1,
            "norm_num_groups": 8,
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        }
        return diffusers.UNet2DModel(**options | changes).eval().requires_grad_(False)


def saved(folder: Path, unet: Any, scheduler: Any) -> Path:
    """The folder of a pipeline of both, as diffusers writes it."""
    diffusers.DDPMPipeline(unet, scheduler).save_pretrained(str(folder))
    return folder
