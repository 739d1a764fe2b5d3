"""The network of Topeza (2025), section 4.1: its size, and the proof that it adds no constant."""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.denoisers.unet import BiasFreeNorm, UNet, parameter_count

ROUNDING = 2.0**-24  # unit roundoff of float32


def network_structure(model: UNet) -> dict[str, int]:
    """Parameters, blocks and kernel size of a network, which T 4.1 states."""
    (side,) = {side for m in model.modules() if isinstance(m, nn.Conv2d) for side in m.kernel_size}
    return {
        "parameters": parameter_count(model),
        "encoder_blocks": len(model.encoder),
        "decoder_blocks": len(model.decoder),
        "kernel": side,
    }


def described_parameters(width: int = 64, blocks: int = 3) -> int:
    """Parameters counted by hand: kernels, and one factor a channel of every normalisation of the published code."""
    channels = [width * 2**b for b in range(blocks + 1)]
    total = 9 * width + 9 * width * width + width  # the first block normalises only its second convolution
    for narrow, wide in itertools.pairwise(channels):
        total += 9 * narrow * wide + 9 * wide * wide + 2 * wide  # down, or the middle
        total += 4 * wide * narrow + 9 * wide * narrow  # up, and the convolution after the concatenation
        total += narrow + (9 * narrow * narrow + narrow if narrow > width else 9 * narrow)
    return total


def random_network(seed: int) -> UNet:
    """Random weights, with factors and deviations of the size that training gives them."""
    source = torch.Generator().manual_seed(seed)
    model = UNet(16, 2, generator=source).eval()
    for module in model.modules():
        if isinstance(module, BiasFreeNorm):
            module.gammas.data.uniform_(0.2, 1.5, generator=source)
            module.running_sd.uniform_(0.5, 2.0, generator=source)
    return model


@torch.no_grad()
def rounding_bound(model: UNet, y: Tensor, start: float) -> Tensor:
    """Proven bound on the float32 error of every output, for inputs exact to `start` |y|; evaluated in float64.

    A sum of n products is off by at most n u / (1 - n u) times the sum of their magnitudes, in any order (Higham,
    2002, section 3.1); the error that comes in passes through the magnitudes of the weights.
    """

    def gamma(n: int) -> float:
        return n * ROUNDING / (1 - n * ROUNDING)

    def through(layer: nn.Module, x: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(layer, nn.Sequential):
            for part in layer:
                x, e = through(part, x, e)
            return x, e
        if isinstance(layer, nn.ReLU):
            return x.relu(), e
        if isinstance(layer, BiasFreeNorm):
            factor = (layer.gammas / layer.running_sd).double()  # rounded once, the same for every input
            return x * factor, e * factor.abs() + ROUNDING * (x.abs() + e) * factor.abs()
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        weight = layer.weight.double()
        apply = functional.conv2d if isinstance(layer, nn.Conv2d) else functional.conv_transpose2d
        place: dict[str, Any] = {"stride": layer.stride, "padding": layer.padding}
        terms = layer.in_channels * (9 if isinstance(layer, nn.Conv2d) else 1)
        size = apply(x.abs() + e, weight.abs(), **place)
        return apply(x, weight, **place), apply(e, weight.abs(), **place) + gamma(terms) * size

    x, e = y.double(), start * y.double().abs()
    skips = []
    for b in range(model.blocks):
        x, e = through(model.encoder[str(b)], x, e)
        skips.append((x, e))
        x, e = (functional.avg_pool2d(t, 2) for t in (x, e + gamma(4) * (x.abs() + e)))
    x, e = through(model.mid_block, x, e)
    for b in reversed(range(model.blocks)):
        x, e = through(model.upsample[str(b)], x, e)
        x, e = (torch.cat(pair, dim=1) for pair in zip((x, e), skips[b], strict=True))
        x, e = through(model.decoder[str(b)], x, e)
    return e


@torch.no_grad()
def scaling_errors(build: Callable[[int], UNet], networks: int = 5) -> dict[str, float]:
    """Additive constants, and the largest error of f(a y) = a f(y) over `networks` and scales of several decades.

    The bound is that of the network as described: `build` may give one that has something added to it.
    """
    constants, exact, relative = 0, 0.0, 0.0
    for seed in range(networks):
        model, described = build(seed), random_network(seed)
        y = torch.randn((2, 1, 20, 20), generator=torch.Generator().manual_seed(1000 + seed)) + 0.5
        constants += sum(p.numel() for name, p in model.named_parameters() if name.endswith("bias"))
        constants += int((model(torch.zeros_like(y)) != 0).sum())
        output, bound = model(y), rounding_bound(described, y, 0.0)
        for power in (-12, -3, 1, 10):
            exact = max(exact, float((model(2.0**power * y) - 2.0**power * output).abs().max()))
        for a in (1e-4, 1e-2, 0.3, 7.0, 1e2, 1e4):
            error = (model((a * y.double()).float()).double() - a * output.double()).abs()
            allowed = rounding_bound(described, a * y.double(), ROUNDING) + a * bound
            relative = max(relative, float((error / allowed).max()))
    return {"additive_constants": constants, "error_for_powers_of_two": exact, "error_over_rounding_bound": relative}


def in_double(seed: int) -> UNet:
    """The network in float64, its factors gamma / sd rounded to float32 as the float32 network uses them."""
    model = random_network(seed)
    for module in model.modules():
        if isinstance(module, BiasFreeNorm):
            module.gammas.data = module.gammas.data / module.running_sd
            module.running_sd.fill_(1.0)
    return model.double()
