"""Claims on the splits: their sizes, their definition, and what 'disjoint' leaves shared (T 3.4, 4.3, 5.3)."""

import numpy as np
import pytest

from audit.measures.corpora import numbered_names
from audit.measures.exposure import exposure_measures, record_exposure, repetition_measures
from audit.measures.identity_splits import identity_halves, record_identity_overlap, record_identity_split
from audit.measures.made_up import made_up_definition
from audit.measures.made_up_splits import made_up_halves, made_up_overlap
from audit.measures.splits import (
    KEPT_IMAGES,
    SIZES,
    definition_measures,
    differing_images,
    record_definition,
    record_disjoint,
    shared_names,
    split_sizes,
)
from core.splits.build import baseline
from core.training.config import TrainConfig
from fixtures.experiments.choices import choice_jobs
from fixtures.experiments.desk import TrainedExperiment
from fixtures.published.files import Published
from reports.judge import Judge
from reports.record import ClaimRecord

# -------------------------------------------------------------------------------------------------------------- sizes


@pytest.mark.claim("T-split-sizes")
def test_sizes(evidence: ClaimRecord) -> None:
    for name, value in split_sizes(KEPT_IMAGES).items():
        note = "100,000 itself would take 200,000 images: it is a label" if name == "sizes_that_fit" else None
        evidence.add(name, value, kind="arithmetic", note=note)


@pytest.mark.control("T-split-sizes", "positive")
def test_the_largest_split_can_be_built(judge: Judge) -> None:
    split = baseline(numbered_names(KEPT_IMAGES), 98_117)
    assert shared_names(split.groups) == 0
    assert judge("T-split-sizes", split_sizes(sum(split.sizes.values()) + 1)) == "reproduced"


@pytest.mark.control("T-split-sizes", "negative")
@pytest.mark.parametrize("kept", [196_233, 196_236])
def test_sizes_notice_other_counts(judge: Judge, kept: int) -> None:
    assert judge("T-split-sizes", split_sizes(kept)) == "refuted"


# --------------------------------------------------------------------------------------------------------- definition


@pytest.mark.claim("T-split-definition")
@pytest.mark.trains(jobs=choice_jobs, brief=True)
def test_definition(evidence: ClaimRecord, desk: TrainedExperiment, published_or_none: Published | None) -> None:
    record_definition(evidence, desk, published_or_none)


@pytest.mark.control("T-split-definition", "positive")
def test_definitions_that_agree_alike_make_no_difference(judge: Judge) -> None:
    found = definition_measures(made_up_definition(0, 0.7, 0.01), made_up_definition(1, 0.7, 0.01))
    assert judge("T-split-definition", found, "synthetic") == "reproduced"


@pytest.mark.control("T-split-definition", "negative")
def test_a_definition_that_changes_agreement_is_noticed(judge: Judge) -> None:
    found = definition_measures(made_up_definition(0, 0.7), made_up_definition(1, 0.6))
    assert judge("T-split-definition", found, "synthetic") == "refuted"


@pytest.mark.control("T-split-definition", "positive")
def test_two_readings_that_agree_are_seen_to_agree(judge: Judge) -> None:
    counts = differing_images(numbered_names(KEPT_IMAGES), by=lambda names, n, _: set(names[n : 2 * n]))
    assert judge("T-split-definition", {"sizes_that_differ": sum(counts.values())}, "arithmetic") == "reproduced"


@pytest.mark.control("T-split-definition", "negative")
def test_one_differing_size_is_noticed(judge: Judge) -> None:
    counts = differing_images(
        numbered_names(2 * SIZES[-1])
    )  # exactly two halves: only here do the two definitions agree
    assert [n for n, k in counts.items() if not k] == [SIZES[-1]]
    assert judge("T-split-definition", {"sizes_that_differ": 1}, "arithmetic") == "refuted"


# -------------------------------------------------------------------------------------------------- disjoint by image


@pytest.mark.claim("T-split-disjoint")
def test_disjoint(evidence: ClaimRecord, published_or_none: Published | None) -> None:
    record_disjoint(evidence, published_or_none)


