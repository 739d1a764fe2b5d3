"""What the structure of the split does to agreement (Topeza 2025, sections 5.2 and 5.3), on the generated corpus."""

import pytest
import torch

from audit.measures.agreement import halves
from audit.measures.made_up import made_up_psnr, strong, weak, wiener_psnr
from audit.measures.record import record_pairs, record_published
from audit.measures.structure import (
    beyond_random_measures,
    confound_measures,
    duplicates_kept,
    other_group_measures,
    record_confound,
    record_other_group,
)
from audit.published.figures import (
    published_size_confound,
)
from core.training.cells import WITH_DUPLICATES
from fixtures.experiments.desk import TrainedExperiment
from fixtures.experiments.experiment import Experiment
from fixtures.published.files import Published
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("T-size-confound")
@pytest.mark.trains(jobs=duplicates_kept)
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
    assert judge("T-size-confound", confound_measures(strong(), strong(), weak()), "synthetic") == "reproduced"


@pytest.mark.control("T-size-confound", "negative")
def test_an_effect_of_size_alone_is_caught(judge: Judge) -> None:
    assert judge("T-size-confound", confound_measures(strong(), weak(), strong()), "synthetic") == "refuted"


@pytest.mark.control("T-size-confound", "negative")
@pytest.mark.trains(jobs=duplicates_kept)
def test_halves_that_no_attribute_parts_show_no_effect(judge: Judge, desk: TrainedExperiment) -> None:
    """In the place of the attribute halves stand random ones of the same size."""
    n = desk.largest("Eyeglasses")
    sets = [("random", desk.sizes[-1]), (WITH_DUPLICATES, n), ("random", n)]
    found = confound_measures(*(halves(desk, *cell) for cell in sets))
    assert judge("T-size-confound", found, "synthetic") != "reproduced"


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
    split, random = ([made_up_psnr(0.0, seed=k) for k in seeds] for seeds in ((0, 1), (2, 3)))
    found = beyond_random_measures(split, random)
    assert judge("T-test-set", found, "synthetic") == "reproduced"


@pytest.mark.control("T-test-set", "negative")
def test_a_harder_test_set_is_caught(judge: Judge) -> None:
    split, random = [made_up_psnr(-1.0), made_up_psnr(0.0, seed=1)], [made_up_psnr(0.0, seed=k) for k in (2, 3)]
    found = beyond_random_measures(split, random)
    assert judge("T-test-set", found, "synthetic") == "refuted"


@pytest.mark.control("T-test-set", "positive")
def test_images_that_are_hard_for_everyone_are_no_effect_of_the_attribute(
    judge: Judge, desk: TrainedExperiment
) -> None:
    """Both filters know faces with contrast and without, and those with more contrast are the harder ones."""
    faces = desk.corpus.images
    harder, own = (0.5 + 1.5 * (faces[:512] - 0.5)).clamp(0, 1), faces[512:1024]
    split, random = ([wiener_psnr(faces[k::4], x) for x in (harder, own)] for k in (2, 3))
    alone = other_group_measures(split[0], split[1])["other group minus held-out own, 20 dB"]
    assert alone[0] < -0.5, "by itself the difference looks like one of the attribute"
    assert judge("T-test-set", beyond_random_measures(split, random), "synthetic") == "reproduced"


@pytest.mark.control("T-test-set", "negative")
def test_images_of_a_kind_that_one_was_not_fitted_to_are_an_effect(judge: Judge, desk: TrainedExperiment) -> None:
    """One filter knows upright faces alone, the other upright ones and those upside down."""
    faces = desk.corpus.images
    turned, own = faces[:512].flip(-2), faces[512:1024]
    upright, both = faces[2::4], torch.cat([faces[2::8], faces[3::8].flip(-2)])
    split, random = ([wiener_psnr(known, x) for x in (turned, own)] for known in (upright, both))
    assert judge("T-test-set", beyond_random_measures(split, random), "synthetic") == "refuted"
