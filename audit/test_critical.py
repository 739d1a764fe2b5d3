"""Whether the critical set size depends on network and resolution (Kadkhodaie et al. 2024, the slides' summary)."""

import pytest

from audit.measures.critical_settings import record_settings
from audit.measures.made_up_critical import HIGH, LOW, MIDDLE, SIDES, WIDTHS, Shares, dependence
from fixtures.experiments import critical
from fixtures.experiments.desk import TrainedExperiment
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("K-critical-depends")
@pytest.mark.trains(jobs=critical.jobs, brief=True)
def test_the_critical_size_depends_on_width_and_resolution(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    record_settings(evidence, desk)


@pytest.mark.control("K-critical-depends", "positive")
@pytest.mark.parametrize("shares", [(LOW, MIDDLE, HIGH), (HIGH, MIDDLE, LOW)], ids=["grows", "falls"])
def test_sizes_that_move_with_width_and_resolution_are_recognised(judge: Judge, shares: tuple[Shares, ...]) -> None:
    found = dependence(dict(zip(WIDTHS, shares, strict=True)), dict(zip(SIDES, shares, strict=True)))
    words = "grows" if shares[0] == LOW else "falls"
    assert found["with network width, in words"][0].startswith(f"the critical size {words}")
    assert judge("K-critical-depends", found, "synthetic") == "reproduced"


@pytest.mark.control("K-critical-depends", "negative")
@pytest.mark.parametrize(
    "shares",
    [(LOW, HIGH), (MIDDLE, MIDDLE, MIDDLE), ((0.2, 0.0, 0.0), MIDDLE, HIGH)],
    ids=["two levels", "equal", "below the smallest size"],
)
def test_what_three_levels_do_not_show_is_not_said(judge: Judge, shares: tuple[Shares, ...]) -> None:
    found = dependence(dict(zip(WIDTHS, shares, strict=False)), dict(zip(SIDES, shares, strict=False)))
    assert judge("K-critical-depends", found, "synthetic") == "inconclusive"


@pytest.mark.control("K-critical-depends", "negative")
def test_one_dependence_does_not_stand_for_the_other(judge: Judge) -> None:
    """Networks whose critical size grows with width alone: images of every size give way at the same number."""
    found = dependence(dict(zip(WIDTHS, (LOW, MIDDLE, HIGH), strict=True)), dict.fromkeys(SIDES, MIDDLE))
    assert judge("K-critical-depends", found, "synthetic") == "inconclusive"
