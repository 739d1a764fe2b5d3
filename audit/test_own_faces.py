"""Whether what a network draws lies nearer to its own training faces than chance (Topeza 2025, 5.1, 5.4, 6.3, 7)."""

from functools import partial

import pytest

from audit.measures.made_up_nearness import IMAGES_LOOKED_AT, near_faces
from audit.measures.originality import originality_measures, record_originality
from audit.measures.pull import networks, oracles, pull, pull_measures, record_pull, wiener
from audit.measures.record import record_pairs
from core.denoisers.oracles import Empirical
from core.errors import Missing
from core.metrics.lpips import Embedding
from fixtures.experiments.desk import TrainedExperiment, random_pairs
from fixtures.experiments.experiment import Experiment
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("T-originality")
@pytest.mark.trains(jobs=random_pairs)
def test_samples_are_nearer_than_correlation_suggests(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    lpips: Embedding | None,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
) -> None:
    if lpips is not None:
        measure = partial(record_originality, lpips=lpips)
        record_pairs(evidence, trained_or_none, desk, measure, photographs_or_none)


@pytest.mark.control("T-originality", "positive")
def test_training_faces_under_another_light_are_recognised(
    judge: Judge, desk: TrainedExperiment, lpips: Embedding | None
) -> None:
    """Lit from one side: LPIPS still sees the training image, of which correlation loses more."""
    if lpips is None:
        pytest.skip("needs VGG-16's weights: samenoise weights")
    assert judge("T-originality", originality_measures(near_faces(desk, lpips, "lit")), "synthetic") == "reproduced"


@pytest.mark.control("T-originality", "negative")
@pytest.mark.parametrize(
    ("plant", "verdict"), [("new", None), ("noisy", "refuted"), ("smooth", "refuted"), ("partly copied", None)]
)
def test_faces_of_their_own_are_not_taken_for_near_ones(
    judge: Judge, desk: TrainedExperiment, lpips: Embedding | None, plant: str, verdict: str | None
) -> None:
    """Images nobody was trained on, with and without noise; smoothed training images, which correlate; some copies."""
    if lpips is None:
        pytest.skip("needs VGG-16's weights: samenoise weights")
    found = judge("T-originality", originality_measures(near_faces(desk, lpips, plant)), "synthetic")
    assert found == verdict if verdict else found != "reproduced"


@pytest.mark.control("T-originality", "negative")
def test_copies_are_left_out_and_not_judged(desk: TrainedExperiment, lpips: Embedding | None) -> None:
    if lpips is None:
        pytest.skip("needs VGG-16's weights: samenoise weights")
    partly = near_faces(desk, lpips, "partly copied").kept.samples
    assert (partly == 0).sum() == IMAGES_LOOKED_AT // 4 * len(partly)
    with pytest.raises(Missing, match="not training images"):
        originality_measures(near_faces(desk, lpips, "copied"))


@pytest.mark.claim("T-small-n-pull")
@pytest.mark.trains(jobs=random_pairs)
def test_few_training_faces_pull_and_many_do_not(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
) -> None:
    record_pairs(evidence, trained_or_none, desk, record_pull, photographs_or_none)


@pytest.mark.control("T-small-n-pull", "positive")
def test_the_optimum_over_few_faces_pulls(judge: Judge, desk: TrainedExperiment) -> None:
    few, many = desk.sizes[0], desk.sizes[-1]
    found = pull_measures(pull(desk, few, oracles(desk, few, Empirical)), pull(desk, many, wiener(desk, many)))
    assert judge("T-small-n-pull", found, "synthetic") == "reproduced"


@pytest.mark.control("T-small-n-pull", "negative")
def test_denoisers_that_keep_to_the_given_image_are_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """Linear denoisers of many images, and networks of the largest N, in place of those of the smallest."""
    few, many = desk.sizes[0], desk.sizes[-1]
    last = pull(desk, many, wiener(desk, many))
    for denoisers in (wiener(desk, many), networks(desk, many)):
        assert judge("T-small-n-pull", pull_measures(pull(desk, few, denoisers), last), "synthetic") == "refuted"


@pytest.mark.control("T-small-n-pull", "negative")
def test_the_optimum_over_many_faces_pulls_and_is_caught(judge: Judge, desk: TrainedExperiment) -> None:
    few, many = desk.sizes[0], desk.sizes[-1]
    first = pull(desk, few, oracles(desk, few, Empirical))
    found = pull_measures(first, pull(desk, many, oracles(desk, many, Empirical)))
    assert judge("T-small-n-pull", found, "synthetic") == "refuted"


@pytest.mark.control("T-small-n-pull", "negative")
def test_networks_of_the_other_group_are_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """The networks of A taken for those of B: what they draw is nearer to the faces of the other set."""
    few, many = desk.sizes[0], desk.sizes[-1]
    of = networks(desk, few)
    found = pull_measures(pull(desk, few, {"A": of["B"], "B": of["A"]}), pull(desk, many, wiener(desk, many)))
    assert judge("T-small-n-pull", found, "synthetic") == "refuted"
