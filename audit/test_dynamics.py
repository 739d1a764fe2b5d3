"""What the Gaussian-mixture experiment of Verkhovensky (2025) shows, and the criteria of copying it leans on."""

import numpy as np
import pytest
import torch

from audit.measures.copiers import copier_measures, record_copiers
from audit.measures.distance_criterion import known_answers, record_criterion
from audit.measures.dynamics import (
    POINT,
    SCRIPT,
    distance_gap_measures,
    expected_distances,
    record_gaps,
    record_settings_stated,
    setting_differences,
)
from core.metrics.lpips import Embedding
from core.theory.mixtures import distances, draw_mixture
from core.training.config import DynamicsConfig
from fixtures.experiments.curves import published_jobs
from fixtures.experiments.desk import TrainedExperiment
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
def test_distances_as_printed_are_recognised(judge: Judge) -> None:
    rng = np.random.default_rng(0)
    found = distance_gap_measures(rng.normal(11, 0.5, 100), rng.normal(15, 0.5, 100))
    assert judge("V-gap", found, "synthetic") == "reproduced"


@pytest.mark.control("V-gap", "negative")
def test_a_memoriser_has_no_gap(judge: Judge) -> None:
    data = draw_mixture(DynamicsConfig(), 1000, 0)
    copies = [x.numpy() for x in distances(data.train[:100], data)[:2]]
    assert judge("V-gap", distance_gap_measures(*copies), "synthetic") == "refuted"


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
def test_a_ratio_that_counts_twins_once_finds_every_copy(judge: Judge) -> None:
    found, joined = copier_measures(draw_mixture(DynamicsConfig(), 200, 1).train)
    assert judge("B-memorised-fraction", dict.fromkeys(found, joined)) == "reproduced"


@pytest.mark.control("B-memorised-fraction", "negative")
def test_a_criterion_that_misses_copies_is_caught(judge: Judge) -> None:
    """Copies as far from their original as points are from each other: nothing tells them from fresh points."""
    points = draw_mixture(DynamicsConfig(), 200, 1).train
    sound, joined = copier_measures(points)
    far, _ = copier_measures(points, inexact=1.0)
    name = "share found, inexact copies, distinct points"
    assert sound[name][0] == 1 and far[name][0] < 0.05
    assert judge("B-memorised-fraction", {**dict.fromkeys(sound, joined), name: far[name]}) == "refuted"
