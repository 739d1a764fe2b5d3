"""Every identity in float64, on every oracle; what they plug into; bad input."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from scipy import stats
from torch.utils.flop_counter import FlopCounterMode

from core.denoisers.oracles import Empirical, Gaussian, Mixture, Oracle, Sphere
from core.denoisers.sampling import sample
from core.denoisers.tests.oracle_checks import (
    CHECKS,
    DEVIATIONS,
    EXACT,
    ORACLES,
    SIGMAS,
    TRUTHS,
    basis,
    close,
    gaussian,
    generator,
    noisy,
    noisy_covariance,
    normal,
)
from core.errors import InputError
from core.machine import peak_rss
from core.metrics.psnr import denoiser_psnr
from core.metrics.spectrum import asymmetry, jacobian, leading_eigenpairs
from core.stats import t_interval
from core.tests.children import in_child


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("check", CHECKS)
def test_against_the_same_density_by_other_means(check: str, name: str) -> None:
    CHECKS[check](ORACLES[name](), name)


@pytest.mark.parametrize("name", ["gaussian", "mixture"])
def test_density_where_the_noise_is_low(name: str) -> None:
    """Rounding of what lies outside the directions, of which there is nothing, would be divided by sigma^2."""
    for sigma in (1e-6, 1e-4):
        y = ORACLES[name]().sample(12, generator(1)) + sigma * normal(12, 6, seed=2)
        close(ORACLES[name]().log_density(y, sigma), TRUTHS[name]().log_density(y, sigma), tolerance=1e-10)


@pytest.mark.parametrize("name", ORACLES)
def test_directional_derivatives_go_forwards_too(name: str) -> None:
    oracle, sigma = ORACLES[name](), 0.4
    y, direction = noisy(name, sigma), normal(16, 6, seed=20)
    found = torch.func.jvp(lambda x: oracle.log_density(x, sigma), (y,), (direction,))[1]
    close(found, (oracle.score(y, sigma) * direction).sum(1))


@pytest.mark.parametrize("name", ["gaussian", "subspace"])
@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_gaussian_s_filter_and_error_are_wiener_s(name: str, sigma: float) -> None:
    oracle = ORACLES[name]()
    assert isinstance(oracle, Gaussian)
    covariance, y = noisy_covariance(oracle, 0), noisy(name, sigma)
    gain = covariance @ torch.linalg.inv(noisy_covariance(oracle, sigma))
    close(oracle.denoise(y, sigma), oracle.mean + (y - oracle.mean) @ gain.T)
    assert oracle.mse(sigma) == pytest.approx(float((covariance - gain @ covariance).trace()), rel=EXACT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_gaussian_from_its_covariance(dtype: torch.dtype) -> None:
    wanted = gaussian()
    found = Gaussian.from_covariance(wanted.mean, noisy_covariance(wanted, 0).to(dtype))
    y = normal(8, 6, seed=6)
    close(found.log_density(y, 0.7), wanted.log_density(y, 0.7), tolerance=EXACT if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize("scale", [1e-14, 1.0, 1e14])
def test_how_singular_a_covariance_is_does_not_depend_on_its_unit(scale: float) -> None:
    covariance = noisy_covariance(gaussian(), 0)
    assert Gaussian.from_covariance(torch.zeros(6), scale * covariance).mse(1e9) > 0
    factor = normal(6, 2, seed=21)
    for singular in (factor @ factor.T, torch.ones(6, 6, dtype=torch.float64)):
        with pytest.raises(InputError, match="smallest eigenvalue"):
            Gaussian.from_covariance(torch.zeros(6), scale * singular)


def test_the_empirical_oracle_is_the_softmax_mean_for_any_tile() -> None:
    points, y = normal(13, 1, 4, 4, seed=10), normal(3, 1, 4, 4, seed=11)
    rows, flat = points.reshape(13, -1), y.reshape(3, -1)
    logits = -(flat[:, None] - rows[None]).square().sum(2) / (2 * 0.6**2)
    wanted = (logits.softmax(1) @ rows).reshape(y.shape)
    for tile in (1, 5, 13, 100):
        assert torch.allclose(Empirical(points, tile=tile).denoise(y, 0.6), wanted, atol=1e-12)
    far = 1e3 * torch.ones_like(y)
    assert bool(torch.isfinite(Empirical(points).denoise(far, 1e-3)).all())


def test_noise_levels_share_the_distances_to_a_training_set() -> None:
    """One product gives the distances, and one a level the mean: half the work of two a level."""
    n, b, d, levels = 64, 8, 16, 5
    oracle, y = Empirical(normal(n, d, seed=1), tile=16), normal(b, d, seed=2)
    with FlopCounterMode(display=False) as counter:
        oracle.blind(torch.linspace(0.1, 1, levels).tolist())(y)
    assert counter.get_total_flops() == (1 + levels) * 2 * n * b * d


def child_denoising(told: str) -> None:
    """What denoising takes at its peak beside the training set, in bytes, written to `told`."""
    n, b, d = 100_000, 16, 400
    torch.set_num_threads(1)
    points = torch.rand(n, d, generator=torch.Generator().manual_seed(0))
    Empirical(points[:9000]).blind([0.3, 1.0])(points[:b])
    before = peak_rss()
    denoised = Empirical(points).blind([0.01, 1.0])(points[:b])
    assert float((denoised - points[:b]).abs().max()) < 1e-6
    Path(told).write_text(str(peak_rss() - before))


def test_a_large_training_set_takes_no_memory_beside_its_own(tmp_path: Path) -> None:
    """A hundred thousand images of 400 pixels, 160 MB. With 16 noisy ones every pair's pixels would take 5 GB."""
    assert in_child(child_denoising, str(tmp_path / "peak")) == 0
    assert int((tmp_path / "peak").read_text()) < 32e6, "more than one tile (13 MB) and what allocators keep"


