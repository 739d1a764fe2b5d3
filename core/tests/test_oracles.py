"""Every identity in float64; a subtly wrong oracle must fail the same checks."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.errors import InputError
from core.oracles import Empirical, Gaussian, Mixture, Oracle, Sphere


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(d: int = 6, k: int = 6, seed: int = 0) -> Gaussian:
    g = generator(seed)
    basis = torch.linalg.qr(torch.randn(d, k, dtype=torch.float64, generator=g))[0]
    variances = torch.rand(k, dtype=torch.float64, generator=g) + 0.1
    return Gaussian(torch.randn(d, dtype=torch.float64, generator=g), basis, variances)


ORACLES: dict[str, Callable[[], Oracle]] = {
    "gaussian": gaussian,
    "subspace": lambda: gaussian(6, 2),
    "mixture": lambda: Mixture([gaussian(seed=s) for s in range(3)], [0.2, 0.3, 0.5]),
    "empirical": lambda: Empirical(torch.randn(11, 6, generator=generator(5)), tile=4),
    "sphere": lambda: Sphere(torch.linalg.qr(torch.randn(6, 3, dtype=torch.float64, generator=generator(7)))[0], 1.3),
}


def finite_difference(oracle: Oracle, y: Tensor, sigma: float, step: float = 1e-4) -> Tensor:
    """Gradient of log_density by central differences of fourth order."""
    columns = []
    for j in range(y.shape[1]):
        e = torch.zeros_like(y)
        e[:, j] = step
        f = [oracle.log_density(y + m * e, sigma) for m in (-2, -1, 1, 2)]
        columns.append((f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step))
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_posterior_mean_and_score_determine_each_other(name: str, sigma: float) -> None:
    oracle = ORACLES[name]()
    y = oracle.sample(5, generator(1)) + sigma * torch.randn(5, 6, dtype=torch.float64, generator=generator(2))
    assert torch.allclose(oracle.score(y, sigma), finite_difference(oracle, y, sigma), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["gaussian", "subspace", "mixture", "empirical"])
def test_score_is_the_gradient_by_autograd(name: str) -> None:
    oracle, sigma = ORACLES[name](), 0.4
    y = torch.randn(5, 6, dtype=torch.float64, generator=generator(3), requires_grad=True)
    (gradient,) = torch.autograd.grad(oracle.log_density(y, sigma).sum(), y)
    assert torch.allclose(oracle.score(y.detach(), sigma), gradient, rtol=1e-8, atol=1e-8)


def test_a_forgotten_square_or_a_wrong_weight_is_seen() -> None:
    class Wrong(Gaussian):
        def _posterior(self, y: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
            _, log_density = super()._posterior(y, sigma)
            centred = (y - self.mean) @ self.basis
            return self.mean + (centred * (self.variances / (self.variances + sigma))) @ self.basis.T, log_density

    right = gaussian()
    y = torch.randn(4, 6, dtype=torch.float64, generator=generator(4))
    for broken, density in (
        (Wrong(right.mean, right.basis, right.variances), right),
        (Mixture([gaussian(seed=s) for s in range(3)], [0.25, 0.25, 0.5]), ORACLES["mixture"]()),
    ):
        assert not torch.allclose(broken.score(y, 0.5), finite_difference(density, y, 0.5), rtol=1e-3, atol=1e-3)


def test_a_gaussian_s_filter_is_wiener_s() -> None:
    oracle, sigma = gaussian(), 0.7
    covariance = oracle.basis @ torch.diag(oracle.variances) @ oracle.basis.T
    y = torch.randn(8, 6, dtype=torch.float64, generator=generator(6))
    gain = covariance @ torch.linalg.inv(covariance + sigma**2 * torch.eye(6, dtype=torch.float64))
    assert torch.allclose(oracle.denoise(y, sigma), oracle.mean + (y - oracle.mean) @ gain.T, atol=1e-12)
    same = Gaussian.from_covariance(oracle.mean, covariance)
    assert torch.allclose(same.log_density(y, sigma), oracle.log_density(y, sigma), atol=1e-10)
    wanted = torch.distributions.MultivariateNormal(oracle.mean, covariance + sigma**2 * torch.eye(6))
    assert torch.allclose(oracle.log_density(y, sigma), wanted.log_prob(y), atol=1e-10)


@pytest.mark.parametrize("name", ["gaussian", "subspace", "sphere"])
def test_expected_squared_error_is_that_of_simulation(name: str) -> None:
    oracle, sigma, n = ORACLES[name](), 0.5, 40_000
    x = oracle.sample(n, generator(8))
    y = x + sigma * torch.randn(n, 6, dtype=torch.float64, generator=generator(9))
    error = (oracle.denoise(y, sigma) - x).square().sum(1)
    standard_error = float(error.std()) / math.sqrt(n)
    assert isinstance(oracle, Gaussian | Sphere)
    assert abs(float(error.mean()) - oracle.mse(sigma)) < 5 * standard_error  # five: one false alarm in 1.7 million


def test_the_empirical_oracle_is_the_softmax_mean_for_any_tile() -> None:
    points = torch.randn(13, 1, 4, 4, generator=generator(10))
    y = torch.randn(3, 1, 4, 4, generator=generator(11))
    rows, flat = points.reshape(13, -1).double(), y.reshape(3, -1).double()
    logits = -(flat[:, None] - rows[None]).square().sum(2) / (2 * 0.6**2)
    wanted = (logits.softmax(1) @ rows).reshape(y.shape)
    for tile in (1, 5, 13, 100):
        assert torch.allclose(Empirical(points, tile=tile).denoise(y, 0.6), wanted, atol=1e-12)
    far = 1e3 * torch.ones_like(y)
    assert bool(torch.isfinite(Empirical(points).denoise(far, 1e-3)).all())


@pytest.mark.parametrize("k", [2, 3, 60, 400])
@pytest.mark.parametrize("sigma", [0.02, 1.0, 10.0])
def test_the_sphere_is_finite_from_its_centre_outwards(k: int, sigma: float) -> None:
    oracle = Sphere(torch.eye(k + 1, k, dtype=torch.float64), 1.0)
    y = oracle.sample(3, generator(16)) * torch.tensor([[0.0], [1e-8], [1.5]], dtype=torch.float64)
    assert bool(torch.isfinite(oracle.denoise(y, sigma)).all() & torch.isfinite(oracle.log_density(y, sigma)).all())
    assert float(oracle.denoise(y, sigma)[0].abs().max()) == 0.0
    assert float(oracle.denoise(y, sigma).norm(dim=1).max()) <= 1.0 + 1e-12


def test_the_sphere_in_three_dimensions_is_langevin_s_function() -> None:
    oracle = Sphere(torch.eye(3, dtype=torch.float64), 1.0)
    for kappa in (0.1, 5.0, 299.9, 300.1, 5000.0):
        y = torch.tensor([[kappa * 0.25, 0.0, 0.0]], dtype=torch.float64)  # sigma = 1/2: kappa = |y| / sigma^2
        assert abs(float(oracle.denoise(y, 0.5)[0, 0]) - (1 / math.tanh(kappa) - 1 / kappa)) < 1e-8


def test_a_mixture_of_one_gaussian_and_an_empirical_of_one_point_are_themselves() -> None:
    single = gaussian()
    y = torch.randn(4, 6, dtype=torch.float64, generator=generator(12))
    assert torch.allclose(Mixture([single], [1.0]).denoise(y, 0.4), single.denoise(y, 0.4), atol=1e-12)
    point = torch.randn(1, 6, generator=generator(13))
    assert torch.allclose(Empirical(point).denoise(y, 0.4), point.double().expand(4, 6), atol=1e-12)


def test_the_blind_denoiser_weighs_noise_levels_by_their_likelihood() -> None:
    oracle = gaussian()
    y = torch.randn(4, 6, dtype=torch.float64, generator=generator(14))
    assert torch.allclose(oracle.blind([0.5])(y), oracle.denoise(y, 0.5), atol=1e-12)
    near, far = 0.05, 5.0
    clean = oracle.sample(4, generator(15))
    assert torch.allclose(oracle.blind([near, far])(clean), oracle.denoise(clean, near), atol=1e-2)
    weights = torch.stack([oracle.log_density(y, s) for s in (near, far)]).softmax(0)[..., None]
    wanted = weights[0] * oracle.denoise(y, near) + weights[1] * oracle.denoise(y, far)
    assert torch.allclose(oracle.blind([near, far])(y), wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gaussian().denoise(torch.zeros(1, 6), 0.0), "sigma: found 0.0"),
        (lambda: gaussian().denoise(torch.zeros(1, 5), 1.0), "found 1 points of 5 dimensions; expected"),
        (lambda: gaussian().denoise(torch.zeros(0, 6), 1.0), "found 0 points"),
        (lambda: gaussian().blind([1.0, math.inf]), "sigmas: found"),
        (lambda: Empirical(torch.full((2, 3), math.nan)), "missing or infinite"),
        (lambda: Gaussian.from_covariance(torch.zeros(2), torch.eye(3)), "covariance: found shape"),
        (
            lambda: Gaussian.from_covariance(torch.zeros(2), torch.diag(torch.tensor([1.0, -1.0]))),
            "smallest eigenvalue",
        ),
        (lambda: Gaussian.from_covariance(torch.zeros(2), torch.tensor([[1.0, 0.5], [0.0, 1.0]])), "not symmetric"),
        (lambda: Gaussian(torch.zeros(2), torch.ones(2, 2), torch.ones(2)), "not orthonormal"),
        (lambda: Mixture([gaussian()], [0.5]), "add up to 1"),
        (lambda: Empirical(torch.zeros(0, 3)), "empty training set"),
        (lambda: Sphere(torch.eye(3), -1.0), "radius -1.0"),
        (lambda: gaussian().blind([]), "at least one noise level"),
    ],
)
def test_bad_input_is_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
