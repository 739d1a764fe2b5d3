"""Controls of the closed-form predictors that are shown beside K-beyond-gaussian."""

from typing import Any

import pytest
import torch

from audit.measures.made_up import Notebook
from audit.measures.predictors import EMPIRICAL, PREDICTORS, WIENER, predicted, record_predictors
from core.denoisers.oracles import Gaussian
from core.denoisers.sampling import falling_levels, heun
from core.metrics.prediction import prediction
from fixtures.experiments.desk import TrainedExperiment, random_pairs


@pytest.mark.control("K-beyond-gaussian", "positive")
def test_the_empirical_optimum_predicts_itself() -> None:
    images = torch.rand(12, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    samples = predicted(EMPIRICAL, images, range(6), falling_levels(count=8))
    found = prediction(samples, predicted(EMPIRICAL, images.clone(), range(6), falling_levels(count=8)))
    assert found.pearson.same.min() > 1 - 1e-6 and found.r2.same.min() > 1 - 1e-6


@pytest.mark.control("K-beyond-gaussian", "positive")
def test_the_wiener_filter_predicts_a_gaussian() -> None:
    """Fitted to 20,000 images of a Gaussian it draws the Gaussian's own samples, and not those of other noise."""
    source = torch.Generator().manual_seed(0)
    truth = Gaussian.from_images(torch.randn(300, 36, generator=source) @ torch.randn(36, 36, generator=source) / 6)
    images = truth.sample(20_000, source).reshape(-1, 1, 6, 6).float()
    levels, mean = falling_levels(count=20), truth.mean.reshape(1, 6, 6).float()
    target = heun(truth.blind(levels), range(24), mean, sigmas=levels).images
    found = prediction(target, predicted(WIENER, images, range(24), levels, mean))
    assert found.pearson.same.mean() > 0.99 and found.r2.same.mean() > 0.97
    assert found.pearson.mismatched.mean() < 0.3 and found.r2.mismatched.mean() < 0


@pytest.mark.control("K-beyond-gaussian", "negative")
@pytest.mark.trains(jobs=random_pairs)
def test_other_noise_predicts_less(desk: TrainedExperiment) -> None:
    """At the largest N, where samples are no copies, the same noise must predict far better than another's."""
    notebook: Any = Notebook()
    table = record_predictors(notebook, desk, desk.kind)
    assert "samples predicted in closed form by N" in notebook.found
    assert {row["predictor"] for row in table} == set(PREDICTORS)
    wiener = next(r for r in table if (r["N"], r["predictor"]) == (desk.sizes[-1], WIENER))
    assert wiener["low"] > wiener["mismatched"] + 0.2