# --- what they plug into -------------------------------------------------------------------------------------

SIDE = 4
IMAGES: dict[str, Callable[[], Oracle]] = {
    "gaussian": lambda: Gaussian(half(), torch.eye(16, dtype=torch.float64), torch.linspace(0.01, 0.1, 16)),
    "subspace": lambda: Gaussian(half(), directions(3), torch.tensor([0.02, 0.05, 0.1])),
    "mixture": lambda: Mixture([Gaussian(c * half(), directions(3), torch.ones(3) / 50) for c in (0, 2)], [0.3, 0.7]),
    "empirical": lambda: Empirical(torch.rand(20, 1, SIDE, SIDE, generator=generator(4))),
    "sphere": lambda: Sphere(directions(3), 0.9),
}  # fmt: skip


def half() -> torch.Tensor:
    return torch.full((SIDE**2,), 0.5, dtype=torch.float64)


def directions(k: int) -> torch.Tensor:
    return torch.linalg.qr(normal(SIDE**2, k, seed=3))[0]


@pytest.mark.parametrize("name", IMAGES)
def test_it_plugs_into_the_sampler_and_the_metrics(name: str) -> None:
    oracle = IMAGES[name]()
    denoiser = oracle.blind(torch.logspace(-2, 0.3, 24).tolist())
    clean = oracle.sample(8, generator(5)).reshape(8, 1, SIDE, SIDE).float()

    found = sample(denoiser, range(6), clean.mean(dim=0), h0=0.05, sigma_end=0.02)
    assert bool(found.converged.all()) and found.images.dtype == torch.float32
    assert float((denoiser(found.images) - found.images).abs().max()) < 0.1, "samples are clean already"

    inside = clean.clamp(0, 1)
    curve = denoiser_psnr(denoiser, inside, [0.2, 0.8], seed=0)
    assert bool((curve.output.mean(axis=1) > curve.input.mean(axis=1) + 2).all())

    y = clean[0].double() + 0.3 * normal(1, SIDE, SIDE, seed=6)
    matrix = jacobian(lambda x: oracle.denoise(x, 0.3), y)
    assert asymmetry(matrix) < 1e-10, "the Jacobian of a posterior mean is a covariance over sigma^2"
    assert float(torch.linalg.eigvalsh(matrix).min()) > -1e-10
    blind = jacobian(denoiser, y)
    step = 1e-5 * normal(1, SIDE, SIDE, seed=7)
    difference = (denoiser((y + step)[None]) - denoiser((y - step)[None]))[0].flatten() / 2
    close(blind @ step.flatten(), difference, scale=float(step.norm()), tolerance=1e-7)
    values = leading_eigenpairs(lambda x: oracle.denoise(x, 0.3), y, 3)[0]
    close(values, torch.linalg.eigvalsh(matrix).flip(0)[:3])


