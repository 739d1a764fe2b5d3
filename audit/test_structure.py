"""What the structure of the split does to agreement (Topeza 2025, sections 5.2 and 5.3), on the generated corpus."""

import numpy as np
import pytest

from audit.measures.attribute_reader import attribute_reader
from audit.measures.made_up import EVERYONE, NOBODY, made_up_agreement, made_up_psnr
from audit.measures.record import record_pairs, record_published
from audit.measures.structure import (
    confound_measures,
    eyeglasses_measures,
    identity_measures,
    other_group_measures,
    record_confound,
    record_glasses,
    record_identity,
    record_other_group,
    record_sex,
    record_starts,
    start_measures,
    varies_measures,
)
from audit.published.figures import (
    published_eyeglasses_convergence,
    published_identity_convergence,
    published_male_convergence,
    published_size_confound,
)
from core.data.corpus import Corpus
from core.metrics.agreement import Agreement
from fixtures.experiments.desk import TrainedExperiment, random_pairs
from fixtures.experiments.experiment import Experiment
from fixtures.published.files import Published
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("T-eyeglasses-convergence")
@pytest.mark.trains(jobs=random_pairs)
@pytest.mark.trains(jobs=lambda desk: desk.jobs("Eyeglasses"))
def test_glasses_weaken_agreement(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    published_or_none: Published | None,
    trained_or_none: Experiment | None,
) -> None:
    record_published(evidence, published_or_none, published_eyeglasses_convergence)
    record_pairs(evidence, trained_or_none, desk, record_glasses)


@pytest.mark.control("T-eyeglasses-convergence", "positive")
def test_a_split_that_weakens_agreement_is_recognised(judge: Judge) -> None:
    found = eyeglasses_measures(made_up_agreement(0.9), made_up_agreement(0.6, seed=1), EVERYONE, NOBODY)
    assert judge("T-eyeglasses-convergence", found, "synthetic") == "reproduced"


@pytest.mark.control("T-eyeglasses-convergence", "negative")
def test_equal_agreement_or_swapped_groups_are_caught(judge: Judge) -> None:
    same = eyeglasses_measures(made_up_agreement(0.9), made_up_agreement(0.9), EVERYONE, NOBODY)
    swapped = eyeglasses_measures(made_up_agreement(0.9), made_up_agreement(0.6, seed=1), NOBODY, EVERYONE)
    assert judge("T-eyeglasses-convergence", same, "synthetic") != "reproduced"
    assert judge("T-eyeglasses-convergence", swapped, "synthetic") == "refuted"


@pytest.mark.claim("T-male-convergence")
@pytest.mark.trains(jobs=random_pairs)
@pytest.mark.trains(jobs=lambda desk: desk.jobs("Male"))
def test_sex_makes_agreement_vary_by_seed(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    published_or_none: Published | None,
    trained_or_none: Experiment | None,
) -> None:
    record_published(evidence, published_or_none, published_male_convergence)
    record_pairs(evidence, trained_or_none, desk, record_sex)


@pytest.mark.control("T-male-convergence", "positive")
def test_agreement_from_strong_to_none_is_recognised(judge: Judge) -> None:
    mixed = made_up_agreement(0.95, spread=0.01).similarity.copy()
    mixed[np.arange(32), np.arange(32)] = 0.0
    found = varies_measures(Agreement(mixed), made_up_agreement(0.95, spread=0.01))
    assert judge("T-male-convergence", found, "synthetic") == "reproduced"


@pytest.mark.control("T-male-convergence", "negative")
@pytest.mark.parametrize("level", [0.98, 0.0])
def test_uniform_agreement_is_caught(judge: Judge, level: float) -> None:
    found = varies_measures(made_up_agreement(level, spread=0.005), made_up_agreement(0.95, spread=0.005))
    assert judge("T-male-convergence", found, "synthetic") == "refuted"


@pytest.mark.claim("T-identity-convergence")
@pytest.mark.trains(jobs=random_pairs)
@pytest.mark.trains(jobs=lambda desk: desk.jobs("identity"))
def test_identity_overlap_is_not_needed(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    published_or_none: Published | None,
    trained_or_none: Experiment | None,
) -> None:
    record_published(evidence, published_or_none, published_identity_convergence)
    record_pairs(evidence, trained_or_none, desk, record_identity)


