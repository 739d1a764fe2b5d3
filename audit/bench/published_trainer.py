"""The published trainer and sampler, written again plainly: what the project's own are timed against.

After `main.py`, `trainer.py` and `algorithm_inv_prob.py` of Kadkhodaie et al. (2024): the set is tiled to its
repetitions and shuffled by a DataLoader, loss and PSNR are read back at every step, and one image is sampled at a
time. The normalisation is written as there, by elementary operations.
"""

import math
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from core.denoisers.unet import BiasFreeNorm, UNet


class PlainNorm(nn.Module):
    """The published normalisation, operation by operation."""

    running_sd: Tensor

    def __init__(self, norm: BiasFreeNorm) -> None:
        super().__init__()
        self.gammas = nn.Parameter(norm.gammas.detach().clone())
        self.register_buffer("running_sd", norm.running_sd.clone())

    def forward(self, x: Tensor) -> Tensor:
        sd = torch.sqrt(x.var(dim=(0, 2, 3), keepdim=True, unbiased=False) + 1e-05)
        if self.training:
            x = x / sd.expand_as(x)
            with torch.no_grad():
                self.running_sd.copy_((1 - 0.1) * self.running_sd.data + 0.1 * sd)
        else:
            x = x / self.running_sd.expand_as(x)
        return x * self.gammas.expand_as(x)


def plain_network(model: UNet) -> UNet:
    """`model`, its normalisations replaced by plain ones with the same values."""
    for name, module in list(model.named_modules()):
        if isinstance(module, BiasFreeNorm):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, PlainNorm(module))
    return model


def train_epochs(
    model: nn.Module, images: Tensor, *, total: int, batch: int, epochs: int, device: str
) -> tuple[list[float], float]:
    """`epochs` epochs of the published loop over `images` tiled to about `total`.

    Returns the mean loss of each, and the seconds of the last.
    """
    tiled = torch.tile(images, (max(1, total // len(images)), 1, 1, 1))
    loader: Any = DataLoader(tiled, batch_size=batch, shuffle=True, num_workers=2)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = nn.MSELoss(reduction="sum")
    means = []
    seconds = 0.0
    for _ in range(epochs):
        began = time.perf_counter()
        model.train()
        total_loss = total_psnr = 0.0
        for clean in loader:
            optimizer.zero_grad()
            clean = clean.to(device)
            sigma = torch.rand((len(clean), 1, 1, 1), device=device)
            noise = torch.randn(clean.size(), device=device) * sigma
            noisy = noise + clean
            output = model(noisy)
            loss = criterion(output, noise) / len(clean)
            mse = ((noisy - output - clean) ** 2).mean(dim=(1, 2, 3))
            psnr = (-10 * torch.log10(mse)).mean()
            loss.backward()
            optimizer.step()
            total_loss += loss.item()
            total_psnr += psnr.item()
        means.append(total_loss / len(loader))
        seconds = time.perf_counter() - began
    return means, seconds


@torch.no_grad()
def sample_one(model: nn.Module, seed: int, mean: Tensor, *, h0: float = 0.01, beta: float = 0.1) -> tuple[Tensor, int]:
    """One image (1, c, h, w) by the published loop, and its steps."""
    torch.manual_seed(seed)
    n = mean.numel()
    y = torch.normal(mean, 1.0).unsqueeze(0)
    f_y = model(y)
    sigma = torch.norm(f_y) / math.sqrt(n)
    sigmas, means = [sigma.item()], [y.mean().item()]
    t = 1
    while sigma > 0.1:
        h = h0 * t / (1 + (h0 * (t - 1)))
        f_y = model(y)
        sigma = torch.norm(f_y) / math.sqrt(n)
        sigmas.append(sigma.item())
        gamma = sigma * math.sqrt((1 - beta * h) ** 2 - (1 - h) ** 2)
        noise = torch.randn(mean.shape, device=mean.device)
        y = y - h * f_y + gamma * noise
        means.append(y.mean().item())
        t += 1
        if sigma > 2:
            break
    return y - model(y), t - 1
