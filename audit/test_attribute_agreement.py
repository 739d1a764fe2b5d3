"""Agreement of halves that differ by an attribute or share no person (Topeza 2025, sections 5.2 and 5.3)."""

from typing import Any

import numpy as np
import pytest

from audit.measures.agreement import halves, samples_of
from audit.measures.attribute_agreement import (
    WEAKER,
    coarse_measures,
    identity_measures,
    record_coarse,
    record_glasses,
    record_identity,
    record_respect,
    record_sex,
    record_starts,
    respected,
    start_measures,
    varies_measures,
    weaker,
)
from audit.measures.made_up import made_up_trainings, strong, weak
from audit.measures.planted import read_glasses, worn
from audit.measures.record import record_pairs, record_photographs, record_published
from audit.measures.small_end import record_people
from audit.published.bands import by_band, coarse, published_coarse_aligned
from audit.published.figures import (
    published_attribute_respected,
    published_eyeglasses_convergence,
    published_identity_convergence,
    published_male_convergence,
)
from core.metrics.replicates import Replicates, across
from fixtures.experiments.desk import GROUPS, RANDOM, TrainedExperiment, pairs_of, random_pairs
from fixtures.experiments.experiment import Experiment
from fixtures.experiments.small_end import SmallEnd
from fixtures.published.files import Published
from fixtures.published.notebooks import notebook_tiles
from reports.judge import Judge
from reports.record import ClaimRecord

# ------------------------------------------------------------------------------------------------------------- glasses


@pytest.mark.claim("T-eyeglasses-convergence")
@pytest.mark.trains(jobs=random_pairs)
@pytest.mark.trains(jobs=pairs_of("Eyeglasses"))
def test_glasses_weaken_agreement(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    published_or_none: Published | None,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
) -> None:
    record_published(evidence, published_or_none, published_eyeglasses_convergence)
    record_pairs(evidence, trained_or_none, desk, record_glasses, photographs_or_none)


@pytest.mark.control("T-eyeglasses-convergence", "positive")
def test_a_split_that_weakens_agreement_is_recognised(judge: Judge, desk: TrainedExperiment) -> None:
    """Images with and without glasses as samples wear them, and agreement falls."""
    read = read_glasses(desk)
    found = weaker(strong(), weak()) | respected(read, *worn(desk), "glasses")
    assert judge("T-eyeglasses-convergence", found, "synthetic") == "reproduced"


@pytest.mark.control("T-eyeglasses-convergence", "negative")
def test_random_halves_in_place_of_the_split_are_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """Networks of random halves stand for those of the split: nothing is weaker, and half of the samples fit."""
    n, read = desk.largest("Eyeglasses"), read_glasses(desk)
    baseline = halves(desk, RANDOM, n)
    a, b = (samples_of(desk, RANDOM, n, group) for group in GROUPS)
    found = weaker(baseline, across(a, b)) | respected(read, a, b, "glasses")
    assert judge("T-eyeglasses-convergence", found, "synthetic") != "reproduced"
    assert all(value < 0 or not value for name, (value, _) in found.items() if "above" in name or name == WEAKER)


@pytest.mark.claim("T-attribute-respected")
@pytest.mark.trains(jobs=pairs_of("Eyeglasses"))
@pytest.mark.trains(jobs=pairs_of("Male"))
def test_samples_have_the_attribute_of_their_set(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    published_or_none: Published | None,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
) -> None:
    record_published(evidence, published_or_none, published_attribute_respected)
    record_pairs(evidence, trained_or_none, desk, record_respect, photographs_or_none)


@pytest.mark.control("T-attribute-respected", "positive")
def test_images_of_each_group_as_samples_respect_it(judge: Judge, desk: TrainedExperiment) -> None:
    read = read_glasses(desk)
    found = respected(read, *worn(desk), "glasses") | respected(read, *worn(desk), "sex")
    assert judge("T-attribute-respected", found, "synthetic") == "reproduced"


@pytest.mark.control("T-attribute-respected", "negative")
def test_samples_of_swapped_groups_are_caught(judge: Judge, desk: TrainedExperiment) -> None:
    read, (a, b) = read_glasses(desk), worn(desk)
    found = respected(read, b, a, "glasses") | respected(read, b, a, "sex")
    assert judge("T-attribute-respected", found, "synthetic") == "refuted"


@pytest.mark.control("T-attribute-respected", "negative")
@pytest.mark.control("T-eyeglasses-convergence", "negative")
def test_the_reader_of_an_attribute_needs_the_attribute(desk: TrainedExperiment) -> None:
    """Shuffled labels cannot be read: the reader's accuracy is not an artefact of its fit."""
    assert read_glasses(desk).accuracy > 0.75
    assert abs(read_glasses(desk, shuffled=True).accuracy - 0.5) < 0.1


# ----------------------------------------------------------------------------------------------------------------- sex


@pytest.mark.claim("T-male-convergence")
@pytest.mark.trains(jobs=random_pairs)
@pytest.mark.trains(jobs=pairs_of("Male"))
def test_sex_makes_agreement_vary_by_seed(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    published_or_none: Published | None,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
) -> None:
    record_published(evidence, published_or_none, published_male_convergence)
    record_pairs(evidence, trained_or_none, desk, record_sex, photographs_or_none)


@pytest.mark.control("T-male-convergence", "positive")
def test_agreement_from_strong_to_none_is_recognised(judge: Judge) -> None:
    mixed = np.where(np.arange(24) < 12, strong().same, 0.0)
    found = varies_measures(Replicates(mixed, strong().mismatched), strong())
    assert judge("T-male-convergence", found, "synthetic") == "reproduced"


