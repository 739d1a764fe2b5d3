import math

import numpy as np
import pytest
import torch

from core.errors import InputError
from core.theory.crossing_times import crossing_time, every_second, least_exponent, time_exponent

SIZES = (16, 32, 64, 128)


def power_law(power: float, scatter: float = 0.05) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, scatter, (len(SIZES), 3))
    return np.asarray(SIZES)[:, None] ** power * np.exp(noise)


def test_crossing_times() -> None:
    steps = torch.tensor([1, 10, 100])
    curve = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.1, 0.2], [0.6, 0.7, 0.8], [0.0, math.nan, math.nan]])
    expected = [10**1.5, math.inf, 1.0, math.inf]
    assert crossing_time(steps, curve, 0.5).tolist() == pytest.approx(expected)
    assert crossing_time(steps, 1 - curve, 0.5, falling=True).tolist() == pytest.approx(expected)


def test_crossing_of_a_power_law_is_exact_on_logarithms() -> None:
    steps = torch.tensor([1, 10, 300])
    curve = 400 / steps.double()[None] ** 2
    assert crossing_time(steps, curve, 1.0, falling=True, log=True).tolist() == pytest.approx([20.0])
    assert crossing_time(steps, curve, 1.0, falling=True).tolist() != pytest.approx([20.0], rel=0.1)


@pytest.mark.parametrize("steps", [[1, 10], [10, 1, 100], [1, 1, 2]])
def test_steps_that_do_not_fit_are_refused(steps: list[int]) -> None:
    with pytest.raises(InputError, match="steps: found"):
        crossing_time(torch.tensor(steps), torch.zeros(2, 3), 0.5)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_exponent_of_a_power_law(power: float) -> None:
    found = time_exponent(SIZES, power_law(power))
    assert found.interval is not None and found.value is not None and found.censored == 0
    assert found.interval.contains(power) and found.interval.width < 0.2
    assert found.interval.low < found.value < found.interval.high
    exact = time_exponent(SIZES, power_law(power, 0.0))
    assert exact.value == pytest.approx(power, abs=1e-12)


def test_trainings_that_end_too_early_bound_the_exponent_from_below() -> None:
    """Ended early on the larger sets; where one is missing on the smallest nothing can be said."""
    times = power_law(1.0)
    ends = np.median(times, axis=1) / [1, 1, 1, 2]
    cut = np.where(times > ends[:, None], np.inf, times)
    cut[:2] = times[:2]
    found = least_exponent(SIZES, cut, ends.tolist())
    assert found.value is not None and found.interval is not None and found.censored == np.isinf(cut).sum() > 0
    assert 0.5 < found.value < 1.0 and found.interval.low < found.value
    assert least_exponent(SIZES, times, ends.tolist()).value == time_exponent(SIZES, times).value
    cut[0, 0] = np.inf
    assert least_exponent(SIZES, cut, ends.tolist()).value is None


def test_one_training_that_never_crosses_leaves_the_exponent_undecided() -> None:
    times = power_law(1.0)
    times[3, 1] = math.inf
    found = time_exponent(SIZES, times)
    assert found.value is None and found.interval is None and (found.censored, found.trainings) == (1, 12)


def test_what_the_looks_leave_open_widens_the_interval_on_both_sides() -> None:
    times = power_law(1.0)
    tilted = times * np.asarray(SIZES)[:, None] ** 0.25
    plain, wide = time_exponent(SIZES, times), time_exponent(SIZES, times, [times, tilted])
    assert plain.interval and wide.interval and plain.value == wide.value
    assert wide.interval.low == pytest.approx(plain.interval.low - 0.25)
    assert wide.interval.high == pytest.approx(plain.interval.high + 0.25)
    assert "0.25 on either side" in wide.interval.method
    missed = times.copy()
    missed[0, 0] = math.inf
    assert time_exponent(SIZES, times, [missed]).value is None


def test_every_second_look() -> None:
    assert every_second(6) == ([0, 2, 4, 5], [0, 1, 3, 5])


@pytest.mark.parametrize(
    ("sizes", "times"),
    [
        ((1, 2), np.ones((3, 2))),
        ((4, 4), np.ones((2, 2))),
        ((1, 2), np.ones((2, 1))),
        ((0, 2), np.ones((2, 2))),
        ((1, 2), np.zeros((2, 2))),
        ((1, 2), np.full((2, 2), math.nan)),
    ],
)
def test_times_that_do_not_fit_are_refused(sizes: tuple[int, ...], times: np.ndarray) -> None:
    with pytest.raises(InputError, match="times: found"):
        time_exponent(sizes, times)
