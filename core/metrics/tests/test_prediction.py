"""Pearson's r and R2 of predictions: where they agree, where they differ, and by other means."""

import numpy as np
import pytest
import torch

from core.errors import InputError
from core.metrics.correlation import correlation
from core.metrics.prediction import prediction

G = torch.Generator().manual_seed(0)
TARGET = torch.rand(12, 2, 6, 6, generator=G)
OTHER = TARGET + 0.1 * torch.randn(TARGET.shape, generator=G)


def test_both_by_other_means() -> None:
    found = prediction(TARGET, OTHER)
    np.testing.assert_allclose(found.pearson.same, correlation(TARGET, OTHER))
    for k, m in ((0, 0), (2, 7)):
        t, p = TARGET[k].double().numpy().ravel(), OTHER[m].double().numpy().ravel()
        assert found.r2.similarity[k, m] == pytest.approx(1 - ((t - p) ** 2).sum() / ((t - t.mean()) ** 2).sum())
        assert found.pearson.similarity[k, m] == pytest.approx(np.corrcoef(t, p)[0, 1])


def test_a_perfect_prediction_and_one_of_other_noise() -> None:
    own = prediction(TARGET, TARGET)
    assert own.r2.same.min() == 1 and own.pearson.same.min() == pytest.approx(1)
    shifted = prediction(TARGET, TARGET.roll(1, 0))
    assert abs(shifted.pearson.same.mean()) < 0.15 and shifted.r2.same.max() < 0
    assert shifted.r2.retrieval()[0] == 0 and own.r2.retrieval()[0] == 1


def test_contrast_and_brightness_lower_r2_alone() -> None:
    found = prediction(TARGET, 0.5 * TARGET + 0.4)
    assert found.pearson.same.min() == pytest.approx(1)
    assert found.r2.same.max() < 0.8
    grey = TARGET.mean(dim=(1, 2, 3), keepdim=True) + 1e-6 * OTHER
    np.testing.assert_allclose(prediction(TARGET, grey).r2.same, 0, atol=1e-4)


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match=r"expected equal \(seeds, c, h, w\)"):
        prediction(TARGET, OTHER[:-1])
    with pytest.raises(InputError, match="image 0 is constant"):
        prediction(torch.zeros_like(TARGET), OTHER)
