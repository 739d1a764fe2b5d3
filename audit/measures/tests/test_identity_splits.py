"""Identities that stay in both groups."""

import numpy as np

from audit.measures.identity_splits import least_shared


def test_the_least_overlap_is_that_of_the_worst_removal() -> None:
    a, b = np.array([1, 1, 2, 3, 3, 3, 9]), np.array([1, 2, 2, 3, 3, 8])
    assert [least_shared(a, b, k) for k in range(6)] == [3, 2, 1, 1, 0, 0]
