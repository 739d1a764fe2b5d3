"""What the Gaussian-mixture experiment of Verkhovensky (2025) shows, and the criteria of copying it leans on."""

import pytest
import torch

from audit.measures.copiers import criterion_measures, known_points, record_copiers, twin_measures
from audit.measures.distance_criterion import known_answers, record_criterion
from audit.measures.dynamics import (
    POINT,
    SCRIPT,
    expected_distances,
    gap_measures,
    level_measures,
    record_gaps,
    record_levels,
    record_settings_stated,
    setting_differences,
)
from audit.measures.made_up_samplers import samplers, watched
from audit.measures.published_curves import published_levels
from core.metrics.lpips import Embedding
from core.theory.mixtures import distances, draw_mixture
from core.training.config import DynamicsConfig
from fixtures.experiments.curves import published_jobs
from fixtures.experiments.desk import TrainedExperiment
from fixtures.published.made_up_figures import draw_curves
from reports.judge import Judge
from reports.record import ClaimRecord

# --- V-setup ---------------------------------------------------------------------------------------------


@pytest.mark.claim("V-setup")
def test_readme_and_script_describe_one_experiment(evidence: ClaimRecord) -> None:
    record_settings_stated(evidence)


@pytest.mark.control("V-setup", "positive")
def test_equal_settings_are_one_experiment(judge: Judge) -> None:
    assert judge("V-setup", setting_differences(SCRIPT, SCRIPT)) == "reproduced"


@pytest.mark.control("V-setup", "negative")
def test_other_dimensions_are_another_experiment(judge: Judge) -> None:
    assert judge("V-setup", setting_differences(SCRIPT, {**SCRIPT, "dimensions": 64})) == "refuted"


# --- V-gap -----------------------------------------------------------------------------------------------