@pytest.mark.control("T-male-convergence", "negative")
def test_random_halves_do_not_vary_more_than_random_halves(judge: Judge, desk: TrainedExperiment) -> None:
    baseline = halves(desk, RANDOM, desk.largest("Male"))
    assert judge("T-male-convergence", varies_measures(baseline, baseline), "synthetic") != "reproduced"
    none = Replicates(np.zeros_like(strong().same), strong().mismatched)
    assert judge("T-male-convergence", varies_measures(none, strong()), "synthetic") == "refuted"


# ------------------------------------------------------------------------------------------------------------ identity


@pytest.mark.claim("T-identity-convergence")
@pytest.mark.trains(jobs=random_pairs)
@pytest.mark.trains(jobs=pairs_of("identity"))
def test_identity_overlap_is_not_needed(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    published_or_none: Published | None,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
    small_end_or_none: SmallEnd | None,
) -> None:
    record_published(evidence, published_or_none, published_identity_convergence)
    record_pairs(evidence, trained_or_none, desk, record_identity, photographs_or_none)
    record_photographs(evidence, small_end_or_none, record_people)


@pytest.mark.control("T-identity-convergence", "positive")
def test_equal_psnr_with_a_few_diverging_seeds_is_recognised(judge: Judge) -> None:
    diverging = Replicates(np.where(np.arange(24) < 4, 0.2, strong().same), strong().mismatched)
    found = identity_measures(made_up_trainings(0.0, 0), made_up_trainings(0.0, 9), diverging, strong())
    assert judge("T-identity-convergence", found, "synthetic") == "reproduced"


@pytest.mark.control("T-identity-convergence", "negative")
def test_half_a_decibel_is_not_indistinguishable(judge: Judge) -> None:
    found = identity_measures(made_up_trainings(0.5, 0), made_up_trainings(0.0, 9), strong(), strong())
    assert judge("T-identity-convergence", found, "synthetic") == "refuted"


@pytest.mark.control("T-identity-convergence", "negative")
def test_random_halves_as_identity_halves_do_not_diverge(judge: Judge, desk: TrainedExperiment) -> None:
    """Every person leaked into both halves: no seed diverges that does not diverge with overlap."""
    baseline = halves(desk, RANDOM, desk.largest("identity"))
    found = identity_measures(made_up_trainings(0.0, 0), made_up_trainings(0.0, 9), baseline, baseline)
    assert judge("T-identity-convergence", found, "synthetic") != "reproduced"


# --------------------------------------------------------------------------------------------------------------- start


@pytest.mark.claim("T-same-start")
@pytest.mark.trains(jobs=random_pairs)
def test_the_start_is_not_the_same(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
) -> None:
    record_pairs(evidence, trained_or_none, desk, record_starts, photographs_or_none)


@pytest.mark.control("T-same-start", "positive")
def test_equal_starts_make_no_difference(judge: Judge) -> None:
    assert judge("T-same-start", start_measures(strong(), strong()), "synthetic") == "reproduced"


@pytest.mark.control("T-same-start", "negative")
def test_a_start_that_matters_is_caught(judge: Judge) -> None:
    assert judge("T-same-start", start_measures(strong(), weak()), "synthetic") == "refuted"


@pytest.mark.control("T-same-start", "negative")
def test_a_start_from_other_noise_is_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """Real samples against those that B's networks draw from the next seed's noise."""
    a, b = (samples_of(desk, RANDOM, desk.sizes[-1], group) for group in GROUPS)
    found = start_measures(across(a, b), across(a, [images.roll(1, 0) for images in b]))
    assert judge("T-same-start", found, "synthetic") == "refuted"


# --------------------------------------------------------------------------------------------------- outline and detail


@pytest.mark.claim("T-coarse-aligned")
@pytest.mark.trains(jobs=random_pairs)
@pytest.mark.trains(jobs=pairs_of("Eyeglasses"))
@pytest.mark.trains(jobs=pairs_of("Male"))
def test_outlines_align_and_details_diverge(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    published_or_none: Published | None,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
) -> None:
    record_published(evidence, published_or_none, published_coarse_aligned)
    record_pairs(evidence, trained_or_none, desk, record_coarse, photographs_or_none)


@pytest.mark.control("T-coarse-aligned", "negative")
def test_published_samples_of_shifted_seeds_are_caught(judge: Judge, published: Published) -> None:
    """B's published samples moved on by one seed: not even outlines align."""
    tiles = notebook_tiles(published)
    baseline = by_band(tiles, "celeba")
    found: dict[str, Any] = {}
    for experiment, name in (("eyeglasses", "glasses"), ("male", "sex")):
        found |= coarse(by_band(tiles, experiment, shift=1), baseline, name)
    assert judge("T-coarse-aligned", found, "published") == "refuted"


@pytest.mark.control("T-coarse-aligned", "positive")
def test_detail_alone_that_diverges_is_recognised(judge: Judge) -> None:
    split, baseline = {"below": strong(), "above": weak()}, {"below": strong(), "above": strong()}
    found = coarse_measures(split, baseline, "glasses") | coarse_measures(split, baseline, "sex")
    assert judge("T-coarse-aligned", found, "synthetic") == "reproduced"


@pytest.mark.control("T-coarse-aligned", "negative")
@pytest.mark.parametrize("defect", ["outlines diverge instead", "nothing aligns"])
def test_outlines_that_diverge_are_caught(judge: Judge, defect: str) -> None:
    none = Replicates(np.zeros_like(weak().same), weak().mismatched)
    split = (
        {"below": weak(), "above": strong()} if defect == "outlines diverge instead" else {"below": none, "above": none}
    )
    baseline = {"below": strong(), "above": strong()}
    found = coarse_measures(split, baseline, "glasses") | coarse_measures(split, baseline, "sex")
    assert judge("T-coarse-aligned", found, "synthetic") == "refuted"
