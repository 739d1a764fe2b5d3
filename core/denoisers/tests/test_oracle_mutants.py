"""Subtly wrong oracles: each of these slips, planted in the code or in the numbers, must fail the check named."""

import inspect
import sys
import textwrap
from collections.abc import Callable

import pytest
import torch

from core.denoisers.oracles import Empirical, Gaussian, Mixture, Oracle, Sphere
from core.denoisers.tests.oracle_checks import CHECKS, ORACLES, POINTS, RADIUS, basis, gaussian

SLIPS: list[tuple[type, str, str, str, str, str]] = [
    # class, method, what stands there, the slip, an oracle it spoils, the check that must see it
    (Oracle, "score", "/ sigma**2", "/ sigma", "gaussian", "score"),
    (Oracle, "blind", ".softmax(dim=0)", ".mul(0).softmax(dim=0)", "sphere", "blind"),
    (Gaussian, "blind", "2 * rest * levels.log()", "rest * levels.log()", "subspace", "blind"),
    (Gaussian, "blind", "(1 / total).T", "total.T", "gaussian", "blind"),
    (Gaussian, "blind", "outside[:, None] / levels.square()", "outside[:, None] / levels", "subspace", "blind"),
    (Oracle, "blind", "log_density for _,", "2 * log_density for _,", "mixture", "blind"),
    (Oracle, "level", ".softmax(dim=1)", ".mul(0).softmax(dim=1)", "gaussian", "level"),
    (Oracle, "level", ".log()).exp()", ")", "mixture", "level"),
    (Oracle, "mse_estimate", "sigma * torch.randn", "0.9 * sigma * torch.randn", "mixture", "mse"),
    (Oracle, "mse_estimate", ".sum(1)", ".mean(1)", "empirical", "mse"),
    (Gaussian, "_posterior", "self.variances + sigma**2", "self.variances + sigma", "gaussian", "score"),
    (Gaussian, "_posterior", "rest * 2 * math", "rest * math", "subspace", "density"),
    (Gaussian, "_posterior", "outside / sigma**2", "outside / sigma", "subspace", "score"),
    (Gaussian, "_posterior", "+ total.log().sum()", "", "gaussian", "density"),
    (Gaussian, "_posterior", "self.d * LOG_2PI", "len(self.variances) * LOG_2PI", "subspace", "density"),
    (Gaussian, "mse", "* sigma**2 /", "* sigma /", "gaussian", "mse"),
    (Gaussian, "mse", "* sigma**2 /", "* sigma /", "subspace", "mse"),
    (Gaussian, "sample", "self.variances.sqrt()", "self.variances", "gaussian", "sample"),
    (Mixture, "_posterior", " + self.weights.log()", "", "mixture", "posterior mean"),
    (Mixture, "_posterior", "joint.logsumexp(1)", "joint.logsumexp(1) + 0.3", "mixture", "density"),
    (Mixture, "sample", "multinomial(self.weights", "multinomial(torch.ones_like(self.weights)", "mixture", "sample"),
    (Empirical, "_normaliser", "2 * math.log(sigma)", "math.log(sigma)", "empirical", "density"),
    (Empirical, "_normaliser", "math.log(len(self.points)) + ", "", "empirical", "density"),
    (Empirical, "_normaliser", "2 * math.log(sigma)", "math.log(sigma)", "empirical", "blind"),
    (Empirical, "_posteriors", "/ (2 * sigma**2)", "/ (2 * sigma)", "empirical", "posterior mean"),
    (Empirical, "_posteriors", "+ x.square().sum(1)", "+ 0.999 * x.square().sum(1)", "empirical", "score"),
    (Empirical, "_posteriors", "mean[s] * kept", "mean[s]", "empirical", "posterior mean"),
    (Empirical, "_posteriors", "total[s] * kept", "total[s]", "empirical", "jacobian"),
    (Empirical, "sample", "randint(len(self.points)", "randint(len(self.points) - 1", "empirical", "sample"),
    (Sphere, "_posterior", " + self.radius**2)", ")", "sphere", "density"),
    (Sphere, "_posterior", "2 * math.log(sigma)", "math.log(sigma)", "sphere", "density"),
    (Sphere, "_posterior", "self.radius / sigma**2", "self.radius / sigma", "sphere", "score"),
    (Sphere, "_posterior", "_log_angle(t, self.k) - ", "-", "sphere", "score"),
    (Sphere, "mse", "(self.k - 1) * np.log", "self.k * np.log", "sphere", "mse"),
    (Sphere, "mse", "self.radius * length / sigma**2", "self.radius * length / sigma", "sphere", "mse"),
    (Sphere, "sample", "self.radius * z", "z", "sphere", "sample"),
]  # fmt: skip


def slipped(method: Callable[..., object], right: str, wrong: str) -> Callable[..., object]:
    source = textwrap.dedent(inspect.getsource(method))
    assert right in source, f"{right!r} no longer stands in {method.__qualname__}"
    names: dict[str, object] = dict(vars(sys.modules[method.__module__]))
    exec(source.replace(right, wrong), names)
    return names[method.__name__]  # type: ignore[return-value]


@pytest.mark.parametrize(("owner", "method", "right", "wrong", "name", "check"), SLIPS)
def test_a_slip_in_the_code_is_seen(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, right: str, wrong: str, name: str, check: str
) -> None:
    monkeypatch.setattr(owner, method, slipped(getattr(owner, method), right, wrong))
    with pytest.raises(AssertionError):
        CHECKS[check](ORACLES[name](), name)


def one_variance_off() -> Gaussian:
    g = gaussian()
    return Gaussian(g.mean, g.basis, g.variances * torch.tensor([1, 1, 1.01, 1, 1, 1], dtype=torch.float64))


WRONG: dict[str, tuple[str, Callable[[], Oracle]]] = {
    "one variance off by a hundredth": ("gaussian", one_variance_off),
    "one direction too many": ("subspace", lambda: gaussian(3)),
    "one weight off by a thousandth": (
        "mixture",
        lambda: Mixture([gaussian(seed=s) for s in range(3)], [0.201, 0.3, 0.499]),
    ),
    "one component off": ("mixture", lambda: Mixture([gaussian(seed=s) for s in (0, 1, 3)], [0.2, 0.3, 0.5])),
    "one point left out": ("empirical", lambda: Empirical(POINTS[1:])),
    "one point moved by a thousandth": ("empirical", lambda: Empirical(torch.cat([POINTS[:1] * 1.001, POINTS[1:]]))),
    "a radius off by a thousandth": ("sphere", lambda: Sphere(basis(3, 7), RADIUS * 1.001)),
    "one direction of the sphere off": ("sphere", lambda: Sphere(basis(3, 8), RADIUS)),
}


@pytest.mark.parametrize("slip", WRONG)
@pytest.mark.parametrize("check", ["density", "posterior mean", "jacobian", "blind"])
def test_a_wrong_number_is_seen(slip: str, check: str) -> None:
    name, make = WRONG[slip]
    with pytest.raises(AssertionError):
        CHECKS[check](make(), name)
