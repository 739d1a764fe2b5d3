from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.denoisers.oracles import Gaussian
from core.denoisers.unet import UNet, denoise
from core.errors import InputError
from core.metrics import spectrum as s

SIZE, SIGMA = 6, 0.4


def wiener() -> tuple[Gaussian, Tensor]:
    source = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(SIZE**2, SIZE**2, dtype=torch.float64, generator=source))[0]
    variances = torch.linspace(0.01, 2, SIZE**2, dtype=torch.float64)
    return Gaussian(torch.zeros(SIZE**2), basis, variances), torch.randn(1, SIZE, SIZE, dtype=torch.float64)


def network(size: int = 8) -> tuple[UNet, Tensor]:
    model = UNet(4, 1, generator=torch.Generator().manual_seed(1)).double().eval()
    for name, value in model.named_parameters():
        if name.endswith("gammas"):
            value.data.fill_(0.7)  # as it starts, the network adds next to nothing to the identity
    return model, torch.rand(1, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def test_jacobian_of_wiener_is_its_shrinkage() -> None:
    oracle, y = wiener()
    matrix = s.jacobian(lambda x: oracle.denoise(x, SIGMA), y)
    shrinkage = oracle.variances / (oracle.variances + SIGMA**2)
    expected = oracle.basis @ shrinkage.diag() @ oracle.basis.T
    torch.testing.assert_close(matrix, expected, atol=1e-10, rtol=0)
    found = s.spectrum(matrix)
    torch.testing.assert_close(found.values, shrinkage.flip(0), atol=1e-10, rtol=0)
    assert s.asymmetry(matrix) < 1e-12
    assert found.effective_rank == pytest.approx(oracle.mse(SIGMA) / SIGMA**2)


def test_jacobian_of_a_network_by_differences_and_its_homogeneity() -> None:
    model, y = network()

    def f(x: Tensor) -> Tensor:
        return denoise(model, x)

    matrix = s.jacobian(f, y)
    direction = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    step = 1e-6
    by_differences = (f((y + step * direction)[None]) - f((y - step * direction)[None])) / (2 * step)
    torch.testing.assert_close(
        matrix @ direction.reshape(-1), by_differences.detach().reshape(-1), atol=1e-6, rtol=1e-6
    )
    torch.testing.assert_close(matrix @ y.reshape(-1), f(y[None]).detach().reshape(-1), atol=1e-12, rtol=0)
    assert s.homogeneity_error(f, y) < 1e-12
    assert s.homogeneity_error(lambda x: f(x) + 0.1, y) > 1e-3
    assert s.asymmetry(matrix) > 1e-3


def test_leading_pairs_are_those_of_the_full_matrix() -> None:
    model, y = network()
    full = s.spectrum(s.jacobian(lambda x: denoise(model, x), y))
    values, vectors = s.leading_eigenpairs(lambda x: denoise(model, x), y, 4)
    torch.testing.assert_close(values, full.values[:4], atol=1e-8, rtol=0)
    torch.testing.assert_close(
        s.principal_cosines(vectors, full.vectors[:, :4]), torch.ones(4).double(), atol=1e-6, rtol=0
    )


def test_leading_pairs_where_the_whole_matrix_is_larger() -> None:
    """At 40x40 (1,600 pixels): against the whole Jacobian, and each pair against its own equation."""
    model, y = network(40)

    def f(x: Tensor) -> Tensor:
        return denoise(model, x)

    values, vectors = s.leading_eigenpairs(f, y, 3)
    matrix = s.jacobian(f, y)
    symmetric = (matrix + matrix.T) / 2
    torch.testing.assert_close(symmetric @ vectors, vectors * values, atol=1e-8, rtol=0)
    largest = torch.linalg.eigvalsh(symmetric).flip(0)[:3]
    torch.testing.assert_close(values, largest, atol=1e-8, rtol=0)
    assert s.homogeneity_error(f, y) < 1e-12


def test_principal_cosines_are_those_of_known_angles() -> None:
    """Two planes in five dimensions that share one direction and are 60 degrees apart in the other."""
    e = torch.eye(5, dtype=torch.float64)
    turned = 0.5 * e[:, 1] + 0.75**0.5 * e[:, 2]
    found = s.principal_cosines(e[:, :2], torch.stack([turned, e[:, 0]], dim=1))
    torch.testing.assert_close(found, torch.tensor([1.0, 0.5]).double())
    torch.testing.assert_close(s.principal_cosines(e[:, :2], e[:, 3:]), torch.zeros(2).double())


def test_a_jacobian_that_does_not_fit_says_how_large() -> None:
    with pytest.raises(InputError, match=r"40000 x 40000 numbers take 17\.9 GiB.*leading_eigenpairs"):
        s.jacobian(lambda y: y, torch.zeros(1, 200, 200))  # 12 bytes each: in float32 and in float64
    with pytest.raises(InputError, match=r"vectors for 2000 of 40000 pairs take 1\.8 GiB, more than the 1\.0 GiB"):
        s.leading_eigenpairs(lambda y: y, torch.zeros(1, 200, 200), 2000, memory=2**30)


def test_shapes_and_values_that_do_not_fit_are_named() -> None:
    image = torch.zeros(1, 4, 4)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: s.jacobian(lambda y: y, torch.zeros(2, 1, 4, 4)), r"y: found shape \(2, 1, 4, 4\)"),
        (lambda: s.jacobian(lambda y: y, image.int()), "of floats"),
        (lambda: s.jacobian(lambda y: y[..., :2], image), r"denoiser: returned shape \(1, 4, 2\)"),
        (lambda: s.jacobian(lambda y: y / 0, image), "denoiser: returned missing or infinite values"),
        (lambda: s.leading_eigenpairs(lambda y: y / 0, image, 1), "denoiser: returned missing or infinite values"),
        (lambda: s.leading_eigenpairs(lambda y: y, image[0], 1), r"y: found shape \(4, 4\)"),
        (lambda: s.leading_eigenpairs(lambda y: y, image, 0), "k: found 0"),
        (lambda: s.spectrum(torch.zeros(3, 4)), r"matrix: found shape \(3, 4\)"),
        (lambda: s.spectrum(torch.full((3, 3), torch.nan)), "matrix: found missing"),
        (lambda: s.haar_coefficients(image), r"image: found shape \(1, 4, 4\)"),
        (lambda: s.fourier_coefficients(torch.zeros(0, 4)), "image: found shape"),
        (lambda: s.kept_energy(torch.ones(4), 1.0), "share: found 1.0"),
        (lambda: s.energy_left(torch.zeros(4)), "coefficients: found energy 0"),
    ]
    for call, says in calls:
        with pytest.raises(InputError, match=says):
            call()


