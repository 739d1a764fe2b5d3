"""What the structure of the split does to agreement (Topeza 2025, sections 5.2 and 5.3), on the generated corpus."""

import pytest

from audit.measures.made_up import made_up_agreement, made_up_psnr
from audit.measures.record import record_pairs, record_published
from audit.measures.structure import (
    confound_measures,
    other_group_measures,
    record_confound,
    record_other_group,
)
from audit.published.figures import (
    published_size_confound,
)
from fixtures.experiments.desk import TrainedExperiment
from fixtures.experiments.experiment import Experiment
from fixtures.published.files import Published
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("T-size-confound")
def test_glasses_or_set_size(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    published_or_none: Published | None,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
) -> None:
    record_published(evidence, published_or_none, published_size_confound)
    record_pairs(evidence, trained_or_none, desk, record_confound, photographs_or_none)


@pytest.mark.control("T-size-confound", "positive")
def test_an_effect_of_the_attribute_is_recognised(judge: Judge) -> None:
    found = confound_measures(made_up_agreement(0.9), made_up_agreement(0.9, seed=1), made_up_agreement(0.6, seed=2))
    assert judge("T-size-confound", found, "synthetic") == "reproduced"


@pytest.mark.control("T-size-confound", "negative")
def test_an_effect_of_size_alone_is_caught(judge: Judge) -> None:
    found = confound_measures(made_up_agreement(0.9), made_up_agreement(0.5, seed=1), made_up_agreement(0.6, seed=2))
    assert judge("T-size-confound", found, "synthetic") == "refuted"


@pytest.mark.claim("T-test-set")
def test_the_other_group_is_not_a_test_set(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
) -> None:
    record_pairs(evidence, trained_or_none, desk, record_other_group, photographs_or_none)


@pytest.mark.control("T-test-set", "positive")
def test_a_fair_test_set_is_recognised(judge: Judge) -> None:
    found = other_group_measures(made_up_psnr(0.0), made_up_psnr(0.0, seed=1))
    assert judge("T-test-set", found, "synthetic") == "reproduced"


@pytest.mark.control("T-test-set", "negative")
def test_a_harder_test_set_is_caught(judge: Judge) -> None:
    found = other_group_measures(made_up_psnr(-1.0), made_up_psnr(0.0, seed=1))
    assert judge("T-test-set", found, "synthetic") == "refuted"
