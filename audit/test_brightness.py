"""Pixel correlation and changes of brightness (Topeza 2025, section 5.4)."""

from collections.abc import Callable

import pytest
import torch

from audit.measures.brightness import FALL, cosine, largest_fall, record_brightness
from fixtures.faces.corpus import generate
from reports.record import ClaimRecord


@pytest.mark.claim("T-correlation-brightness")
def test_correlation_falls_when_an_image_is_brightened(evidence: ClaimRecord) -> None:
    record_brightness(evidence, generate(128, seed=5).corpus.images)


@pytest.mark.control("T-correlation-brightness", "positive")
def test_a_similarity_without_mean_removal_falls(judge: Callable[..., str]) -> None:
    images = generate(64, seed=5).corpus.images
    assert judge("T-correlation-brightness", {FALL: largest_fall(images, cosine)}) == "reproduced"


@pytest.mark.control("T-correlation-brightness", "negative")
@pytest.mark.parametrize("kind", ["noise", "almost black"])
def test_no_image_falls_by_an_affine_change_alone(judge: Callable[..., str], kind: str) -> None:
    images = torch.rand(64, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    fall = largest_fall(images * (1e-2 if kind == "almost black" else 1))
    assert judge("T-correlation-brightness", {FALL: fall}) == "refuted"