def test_asymmetry_of_a_random_matrix() -> None:
    matrix = torch.randn(300, 300, generator=torch.Generator().manual_seed(0)).double()
    assert s.asymmetry(matrix) == pytest.approx(0.5**0.5, abs=0.01)
    assert s.asymmetry(matrix - matrix.T) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: s.spectrum(torch.zeros(2, 3)), r"matrix: found shape \(2, 3\); expected \(p, p\)"),
        (lambda: s.asymmetry(torch.zeros(3)), r"matrix: found shape \(3,\)"),
        (lambda: s.asymmetry(torch.zeros(3, 3)), "matrix: found nothing but zeros"),
        (lambda: s.homogeneity_error(lambda y: y, torch.ones(2, 2)), r"y: found shape \(2, 2\)"),
        (lambda: s.contour_energy(torch.eye(9), torch.rand(1, 3, 3)), r"image: found shape \(1, 3, 3\)"),
        (lambda: s.contour_energy(torch.eye(8), torch.rand(3, 3)), r"vectors: found shape \(8, 8\); expected \(9, k\)"),
        (lambda: s.contour_energy(torch.eye(9), torch.ones(3, 3)), "image: found one value throughout"),
        (lambda: s.principal_cosines(torch.eye(3), torch.eye(4)), r"b: found shape \(4, 4\); expected .* \(3, k\)"),
        (lambda: s.principal_cosines(torch.ones(3), torch.eye(3)), r"a: found shape \(3,\)"),
        (lambda: s.principal_cosines(2 * torch.eye(3), torch.eye(3)), "a: columns are not orthonormal"),
    ],
)
def test_bad_shapes_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_contour_energy_sees_where_a_vector_varies() -> None:
    image = torch.zeros(12, 12)
    image[:, 6:] = 1
    ripple = torch.tensor([1.0, -1.0, -1.0, 1.0]).repeat(3)
    on, off = torch.zeros(12, 12), torch.zeros(12, 12)
    on[:, 5:7] = ripple[:, None]
    off[:, 2:4] = ripple[:, None]
    energy = s.contour_energy(torch.stack([on.flatten(), off.flatten()], dim=1), image)
    assert energy[0] > 2 and energy[1] < 0.5
    noise = torch.randn(144, 400, generator=torch.Generator().manual_seed(0))
    assert s.contour_energy(noise, image).mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("shape", [(20, 20), (8, 8), (5, 7), (1, 3), (1, 1)])
def test_transforms_are_orthonormal(shape: tuple[int, int]) -> None:
    p = shape[0] * shape[1]
    for transform in (s.fourier_coefficients, s.haar_coefficients):
        matrix = torch.stack([transform(e.reshape(shape)).flatten() for e in torch.eye(p)])
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(p, dtype=torch.float64), atol=1e-12, rtol=0)
        assert s.kept_energy(transform(torch.ones(shape)), 1 - 1e-12) == 1, "a constant is one coefficient"


def test_haar_goes_down_to_one_mean_where_sides_become_odd() -> None:
    """At 20x20 the third level has sides of 5: a step at its edge still takes two coefficients, not one a column."""
    step = torch.zeros(20, 20)
    step[:, 16:] = 1  # the unpaired last column of the level of 5
    assert s.kept_energy(s.haar_coefficients(step), 1 - 1e-12) == 2
    halves = torch.zeros(8, 8)
    halves[:, 4:] = 1
    assert s.kept_energy(s.haar_coefficients(halves)) == 2


def test_energy_left_falls_to_nothing() -> None:
    left = s.energy_left(torch.tensor([1.0, -3.0, 0.0, 2.0]))
    torch.testing.assert_close(left, torch.tensor([5 / 14, 1 / 14, 0, 0], dtype=torch.float64))
    assert [s.kept_energy(torch.tensor([1.0, -3.0, 0.0, 2.0]), share) for share in (0.5, 0.9, 0.95)] == [1, 2, 3]
    assert s.kept_energy(torch.ones(100), 0.5) == 50