# --- degenerate cases ----------------------------------------------------------------------------------------


def test_a_mixture_of_one_gaussian_and_an_empirical_of_one_point_are_themselves() -> None:
    single, y = gaussian(), normal(4, 6, seed=12)
    assert torch.allclose(Mixture([single], [1.0]).denoise(y, 0.4), single.denoise(y, 0.4), atol=1e-12)
    point = normal(1, 6, seed=13)
    assert torch.allclose(Empirical(point).denoise(y, 0.4), point.expand(4, 6), atol=1e-12)
    assert Empirical(point).mse_estimate(0.4, n=10, generator=generator())[0] == pytest.approx(0, abs=1e-20)


def test_the_blind_denoiser_knows_a_level_far_from_all_others() -> None:
    oracle = gaussian()
    clean = oracle.sample(4, generator(15))
    assert torch.allclose(oracle.blind([0.05, 5.0])(clean), oracle.denoise(clean, 0.05), atol=1e-2)
    y = normal(4, 6, seed=14)
    assert torch.allclose(oracle.blind([0.5])(y), oracle.denoise(y, 0.5), atol=1e-12)


def test_training_points_are_drawn_equally_often() -> None:
    points = normal(7, 3, seed=17)
    drawn = Empirical(points).sample(7000, generator(18))
    counts = (drawn[:, None] == points).all(2).sum(0)
    assert int(counts.sum()) == 7000
    assert float(((counts - 1000) / math.sqrt(1000 * 6 / 7)).abs().max()) < DEVIATIONS


def test_components_are_drawn_as_often_as_their_weights_say() -> None:
    eye, weights = torch.eye(2, dtype=torch.float64), (0.05, 0.25, 0.7)
    apart = Mixture([Gaussian(torch.full((2,), 100.0 * k), eye, torch.ones(2)) for k in range(3)], weights)
    which = (apart.sample(10_000, generator(19))[:, 0] / 100).round().long()
    for k, weight in enumerate(weights):
        share = float((which == k).double().mean())
        assert abs(share - weight) < DEVIATIONS * math.sqrt(weight * (1 - weight) / 10_000)


def test_student_s_interval_is_scipy_s() -> None:
    x = normal(7, seed=24).numpy()
    wanted = stats.ttest_1samp(x, 0).confidence_interval(0.9)
    found = t_interval(x, level=0.9, over="draws")
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), rel=1e-12)
    assert found.level == 0.9 and found.method == "Student's t over draws"


def test_the_interval_of_an_estimated_error_covers_as_often_as_it_says() -> None:
    oracle = ORACLES["sphere"]()
    assert isinstance(oracle, Sphere)
    exact, source = oracle.mse(0.8), generator(23)
    hits = sum(oracle.mse_estimate(0.8, n=500, generator=source)[1].contains(exact) for _ in range(200))
    assert 175 <= hits <= 200  # 190 expected; fewer than 175 come once in 200,000


