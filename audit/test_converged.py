"""Whether the exposures of the report suffice for convergence (Topeza 2025, section 4.3)."""

import pytest

from audit.measures.converged import EXPOSURES, ORIGINAL_80, curve, guarantee_measures, record_guarantee, twice_job
from audit.measures.made_up import made_up_history, wiener_psnr
from core.training.train import TrainResult, build_model
from fixtures.experiments.desk import TrainedExperiment
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("T-convergence-guaranteed")
@pytest.mark.trains(jobs=lambda desk: [twice_job(desk)])
def test_twice_as_many_exposures(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    record_guarantee(evidence, desk)


@pytest.mark.control("T-convergence-guaranteed", "positive")
def test_filters_that_twice_as_many_images_leave_as_they_are_have_converged(
    judge: Judge, desk: TrainedExperiment
) -> None:
    """Wiener filters of 4,000 faces and of 8,000 stand for the two trainings, flat losses for their history."""
    tests, known = desk.held_out.images[:256], desk.corpus.images
    once, twice = (wiener_psnr(known[:n], tests) for n in (4000, 8000))
    found = guarantee_measures([made_up_history(0.0, seed) for seed in range(8)], once, twice)
    assert judge("T-convergence-guaranteed", found, "synthetic") == "reproduced"


@pytest.mark.control("T-convergence-guaranteed", "negative")
@pytest.mark.parametrize("defect", ["fewer images", "a loss that falls", "an untrained network"])
def test_what_has_not_converged_is_caught(judge: Judge, desk: TrainedExperiment, defect: str) -> None:
    tests, known = desk.held_out.images[:256], desk.corpus.images
    falls = 0.1 if defect == "a loss that falls" else 0.0
    once, twice = (wiener_psnr(known[:n], tests) for n in ((300, 600) if defect == "fewer images" else (4000, 8000)))
    if defect == "an untrained network":
        config = desk.preset.train
        once = curve(desk, TrainResult(build_model(config, 0).eval(), [], config, 0), tests)
    found = guarantee_measures([made_up_history(falls, seed) for seed in range(8)], once, twice)
    assert judge("T-convergence-guaranteed", found, "synthetic") == "refuted"


@pytest.mark.control("T-convergence-guaranteed", "negative")
def test_a_misquoted_original_is_caught(judge: Judge) -> None:
    name = "exposures of the original at 80x80, by the script's comment"
    assert judge("T-convergence-guaranteed", {name: ORIGINAL_80}, "arithmetic") == "reproduced"
    assert judge("T-convergence-guaranteed", {name: EXPOSURES}, "arithmetic") == "refuted"
