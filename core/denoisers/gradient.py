"""The squared denoising error of a UNet in training and its derivative: by autograd, or written out.

What is written out is what autograd does, without its record of every operation and its graph: the same values bit by
bit, as the tests hold. It is for small networks on a processor, where that record takes a good part of a step.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.denoisers.unet import MOMENTUM, BiasFreeNorm, UNet, derivative_of_scaled, mean_and_deviation

Gradient = Callable[[Tensor, Tensor, float], Tensor]
"""Noisy images, their noise (b, c, h, w) and a weight -> squared errors of the predicted noise, summed over pixels:
(b,). The derivative of weight times their sum is added to `grad` of every parameter."""

_aten = torch.ops.aten
_CONVOLUTION, _NORM, _RELU = range(3)
_Layer = tuple[int, Any, Any]  # kind, weight or factors, running deviation
_Done = tuple[int, Any, Tensor, Any, Any]  # kind, weight or factors, input (of a rectifier: output), mean, deviation


def prediction_errors(network: Callable[[Tensor], Tensor], noisy: Tensor, noise: Tensor) -> Tensor:
    """Squared errors (b,) of the noise that a network predicts, summed over pixels, in float32."""
    return (network(noisy) - noise).float().square().sum(dim=(1, 2, 3))


def by_autograd(network: nn.Module, backward: Callable[[Tensor], Any] = Tensor.backward) -> Gradient:
    """The derivative by autograd, for any network and device; `backward` is called with what is derived."""

    def gradient(noisy: Tensor, noise: Tensor, weight: float) -> Tensor:
        errors = prediction_errors(network, noisy, noise)
        backward(errors.sum() * weight)
        return errors.detach()

    return gradient


def by_hand(network: UNet) -> Gradient:
    """The derivative written out, for a `UNet` in training whose parameters are float32, all of them trained."""
    blocks = range(network.blocks)
    encoder, decoder = ([_listed(part[str(b)]) for b in blocks] for part in (network.encoder, network.decoder))
    middle = _listed(network.mid_block)
    upsample: list[Any] = [network.upsample[str(b)].weight for b in blocks]
    first = encoder[0][0][1]  # whose input needs no derivative

    @torch.no_grad()
    def gradient(noisy: Tensor, noise: Tensor, weight: float) -> Tensor:
        x, skips, raised = noisy, [], []
        down: list[list[_Done]] = [[] for _ in blocks]
        up: list[list[_Done]] = [[] for _ in blocks]
        through: list[_Done] = []
        for b in blocks:
            x = _forward(encoder[b], x, down[b])
            skips.append(x)
            x = functional.avg_pool2d(x, 2)
        x = _forward(middle, x, through)
        for b in reversed(blocks):
            raised.append(x)
            x = torch.cat([functional.conv_transpose2d(x, upsample[b], stride=2), skips[b]], dim=1)
            x = _forward(decoder[b], x, up[b])
        difference = x - noise
        errors = difference.square().sum(dim=(1, 2, 3))
        slope = difference.mul_(2).mul_(weight)
        of_skips = []
        for b in blocks:
            slope = _backward(up[b], slope)
            channels = upsample[b].shape[1]
            of_skips.append(slope[:, channels:])
            slope = _of_convolution(slope[:, :channels], raised.pop(), upsample[b], stride=2)
        slope = _backward(through, slope)
        for b in reversed(blocks):
            slope = _aten.avg_pool2d_backward(slope, skips.pop(), [2, 2], [2, 2], [0, 0], False, True, None)
            slope = _backward(down[b], slope.add_(of_skips.pop()), first)
        return errors

    return gradient


def _listed(layers: nn.Module) -> list[_Layer]:
    """The layers of a sequence, each with what it computes with."""
    found: list[_Layer] = []
    for layer in layers.children():
        if isinstance(layer, nn.Conv2d):
            found.append((_CONVOLUTION, layer.weight, None))
        elif isinstance(layer, BiasFreeNorm):
            found.append((_NORM, layer.gammas, layer.running_sd))
        else:
            found.append((_RELU, None, None))
    return found


def _forward(layers: list[_Layer], x: Tensor, done: list[_Done]) -> Tensor:
    """The output of the layers; what their derivative needs is added to `done`."""
    for kind, weight, running in layers:
        if kind == _CONVOLUTION:
            done.append((kind, weight, x, None, None))
            x = functional.conv2d(x, weight, padding=1)
        elif kind == _NORM:
            mean, sd = mean_and_deviation(x)
            done.append((kind, weight, x, mean, sd))
            running.lerp_(sd.to(running.dtype), MOMENTUM)
            x = x * (weight / sd).to(x.dtype)
        else:
            x = x.relu_()
            done.append((kind, None, x, None, None))
    return x


def _backward(done: list[_Done], slope: Tensor, first: Tensor | None = None) -> Tensor:
    """The derivative by the input of what was done, which is forgotten on the way; `first` ends it."""
    while done:
        kind, weight, x, mean, sd = done.pop()
        if kind == _RELU:
            slope = _aten.threshold_backward(slope, x, 0)
        elif kind == _NORM:
            slope, factors = derivative_of_scaled(slope, x, weight, mean, sd)
            _add(weight, factors)
        else:
            slope = _of_convolution(slope, x, weight, padding=1, inputs=weight is not first)
    return slope


def _of_convolution(
    slope: Tensor, x: Tensor, weight: Tensor, *, padding: int = 0, stride: int = 1, inputs: bool = True
) -> Tensor:
    """The derivative by the input, that by the weight is added to it; with a stride the convolution is transposed."""
    pads, steps, transposed = [padding, padding], [stride, stride], stride > 1
    slope, of_weight, _ = _aten.convolution_backward(
        slope, x, weight, None, steps, pads, [1, 1], transposed, [0, 0], 1, [inputs, True, False]
    )
    _add(weight, of_weight)
    return slope


def _add(parameter: Tensor, slope: Tensor) -> None:
    """Autograd keeps the strides of the parameter, and so does this."""
    if parameter.grad is not None:
        parameter.grad.add_(slope)
    elif slope.stride() == parameter.stride():
        parameter.grad = slope
    else:
        parameter.grad = torch.empty_like(parameter).copy_(slope)
