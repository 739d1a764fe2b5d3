import math
from typing import Any

import pytest
import torch

from core.errors import InputError
from core.random_features import learn
from core.schedule import generator

D, P, N, H = 3, 40, 6, 0.2
ARGUMENTS: dict[str, Any] = {"d": D, "p": P, "n": N, "times": torch.ones(1), "h": H}


def test_losses_by_simulation() -> None:
    """Gradient flow by small steps on drawn noise, against the closed form."""
    times = torch.tensor([0.0, 3.0, 60.0])
    found = learn(D, P, N, times, h=H, seed=1)
    source = generator("cpu", 1, "random features", D, P)
    w = torch.randn(P, D, dtype=torch.float64, generator=source) / math.sqrt(D)
    b = 2 * math.pi * torch.rand(P, dtype=torch.float64, generator=source)
    x = torch.randn(N, D, dtype=torch.float64, generator=generator("cpu", 1, "training points", D, N))
    draw = torch.Generator().manual_seed(0)

    def features(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        noise = torch.randn(points.shape, dtype=torch.float64, generator=draw)
        z = math.sqrt(1 - H) * points + math.sqrt(H) * noise
        return math.sqrt(2 / P) * torch.cos(z @ w.T + b), noise

    phi, noise = features(x.repeat(20_000, 1))
    second, cross = phi.T @ phi / len(phi), noise.T @ phi / len(phi)
    fresh, target = features(torch.randn(120_000, D, dtype=torch.float64, generator=draw))
    a, step = torch.zeros(D, P, dtype=torch.float64), 0.02
    for k in range(round(60 / step) + 1):
        for index, time in enumerate(times.tolist()):
            if k == round(time / step):
                train = (noise - phi @ a.T).square().sum(1).mean() / D
                test = (target - fresh @ a.T).square().sum(1).mean() / D
                assert float(found.train[index]) == pytest.approx(float(train), abs=0.02)
                assert float(found.test[index]) == pytest.approx(float(test), abs=0.03)
        a = a + step * (cross - a @ second)


def test_training_loss_falls_and_test_loss_turns() -> None:
    found = learn(16, 256, 32, torch.logspace(0, 7, 40), h=0.1)
    assert bool((found.train.diff() <= 1e-9).all())
    assert float(found.test[-1]) > float(found.test.min()) + 0.1
    assert float(found.train[-1]) < 0.9 * 0.9 < 0.9 < float(found.test.min())
    assert bool((found.eigenvalues.diff() >= 0).all())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"h": 1.2}, "h: found 1.2; expected the share of noise, between 0 and 1"),
        ({"h": 0.0}, "h: found 0.0"),
        ({"h": math.nan}, "h: found nan"),
        ({"n": 0}, "n: found 0; expected a positive number"),
        ({"p": -1}, "p: found -1"),
        ({"scale": 0.0}, "scale: found 0.0"),
        ({"times": torch.tensor([1.0, -1.0])}, "times: found"),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        learn(**(ARGUMENTS | changes))
