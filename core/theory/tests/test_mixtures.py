import math

import pytest
import torch
from torch import nn

from core.denoisers.oracles import Empirical, Gaussian
from core.errors import InputError
from core.theory.gaussian_distances import expected_to_centre, expected_to_nearest
from core.theory.mixtures import (
    Perceptron,
    ddpm,
    distances,
    draw_mixture,
    energy_distance,
    joined,
    kept_signal,
    oracle_noise,
    train_curve,
)
from core.training.config import DynamicsConfig

SMALL = DynamicsConfig(
    dimensions=4, clusters=2, hidden=16, timesteps=20, beta_last=0.5, batch=32, samples=20, evaluations=(0, 5, 40)
)


def test_mixture_is_standardised_and_knows_its_own_density() -> None:
    data = draw_mixture(DynamicsConfig(), 4000, 0)
    torch.testing.assert_close(data.train.mean(0), torch.zeros(128), atol=1e-5, rtol=0)
    torch.testing.assert_close(data.train.std(0), torch.ones(128), atol=1e-5, rtol=0)
    fresh = data.oracle.sample(4000, torch.Generator().manual_seed(0))
    assert abs(energy_distance(fresh[:2000], data.train[:2000])) < 0.02
    raw = data.centres.double() * data.deviation
    apart = torch.cdist(raw, raw)
    assert float(apart.max()) < 10 and float(data.deviation.mean()) == pytest.approx(math.sqrt(4 + 25 / 128), abs=0.05)


def test_network_is_the_published_one() -> None:
    model = Perceptron(3, 8, torch.Generator().manual_seed(0))
    layers = [nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)]
    x, t = torch.randn(5, 3), torch.randint(20, (5,))
    for layer, own in zip(layers, model.layers.children(), strict=True):
        layer.load_state_dict(own.state_dict())
    angle = t[:, None] / 10_000 ** (torch.arange(0, 8, 2) / 8)
    h = layers[0](x) + torch.cat([angle.sin(), angle.cos()], dim=1)
    torch.testing.assert_close(model(x, t), layers[3](layers[2](layers[1](h).relu()).relu()))
    weight, *_, bias = (float(p.detach().abs().max()) for p in model.parameters())
    assert 0 < weight <= 3**-0.5 and 0 < bias <= 8**-0.5


def test_schedule_ends_in_noise() -> None:
    beta, signal = kept_signal(DynamicsConfig())
    assert float(beta[0]) == pytest.approx(1e-4) and float(beta[-1]) == pytest.approx(0.02)
    assert float(signal[-1]) == pytest.approx(4e-5, rel=0.05)


def test_sampling_with_exact_noise_gives_the_density_and_the_training_points() -> None:
    config = DynamicsConfig(dimensions=2)
    variances = torch.tensor([1.5, 0.5]).double()
    source = torch.Generator().manual_seed(0)
    start = torch.randn(4000, 2, dtype=torch.float64, generator=source)
    gaussian = Gaussian(torch.zeros(2), torch.eye(2), variances)
    found = ddpm(oracle_noise(gaussian, config), start, config, source)
    torch.testing.assert_close(found.var(0), variances, rtol=0.08, atol=0)
    points = torch.randn(10, 2, generator=source)
    copies = ddpm(oracle_noise(Empirical(points), config), start[:50], config, source)
    assert float(torch.cdist(copies, points.double()).amin(1).max()) < 1e-3


def test_curves_learn_and_repeat() -> None:
    found = joined([train_curve(SMALL, 10, seed) for seed in (0, 1)])
    assert found.to_train.shape == (2, 3, 20) and found.quality.shape == (2, 3)
    torch.testing.assert_close(found.to_train[1:], train_curve(SMALL, 10, 1).to_train, rtol=0, atol=0)
    assert bool((found.to_train[:, -1] != found.to_train[:, 0]).any())
    assert not torch.equal(found.to_train[0], found.to_train[1])


