"""Tables of agreement by network and sampling seed, and the question they answer, on planted networks."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import InputError
from core.metrics.agreement import agreement
from core.metrics.replicates import across, within
from core.metrics.residuals import residual_agreement
from core.stats.crossed import SAMPLING, SIDE_A, SIDE_B, ceiling_gap, crossed_mean

N = 20


def networks(set_part: float, own_part: float, seed: int = 0) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Samples of three trainings on A and on B: what the noise makes, plus what the set and the training add."""
    g = torch.Generator().manual_seed(seed)
    wiener, common, *sets = torch.randn(4, N, 1, 10, 10, generator=g)
    sides = [
        [wiener + 0.5 * common + set_part * of_set + own_part * torch.randn(wiener.shape, generator=g) for _ in "123"]
        for of_set in sets
    ]
    return sides[0], sides[1], wiener


def test_the_tables_hold_each_pair_s_agreement() -> None:
    a, b, wiener = networks(0.2, 0.3)
    found = across(a, b[:2])
    assert found.same.shape == (3, 2, N)
    np.testing.assert_array_equal(found.same[2, 1], agreement(a[2], b[1]).same)
    assert len(found.mismatched) == 3 * 2 * N * (N - 1) and abs(found.mismatched.mean()) < 0.05
    assert found.weak_threshold == np.quantile(found.mismatched, 0.95)
    measure = partial(residual_agreement, wiener=wiener)
    inside = within(a, measure)
    np.testing.assert_array_equal(inside.same[0, 2], measure(a[0], a[2]).same)
    np.testing.assert_array_equal(inside.same[0, 2], inside.same[2, 0])
    assert np.isnan(inside.same[1, 1]).all() and np.isfinite(inside.same[0, 1]).all()


@pytest.mark.parametrize(("set_part", "depends"), [(0.0, False), (0.5, True)])
def test_whether_networks_depend_on_their_images_is_decided(set_part: float, depends: bool) -> None:
    a, b, wiener = networks(set_part, 0.3)
    gap = ceiling_gap(within(a).same, within(b).same, across(a, b).same)
    assert gap.equivalence(0.03).equivalent != depends
    assert (gap.interval().low > 0.05) == depends

    measure = partial(residual_agreement, wiener=wiener)
    beyond = across(a, b, measure)
    assert crossed_mean(beyond.same, (SIDE_A, SIDE_B, SAMPLING)).interval().low > beyond.weak_threshold
    shifted = across(a, [samples.roll(1, 0) for samples in b], measure)
    assert crossed_mean(shifted.same, (SIDE_A, SIDE_B, SAMPLING)).interval().low < shifted.weak_threshold


def test_bad_input_is_named() -> None:
    a, b, _ = networks(0.2, 0.3)
    with pytest.raises(InputError, match="samples of 1 networks, expected at least two trainings"):
        within(a[:1])
    with pytest.raises(InputError, match="samples of 3 and 0 networks"):
        across(a, [])
    with pytest.raises(InputError, match="expected equal"):
        across(a, [b[0][:-1]])