@pytest.mark.control("T-split-disjoint", "positive")
def test_halves_without_a_common_image(judge: Judge) -> None:
    assert judge("T-split-disjoint", {"shared": shared_names({"A": ["a", "b"], "B": ["c"]})}) == "reproduced"


@pytest.mark.control("T-split-disjoint", "negative")
def test_a_border_that_is_off_by_one_is_noticed(judge: Judge) -> None:
    names = numbered_names(200_000)
    assert judge("T-split-disjoint", {"shared": shared_names({"A": names[:100_000], "B": names[99_999:]})}) == "refuted"


# ----------------------------------------------------------------------------------------- disjoint, but by identity?


@pytest.mark.claim("T-split-identity-overlap")
def test_identity_overlap(evidence: ClaimRecord, published: Published) -> None:
    record_identity_overlap(evidence, published)


@pytest.mark.control("T-split-identity-overlap", "positive")
def test_shuffled_people_overlap(judge: Judge) -> None:
    people = np.random.default_rng(0).permutation(np.arange(2000) // 20)
    assert judge("T-split-identity-overlap", made_up_overlap(people)) == "reproduced"


@pytest.mark.control("T-split-identity-overlap", "negative")
def test_people_in_order_do_not_overlap(judge: Judge) -> None:
    assert judge("T-split-identity-overlap", made_up_overlap(np.arange(2000) // 20)) == "refuted"


# ---------------------------------------------------------------------------------------------------- identity halves


@pytest.mark.claim("T-identity-split")
def test_identity_split(evidence: ClaimRecord, published_or_none: Published | None) -> None:
    record_identity_split(evidence, published_or_none)


@pytest.mark.control("T-identity-split", "positive")
@pytest.mark.parametrize("kind", ["published", "property"])
def test_identity_halves_as_built(judge: Judge, kind: str) -> None:
    assert judge("T-identity-split", identity_halves(*made_up_halves(100_000)), kind) == "reproduced"


@pytest.mark.control("T-identity-split", "negative")
@pytest.mark.parametrize("defect", ["one image in both", "one image on the wrong side"])
def test_one_leaked_image_among_a_hundred_thousand_is_noticed(judge: Judge, defect: str) -> None:
    a, b, owners = made_up_halves(100_000)
    b.append(a[123] if defect == "one image in both" else a.pop(123))
    assert judge("T-identity-split", identity_halves(a, b, owners), "published") == "refuted"


# ----------------------------------------------------------------------------------------------------------- exposure


@pytest.mark.claim("T-exposure")
@pytest.mark.trains(jobs=choice_jobs, brief=True)
def test_exposure(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    record_exposure(evidence, desk)


@pytest.mark.control("T-exposure", "positive")
def test_trainings_that_denoise_alike_are_recognised(judge: Judge) -> None:
    curve = np.random.default_rng(0).normal(20, 2, (8, 200))
    other = curve + np.random.default_rng(1).normal(0, 0.2, curve.shape)
    assert judge("T-exposure", repetition_measures(curve, other), "synthetic") == "reproduced"


@pytest.mark.control("T-exposure", "negative")
def test_a_training_that_denoises_worse_is_noticed(judge: Judge) -> None:
    curve = np.random.default_rng(0).normal(20, 2, (8, 200))
    worse = curve + np.random.default_rng(1).normal(0, 0.2, curve.shape)
    worse[5] -= 0.5
    assert judge("T-exposure", repetition_measures(curve, worse), "synthetic") == "refuted"


@pytest.mark.control("T-exposure", "positive")
def test_exact_repetition_exposes_equally(judge: Judge) -> None:
    found = exposure_measures(TrainConfig(exposures=100_000, repetition="exact"))
    assert judge("T-exposure", {**found, "repeats_at_100": 1000}) == "reproduced"


@pytest.mark.control("T-exposure", "negative")
def test_whole_repetition_of_one_odd_size_is_noticed(judge: Judge) -> None:
    found = exposure_measures(TrainConfig(exposures=100_000, repetition="whole"), [10, 99_999])
    assert judge("T-exposure", {**found, "repeats_at_100": 1000}) == "refuted"
