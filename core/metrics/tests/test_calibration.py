"""Detection rates and areas held against closed forms, and intervals that do not take four copies of one for four."""

import numpy as np
import pytest
from scipy import stats

from core.errors import InputError
from core.metrics.calibration import calibrate


def test_calibration_of_two_normals() -> None:
    """Closed form: area = Phi(d / sqrt 2), detection at 1 % = Phi(d - z(0.99))."""
    rng, d = np.random.default_rng(0), 2.5
    found = calibrate(rng.normal(d, 1, 1000), rng.normal(0, 1, 1000), seed=0)
    assert found.area == pytest.approx(stats.norm.cdf(d / np.sqrt(2)), abs=0.015)
    assert found.area_interval.contains(stats.norm.cdf(d / np.sqrt(2)))
    assert found.detected == pytest.approx(stats.norm.cdf(d - stats.norm.ppf(0.99)), abs=0.1)
    assert found.false_alarms == 0.01
    assert np.trapezoid(found.detection_rate, found.false_alarm_rate) == pytest.approx(found.area, abs=1e-9)


def test_calibration_of_a_useless_score() -> None:
    scores = np.random.default_rng(0).normal(size=(2, 500))
    found = calibrate(*scores, seed=0)
    assert found.area_interval.contains(0.5) and found.detected < 0.05


def test_ties_are_half_and_never_flagged() -> None:
    found = calibrate(np.ones(10), np.ones(100), seed=0)
    assert found.area == 0.5 and found.detected == 0.0 and found.false_alarms == 0.0


def test_too_few_strangers_to_see_one_false_alarm_in_a_hundred() -> None:
    with pytest.raises(InputError, match="found 10 copies and 99 others"):
        calibrate(np.ones(10), np.zeros(99), seed=0)
    with pytest.raises(InputError, match="missing"):
        calibrate([np.nan, 1.0], np.zeros(100), seed=0)


def test_copies_that_all_score_above_are_not_certain_to() -> None:
    """A bootstrap gives [1, 1]; of twelve originals, each beside another non-copy, all are above: 12 of 12."""
    hit, miss = np.linspace(2, 3, 24), np.linspace(0, 1, 200)
    found = calibrate(hit, miss, seed=0, originals=np.repeat(np.arange(12), 2))
    exact = stats.binomtest(12, 12).proportion_ci()
    assert found.area == 1 and (found.area_interval.low, found.area_interval.high) == pytest.approx(tuple(exact))
    assert found.area_interval.method.startswith("Clopper-Pearson of 12 separate pairs")
    below = calibrate(-hit, miss, seed=0)
    assert below.area == below.area_interval.low == 0 and 0 < below.area_interval.high < 0.2


def test_area_is_that_of_ranks_and_ties_count_half() -> None:
    rng = np.random.default_rng(0)
    hit, miss = rng.integers(0, 9, 40) + 2.0, rng.integers(0, 9, 150) * 1.0
    expected = stats.mannwhitneyu(hit, miss).statistic / (40 * 150)
    assert calibrate(hit, miss, seed=0).area == pytest.approx(expected, abs=1e-12)


def test_several_copies_of_one_original_are_not_independent() -> None:
    """The defect: each original copied four times, found or missed together, seems to be four times the evidence."""
    rng = np.random.default_rng(0)
    once, miss = rng.normal(2.3, 1, 60), rng.normal(0, 1, 400)
    many, who = np.repeat(once, 4), np.repeat(np.arange(60), 4)
    alone = calibrate(once, miss, seed=0)
    joined, naive = calibrate(many, miss, seed=0, originals=who), calibrate(many, miss, seed=0)
    assert joined.detected == naive.detected == alone.detected and joined.area == pytest.approx(alone.area)
    assert (joined.originals, naive.originals) == (60, 240)
    assert joined.detected_interval.width >= alone.detected_interval.width > 1.8 * naive.detected_interval.width
    assert joined.area_interval.width == pytest.approx(alone.area_interval.width, rel=0.05)
    assert naive.area_interval.width < 0.8 * joined.area_interval.width


def test_the_area_of_clustered_copies_is_covered() -> None:
    """Copies of 40 originals, three each, 200 times; three standard errors of 200 draws around 95 %."""
    rng, truth, covered = np.random.default_rng(1), float(stats.norm.cdf(1.5 / np.sqrt(2))), 0
    who = np.repeat(np.arange(40), 3)
    for k in range(200):
        hit = 1.5 + (0.9 * rng.normal(size=(40, 1)) + np.sqrt(1 - 0.81) * rng.normal(size=(40, 3))).reshape(-1)
        covered += calibrate(hit, rng.normal(size=200), seed=k, originals=who).area_interval.contains(truth)
    assert 0.904 <= covered / 200 <= 0.996