@pytest.mark.parametrize("more", [(0, 1, 2, 3, 5, 17, 40), (40,), (5, 40, 41)])
def test_looks_change_nothing(more: tuple[int, ...]) -> None:
    """A look draws from a generator of its own: others beside it leave the training and what it finds as they are."""
    found = train_curve(SMALL, 10, 0)
    other = train_curve(SMALL.replace(evaluations=more), 10, 0)
    for step in set(more) & set(SMALL.evaluations):
        a, b = SMALL.evaluations.index(step), more.index(step)
        torch.testing.assert_close(found.to_train[:, a], other.to_train[:, b], rtol=0, atol=0)
        assert float(found.quality[0, a]) == float(other.quality[0, b])


def test_divergence_and_a_single_point_are_refused() -> None:
    with pytest.raises(InputError, match="not finite at step"):
        train_curve(SMALL.replace(learning_rate=1e18), 10, 0)
    with pytest.raises(InputError, match="n: found 1"):
        draw_mixture(SMALL, 1, 0)


def test_dimensions_and_deviations_that_do_not_fit_are_refused() -> None:
    data, source = draw_mixture(SMALL, 10, 0), torch.Generator()
    with pytest.raises(InputError, match=r"samples: found shape \(3, 5\)"):
        distances(torch.zeros(3, 5), data)
    with pytest.raises(InputError, match=r"start: found shape \(3, 5\)"):
        ddpm(oracle_noise(data.oracle, SMALL), torch.zeros(3, 5), SMALL, source)
    with pytest.raises(InputError, match="points of one dimension"):
        energy_distance(torch.zeros(3, 5), torch.zeros(3, 4))
    with pytest.raises(InputError, match="n: found 0"):
        expected_to_nearest(4, 1.0, 0)
    for sigma in (0.0, -1.0, math.nan):
        with pytest.raises(InputError, match="sigma: found"):
            expected_to_centre(4, sigma)
        with pytest.raises(InputError, match="sigma: found"):
            expected_to_nearest(4, sigma, 10)
    with pytest.raises(InputError, match="sigma: got"):
        SMALL.replace(sigma=0.0)


@pytest.mark.parametrize(("d", "n"), [(2, 20), (128, 1000)])
def test_expected_distances_by_simulation(d: int, n: int) -> None:
    source = torch.Generator().manual_seed(0)
    fresh = 2 * torch.randn(1000, d, generator=source)
    sets = [2 * torch.randn(n, d, generator=source) for _ in range(30)]
    nearest = torch.stack([torch.cdist(fresh, x).amin(1).mean() for x in sets]).mean()
    assert expected_to_centre(d, 2.0) == pytest.approx(float(fresh.norm(dim=1).mean()), rel=0.04)
    assert expected_to_nearest(d, 2.0, n) == pytest.approx(float(nearest), rel=0.04)


def test_nearest_among_several_clusters_by_simulation() -> None:
    """Exact points of a mixture; the closed form of one cluster alone, or of centres that coincide, is further off."""
    config = DynamicsConfig(dimensions=32, clusters=4, radius=3.0)
    data = draw_mixture(config, 400, 0)
    raw = data.centres.double() * data.deviation
    apart = float(torch.pdist(raw).square().mean().sqrt())
    unit = float(data.deviation.pow(-2).mean().sqrt())
    fresh = data.oracle.sample(3000, torch.Generator().manual_seed(0))
    sets = [data.oracle.sample(400, torch.Generator().manual_seed(k)) for k in range(1, 21)]
    found = float(torch.stack([torch.cdist(fresh, x).amin(1).mean() for x in sets]).mean())
    exact = unit * expected_to_nearest(32, config.sigma, 100, clusters=4, apart=apart)
    assert exact == pytest.approx(found, rel=0.01)  # centres at unequal distances, deviations not quite equal
    assert unit * expected_to_nearest(32, config.sigma, 100) > 1.02 * found
    assert unit * expected_to_nearest(32, config.sigma, 400) < 0.98 * found


def test_distances_by_hand() -> None:
    data = draw_mixture(SMALL, 10, 0)
    to_centre, first, second = distances(data.train[:3], data)
    assert float(first.max()) < 1e-6 < float(second.min()) and to_centre.shape == (3,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((8, 1.0, 0), "n: found 0"), ((0, 1.0, 5), "dimensions: found 0"), ((8, 0.0, 5), "sigma: found 0.0")],
)
def test_a_distance_to_no_point_is_refused(arguments: tuple[int, float, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        expected_to_nearest(*arguments)
