"""Whether the exposures of the report suffice for convergence (Topeza 2025, section 4.3)."""

import pytest

from audit.measures.converged import EXPOSURES, ORIGINAL_80, guarantee_measures, record_guarantee, twice_job
from audit.measures.made_up import made_up_history, wiener_psnr
from fixtures.experiments.desk import TrainedExperiment
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("T-convergence-guaranteed")
@pytest.mark.trains(jobs=lambda desk: [twice_job(desk)], brief=True)
def test_twice_as_many_exposures(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    record_guarantee(evidence, desk)


@pytest.mark.control("T-convergence-guaranteed", "positive")
@pytest.mark.control("T-convergence-guaranteed", "negative")
def test_a_misquoted_original_is_caught(judge: Judge) -> None:
    name = "exposures of the original at 80x80, by the script's comment"
    assert judge("T-convergence-guaranteed", {name: ORIGINAL_80}, "arithmetic") == "reproduced"
    assert judge("T-convergence-guaranteed", {name: EXPOSURES}, "arithmetic") == "refuted"


@pytest.mark.control("T-convergence-guaranteed", "negative")
def test_filters_that_twice_as_many_images_change_are_told_from_ones_that_they_do_not(desk: TrainedExperiment) -> None:
    """Wiener filters of few faces and of many stand for the two trainings; losses that fall and flat ones beside."""
    tests, known = desk.held_out.images[:256], desk.corpus.images
    few, many = (
        guarantee_measures(
            [made_up_history(falls, seed) for seed in range(8)], *(wiener_psnr(known[: k * n], tests) for k in (1, 2))
        )
        for n, falls in ((300, 0.1), (4000, 0.0))
    )
    names = [name for name in few if name.startswith("PSNR")]
    assert max(abs(few[name][0]) for name in names) > 0.25 > max(abs(many[name][0]) for name in names)
    (fall,) = few.keys() - set(names)
    assert few[fall][0] > 0.05 > many[fall][0]
