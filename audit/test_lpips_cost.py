"""Whether LPIPS over the whole training set is out of reach (Topeza 2025, section 6.4)."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from audit.measures.lpips_cost import cost_measures, record_cost
from core.metrics.lpips import Embedding
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("T-lpips-infeasible")
def test_the_cost_of_the_exhaustive_search(
    evidence: ClaimRecord, lpips: Embedding | None, celeba_dir: Path | None
) -> None:
    record_cost(evidence, lpips, celeba_dir)


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [
        pytest.param(4.0, "reproduced", marks=pytest.mark.control("T-lpips-infeasible", "positive")),
        pytest.param(0.01, "refuted", marks=pytest.mark.control("T-lpips-infeasible", "negative")),
        pytest.param(2.0, "refuted", marks=pytest.mark.control("T-lpips-infeasible", "negative")),
    ],
)
def test_a_network_that_takes_so_long_an_image_is_timed(judge: Judge, seconds: float, verdict: str) -> None:
    """Time passes by a clock of its own: four seconds an image are nine days, two are less than five."""
    now, calls = 0.0, 0

    def search(queries: Tensor, images: Tensor) -> None:
        nonlocal now, calls
        now += seconds * len(images) * (1 + 0.01 * (calls % 3))
        calls += 1

    found = cost_measures(search, torch.zeros(40, 1, 8, 8), clock=lambda: now)
    assert judge("T-lpips-infeasible", found, "synthetic") == verdict
