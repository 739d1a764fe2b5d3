"""When in training samples become good and when copies appear, by the size of the training set (Bonnaire et al. 2025).

Three systems: a perceptron on Gaussian mixtures, a small UNet on generated faces, and random features in closed form;
at a full scale the published network on faces of the published size.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from audit.measures.made_up import made_up_exponents, planted_features
from audit.measures.networks import full_elsewhere
from audit.measures.training_times import (
    KIND,
    PUBLISHED_NETWORK,
    SYSTEMS,
    copying_jobs,
    mixtures_faces_features,
    record_copying,
    record_generation,
)
from core.training.config import ImageDynamicsConfig
from core.training.presets import DEFAULT_SCALE, FaceTimes, preset
from fixtures.experiments.curves import face_jobs
from fixtures.experiments.desk import TrainedExperiment
from reports.judge import Judge, judge_claim
from reports.ledger import load_ledger
from reports.record import ClaimRecord


@pytest.mark.claim("B-generation-time")
@pytest.mark.trains(jobs=mixtures_faces_features, corpus=False)
def test_samples_become_good_at_the_same_time(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    record_generation(evidence, desk)


@pytest.mark.claim("B-memorisation-time")
@pytest.mark.trains(jobs=copying_jobs, corpus=False)
def test_copies_appear_in_proportion_to_the_set(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    full_elsewhere(evidence, desk, "test_training_times.py -k copies_appear", "workstation")
    record_copying(evidence, desk)


@pytest.mark.control("B-generation-time", "positive")
def test_a_constant_time_is_recognised(judge: Judge) -> None:
    assert judge("B-generation-time", made_up_exponents(0.0), KIND) == "reproduced"


@pytest.mark.control("B-generation-time", "negative")
def test_a_time_that_grows_is_caught(judge: Judge) -> None:
    assert judge("B-generation-time", made_up_exponents(0.5), KIND) == "refuted"


@pytest.mark.control("B-memorisation-time", "positive")
@pytest.mark.parametrize("kind", [KIND, "full"])
def test_a_linear_time_is_recognised(judge: Judge, kind: str) -> None:
    assert judge("B-memorisation-time", made_up_exponents(1.0), kind) == "reproduced"


@pytest.mark.control("B-memorisation-time", "negative")
@pytest.mark.parametrize("kind", [KIND, "full"])
def test_a_time_that_grows_as_the_root_is_caught(judge: Judge, kind: str) -> None:
    assert judge("B-memorisation-time", made_up_exponents(0.5), kind) == "refuted"


@pytest.mark.control("B-memorisation-time", "positive")
def test_features_that_learn_in_proportion_are_recognised(judge: Judge) -> None:
    fit = planted_features(1.0).exponent
    assert judge("B-memorisation-time", {f"exponent in N{SYSTEMS[2]}": (fit.value, fit.interval)}, KIND) == "reproduced"


@pytest.mark.control("B-memorisation-time", "negative")
@pytest.mark.parametrize("power", [0.0, 0.5, 2.0])
def test_features_whose_clock_is_another_are_caught(judge: Judge, power: float) -> None:
    """Of 0: every N got the same number of points, as a loader that stops at one size would give."""
    fit = planted_features(power).exponent
    assert judge("B-memorisation-time", {f"exponent in N{SYSTEMS[2]}": (fit.value, fit.interval)}, KIND) == "refuted"


@pytest.mark.control("B-memorisation-time", "negative")
def test_trainings_that_end_too_early_decide_nothing(judge: Judge) -> None:
    """The largest sets never cross: without them the slope would come out, and be wrong about how sure it is."""
    assert judge("B-memorisation-time", made_up_exponents(1.0, cut=600.0), KIND) == "inconclusive"


@pytest.mark.control("B-memorisation-time", "negative")
def test_at_a_full_scale_the_published_network_alone_is_evidence(tmp_path: Path) -> None:
    """A stand-in for it whose trainings end before copies appear: that decides nothing, whatever small systems do."""
    study = FaceTimes(
        ImageDynamicsConfig(image_size=8, base_channels=4, blocks=1, batch=4, samples=4, levels=4),
        sizes=(3, 6),
        steps=(129, 129),
    )
    scale = preset("workstation")
    desk = TrainedExperiment(replace(scale, mixtures=replace(scale.mixtures, full_faces=study)), tmp_path)
    record = ClaimRecord(
        load_ledger(Path(__file__).with_name("claims.toml"))["B-memorisation-time"], tmp_path, {}, scale=scale.name
    )
    assert copying_jobs(desk) == face_jobs(study)
    for job in face_jobs(study):  # here: processes of their own take longer to start than these trainings
        job.make(tmp_path)
    full_elsewhere(record, desk, "test_training_times.py")
    record_copying(record, desk)
    assert not record.blocked
    assert {e.kind for e in record.evidence} == {"full"}
    assert all(PUBLISHED_NETWORK in e.name for e in record.evidence)
    found = {e.name: e.value for e in record.evidence}
    assert found[f"exponent in N{PUBLISHED_NETWORK}"] == "undecided: 3 to 6 faces", "too few for the law to speak of"
    assert judge_claim(record.claim, record.evidence).by_kind == {"full": "inconclusive"}
    full_elsewhere(record, TrainedExperiment(preset(DEFAULT_SCALE), tmp_path), "test_training_times.py")
    assert [(b["kind"], b["command"]) for b in record.blocked] == [
        ("full", "pytest audit/test_training_times.py --scale paper80 --device cuda")
    ]


@pytest.mark.control("B-generation-time", "negative")
def test_one_system_that_breaks_the_law_is_enough(judge: Judge) -> None:
    found = made_up_exponents(0.0) | {
        "exponent in N, small faces": made_up_exponents(0.5)["exponent in N, small faces"]
    }
    assert judge("B-generation-time", found, KIND) == "refuted"
