import math
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import InputError
from core.seeds import generator
from core.theory.random_features import bulk, learn, levels

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


def test_variances_of_the_features_by_quadrature() -> None:
    """Parts of one feature's variance over clean points, noise and phases, against the closed form."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    phases = 2 * math.pi * (np.arange(64) + 0.5) / 64  # exact for products of cosines
    for h in (0.02, 0.1, 0.7):
        x, z, b = math.sqrt(1 - h) * nodes[:, None, None], math.sqrt(h) * nodes[None, :, None], phases
        phi = math.sqrt(2) * np.cos(x + z + b)
        clean = np.einsum("xzb,z->xb", phi, weights)  # its mean over the noise, for each clean point
        constant, linear = np.einsum("xb,x->b", clean, weights), np.einsum("xb,x->b", clean, weights * nodes)
        single = np.einsum("xb,x->b", clean**2, weights) - constant**2 - linear**2
        slope = np.einsum("xzb,z->xb", phi, weights * nodes)
        residual = np.einsum("xzb,z->xb", phi**2, weights) - clean**2 - slope**2
        v2, s2 = levels(h)
        assert v2 == pytest.approx(float(single.mean()), abs=1e-12)
        assert s2 == pytest.approx(float(np.einsum("xb,x->b", residual, weights).mean()), abs=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_spectrum_has_d_directions_of_the_data_and_n_in_all(seed: int) -> None:
    """The constant and d linear directions stand out; the rest of the n that points span lie about v^2 / n.

    At finite d the edges of the second group blur (quadratic features), its size and mean do not: within a tenth,
    twice what d / n = 1 / 6 moved the mean at other sizes.
    """
    d, p, n, h = 32, 1024, 192, 0.02
    values = learn(d, p, n, torch.ones(1), h=h, seed=seed).eigenvalues.flip(0)
    falls = (values[:-1] / values[1:]).log()
    assert set((falls[1:].topk(2).indices + 2).tolist()) == {d + 1, n}
    assert float(values[d + 1 : n].mean()) == pytest.approx(levels(h)[0] / n, rel=0.1)
    assert float(values[n:].max()) < bulk(p, n, h)[0] < float(values[d + 1 : n].mean()) < bulk(p, n, h)[1]


def test_bulk_is_that_of_points_without_structure() -> None:
    """Marchenko-Pastur edges against eigenvalues of v^2 G G^T / n + s^2, over p, with n points and p features."""
    p, n, h = 1200, 300, 0.1
    v2, s2 = levels(h)
    g = torch.randn(p, n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = (v2 * torch.linalg.eigvalsh(g.T @ g / n) + s2) / p
    low, high = bulk(p, n, h)
    assert float(values[0]) == pytest.approx(low, rel=0.05) and float(values[-1]) == pytest.approx(high, rel=0.05)


def test_a_feature_time_grows_in_proportion_in_the_middle_of_the_bulk() -> None:
    for n in (10, 100):
        low, high = bulk(10_000, n, 0.1)
        assert (math.sqrt(low) + math.sqrt(high)) ** 2 / 4 == pytest.approx(levels(0.1)[0] / n, rel=0.02)


def test_levels_of_no_noise_are_refused() -> None:
    with pytest.raises(InputError, match=r"h: found -0\.1"):
        levels(-0.1)


@pytest.mark.parametrize(("p", "n"), [(10, 0), (10, 10), (10, 20)])
def test_a_bulk_needs_points_and_more_features(p: int, n: int) -> None:
    with pytest.raises(InputError, match=f"n: found {n} points and {p} features"):
        bulk(p, n, 0.1)
