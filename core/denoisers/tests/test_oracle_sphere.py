"""The sphere against closed forms and integrals of its own, and the Bessel functions behind it."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate

from core.denoisers.oracles import Sphere, sphere
from core.denoisers.oracles.sphere import _log_angle, _ratio
from core.denoisers.tests.oracle_checks import EXACT, close, generator


@pytest.mark.parametrize("k", [2, 3, 60, 400, 2000])
@pytest.mark.parametrize("sigma", [0.02, 1.0, 10.0])
def test_the_sphere_is_finite_from_its_centre_outwards(k: int, sigma: float) -> None:
    oracle = Sphere(torch.eye(k + 1, k, dtype=torch.float64), 1.0)
    y = oracle.sample(3, generator(16)) * torch.tensor([[0.0], [1e-8], [1.5]], dtype=torch.float64)
    y.requires_grad_()
    log_density = oracle.log_density(y, sigma)
    (gradient,) = torch.autograd.grad(log_density.sum(), y)
    mean = oracle.denoise(y, sigma).detach()
    assert bool(torch.isfinite(mean).all() & torch.isfinite(log_density).all() & torch.isfinite(gradient).all())
    assert float(mean[0].abs().max()) == 0.0
    assert float(mean.norm(dim=1).max()) <= 1.0 + 1e-12


@pytest.mark.parametrize("k", [2, 3, 4, 7, 400, 2000])
def test_bessel_s_derivatives(k: int) -> None:
    """Slopes against differences; A' = 1 - A^2 - (k - 1) A / kappa; the ratio as a slope itself."""
    switch = max(300.0, k / 2)
    kappa = torch.tensor([1e-3, 0.5, 20.0, switch - 1, switch + 1, 4000.0], dtype=torch.float64)
    t = (kappa**2).requires_grad_()
    g, log_angle = _ratio(t, k), _log_angle(t, k)
    (slope,) = torch.autograd.grad(g.sum(), t, create_graph=True)
    a = kappa * g.detach()
    by_formula = 1 - a**2 - (k - 1) * g.detach()
    close(g.detach() + 2 * kappa**2 * slope.detach(), by_formula, tolerance=1e-10)
    assert torch.autograd.grad(log_angle.sum(), t)[0].tolist() == pytest.approx((g / 2).tolist(), rel=1e-12)
    step = 1e-3 * t.detach()
    for f, first in ((_ratio, slope), (_log_angle, g / 2)):
        difference = (f(t + step, k) - f(t - step, k)) / (2 * step)
        # the square of the step, and rounding: both are known to 1e-12 of themselves, and a logarithm to 1e-12
        rounding = 2e-12 * (f(t, k).abs() + (f is _log_angle)) / step
        assert bool(((difference - first).abs() <= 1e-5 * first.abs() + rounding).all())
    small = torch.rand(5, dtype=torch.float64, generator=generator(22)).requires_grad_()
    for f in (_ratio, _log_angle):
        assert torch.autograd.gradgradcheck(lambda x, f=f: f(x, k), small)
        batched = torch.vmap(lambda x, f=f: f(x, k))(t.detach().reshape(2, 3))
        assert torch.equal(batched.flatten(), f(t.detach(), k))


@pytest.mark.parametrize("k", [2, 5, 8])
def test_the_sphere_by_integrating_over_the_angle(k: int) -> None:
    oracle, sigma = Sphere(torch.eye(k, dtype=torch.float64), 0.8), 0.4
    for length in (0.1, 0.8, 2.0):

        def moment(power: int, length: float = length) -> float:
            def integrand(angle: float) -> float:
                squared = length**2 - 2 * length * 0.8 * math.cos(angle) + 0.8**2
                return math.cos(angle) ** power * math.sin(angle) ** (k - 2) * math.exp(-squared / (2 * sigma**2))

            return float(integrate.quad(integrand, 0, math.pi, epsabs=0, epsrel=1e-12)[0])

        area = integrate.quad(lambda angle: math.sin(angle) ** (k - 2), 0, math.pi, epsrel=1e-12)[0]
        y = torch.zeros(1, k, dtype=torch.float64)
        y[0, -1] = length
        log_density = math.log(moment(0) / area) - k / 2 * math.log(2 * math.pi * sigma**2)
        assert float(oracle.log_density(y, sigma)) == pytest.approx(log_density, abs=1e-10)
        assert float(oracle.denoise(y, sigma)[0, -1]) == pytest.approx(0.8 * moment(1) / moment(0), abs=1e-10)


def test_the_sphere_s_error_by_quadrature_over_the_closed_form() -> None:
    """In three dimensions A is Langevin's function and the length's density is elementary."""
    for sigma in (0.05, 0.5, 3.0):

        def weighted(x: float, power: int, sigma: float = sigma) -> float:
            kappa = x / sigma**2
            langevin = 1 / math.tanh(kappa) - 1 / kappa
            two = math.exp(-((x - 1) ** 2) / (2 * sigma**2)) - math.exp(-((x + 1) ** 2) / (2 * sigma**2))
            return x * two * langevin**power

        ends = (max(1e-9, 1 - 15 * sigma), 1 + 15 * sigma)
        zeroth, second = (
            integrate.quad(weighted, *ends, args=(p,), points=[1.0], epsabs=0, epsrel=1e-12)[0] for p in (0, 2)
        )
        found = Sphere(torch.eye(3, dtype=torch.float64), 1.0).mse(sigma)
        assert found == pytest.approx(1 - second / zeroth, rel=EXACT)


@pytest.mark.parametrize("k", [2, 3, 50, 2000])
def test_functions_of_far_points_go_on_where_scipy_s_end(k: int) -> None:
    """Expansion and scaled Bessel functions at one concentration; then at noise where only the first is left."""
    kappa = np.array([sphere.FAR, np.nextafter(sphere.FAR, np.inf)])
    for function in (sphere._log_angle_value, sphere._ratio_value):
        near, far = function(k, kappa)
        assert far == pytest.approx(near, rel=1e-14)
    oracle = Sphere(torch.eye(k, dtype=torch.float64), 1.0)
    y = torch.ones(1, k, dtype=torch.float64)
    assert float((oracle.denoise(y, 1e-6) - y / k**0.5).abs().max()) < 1e-8
    assert bool(torch.isfinite(oracle.log_density(y, 1e-6)).all())
    assert oracle.mse(1e-6) == pytest.approx((k - 1) * 1e-12, rel=1e-3)


def test_the_sphere_s_error_is_that_of_its_dimensions_at_low_noise() -> None:
    """k - 1 directions of the tangent plane keep their noise, the radius is known."""
    for k in (2, 5, 400):
        assert Sphere(torch.eye(k, dtype=torch.float64), 1.0).mse(1e-3) == pytest.approx((k - 1) * 1e-6, rel=1e-3)
