import numpy as np
import pytest

from core.errors import InputError
from core.metrics.retrieval import (
    identity_retrieval,
    memorised,
    nearest_change,
    rank_agreement,
    recall_by_k,
    retrieval_difference,
)


def test_nearest_change_by_hand_and_its_chance_level() -> None:
    found = nearest_change([[1, 2, 3], [3, 1, 2], [1, 2, 3]], [[5, 4, 6], [9, 1, 2], [2, 2, 7]])
    assert (found.changed, found.n, found.chance) == (1, 3, pytest.approx(2 / 3))
    rng = np.random.default_rng(0)
    unrelated = nearest_change(rng.random((2000, 10)), rng.random((2000, 10)))
    assert unrelated.interval.contains(unrelated.chance) and unrelated.chance == 0.9
    same = rng.random((50, 10))
    assert nearest_change(same, np.exp(same)).share == 0.0


def test_a_related_order_is_told_from_chance() -> None:
    rng = np.random.default_rng(0)
    first = rng.random((300, 10))
    related = nearest_change(first, first + 0.3 * rng.random((300, 10)))
    assert related.share > 0.2 and related.interval.high < related.chance


def test_rank_agreement() -> None:
    rng = np.random.default_rng(0)
    first = rng.random((100, 10))
    none = rank_agreement(first, rng.random((100, 10)), seed=0)
    assert none.kendall_interval.contains(0) and none.spearman_interval.contains(0)
    inverted = rank_agreement(first, -first, seed=0)
    assert inverted.mean_kendall == -1.0 and inverted.mean_spearman == -1.0
    some = rank_agreement(first, first + 0.5 * rng.random((100, 10)), seed=0)
    assert some.kendall_interval.low > 0 and some.spearman_interval.low > 0


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([[1.0], [2.0]], [[1.0], [2.0]], "at least two candidates"),
        ([[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]], "equal"),
        ([[1.0, np.nan]], [[1.0, 2.0]], "missing"),
    ],
)
def test_bad_candidates(first: list, second: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        nearest_change(first, second)


def test_candidates_at_one_distance_have_no_order() -> None:
    with pytest.raises(InputError, match="sample 1"):
        rank_agreement([[1, 2], [1, 2]], [[1, 2], [3, 3]], seed=0)


def test_memorised_samples_stand_apart() -> None:
    assert memorised([[0.995, 0.2], [0.98, 0.97]]).tolist() == [True, False]


def test_recall_by_k() -> None:
    found = recall_by_k([4, 5, 6, 7], [[4, 1, 2], [1, 5, 2], [1, 2, 3], [1, 2, 7]])
    assert [value for value, _ in found] == [0.25, 0.5, 0.75]
    assert found[2][1].contains(0.75) and found[2][1].method == "Clopper-Pearson"


# --- identity


def _brute(distance: np.ndarray, q: np.ndarray, g: np.ndarray, own: np.ndarray | None) -> tuple[float, float]:
    """Precision at 1 and average precision query by query, averaged by identity: the definition, spelt out."""
    p1: dict[int, list[float]] = {}
    ap: dict[int, list[float]] = {}
    for i, row in enumerate(distance):
        gallery = [j for j in np.argsort(row, kind="stable") if own is None or j != own[i]]
        good = [g[j] == q[i] for j in gallery]
        if not any(good):
            continue
        at = [sum(good[: r + 1]) / (r + 1) for r, hit in enumerate(good) if hit]
        p1.setdefault(q[i], []).append(float(good[0]))
        ap.setdefault(q[i], []).append(float(np.mean(at)))
    return float(np.mean([np.mean(v) for v in p1.values()])), float(np.mean([np.mean(v) for v in ap.values()]))


@pytest.mark.parametrize("inside", [False, True])
def test_identity_retrieval_equals_its_definition(inside: bool) -> None:
    rng = np.random.default_rng(0)
    g = rng.integers(0, 8, 40)
    q, own = (g[:15], np.arange(15)) if inside else (rng.integers(0, 10, 15), None)
    distance = rng.random((15, 40)) + 0.1
    found = identity_retrieval(distance, q, g, seed=0, own=own)
    assert (found.precision_at_1, found.mean_average_precision) == pytest.approx(_brute(distance, q, g, own))


def test_a_metric_that_knows_identity_and_one_that_does_not() -> None:
    rng = np.random.default_rng(1)
    who = np.repeat(np.arange(30), 4)
    noise = rng.random((120, 120))
    knows = identity_retrieval(noise + 0.1 + (who[:, None] != who), who, who, seed=0, own=np.arange(120))
    assert knows.precision_at_1 == 1.0 and knows.mean_average_precision == pytest.approx(1.0)
    blind = identity_retrieval(noise + 0.1, who, who, seed=0, own=np.arange(120))
    assert blind.precision_interval.contains(blind.chance) and blind.identities == 30


def test_chance_of_average_precision_is_that_of_random_orders() -> None:
    rng, who = np.random.default_rng(2), np.repeat(np.arange(10), 3)
    found = [identity_retrieval(rng.random((30, 30)) + 0.1, who, who, seed=0, own=np.arange(30)) for _ in range(200)]
    averages = np.array([each.mean_average_precision for each in found])
    # three standard errors of the mean over 200 orders
    assert abs(averages.mean() - found[0].map_chance) < 3 * averages.std() / 200**0.5
    assert found[0].chance == pytest.approx(2 / 29) and found[0].map_chance > found[0].chance


def test_the_better_metric_is_told_by_identity() -> None:
    rng, who = np.random.default_rng(1), np.repeat(np.arange(30), 4)
    noise = rng.random((2, 120, 120)) + 0.1
    good, bad = (
        identity_retrieval(x + w * (who[:, None] != who), who, who, seed=0, own=np.arange(120))
        for x, w in zip(noise, (0.7, 0.2), strict=True)
    )
    for value, interval in retrieval_difference(good, bad, seed=0).values():
        assert interval.low > 0 and interval.contains(value)
    for value, interval in retrieval_difference(good, good, seed=0).values():
        assert value == 0 and interval.width == 0
    other = identity_retrieval(noise[0][:60, :60], who[:60], who[:60], seed=0, own=np.arange(60))
    with pytest.raises(InputError, match="found 30 and 15 identities"):
        retrieval_difference(good, other, seed=0)


def test_samples_of_one_seed_count_together() -> None:
    """A and B of one seed with the same outcome: half as many independent samples as images."""
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 60, 10))
    twice, seeds = (np.repeat(x, 2, axis=0) for x in (first, second)), np.repeat(np.arange(60), 2)
    a, b = twice
    once, joined, naive = nearest_change(first, second), nearest_change(a, b, clusters=seeds), nearest_change(a, b)
    assert once.share == joined.share == naive.share
    assert naive.interval.width < 0.8 * once.interval.width <= 0.81 * joined.interval.width
    wide, narrow = rank_agreement(a, b, seed=0, clusters=seeds), rank_agreement(a, b, seed=0)
    assert narrow.kendall_interval.width < 0.8 * wide.kendall_interval.width
    assert narrow.spearman_interval.width < 0.8 * wide.spearman_interval.width


def test_a_query_in_the_gallery_is_refused() -> None:
    distance = np.random.default_rng(0).random((4, 6))
    distance[2, 3] = 0.0
    with pytest.raises(InputError, match="query 2 is image 3"):
        identity_retrieval(distance, [0, 1, 0, 1], [0, 1, 0, 1, 0, 1], seed=0)


def test_no_identity_twice() -> None:
    with pytest.raises(InputError, match="fewer than 2"):
        identity_retrieval(np.ones((2, 2)), [0, 1], [2, 3], seed=0)
