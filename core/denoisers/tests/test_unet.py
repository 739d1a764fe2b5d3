"""The network against an independent functional form, and the loading of published states."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from core.denoisers.unet import BiasFreeNorm, UNet, architecture, denoise, load_published, parameter_count
from core.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPES = [(64, 3, 1, 40), (16, 2, 1, 20), (8, 1, 3, 6)]


def reference(state: dict[str, Tensor], y: Tensor, blocks: int, training: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """The published network written as a function of its state; returns the output and the new deviations."""
    running = {}

    def norm(x: Tensor, name: str) -> Tensor:
        if training:
            mean = x.mean(dim=(0, 2, 3))
            sd = torch.sqrt(((x - mean.view(1, -1, 1, 1)) ** 2).mean(dim=(0, 2, 3)) + 1e-5).view(1, -1, 1, 1)
            running[f"{name}.running_sd"] = 0.9 * state[f"{name}.running_sd"] + 0.1 * sd
        else:
            sd = state[f"{name}.running_sd"]
        return x / sd.expand_as(x) * state[f"{name}.gammas"].expand_as(x)

    def conv(x: Tensor, name: str) -> Tensor:
        return functional.conv2d(x, state[f"{name}.weight"], padding=1)

    def twice(x: Tensor, block: str) -> Tensor:
        x = functional.relu(norm(conv(x, f"{block}.0"), f"{block}.1"))
        return functional.relu(norm(conv(x, f"{block}.3"), f"{block}.4"))

    x = functional.relu(conv(y, "encoder.0.0"))
    skips = [functional.relu(norm(conv(x, "encoder.0.2"), "encoder.0.3"))]
    for b in range(1, blocks):
        skips.append(twice(functional.avg_pool2d(skips[-1], 2), f"encoder.{b}"))
    x = twice(functional.avg_pool2d(skips[-1], 2), "mid_block")
    for b in range(blocks - 1, -1, -1):
        up = functional.conv_transpose2d(x, state[f"upsample.{b}.weight"], stride=2)
        x = torch.cat([up, skips[b]], dim=1)
        if b:
            x = twice(x, f"decoder.{b}")
    x = functional.relu(norm(conv(x, "decoder.0.0"), "decoder.0.1"))
    return conv(x, "decoder.0.3"), running


def network(base: int = 8, blocks: int = 2, channels: int = 1, seed: int = 0) -> UNet:
    model = UNet(base, blocks, channels, generator=torch.Generator().manual_seed(seed))
    source = torch.Generator().manual_seed(seed + 1)
    for name, value in model.state_dict().items():  # gammas and deviations away from their start
        if name.endswith("gammas"):
            value.uniform_(0.5, 1.5, generator=source)
        elif name.endswith("running_sd"):
            value.uniform_(0.5, 2.0, generator=source)
    return model


def noisy(count: int, channels: int, size: int) -> Tensor:
    return torch.randn((count, channels, size, size), generator=torch.Generator().manual_seed(2)) + 0.5


@pytest.mark.parametrize(("base", "blocks", "channels", "size"), SHAPES)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_equals_the_independent_form(
    base: int, blocks: int, channels: int, size: int, channels_last: bool, training: bool
) -> None:
    model = network(base, blocks, channels).train(training)
    before = copy.deepcopy(model.state_dict())
    if channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    y = noisy(4, channels, size)
    expected, running = reference(before, y, blocks, training)
    with torch.no_grad():
        found = model(y)
    # channels_last convolutions add up to 9 x 512 products in one chain, so their float32 rounding is larger
    tolerance = 4e-6 if channels_last else 1e-6
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()
    for name, value in running.items():
        assert torch.allclose(model.state_dict()[name], value, rtol=1e-6, atol=1e-7), name


def slope(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def test_gradients_equal_those_of_the_independent_form() -> None:
    model = network().double().train()
    state = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in model.state_dict().items()}
    y = noisy(3, 1, 12).double()
    reference(state, y, 2, True)[0].square().sum().backward()
    model(y).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(slope(parameter), slope(state[name]), rtol=1e-9, atol=1e-9), name


def test_the_normalisation_passes_gradcheck() -> None:
    layer = BiasFreeNorm(3, torch.Generator().manual_seed(0)).double().train()
    x = (torch.randn(2, 3, 4, 5, dtype=torch.float64) * 2 + 3).requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradcheck(
        lambda gammas: torch.func.functional_call(layer, {"gammas": gammas}, (x,)), layer.gammas
    )


def test_parameter_counts() -> None:
    assert parameter_count(UNet()) == 7_659_264
    assert parameter_count(UNet(16, 2)) == 114_496


def test_initial_values() -> None:
    model = UNet(generator=torch.Generator().manual_seed(3))
    gammas = torch.cat([p.flatten() for n, p in model.named_parameters() if n.endswith("gammas")])
    assert gammas.abs().max() <= 0.025
    assert 0.9 < gammas.std() / (2 / (9 * 64)) < 1.1
    for name, p in model.named_parameters():
        if name.endswith("weight") and p.numel() > 5000:
            fan_in = p.shape[1] * p.shape[2] * p.shape[3]
            assert 0.9 < p.std() / (2 / fan_in) ** 0.5 < 1.1, name
    assert all((b == 1).all() for b in model.buffers())
    again = UNet(generator=torch.Generator().manual_seed(3)).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 2**31))
def test_homogeneous_in_evaluation(scale: float, seed: int) -> None:
    model = network(4, 1, seed=seed % 7).eval()
    y = torch.randn((2, 1, 8, 8), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        assert torch.allclose(model(scale * y), scale * model(y), rtol=1e-4, atol=1e-5 * scale)


def test_denoised_is_input_minus_output() -> None:
    model, y = network().eval(), noisy(2, 1, 8)
    assert torch.equal(denoise(model, y), y - model(y))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_names_load(prefix: str) -> None:
    saved = network(8, 2, seed=5).eval()
    model = network(8, 2, seed=6).eval()
    state = {prefix + name: value for name, value in saved.state_dict().items()}
    assert architecture(state) == {"base_channels": 8, "blocks": 2, "in_channels": 1}
    load_published(model, state)
    y = noisy(2, 1, 12)
    assert torch.equal(model(y), saved(y))


def test_published_names_are_these() -> None:
    names = set(UNet(2, 3).state_dict())
    assert {
        "encoder.0.0.weight", "encoder.0.2.weight", "encoder.0.3.gammas", "encoder.0.3.running_sd",
        "encoder.2.4.running_sd", "mid_block.0.weight", "mid_block.4.gammas", "upsample.2.weight",
        "decoder.2.0.weight", "decoder.0.1.gammas", "decoder.0.3.weight",
    } <= names  # fmt: skip
    assert not any("bias" in name for name in names)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("mid_block.0.weight"), "mid_block.0.weight is missing"),
        (lambda s: s.update({"encoder.0.0.bias": torch.zeros(8)}), "encoder.0.0.bias is not part"),
        (lambda s: s.update({"mid_block.0.weight": torch.zeros(2, 2)}), r"mid_block.0.weight has shape \(2, 2\)"),
        (lambda s: s.update({"decoder.0.3.weight": s["decoder.0.3.weight"] * float("nan")}), "not finite"),
        (lambda s: s.update({"decoder.0.3.weight": 3}), "decoder.0.3.weight has shape int"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change: Callable[[dict[str, Any]], Any], says: str) -> None:
    state: dict[str, Any] = dict(network().state_dict())
    change(state)
    with pytest.raises(InputError, match=f"file.pt: .*{says}"):
        load_published(network(), state, source="file.pt")


def test_a_state_of_something_else_has_no_architecture() -> None:
    with pytest.raises(InputError, match=r"encoder.0.0.weight is missing"):
        architecture({"conv.weight": torch.zeros(1)})


@pytest.mark.parametrize("shape", [(1, 1, 10, 12), (1, 2, 8, 8), (1, 8, 8)])
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected images of shape \(b, 1, h, w\)"):
        network()(torch.zeros(shape))
