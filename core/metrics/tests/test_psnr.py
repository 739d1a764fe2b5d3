import numpy as np
import pytest
import torch

from core.errors import InputError
from core.metrics.psnr import PSNRCurve, denoiser_psnr, gap, psnr, unit_noise


def _images(n: int = 30) -> torch.Tensor:
    return torch.rand(n, 1, 10, 10, generator=torch.Generator().manual_seed(0))


def test_psnr_by_hand() -> None:
    clean = torch.zeros(2, 1, 4, 4)
    np.testing.assert_allclose(psnr(clean, clean + 0.1), 20.0, atol=1e-6)
    assert torch.isinf(psnr(clean, clean)).all()


@pytest.mark.parametrize(
    ("clean", "estimate", "message"),
    [
        (255 * _images(3), _images(3), r"clean: found values from .* to .*, expected \[0, 1\] as declared"),
        (2 * _images(3) - 1, _images(3), r"clean: .*expected \[0, 1\]"),
        (_images(3) * torch.nan, _images(3), "clean: found missing values"),
        (_images(3), _images(3) * torch.nan, "estimate: found missing or infinite values"),
        (_images(3), _images(4), "expected equal"),
    ],
)
def test_psnr_has_a_peak_of_one(clean: torch.Tensor, estimate: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        psnr(clean, estimate)


def test_input_psnr_is_that_of_the_noise() -> None:
    curve = denoiser_psnr(lambda y: y, _images(200), [0.1, 0.5], seed=0)
    np.testing.assert_allclose(curve.input.mean(axis=1), [20.0, -20 * np.log10(0.5)], atol=0.15)
    np.testing.assert_array_equal(curve.input, curve.output)


def test_shrinkage_by_its_known_optimum() -> None:
    """For white images of variance v the best linear denoiser leaves the error v s^2 / (v + s^2)."""
    images = (0.5 + 0.1 * torch.randn(400, 1, 10, 10, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    v, s = 0.01, 0.2
    curve = denoiser_psnr(lambda y: 0.5 + v / (v + s**2) * (y - 0.5), images, [s], seed=0)
    assert curve.mean(seed=0)[0][0] == pytest.approx(-10 * np.log10(v * s**2 / (v + s**2)), abs=0.1)


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_noise_is_shared_whatever_the_batch(batch: int) -> None:
    one = denoiser_psnr(torch.tanh, _images(), [0.1, 0.3], seed=3, batch=batch)
    all_ = denoiser_psnr(torch.tanh, _images(), [0.1, 0.3], seed=3)
    np.testing.assert_array_equal(one.output, all_.output)
    other = denoiser_psnr(torch.tanh, _images(), [0.1, 0.3], seed=4)
    assert not np.array_equal(one.input, other.input)
    torch.testing.assert_close(unit_noise((1, 10, 10), [5], 3), unit_noise((1, 10, 10), range(9), 3)[5:6])


def test_gap() -> None:
    rng = np.random.default_rng(0)

    def curve(level: float) -> PSNRCurve:
        return PSNRCurve((0.1,), np.zeros((1, 100)), rng.normal(level, 1, (1, 100)))

    small, large = (curve(35), curve(28)), (curve(31), curve(30.9))
    value, interval = gap(*small, seed=0)[0]
    assert value == pytest.approx(7, abs=0.5) and interval.contains(7) and interval.low > 6
    assert gap(*large, seed=0)[0][1].low < 0.5


def test_curves_at_other_levels_are_not_compared() -> None:
    a = denoiser_psnr(torch.tanh, _images(3), [0.1], seed=0)
    b = denoiser_psnr(torch.tanh, _images(3), [0.2], seed=0)
    with pytest.raises(InputError, match="noise levels"):
        gap(a, b, seed=0)


@pytest.mark.parametrize(
    ("images", "sigmas", "message"),
    [
        (255 * _images(), [0.1], r"expected \[0, 1\]"),
        (_images() - 0.5, [0.1], r"expected \[0, 1\]"),
        (_images()[:0], [0.1], "n >= 1"),
        (_images()[0], [0.1], "expected .n, c, h, w"),
        (_images() * torch.nan, [0.1], r"expected \[0, 1\]"),
        (_images(), [], "positive"),
        (_images(), [0.0], "positive"),
    ],
)
def test_bad_input(images: torch.Tensor, sigmas: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        denoiser_psnr(torch.tanh, images, sigmas, seed=0)


def test_a_denoiser_that_fails_is_named() -> None:
    with pytest.raises(InputError, match=r"sigma = 0\.3"):
        denoiser_psnr(lambda y: y * (torch.nan if y.std() > 0.35 else 1), _images(), [0.01, 0.3], seed=0)
