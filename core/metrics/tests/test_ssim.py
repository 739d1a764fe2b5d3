import numpy as np
import pytest
import torch

from core.errors import InputError
from core.metrics.ssim import ssim, ssim_matrix


def _images(n: int, seed: int, size: int = 12) -> torch.Tensor:
    return torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(seed))


def _definition(x: np.ndarray, y: np.ndarray, window: int) -> float:
    """Place by place, with numpy's own moments."""
    scores = []
    for i in range(x.shape[0] - window + 1):
        for j in range(x.shape[1] - window + 1):
            a, b = (z[i : i + window, j : j + window].ravel() for z in (x, y))
            c = np.cov(a, b, bias=True)
            light = (2 * a.mean() * b.mean() + 1e-4) / (a.mean() ** 2 + b.mean() ** 2 + 1e-4)
            scores.append(light * (2 * c[0, 1] + 9e-4) / (c[0, 0] + c[1, 1] + 9e-4))
    return float(np.mean(scores))


@pytest.mark.parametrize("window", [1, 5, 7])
def test_equals_its_definition(window: int) -> None:
    samples, candidates = _images(2, 0), _images(6, 1).reshape(2, 3, 1, 12, 12)
    found = ssim(samples, candidates, window)
    for i in range(2):
        for j in range(3):
            expected = _definition(samples[i, 0].double().numpy(), candidates[i, j, 0].double().numpy(), window)
            assert found[i, j] == pytest.approx(expected, abs=1e-12)


def test_an_image_is_most_like_itself_and_order_follows_noise() -> None:
    x = _images(4, 0)
    noisy = torch.stack([(x + s * (_images(4, 2) - 0.5)).clamp(0, 1) for s in (0, 0.1, 0.4, 1)], dim=1)
    found = ssim(x, noisy)
    np.testing.assert_allclose(found[:, 0], 1.0, atol=1e-12)
    assert (np.diff(found, axis=1) < 0).all()


@pytest.mark.parametrize(
    ("samples", "candidates", "window", "message"),
    [
        (255 * _images(2, 0), _images(2, 1)[:, None], 7, r"samples: .*expected \[0, 1\] as declared"),
        (_images(2, 0), 2 * _images(2, 1)[:, None] - 1, 7, r"candidates: .*expected \[0, 1\] as declared"),
        (_images(2, 0), torch.nan * _images(2, 1)[:, None], 7, "candidates: found missing values"),
        (_images(2, 0), _images(2, 1), 7, "ssim: found samples"),
        (_images(2, 0).expand(-1, 3, -1, -1), _images(2, 1)[:, None], 7, "ssim: found samples"),
        (_images(2, 0), _images(2, 1)[:, None], 6, "window: found 6, expected an odd number up to 12"),
        (_images(2, 0), _images(2, 1)[:, None], 13, "window: found 13"),
    ],
)
def test_bad_input(samples: torch.Tensor, candidates: torch.Tensor, window: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ssim(samples, candidates, window)


def test_the_matrix_holds_what_pairs_have_alone() -> None:
    x = _images(5, 3)
    found = ssim_matrix(x)
    expected = ssim(x, x[None].expand(5, -1, -1, -1, -1))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert (found == found.T).all() and np.allclose(np.diag(found), 1)
    with pytest.raises(InputError, match="ssim: found images"):
        ssim_matrix(x.expand(-1, 3, -1, -1))