@pytest.mark.claim("V-gap")
@pytest.mark.trains(jobs=lambda desk: published_jobs(desk.preset.mixtures), corpus=False)
def test_the_gap_lasts_to_the_end_of_training(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    record_gaps(evidence, desk)


@pytest.mark.control("V-gap", "positive")
def test_samples_of_the_true_mixture_keep_the_gap(judge: Judge) -> None:
    s = samplers()
    found = watched([s.noise, s.fresh, s.fresh, s.fresh], (1, 2, 3, 4), s.data)
    assert judge("V-gap", gap_measures(found), "synthetic") == "reproduced"


@pytest.mark.control("V-gap", "negative")
@pytest.mark.parametrize("copied", [(3,), (2,), (2, 3)])
def test_a_memoriser_has_no_gap(judge: Judge, copied: tuple[int, ...]) -> None:
    """Copies at the end, or in the midst of the second half though the end shows the gap again."""
    s = samplers()
    looks = [s.copies if k in copied else s.fresh for k in range(4)]
    assert judge("V-gap", gap_measures(watched(looks, (1, 2, 3, 4), s.data)), "synthetic") == "refuted"


# --- V-levels --------------------------------------------------------------------------------------------


@pytest.mark.claim("V-levels")
@pytest.mark.trains(jobs=lambda desk: published_jobs(desk.preset.mixtures), corpus=False)
def test_the_distances_are_as_the_readme_says(
    evidence: ClaimRecord, desk: TrainedExperiment, verkhovensky_curves_or_none: bytes | None
) -> None:
    record_levels(evidence, desk, verkhovensky_curves_or_none)


@pytest.mark.control("V-levels", "positive")
def test_curves_and_samples_at_the_printed_distances_are_recognised(judge: Judge) -> None:
    """Curves drawn to the words; new points of a mixture of so few training points that the nearest is at about 15."""
    assert judge("V-levels", published_levels(draw_curves(10.0, 15.0)), "published") == "reproduced"
    s = samplers(n=20, count=400)
    assert judge("V-levels", level_measures(watched([s.fresh], (1,), s.data)), "synthetic") == "reproduced"


@pytest.mark.control("V-levels", "negative")
def test_curves_that_end_where_exact_samples_do_are_caught(judge: Judge) -> None:
    assert judge("V-levels", published_levels(draw_curves(10.8, 12.9)), "published") == "refuted"
    s = samplers()
    assert judge("V-levels", level_measures(watched([s.fresh], (1,), s.data)), "synthetic") == "refuted"
    assert judge("V-levels", level_measures(watched([s.copies], (1,), s.data)), "synthetic") == "refuted"


# --- V-criterion -----------------------------------------------------------------------------------------


@pytest.mark.claim("V-criterion")
def test_the_criterion_on_samplers_whose_answer_is_known(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    record_criterion(evidence, desk)


@pytest.mark.control("V-criterion", "positive")
def test_the_criterion_tells_copies_from_fresh_points(judge: Judge) -> None:
    assert judge("V-criterion", known_answers(DynamicsConfig())) == "reproduced"


@pytest.mark.control("V-criterion", "negative")
def test_a_criterion_that_errs_is_caught(judge: Judge) -> None:
    """In two dimensions the nearest of many points is nearer than the centre, whoever draws."""
    assert judge("V-criterion", known_answers(DynamicsConfig(dimensions=2, clusters=1))) == "refuted"


@pytest.mark.control("V-criterion", "negative")
@pytest.mark.parametrize("wrong", ["one cluster", "sigma", "two dimensions too many"])
def test_a_closed_form_that_is_slightly_wrong_is_told_from_the_samples(wrong: str) -> None:
    """2,000 exact points: the right form is within 0.5 %, one with a part forgotten is not."""
    config = DynamicsConfig()
    data = draw_mixture(config, 1000, 0)
    right = expected_distances(data, config)[POINT]
    found = distances(data.oracle.sample(2000, torch.Generator().manual_seed(1)), data)[1].mean()
    assert right == pytest.approx(float(found), rel=0.005)
    changed = {
        "one cluster": config.replace(clusters=1),
        "sigma": config.replace(sigma=config.sigma * 1.01),
        "two dimensions too many": config.replace(dimensions=config.dimensions + 2),
    }[wrong]
    assert expected_distances(data, changed)[POINT] != pytest.approx(float(found), rel=0.005)


# --- B-memorised-fraction --------------------------------------------------------------------------------


@pytest.mark.claim("B-memorised-fraction")
def test_the_gap_ratio_finds_every_copy(
    evidence: ClaimRecord, desk: TrainedExperiment, lpips: Embedding | None
) -> None:
    record_copiers(evidence, desk, lpips)


@pytest.mark.control("B-memorised-fraction", "positive")
def test_a_criterion_that_tells_copies_from_fresh_points_is_recognised(judge: Judge) -> None:
    assert judge("B-memorised-fraction", criterion_measures(*known_points(seed=1))) == "reproduced"


@pytest.mark.control("B-memorised-fraction", "negative")
def test_a_criterion_that_misses_copies_is_caught(judge: Judge) -> None:
    """Copies as far from their original as points are from each other: nothing tells them from fresh points."""
    found = criterion_measures(*known_points(seed=1), inexact=1.0)
    assert found["share called memorised, inexact copies"][0] < 0.05
    assert judge("B-memorised-fraction", found) == "refuted"


@pytest.mark.control("B-memorised-fraction", "negative")
def test_fresh_points_that_are_copies_are_caught(judge: Judge) -> None:
    """Training points leaked into those that should be new."""
    points, fresh = known_points(seed=1)
    assert judge("B-memorised-fraction", criterion_measures(points, torch.cat([fresh[:-5], points[:5]]))) == "refuted"


@pytest.mark.control("B-memorised-fraction", "negative")
def test_a_ratio_that_decides_alone_is_caught(judge: Judge) -> None:
    """Copies nearly half as far from their original as from the next point: 1/2 finds them, 1/3 and 1/4 do not."""
    assert judge("B-memorised-fraction", criterion_measures(*known_points(seed=1), inexact=0.5)) == "refuted"


@pytest.mark.control("B-memorised-fraction", "negative")
def test_twins_hide_copies_and_counted_once_they_do_not() -> None:
    """The finding beside the claim: shown, with its own known answer, and not judged."""
    found = {name: share for name, (share, _) in twin_measures(known_points(seed=1)[0]).items()}
    assert found["share found, inexact copies, set with near-duplicates"] < 0.05
    assert found["share found, exact copies, set with repeated points"] == 0
    assert found["share found, inexact copies, near-duplicates counted once"] == 1
