"""What trained pairs of denoisers do (Kadkhodaie et al. 2024; Topeza 2025, section 5), on the generated corpus."""

from functools import partial

import pytest
import torch

from audit.measures.agreement import by_sampler
from audit.measures.agreement_tables import agreement_table
from audit.measures.convergence import convergence_measures, record_convergence, record_tables
from audit.measures.made_up import made_up_passage, made_up_size, made_up_trained
from audit.measures.networks import CURVE_IMAGES
from audit.measures.own import record_own
from audit.measures.planted import shifted, with_other_samples
from audit.measures.psnr import psnr_gap_measures, record_gap, trained_curves
from audit.measures.record import SEED, record_pairs, record_photographs, record_published
from audit.published.figures import published_convergence, published_psnr_gap
from core.compare.run import Comparison
from core.metrics.lpips import Embedding
from fixtures.experiments.desk import TrainedExperiment, random_pairs
from fixtures.experiments.experiment import HEUN, PUBLISHED, Experiment
from fixtures.published.files import Published
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("T-convergence")
@pytest.mark.trains(jobs=random_pairs)
def test_same_noise_gives_the_same_image(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    published_or_none: Published | None,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
    clothes_or_none: Experiment | None,
    lpips: Embedding | None,
    own_or_none: Comparison | None,
) -> None:
    record_own(evidence, own_or_none)
    record_published(evidence, published_or_none, partial(published_convergence, desk=desk))
    record_photographs(evidence, clothes_or_none, record_convergence)
    record_pairs(evidence, trained_or_none, desk, record_convergence, photographs_or_none)
    record_tables(evidence, desk, lpips)


@pytest.mark.control("T-convergence", "positive")
def test_models_that_converge_are_recognised(judge: Judge) -> None:
    found = convergence_measures(made_up_passage(), made_up_passage())
    assert judge("T-convergence", found, "synthetic") == "reproduced"


@pytest.mark.control("T-convergence", "negative")
@pytest.mark.parametrize(
    "defect", ["the set matters at the largest N", "copies at the largest N", "no copies at the smallest N"]
)
def test_models_that_do_not_converge_are_caught(judge: Judge, defect: str) -> None:
    first, middle, last = made_up_passage()
    if defect == "the set matters at the largest N":
        last = made_up_size(512, of_set=0.5)
    elif defect == "copies at the largest N":
        last = made_up_size(512, of_set=10, copies=True)
    else:
        first = made_up_size(4, of_set=10)
    found = convergence_measures([first, middle, last], [first, middle, last])
    assert judge("T-convergence", found, "synthetic") == "refuted"


@pytest.mark.control("T-convergence", "negative")
def test_samples_of_shifted_seeds_are_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """Real samples, those of B at the largest N moved on by one seed: what is alike then is the data alone."""
    by = by_sampler(desk)
    moved = {name: [*sizes[:-1], with_other_samples(desk, sizes[-1], name, shifted)] for name, sizes in by.items()}
    found = convergence_measures(moved[PUBLISHED], moved[HEUN])
    assert judge("T-convergence", found, "synthetic") == "refuted"


@pytest.mark.control("T-convergence", "negative")
def test_the_table_of_measures_sees_shifted_seeds_and_a_shared_mean_face() -> None:
    source = torch.Generator().manual_seed(0)
    common, own_a, own_b = torch.randn(3, 64, 1, 20, 20, generator=source)
    a, b = common + 0.5 * own_a, common + 0.5 * own_b
    honest, shifted = agreement_table(a, b, seed=SEED), agreement_table(a, b.roll(1, 0), seed=SEED)
    for good, bad in zip(honest, shifted, strict=True):
        assert good["retrieval"] > 0.9 and good["low"] > 0.5, good
        assert bad["retrieval"] < 0.1 and bad["high"] < 0.1, bad
    face = 5 * torch.randn(1, 1, 20, 20, generator=source)
    rows = {row["measure"]: row for row in agreement_table(own_a + face, own_b + face, seed=SEED)}
    assert rows["correlation"]["value"] > 0.9
    assert rows["correlation, above mismatched seeds"]["low"] < 0 < rows["correlation, above mismatched seeds"]["high"]
    assert abs(rows["correlation, group means removed"]["value"]) < 0.1
    given = agreement_table(own_a + face, own_b + face, seed=SEED, means=(face[0], face[0]))
    assert abs({row["measure"]: row for row in given}["correlation, group means removed"]["value"]) < 0.1


@pytest.mark.claim("T-psnr-gap")
@pytest.mark.trains(jobs=random_pairs)
def test_the_train_test_gap_shrinks(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    published_or_none: Published | None,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
) -> None:
    record_published(evidence, published_or_none, published_psnr_gap)
    record_pairs(evidence, trained_or_none, desk, record_gap, photographs_or_none)


@pytest.mark.control("T-psnr-gap", "positive")
def test_a_gap_that_closes_is_recognised(judge: Judge) -> None:
    found = psnr_gap_measures(made_up_trained(6.0, 0), made_up_trained(0.2, 5))
    assert judge("T-psnr-gap", found, "synthetic") == "reproduced"


@pytest.mark.control("T-psnr-gap", "negative")
def test_a_gap_that_stays_or_opens_is_not_taken_for_a_closing_one(judge: Judge) -> None:
    stays = psnr_gap_measures(made_up_trained(1.0, 0), made_up_trained(1.0, 5))
    opens = psnr_gap_measures(made_up_trained(0.2, 0), made_up_trained(6.0, 5))
    assert judge("T-psnr-gap", stays, "synthetic") != "reproduced"
    assert judge("T-psnr-gap", opens, "synthetic") == "refuted"


@pytest.mark.control("T-psnr-gap", "negative")
def test_networks_in_the_wrong_order_are_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """Real networks of the largest N in place of the smallest, and the other way round: the gap opens."""
    smallest, largest = (
        trained_curves(desk, n, desk.tests(CURVE_IMAGES), desk.trainings) for n in (desk.sizes[0], desk.sizes[-1])
    )
    assert judge("T-psnr-gap", psnr_gap_measures(largest, smallest), "synthetic") == "refuted"
    assert judge("T-psnr-gap", psnr_gap_measures(largest, largest), "synthetic") != "reproduced"
