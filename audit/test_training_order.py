"""Whether structure is learnt before memorisation sets in (Verkhovensky 2025, its goal; Bonnaire et al. 2025)."""

from collections.abc import Sequence

import pytest

from audit.measures.made_up_samplers import BACKWARDS, ORDERLY, order_of
from audit.measures.networks import full_elsewhere
from audit.measures.training_order import largest_ratio, record_order
from audit.measures.training_times import KIND, copying_jobs
from fixtures.experiments.desk import TrainedExperiment
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("V-order")
@pytest.mark.trains(jobs=copying_jobs, corpus=False)
def test_samples_are_good_before_copies_appear(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    full_elsewhere(evidence, desk, "test_training_order.py", "workstation")
    record_order(evidence, desk)


@pytest.mark.control("V-order", "positive")
@pytest.mark.parametrize("last", ["copies", "fresh"])
def test_structure_first_is_recognised(judge: Judge, last: str) -> None:
    """Copies at the end, or none to the end: a training that ends before them has the order all the same."""
    assert judge("V-order", order_of({16: ORDERLY, 32: (*ORDERLY[:-2], last, last)}), KIND) == "reproduced"


@pytest.mark.control("V-order", "negative")
@pytest.mark.parametrize("looks", [{16: BACKWARDS, 32: BACKWARDS}, {16: ORDERLY, 32: BACKWARDS}])
def test_copies_first_are_caught(judge: Judge, looks: dict[int, Sequence[str]]) -> None:
    """Networks that return one training point before they know the mixture, at every N or at one."""
    assert judge("V-order", order_of(looks), KIND) == "refuted"


@pytest.mark.control("V-order", "negative")
def test_samples_that_never_become_good_decide_nothing(judge: Judge) -> None:
    found = order_of({16: ORDERLY, 32: ("noise", "noise", *BACKWARDS[1:-2])})
    assert found[largest_ratio("")] == "undecided: samples of 2 trainings never became good"
    assert judge("V-order", found, KIND) == "inconclusive"
