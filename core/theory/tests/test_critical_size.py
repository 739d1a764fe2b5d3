"""Crossings whose place is known: by hand, on made-up memorisers, and with the defects a reader would not see."""

import math

import numpy as np
import pytest

from core.errors import InputError
from core.theory.critical_size import critical_size, crossing, size_exponent

SIZES = (4, 16, 64, 256)


def noisy(means: tuple[float, ...], seeds: int = 64, spread: float = 0.1) -> np.ndarray:
    return np.asarray(means)[:, None] + np.random.default_rng(1).normal(0, spread, (len(means), seeds))


def memoriser(critical: float, seeds: int = 64, groups: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Agreement, and correlation with training images, of models that copy every seed below a size, and none above."""
    rng = np.random.default_rng(0)
    share = 1 / (1 + (np.asarray(SIZES) / critical) ** 2)  # one half at `critical`
    copied = rng.random((groups, seeds)) < share[:, None, None]
    near = np.where(copied, 0.98, 0.8) + rng.normal(0, 0.003, copied.shape)
    agreement = np.where(copied.any(1), 0.1, 0.9) + rng.normal(0, 0.02, (len(SIZES), seeds))
    return agreement, near


def test_by_hand() -> None:
    found = crossing(SIZES, np.repeat([[-1.0], [-0.5], [0.5], [1.0]], 2, axis=1), seed=0)
    assert found.value == pytest.approx(32) and list(found.between) == [16, 64]
    assert found.interval.low == pytest.approx(32) and found.interval.width == pytest.approx(0, abs=1e-9)
    assert str(found) == "between N = 16 and N = 64, linear in log N"
    assert found.bracketed


def test_a_curve_that_falls_back_has_not_crossed_for_good() -> None:
    """The first passage would say 8; the function learnt at N = 64 still depends on the sample."""
    found = crossing(SIZES, np.repeat([[-1.0], [1.0], [-1.0], [1.0]], 2, axis=1), seed=0)
    assert list(found.between) == [64, 256] and found.value == pytest.approx(128)


def test_what_is_not_bracketed_is_an_inequality() -> None:
    never = crossing(SIZES, noisy((-1, -0.9, -0.5, -0.4)), seed=0)
    assert never.value == math.inf and never.interval.low == math.inf and not never.bracketed
    assert str(never) == "above N = 256, the largest tried"
    always = crossing(SIZES, noisy((0.4, 0.5, 0.9, 1)), seed=0)
    assert always.value == 0 and always.interval.high == 0 and str(always) == "below N = 4, the smallest tried"
    open_above = crossing(SIZES, noisy((-1, -0.9, -0.5, 0.005)), seed=0)
    assert 64 < open_above.interval.low < 256 and open_above.interval.high == math.inf
    assert not open_above.bracketed, "a point between sizes with an open interval is no number"


def test_the_interval_covers_as_often_as_it_says() -> None:
    """The crossing of the expected curve is 32; 95 % intervals over 40 seeds, 200 times."""
    hits = 0
    for k in range(200):
        noise = np.random.default_rng([5, k]).normal(0, 0.6, (4, 40))
        hits += crossing(SIZES, np.array([-1, -0.5, 0.5, 1])[:, None] + noise, seed=k, resamples=400).interval.contains(
            32
        )
    assert 180 <= hits <= 199  # mean 188 to 190 for a percentile interval over 40; 180 is three deviations below


@pytest.mark.parametrize("true", [10.0, 40.0, 100.0])
def test_the_criteria_find_the_size_at_which_a_memoriser_stops(true: float) -> None:
    found = critical_size(SIZES, *memoriser(true, seeds=256), seed=0)
    copies = found["copies fall to one half"]
    # linear in log N against the logistic curve of the construction: at most an eighth of a bracket of factor 4
    assert copies.interval.low / 1.2 < true < copies.interval.high * 1.2
    overtakes = found["agreement overtakes correlation with the nearest training image"]
    assert overtakes.value > copies.value  # a seed agrees only where neither group copies
    assert overtakes.bracketed == (true < 100)
    assert found["agreement at most 0.02 below it"].value <= overtakes.value


def test_copies_read_as_agreement_are_caught() -> None:
    """The planted defect: both groups hold the same images, so that they agree by copying. Copies still tell."""
    _, near = memoriser(1e9)
    found = critical_size(SIZES, near.mean(1), near, seed=0)
    assert found["agreement overtakes correlation with the nearest training image"].value == 0
    assert found["copies fall to one half"].value == math.inf


def test_swapped_arguments_and_shuffled_sizes_are_caught() -> None:
    agreement, near = memoriser(40.0)
    with pytest.raises(InputError, match=r"found agreement \(4, 2, 64\)"):
        critical_size(SIZES, near, agreement, seed=0)
    with pytest.raises(InputError, match="expected at least two, rising"):
        critical_size((4, 64, 16, 256), agreement, near, seed=0)
    with pytest.raises(InputError, match=r"to_training_by_seed: found missing values or values outside"):
        critical_size(SIZES, agreement, 2 * near, seed=0)
    with pytest.raises(InputError, match="curves: found missing"):
        crossing(SIZES, np.full((4, 8), np.nan), seed=0)
    with pytest.raises(InputError, match="at least 2 seeds"):
        crossing(SIZES, np.zeros((4, 1)), seed=0)


def copies_by_width(power: float, widths: tuple[float, ...]) -> list[np.ndarray]:
    return [0.5 - (memoriser(2 * w**power, seeds=200)[1] > 0.95).mean(1) for w in widths]


def test_how_the_crossing_moves_with_a_level() -> None:
    widths = (4.0, 8.0, 16.0)
    slope, interval, words = size_exponent(widths, SIZES, copies_by_width(1.5, widths), seed=0)
    assert slope == pytest.approx(1.5, abs=0.25) and words == "the critical size grows"
    assert interval.low < slope < interval.high
    falling = size_exponent(widths, SIZES, copies_by_width(1.5, widths)[::-1], seed=0)
    assert falling[0] == pytest.approx(-slope) and falling[2] == "the critical size falls"
    still = size_exponent(widths, SIZES, [noisy((-0.3, -0.05, 0.05, 0.3), 8, 1.0)] * 3, seed=0)
    assert still[0] == pytest.approx(0) and still[2].startswith("inconclusive")


def test_a_difference_that_the_sizes_do_not_resolve_decides_nothing() -> None:
    """From 1 to 0 within one bracket: shares of 1.00 and 0.95 would give a narrow and meaningless exponent."""
    curves = [np.repeat([[-0.5], [-0.5 + c], [0.5], [0.5]], 64, axis=1) for c in (0.0, 0.05)]
    slope, interval, words = size_exponent((8.0, 16.0), SIZES, curves, seed=0)
    assert interval.high < 0 and slope < 0
    assert words == "inconclusive: the sizes tried do not tell the crossings apart"


def test_crossings_beyond_the_sizes_bring_the_exponent_nearer_to_zero() -> None:
    inside = np.repeat([[-1.0], [-0.5], [0.5], [1.0]], 4, axis=1)  # at 32
    slope, _, words = size_exponent((1.0, 2.0), SIZES, [inside, np.full((4, 4), -1.0)], seed=0)
    assert slope == pytest.approx(3) and words == "the critical size grows"  # 256 / 32; the truth is above


def test_levels_need_a_curve_each() -> None:
    with pytest.raises(InputError, match="levels: found"):
        size_exponent((8.0, 8.0), SIZES, [noisy((0, 1, 2, 3))] * 2, seed=0)
    with pytest.raises(InputError, match="as seeds are shared"):
        size_exponent((8.0, 16.0), SIZES, [noisy((0, 1, 2, 3)), noisy((0, 1, 2, 3), seeds=8)], seed=0)
