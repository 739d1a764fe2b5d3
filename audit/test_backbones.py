"""Which network behind LPIPS is the more stable one for faces (Topeza 2025, section 2.3)."""

from pathlib import Path

import numpy as np
import pytest

from audit.measures.backbones import backbone, difference_measures, faces_of_celeba, marks, record_backbones, shuffled
from core.data.corpus import Corpus
from core.metrics.correlation import normalise
from fixtures.faces.corpus import generate
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("T-vgg-stable")
def test_vgg_is_the_more_stable_backbone(
    evidence: ClaimRecord, orl_or_none: Corpus | None, celeba_dir: Path | None
) -> None:
    for kind, faces in (("photographs", orl_or_none), ("celeba", celeba_dir)):
        if faces is not None:
            with evidence.attempt(kind):
                corpus = faces if isinstance(faces, Corpus) else faces_of_celeba(faces)
                record_backbones(evidence, corpus, kind)


@pytest.fixture(scope="module")
def people() -> Corpus:
    """Generated photographs of twenty people, ten each."""
    return generate(200, size=20, seed=3, images_per_identity=10).corpus


@pytest.mark.control("T-vgg-stable", "positive")
def test_a_distance_that_sees_the_face_is_more_stable_than_one_that_does_not(people: Corpus, judge: Judge) -> None:
    assert people.identities is not None
    sees = backbone(lambda x: normalise(x.double()).flatten(1), people.images, people.identities)
    blind = backbone(marks, people.images, people.identities)
    assert judge("T-vgg-stable", difference_measures(sees, blind, people.identities), "photographs") == "reproduced"
    assert judge("T-vgg-stable", difference_measures(blind, sees, people.identities), "photographs") == "refuted"


@pytest.mark.control("T-vgg-stable", "negative")
def test_shuffled_people_are_not_found_by_any_distance(people: Corpus, judge: Judge) -> None:
    who = shuffled(np.asarray(people.identities), 0)
    sees = backbone(lambda x: normalise(x.double()).flatten(1), people.images, who)
    blind = backbone(marks, people.images, who)
    assert sees.retrieval.precision_interval.low < 2 * sees.retrieval.chance
    assert judge("T-vgg-stable", difference_measures(sees, blind, who), "photographs") in ("refuted", "inconclusive")
