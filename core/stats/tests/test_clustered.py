import numpy as np
import pytest

from core.errors import InputError
from core.stats import CORRELATION, bootstrap_mean, clopper_pearson
from core.stats.clustered import clustered_mean, clustered_share


def test_clusters_of_one_are_the_plain_intervals() -> None:
    x = np.random.default_rng(0).normal(size=40)
    value, interval = clustered_mean(x, np.arange(40), seed=0, over="seeds")
    plain = bootstrap_mean(x, seed=0, over="seeds")
    assert value == pytest.approx(x.mean()) and (interval.low, interval.high) == pytest.approx((plain.low, plain.high))
    share, exact = clustered_share(x > 0, np.arange(40))
    assert share == (x > 0).mean() and exact == clopper_pearson(int((x > 0).sum()), 40)


def test_few_clusters_of_correlations_end_at_one() -> None:
    tau, who = np.array([1.0, 1.0, 1.0, 0.6]), np.arange(4)
    assert clustered_mean(tau, who, seed=0, over="models")[1].high > 1
    assert clustered_mean(tau, who, seed=0, over="models", possible=CORRELATION)[1].high == 1


def test_repeating_every_value_adds_no_information() -> None:
    """The defect that this module is for: four copies of each value would halve the plain interval."""
    x = np.random.default_rng(1).normal(size=50)
    many, who = np.repeat(x, 4), np.repeat(np.arange(50), 4)
    once = bootstrap_mean(x, seed=0)
    _, clustered = clustered_mean(many, who, seed=0, over="originals")
    assert clustered.width == pytest.approx(once.width, rel=1e-9)
    assert bootstrap_mean(many, seed=0).width < 0.6 * once.width
    exact = clopper_pearson(int((x > 0).sum()), 50)
    share, interval = clustered_share(many > 0, who)
    # the effective size is 49 rather than 50, less what Student's t takes off
    assert exact.width < interval.width < 1.05 * exact.width and interval.contains(share)


@pytest.mark.parametrize("all_", [False, True])
def test_all_or_none_count_clusters(all_: bool) -> None:
    share, interval = clustered_share(np.full(128, all_), np.repeat(np.arange(64), 2))
    exact = clopper_pearson(64 * all_, 64)
    assert share == all_ and (interval.low, interval.high) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize(("share", "size"), [(0.5, 2), (0.9, 2), (0.97, 2), (0.9, 5)])
def test_intervals_cover_on_correlated_pairs(share: float, size: int) -> None:
    """64 clusters whose members mostly go together, 600 times; 93.2 % is two standard errors below 95 %."""
    rng = np.random.default_rng(0)
    who, covered, plain = np.repeat(np.arange(64), size), 0, 0
    for _ in range(600):
        common = rng.random(64) < share
        own = rng.random((64, size)) < share
        flags = np.where(rng.random((64, 1)) < 0.7, common[:, None], own).reshape(-1)
        covered += clustered_share(flags, who)[1].contains(share)
        plain += size == 5 and clopper_pearson(int(flags.sum()), len(flags)).contains(share)
    assert covered >= 0.932 * 600
    assert plain < 0.85 * 600  # with five to a cluster, taking them for independent covers far too little


def test_bootstrap_covers_on_correlated_pairs() -> None:
    rng = np.random.default_rng(0)
    who, covered = np.repeat(np.arange(40), 3), 0
    for k in range(300):
        x = (rng.normal(size=(40, 1)) + 0.5 * rng.normal(size=(40, 3))).reshape(-1)
        covered += clustered_mean(x, who, seed=k, over="seeds")[1].contains(0.0)
    assert 0.91 <= covered / 300 <= 0.98  # 0.95 within three standard errors of 300 draws


@pytest.mark.parametrize(
    ("values", "clusters", "message"),
    [
        ([1.0, 2.0], [0], "equal vectors"),
        ([1.0, np.nan], [0, 1], "missing"),
        ([1.0, 2.0], [0, 0], "found 1, expected at least 2"),
    ],
)
def test_bad_clusters(values: list, clusters: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        clustered_mean(values, clusters, seed=0, over="seeds")
