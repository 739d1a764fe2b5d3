"""The derivative written out is that of autograd, bit by bit."""

import pytest
import torch
from torch import Tensor

from core.denoisers.gradient import Gradient, by_autograd, by_hand
from core.denoisers.unet import UNet

pytestmark = pytest.mark.usefixtures("one_thread")


def steps_of(network: UNet, gradient: Gradient, *, batch: int, size: int, parts: int) -> list[Tensor]:
    """What three steps of Adam leave: squared errors, derivatives, weights and running deviations."""
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, fused=True)
    source = torch.Generator().manual_seed(2)
    left = []
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(parts):
            clean = torch.rand((batch, network.in_channels, size, size), generator=source)
            noise = torch.randn(clean.shape, generator=source)
            left.append(gradient(clean + noise, noise, 1 / batch))
        left += [p.grad.clone() for p in network.parameters() if p.grad is not None]
        optimizer.step()
    return [*left, *network.state_dict().values()]


def network(base: int, blocks: int, channels: int, *, last: bool) -> UNet:
    made = UNet(base, blocks, channels, generator=torch.Generator().manual_seed(1))
    return made.to(memory_format=torch.channels_last) if last else made  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize(
    ("base", "blocks", "channels", "size", "batch", "parts"),
    [(16, 2, 1, 20, 16, 1), (8, 2, 1, 12, 16, 1), (4, 1, 3, 8, 5, 2), (4, 3, 1, 16, 1, 3), (8, 1, 1, 6, 2, 1)],
)
def test_it_is_that_of_autograd(
    base: int, blocks: int, channels: int, size: int, batch: int, parts: int, last: bool
) -> None:
    nets = [network(base, blocks, channels, last=last) for _ in range(2)]
    ways = [by_autograd(nets[0]), by_hand(nets[1])]
    expected, found = (
        steps_of(net, way, batch=batch, size=size, parts=parts) for net, way in zip(nets, ways, strict=True)
    )
    assert len(found) == len(expected) > 3 * (len(list(nets[0].parameters())) + parts)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_nothing_of_a_step_is_kept_but_the_derivatives() -> None:
    net = network(4, 2, 1, last=True).train()
    gradient = by_hand(net)
    errors = gradient(torch.rand(2, 1, 8, 8), torch.randn(2, 1, 8, 8), 0.5)
    assert not errors.requires_grad
    assert all(p.grad is not None and not p.grad.requires_grad and p.grad_fn is None for p in net.parameters())