EYE = torch.eye(2, dtype=torch.float64)
PLANE = Gaussian(torch.zeros(2), EYE, torch.ones(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gaussian().denoise(torch.zeros(1, 6), 0.0), "sigma: found 0.0; expected a positive number"),
        (lambda: gaussian().log_density(torch.zeros(1, 6), -1.0), "sigma: found -1.0"),
        (lambda: gaussian().score(torch.zeros(1, 6), math.nan), "sigma: found nan"),
        (lambda: gaussian().mse(0.0), "sigma: found 0.0"),
        (lambda: gaussian().mse(-1.0), "sigma: found -1.0"),
        (lambda: Sphere(EYE, 1.0).mse(0.0), "sigma: found 0.0"),
        (lambda: Sphere(EYE, 1.0).mse(math.inf), "sigma: found inf"),
        (lambda: gaussian().mse_estimate(0.0, n=10, generator=generator()), "sigma: found 0.0"),
        (lambda: gaussian().mse_estimate(1.0, n=1, generator=generator()), "n: found 1; expected at least 2"),
        (lambda: gaussian().denoise(torch.zeros(1, 5), 1.0), "y: found 1 points of 5 dimensions; expected"),
        (lambda: gaussian().denoise(torch.zeros(0, 6), 1.0), "y: found 0 points"),
        (lambda: gaussian().denoise(torch.tensor(1.0), 1.0), "y: found 0 points"),
        (lambda: gaussian().denoise(torch.full((2, 6), math.nan), 1.0), "y: found missing or infinite"),
        (lambda: gaussian().blind([1.0])(torch.full((2, 6), math.inf)), "y: found missing or infinite"),
        (lambda: gaussian().blind([1.0, math.inf]), "sigmas: found"),
        (lambda: gaussian().blind([]), "at least one noise level"),
        (lambda: Gaussian(torch.tensor([0.0, math.nan]), EYE, torch.ones(2)), "mean: found missing or infinite"),
        (lambda: Gaussian(torch.zeros(2), EYE, torch.tensor([1.0, math.nan])), "variances: found missing"),
        (lambda: Gaussian(torch.zeros(2), EYE, torch.tensor([1.0, 0.0])), "variances: found 0.0; expected all above"),
        (lambda: Gaussian(torch.zeros(2), EYE, torch.ones(2, 2)), r"variances: found shape \(2, 2\); expected one a"),
        (lambda: Gaussian(torch.zeros(2), EYE, torch.tensor(1.0)), r"variances: found shape \(\)"),
        (lambda: Gaussian.from_covariance(torch.zeros(2), torch.tensor([[1, 2], [2, 4]])), "covariance: smallest"),
        (lambda: Gaussian(torch.zeros(2), torch.eye(3), torch.ones(2)), r"basis: found shape \(3, 3\); expected"),
        (lambda: Gaussian(torch.zeros(2), torch.ones(2, 2), torch.ones(2)), "basis: columns are not orthonormal"),
        (lambda: Gaussian(torch.zeros(2), math.nan * EYE, torch.ones(2)), "basis: columns are not orthonormal"),
        (lambda: Gaussian.from_covariance(torch.zeros(2), torch.eye(3)), r"covariance: found shape \(3, 3\)"),
        (lambda: Gaussian.from_covariance(torch.zeros(2), torch.full((2, 2), math.nan)), "covariance: found missing"),
        (lambda: Gaussian.from_covariance(torch.zeros(2), torch.diag(torch.tensor([1.0, -1.0]))), "is -1, the largest"),
        (lambda: Gaussian.from_covariance(torch.zeros(2), torch.zeros(2, 2)), "covariance: smallest eigenvalue is 0"),
        (lambda: Gaussian.from_covariance(torch.zeros(2), torch.tensor([[1, 0.5], [0, 1]])), "covariance: not symm"),
        (lambda: gaussian().gain(0.0), "sigma: found 0.0"),
        (lambda: gaussian().level(torch.zeros(1, 6), []), "sigmas: found"),
        (lambda: Mixture([PLANE], [0.5]), r"weights: found \[0.5\]; expected positive numbers that add up to 1"),
        (lambda: Mixture([PLANE], [math.nan]), r"weights: found \[nan\]"),
        (lambda: Mixture([PLANE], [0.5, 0.5]), r"weights: found shape \(2,\) for 1 components"),
        (lambda: Mixture([], []), "for 0 components"),
        (lambda: Mixture([PLANE, gaussian()], [0.5, 0.5]), r"components: found dimensions \[2, 6\]"),
        (lambda: Empirical(torch.full((2, 3), math.nan)), "points: found missing or infinite"),
        (lambda: Empirical(torch.zeros(0, 3)), r"points: found shape \(0, 3\); expected a training set"),
        (lambda: Empirical(torch.tensor(1.0)), r"points: found shape \(\)"),
        (lambda: Empirical(torch.zeros(2, 3), tile=0), "tile: found 0; expected at least one"),
        (lambda: Sphere(EYE, -1.0), "radius: found -1.0; expected a positive number"),
        (lambda: Sphere(EYE, math.inf), "radius: found inf"),
        (lambda: Sphere(EYE[:, :1], 1.0), "basis: found a sphere in 1 dimensions; expected 2 to 2000"),
        (lambda: Sphere(torch.ones(3), 1.0), r"basis: found shape \(3,\)"),
        (lambda: Sphere(basis(3, 0) * 2, 1.0), "basis: columns are not orthonormal"),
    ],
)  # fmt: skip
def test_bad_input_is_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
