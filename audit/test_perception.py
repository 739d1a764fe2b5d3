"""Pixel correlation against LPIPS in the search for the nearest training image (Topeza 2025, sections 5.4 and 6.4)."""

from functools import partial

import numpy as np
import pytest
import torch

from audit.measures.lpips_exhaustive import DIFFERENCE, by_package, outside_ten, record_exhaustive
from audit.measures.made_up import made_up_orders
from audit.measures.perception import people
from audit.measures.rank_inversion import (
    EACH,
    PEOPLE,
    candidates,
    inversion_measures,
    record_beside_order,
    record_order,
)
from audit.measures.record import SEED, record_pairs, record_photographs, record_published
from audit.measures.small_end import record_faces
from audit.published.lpips import published_lpips_exhaustive, published_rank_inversion
from audit.published.neighbours import with_random_trunk
from core.metrics.lpips import Embedding, rerank
from core.metrics.retrieval import identity_retrieval
from core.metrics.ssim import ssim
from fixtures.experiments.desk import TrainedExperiment, random_pairs
from fixtures.experiments.experiment import Experiment
from fixtures.experiments.small_end import SmallEnd
from fixtures.published.files import Published
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("T-rank-inversion")
def test_lpips_picks_another_nearest(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    lpips: Embedding | None,
    published_or_none: Published | None,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
    small_end_or_none: SmallEnd | None,
) -> None:
    record_published(evidence, published_or_none, published_rank_inversion)
    if lpips is not None:
        ranked = record_pairs(evidence, trained_or_none, desk, partial(record_order, lpips=lpips), photographs_or_none)
        record_beside_order(evidence, desk, lpips, ranked)
        record_photographs(evidence, small_end_or_none, partial(record_faces, lpips=lpips))


@pytest.mark.control("T-rank-inversion", "positive")
def test_an_order_that_differs_and_still_says_something_is_recognised(judge: Judge) -> None:
    found = inversion_measures(made_up_orders(1, 0.4), -made_up_orders(2, 0.4), made_up_orders(3, 0.4), np.arange(120))
    assert judge("T-rank-inversion", found, "synthetic") == "reproduced"


@pytest.mark.control("T-rank-inversion", "negative")
def test_equal_orders_and_unrelated_ones_are_caught(judge: Judge) -> None:
    same, each = made_up_orders(1, 0.4), np.arange(120)
    found = inversion_measures(same, -same, made_up_orders(3, 0.4), each)
    assert judge("T-rank-inversion", found, "synthetic") == "refuted"
    unrelated = inversion_measures(made_up_orders(1, 0.0), -made_up_orders(2, 0.0), made_up_orders(3, 0.0), each)
    assert judge("T-rank-inversion", unrelated, "synthetic") != "reproduced"


@pytest.mark.control("T-rank-inversion", "negative")
def test_an_order_turned_around_is_caught(judge: Judge, desk: TrainedExperiment, lpips: Embedding | None) -> None:
    """Nearness taken for distance, as where a similarity is ranked the wrong way: then the order says the opposite."""
    if lpips is None:
        pytest.skip("needs VGG-16's weights: samenoise weights")
    samples, train, each = desk.corpus.images[:24], desk.corpus.images[24:224], np.arange(24)
    r, index = candidates(samples, train)
    distance, control = rerank(lpips, samples, train, index).numpy(), ssim(samples, train[index])
    honest, turned = (inversion_measures(r, sign * distance, control, each) for sign in (1, -1))
    assert judge("T-rank-inversion", honest, "synthetic") != "refuted"
    assert judge("T-rank-inversion", turned, "synthetic") == "refuted"


@pytest.mark.control("T-rank-inversion", "negative")
def test_a_metric_that_knows_nobody_retrieves_at_chance(desk: TrainedExperiment) -> None:
    """The same faces with their names shuffled: what the real names add is not an artefact of the measure."""
    images, who = people(desk.corpus, PEOPLE, EACH)
    shuffled = np.random.default_rng(SEED).permutation(who)
    flat = images.reshape(len(images), -1).double()
    distance, own = torch.cdist(flat, flat).numpy(), np.arange(len(who))
    honest, chance = (identity_retrieval(distance, names, names, seed=SEED, own=own) for names in (who, shuffled))
    assert honest.precision_interval.low > honest.chance
    assert chance.precision_interval.low <= chance.chance < honest.precision_at_1
    assert chance.mean_average_precision < honest.mean_average_precision


@pytest.mark.claim("T-lpips-exhaustive")
@pytest.mark.trains(jobs=random_pairs)
def test_lpips_over_the_whole_training_set(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    lpips: Embedding | None,
    published_or_none: Published | None,
    photographs_or_none: Experiment | None,
) -> None:
    record_published(evidence, published_or_none, published_lpips_exhaustive)
    if lpips is not None:
        record_photographs(evidence, photographs_or_none, partial(record_exhaustive, lpips=lpips))
        record_exhaustive(evidence, desk, "synthetic", lpips=lpips)


@pytest.mark.control("T-lpips-exhaustive", "positive")
def test_a_nearest_image_outside_the_ten_is_counted(judge: Judge) -> None:
    index = np.tile(np.arange(10), (64, 1))
    found = outside_ten(index, np.where(np.arange(64) % 2, 3, 77)) | {DIFFERENCE: 0.0}
    assert judge("T-lpips-exhaustive", found, "synthetic") == "reproduced"


@pytest.mark.control("T-lpips-exhaustive", "negative")
def test_a_harmless_preselection_is_recognised_as_such(judge: Judge) -> None:
    index = np.tile(np.arange(10), (64, 1))
    found = outside_ten(index, np.full(64, 3)) | {DIFFERENCE: 0.0}
    assert judge("T-lpips-exhaustive", found, "synthetic") != "reproduced"


@pytest.mark.control("T-lpips-exhaustive", "negative")
def test_a_random_trunk_is_not_lpips(judge: Judge, desk: TrainedExperiment, lpips: Embedding | None) -> None:
    if lpips is None:
        pytest.skip("needs VGG-16's weights: samenoise weights")
    a, b = desk.corpus.images[:8], desk.corpus.images[8:16]
    package = by_package(lpips, a, b)
    random = with_random_trunk(Embedding("vgg"), SEED).distance(a, b)
    found = outside_ten(np.tile(np.arange(10), (64, 1)), np.full(64, 77))
    honest = found | {DIFFERENCE: float(((lpips.distance(a, b) - package) / package).abs().max())}
    broken = found | {DIFFERENCE: float(((random - package) / package).abs().max())}
    assert judge("T-lpips-exhaustive", honest, "synthetic") == "reproduced"
    assert judge("T-lpips-exhaustive", broken, "synthetic") == "refuted"