@pytest.mark.control("T-identity-convergence", "positive")
def test_equal_psnr_with_a_few_diverging_seeds_is_recognised(judge: Judge) -> None:
    diverging = made_up_agreement(0.95, spread=0.01).similarity.copy()
    diverging[np.arange(10), np.arange(10)] = 0.2
    found = identity_measures(
        made_up_psnr(0.0), made_up_psnr(0.0, seed=1), Agreement(diverging), made_up_agreement(0.95, spread=0.01, seed=2)
    )
    assert judge("T-identity-convergence", found, "synthetic") == "reproduced"


@pytest.mark.control("T-identity-convergence", "negative")
def test_half_a_decibel_is_not_indistinguishable(judge: Judge) -> None:
    found = identity_measures(
        made_up_psnr(0.5), made_up_psnr(0.0, seed=1), made_up_agreement(0.9), made_up_agreement(0.9, seed=2)
    )
    assert judge("T-identity-convergence", found, "synthetic") == "refuted"


@pytest.mark.claim("T-size-confound")
def test_glasses_or_set_size(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    published_or_none: Published | None,
    trained_or_none: Experiment | None,
) -> None:
    record_published(evidence, published_or_none, published_size_confound)
    record_pairs(evidence, trained_or_none, desk, record_confound)


@pytest.mark.control("T-size-confound", "positive")
def test_an_effect_of_the_attribute_is_recognised(judge: Judge) -> None:
    found = confound_measures(made_up_agreement(0.9), made_up_agreement(0.9, seed=1), made_up_agreement(0.6, seed=2))
    assert judge("T-size-confound", found, "synthetic") == "reproduced"


@pytest.mark.control("T-size-confound", "negative")
def test_an_effect_of_size_alone_is_caught(judge: Judge) -> None:
    found = confound_measures(made_up_agreement(0.9), made_up_agreement(0.5, seed=1), made_up_agreement(0.6, seed=2))
    assert judge("T-size-confound", found, "synthetic") == "refuted"


@pytest.mark.claim("T-same-start")
def test_the_start_is_not_the_same(
    evidence: ClaimRecord, desk: TrainedExperiment, trained_or_none: Experiment | None
) -> None:
    record_pairs(evidence, trained_or_none, desk, record_starts)


@pytest.mark.control("T-same-start", "positive")
def test_equal_starts_make_no_difference(judge: Judge) -> None:
    found = start_measures(made_up_agreement(0.9), made_up_agreement(0.9))
    assert judge("T-same-start", found, "synthetic") == "reproduced"


@pytest.mark.control("T-same-start", "negative")
def test_a_start_that_matters_is_caught(judge: Judge) -> None:
    found = start_measures(made_up_agreement(0.9), made_up_agreement(0.8, seed=1))
    assert judge("T-same-start", found, "synthetic") == "refuted"


@pytest.mark.claim("T-test-set")
def test_the_other_group_is_not_a_test_set(
    evidence: ClaimRecord, desk: TrainedExperiment, trained_or_none: Experiment | None
) -> None:
    record_pairs(evidence, trained_or_none, desk, record_other_group)


@pytest.mark.control("T-test-set", "positive")
def test_a_fair_test_set_is_recognised(judge: Judge) -> None:
    found = other_group_measures(made_up_psnr(0.0), made_up_psnr(0.0, seed=1))
    assert judge("T-test-set", found, "synthetic") == "reproduced"


@pytest.mark.control("T-test-set", "negative")
def test_a_harder_test_set_is_caught(judge: Judge) -> None:
    found = other_group_measures(made_up_psnr(-1.0), made_up_psnr(0.0, seed=1))
    assert judge("T-test-set", found, "synthetic") == "refuted"


@pytest.mark.control("T-eyeglasses-convergence", "negative")
def test_the_reader_of_an_attribute_needs_the_attribute(desk: TrainedExperiment) -> None:
    """Shuffled labels cannot be read: the reader's accuracy is not an artefact of its fit."""
    split = desk.split("Eyeglasses", desk.largest("Eyeglasses"))
    used = {name for names in split.groups.values() for name in names}
    assert desk.raw.attributes is not None
    shuffled = desk.raw.attributes.sample(frac=1.0, random_state=0).reset_index(drop=True)
    scrambled = Corpus(desk.raw.images, desk.raw.names, desk.raw.identities, shuffled)
    _, honest = attribute_reader("Eyeglasses", desk.raw, used)
    _, chance = attribute_reader("Eyeglasses", scrambled, used)
    assert honest > 0.75
    assert abs(chance - 0.5) < 0.1
