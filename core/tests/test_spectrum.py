import pytest
import torch
from torch import Tensor

from core.errors import InputError
from core.metrics import spectrum as s
from core.oracles import Gaussian
from core.unet import UNet, denoise

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
    assert s.homogeneity_error(f, y, matrix) < 1e-12
    assert s.homogeneity_error(lambda x: f(x) + 0.1, y, matrix) > 1e-3
    assert s.asymmetry(matrix) > 1e-3


def test_leading_pairs_are_those_of_the_full_matrix() -> None:
    model, y = network()
    full = s.spectrum(s.jacobian(lambda x: denoise(model, x), y))
    values, vectors = s.leading_eigenpairs(lambda x: denoise(model, x), y, 4)
    torch.testing.assert_close(values, full.values[:4], atol=1e-8, rtol=0)
    torch.testing.assert_close(
        s.principal_cosines(vectors, full.vectors[:, :4]), torch.ones(4).double(), atol=1e-6, rtol=0
    )


def test_principal_cosines_are_those_of_known_angles() -> None:
    """Two planes in five dimensions that share one direction and are 60 degrees apart in the other."""
    e = torch.eye(5, dtype=torch.float64)
    turned = 0.5 * e[:, 1] + 0.75**0.5 * e[:, 2]
    found = s.principal_cosines(e[:, :2], torch.stack([turned, e[:, 0]], dim=1))
    torch.testing.assert_close(found, torch.tensor([1.0, 0.5]).double())
    torch.testing.assert_close(s.principal_cosines(e[:, :2], e[:, 3:]), torch.zeros(2).double())


def test_a_jacobian_that_does_not_fit_says_how_large() -> None:
    with pytest.raises(InputError, match=r"40000 x 40000 numbers take 11\.9 GiB.*leading_eigenpairs"):
        s.jacobian(lambda y: y, torch.zeros(1, 200, 200))
    with pytest.raises(InputError, match="expected one image"):
        s.jacobian(lambda y: y, torch.zeros(2, 1, 4, 4))
    with pytest.raises(InputError, match="k: found 0"):
        s.leading_eigenpairs(lambda y: y, torch.zeros(1, 4, 4), 0)


def test_asymmetry_of_a_random_matrix() -> None:
    matrix = torch.randn(300, 300, generator=torch.Generator().manual_seed(0)).double()
    assert s.asymmetry(matrix) == pytest.approx(0.5**0.5, abs=0.01)
    assert s.asymmetry(matrix - matrix.T) == pytest.approx(1.0)


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


def test_transforms_are_orthonormal_and_sparse_where_they_should_be() -> None:
    image = torch.randn(20, 20, generator=torch.Generator().manual_seed(0)).double()
    for transform in (s.fourier_coefficients, s.haar_coefficients):
        assert float(transform(image).square().sum()) == pytest.approx(float(image.square().sum()))
    step = torch.zeros(8, 8)
    step[:, 4:] = 1
    assert s.kept_energy(s.haar_coefficients(step)) == 2
    assert s.kept_energy(s.fourier_coefficients(torch.ones(8, 8))) == 1
    assert s.kept_energy(torch.ones(100), 0.5) == 50
