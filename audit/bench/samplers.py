"""Holds `core.denoisers.samplers` against k-diffusion's and EDM's own code on one denoiser.

`python -m audit.bench.samplers --k-diffusion DIR --edm DIR`: the folder of the installed package `k_diffusion` (with
torchsde and torchdiffeq beside it), and a checkout of NVlabs/edm. Their code is run as it is; it is not a dependency of
the tests, since k-diffusion asks for a dozen packages that have nothing to do with its samplers.
"""

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from core.denoisers.protocol import Told
from core.denoisers.samplers import sample_ddim, sample_dpm_solver, sample_heun
from core.denoisers.sampling import falling_levels, noises
from core.packages import import_torchvision

SHAPE = (3, 8, 8)
LEVELS = falling_levels(80.0, 0.002, 18)
TOLERANCE = 1e-5


def curved(x: Tensor, sigma: Tensor) -> Tensor:
    """The posterior mean of an even mixture of two Gaussians of deviation 0.3 about -0.5 and 0.5, a pixel."""
    level = sigma.reshape(-1, 1, 1, 1).to(x.dtype)
    variance = 0.09 + level.square()
    centre = 0.5 * torch.tanh(0.5 * x / variance)
    return centre + 0.09 / variance * (x - centre)


def peers_of_k_diffusion(folder: Path, x: Tensor) -> dict[str, Tensor]:
    """Images of k-diffusion's three samplers, by the name of ours."""
    import_torchvision()
    package = ModuleType("k_diffusion")  # its own __init__ imports what evaluates and trains
    package.__path__ = [str(folder)]
    sys.modules["k_diffusion"] = package
    sampling = importlib.import_module("k_diffusion.sampling")
    levels = sampling.append_zero(torch.tensor(LEVELS, dtype=x.dtype))
    theirs = {"heun": sampling.sample_heun, "ddim": sampling.sample_euler, "dpm-solver++": sampling.sample_dpmpp_2m}
    return {name: sampler(curved, x, levels, disable=True) for name, sampler in theirs.items()}


class _Network:
    """What EDM's sampler asks of a network."""

    sigma_min, sigma_max = 0.0, float("inf")

    def __call__(self, x: Tensor, sigma: Tensor, labels: None = None) -> Tensor:
        return curved(x, sigma.expand(len(x)))

    @staticmethod
    def round_sigma(sigma: Tensor) -> Tensor:
        """No rounding: the network knows every level."""
        return sigma


def peer_of_edm(checkout: Path, x: Tensor) -> Tensor:
    """Images of EDM's sampler without churn, from the same noise."""
    sys.path.insert(0, str(checkout))
    sampler: Callable[..., Any] = importlib.import_module("generate").edm_sampler
    options = {"num_steps": len(LEVELS), "sigma_min": LEVELS[-1], "sigma_max": LEVELS[0], "rho": 7}
    return sampler(_Network(), x / LEVELS[0], **options)


def main() -> int:
    """Prints the largest difference from each peer; 1 where one is above the tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--k-diffusion", type=Path)
    parser.add_argument("--edm", type=Path)
    chosen = parser.parse_args()
    denoiser = Told(curved, shape=SHAPE, data_range=(-1.0, 1.0), sigma_min=LEVELS[-1], sigma_max=LEVELS[0])
    x = LEVELS[0] * noises(range(4), SHAPE).double()
    ours = {
        "heun": sample_heun(denoiser, x, LEVELS),
        "ddim": sample_ddim(denoiser, x, LEVELS),
        "dpm-solver++": sample_dpm_solver(denoiser, x, LEVELS),
    }
    theirs: list[tuple[str, str, Tensor]] = []
    if chosen.k_diffusion:
        theirs += [
            ("k-diffusion", name, images) for name, images in peers_of_k_diffusion(chosen.k_diffusion, x).items()
        ]
    if chosen.edm:
        theirs.append(("EDM", "heun", peer_of_edm(chosen.edm, x)))
    worst = 0.0
    for peer, name, images in theirs:
        difference = float((ours[name] - images).abs().max())
        worst = max(worst, difference)
        print(f"{peer:12} {name:13} {difference:.1e}")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
