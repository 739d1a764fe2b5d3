"""Growth of the published procedure's memory (Topeza 2025, section 3.3)."""

from collections.abc import Callable

import pytest

from audit.measures.memory_order import IN_B, IN_N, growth, products_by_block, record_memory_order
from reports.record import ClaimRecord


@pytest.mark.claim("T-block-memory-order")
def test_memory_grows_with_the_block_alone(evidence: ClaimRecord) -> None:
    record_memory_order(evidence)


@pytest.mark.control("T-block-memory-order", "positive")
def test_blocks_alone_are_quadratic_and_independent_of_n(judge: Callable[..., str]) -> None:
    found = {IN_B: growth({b: 9e-6 * b**2 for b in (1000, 2000, 4000)}), IN_N: growth(dict.fromkeys((100, 200), 9.0))}
    assert judge("T-block-memory-order", found) == "reproduced"


@pytest.mark.control("T-block-memory-order", "negative")
def test_a_block_that_holds_all_images_is_the_dense_matrix(judge: Callable[..., str]) -> None:
    """One block of all images: measured in N, the same procedure grows as the dense one, quadratically."""
    dense = growth({2 * b: mb for b, mb in products_by_block((3000, 6000)).items()})
    assert dense[0] > 1.5
    assert judge("T-block-memory-order", {IN_B: dense, IN_N: dense}) == "refuted"
