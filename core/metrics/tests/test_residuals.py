"""Agreement beyond a shared Gaussian: planted cases, invariances, and the regression by other means."""

import numpy as np
import pytest
import torch
from torch import Tensor

from core.denoisers.oracles import Gaussian
from core.denoisers.sampling import heun
from core.errors import InputError
from core.metrics.agreement import agreement
from core.metrics.prediction import prediction
from core.metrics.residuals import explained, residual_agreement, residuals

N, SIDE = 24, 12


def planted(shared: float, own: float, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Samples of A and B: the Wiener sample, plus a part that both have, plus a part of each."""
    g = torch.Generator().manual_seed(seed)
    wiener, common, a, b = torch.randn(4, N, 1, SIDE, SIDE, generator=g)
    return wiener + shared * common + own * a, wiener + shared * common + own * b, wiener


def test_a_shared_part_beyond_the_wiener_sample_is_seen() -> None:
    a, b, wiener = planted(shared=0.5, own=0.1)
    found = residual_agreement(a, b, wiener)
    assert found.mean(seed=0)[1].low > 0.9
    assert found.weak_threshold < 0.3 and abs(found.mismatched.mean()) < 0.02
    assert 0.7 < explained(a, wiener).same.mean() < 0.85, "1 / (1 + 0.25 + 0.01)"


def test_independent_parts_are_no_agreement_however_alike_the_samples() -> None:
    a, b, wiener = planted(shared=0.0, own=0.3)
    assert agreement(a, b).mean(seed=0)[1].low > 0.9
    found = residual_agreement(a, b, wiener)
    assert found.mean(seed=0)[1].contains(0) and abs(found.mean(seed=0)[0]) < 0.05


def test_shifted_seeds_are_seen() -> None:
    """The Wiener samples of other noise explain nothing; samples of other noise have nothing left in common."""
    a, b, wiener = planted(shared=0.5, own=0.1)
    assert explained(a, wiener.roll(1, 0)).same.mean() < 0.05
    assert abs(residual_agreement(a, b.roll(1, 0), wiener).mean(seed=0)[0]) < 0.1
    whole = residual_agreement(a, b, wiener.roll(1, 0)).same
    np.testing.assert_allclose(whole, agreement(a, b).same, atol=0.02)


def test_the_regression_is_numpy_s() -> None:
    a, b, wiener = planted(shared=0.4, own=0.4)
    left = residuals(a, wiener)
    for k in (0, 5):
        s, w = a[k].double().numpy().ravel(), wiener[k].double().numpy().ravel()
        slope, intercept = np.polyfit(w, s, 1)
        np.testing.assert_allclose(left[k].numpy().ravel(), s - slope * w - intercept, atol=1e-12)
        np.testing.assert_allclose(explained(a, wiener).same[k], np.corrcoef(s, w)[0, 1] ** 2, rtol=1e-12)
        ab, aw, bw = (
            np.corrcoef(x, y)[0, 1] for x, y in ((s, b[k].numpy().ravel()), (s, w), (b[k].numpy().ravel(), w))
        )
        partial = (ab - aw * bw) / np.sqrt((1 - aw**2) * (1 - bw**2))
        np.testing.assert_allclose(residual_agreement(a, b, wiener).same[k], partial, rtol=1e-6)


def test_brightness_contrast_and_sign_alter_nothing() -> None:
    a, b, wiener = planted(shared=0.4, own=0.4)
    wanted = residual_agreement(a, b, wiener).similarity
    scale = torch.linspace(0.5, 2, N).reshape(N, 1, 1, 1)
    found = residual_agreement(scale * a + 0.3, b, -3 * scale * wiener - 7)
    np.testing.assert_allclose(found.similarity, wanted, atol=1e-5)
    np.testing.assert_allclose(explained(2 * a - 1, wiener).similarity, explained(a, wiener).similarity, atol=1e-5)
    added = residuals(a + scale * wiener, wiener)
    torch.testing.assert_close(added, residuals(a, wiener), rtol=0, atol=1e-5)
    negative = residual_agreement(-a, b, wiener).similarity
    np.testing.assert_allclose(negative, -wanted, atol=1e-12)


def test_two_wiener_denoisers_of_one_covariance_leave_nothing() -> None:
    """The floor: linear denoisers agree; regressed on their own samples nothing is left, and that is said."""
    pixels = torch.linspace(0.01, 0.2, SIDE**2, dtype=torch.float64)
    gaussian = Gaussian(torch.full((SIDE**2,), 0.5), torch.eye(SIDE**2, dtype=torch.float64), pixels)
    denoiser = gaussian.blind(torch.logspace(-2, 0.2, 12).tolist())
    samples = heun(denoiser, range(4), torch.full((1, SIDE, SIDE), 0.5)).images
    assert prediction(samples, samples).r2.same.min() == 1
    with pytest.raises(InputError, match="image 0 is its Wiener sample up to brightness, contrast and rounding"):
        residual_agreement(samples, samples + 0.1, samples)


def test_bad_input_is_named() -> None:
    a, b, wiener = planted(shared=0.4, own=0.4)
    with pytest.raises(InputError, match=r"expected equal \(seeds, c, h, w\)"):
        residual_agreement(a, b[:-1], wiener)
    with pytest.raises(InputError, match=r"a: found .* expected equal"):
        residual_agreement(a, b, wiener[:-1])
    with pytest.raises(InputError, match="samples: found"):
        explained(a.flatten(1), wiener.flatten(1))
    a[3] = 0.5
    with pytest.raises(InputError, match="a: image 3 is constant"):
        residual_agreement(a, b, wiener)
