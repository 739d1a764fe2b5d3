"""The recorder of measures, and evidence of pairs from the store beside that of this run's own."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from audit.measures.record import over_samples, over_seeds, over_trainings, record, record_pairs, record_published
from audit.measures.transition import record_shares
from core.errors import Missing
from core.stats import Interval
from reports.ledger import load_ledger
from reports.record import ClaimRecord

LEDGER = Path(__file__).parents[2] / "claims.toml"
DESK: Any = SimpleNamespace(kind="synthetic", seeds=range(3, 7))


@pytest.fixture
def claim(tmp_path: Path) -> ClaimRecord:
    return ClaimRecord(load_ledger(LEDGER)["T-male-convergence"], tmp_path, {})


def test_values_intervals_and_tests_of_equivalence_are_recorded_alike(claim: ClaimRecord) -> None:
    interval = Interval(1.0, 3.0, "by hand")
    found = {"value": 2, "pair": (2.0, interval), "none": (2.0, None), "test": (2.0, interval, 0.0123)}
    record(claim, found, kind="synthetic", **over_seeds(DESK))
    assert [(e.name, e.value, e.interval, e.pvalue) for e in claim.evidence] == [
        ("value", 2, None, None),
        ("pair", 2.0, (1.0, 3.0), None),
        ("none", 2.0, None, None),
        ("test", 2.0, (1.0, 3.0), 0.0123),
    ]
    assert {(e.n, e.seeds, e.varies) for e in claim.evidence} == {(4, "3:7", "seed")}
    assert claim.evidence[-1].note == "p = 0.012 of the larger of two one-sided tests"


def test_pairs_of_the_store_are_measured_first_and_block_only_their_own_kind(claim: ClaimRecord) -> None:
    trained: Any = SimpleNamespace(lacks="")

    def measure(evidence: ClaimRecord, pairs: Any, kind: str) -> str:
        record(evidence, {"agreement": 1.0}, kind=kind)
        if pairs is trained and trained.lacks:
            raise Missing(trained.lacks, "bring them")
        return kind

    assert record_pairs(claim, trained, DESK, measure) == "synthetic"
    assert [e.kind for e in claim.evidence] == ["full", "synthetic"]
    claim.evidence.clear()
    trained.lacks = "two sizes"
    record_pairs(claim, trained, DESK, measure)
    assert [e.kind for e in claim.evidence] == ["synthetic"]
    assert claim.blocked == [{"kind": "full", "needs": "two sizes", "command": "bring them"}]
    claim.evidence.clear()
    record_pairs(claim, None, DESK, measure)
    assert [e.kind for e in claim.evidence] == ["synthetic"]


def test_published_evidence_needs_the_published_material(claim: ClaimRecord) -> None:
    seen: list[Any] = []
    material: Any = object()
    record_published(claim, None, lambda evidence, published: seen.append(published))
    record_published(claim, material, lambda evidence, published: seen.append(published))
    assert seen == [material]


def test_samples_and_pairs_of_samples_are_counted_apart(claim: ClaimRecord) -> None:
    """Three trainings a group from 64 seeds: every A with every B is 9 pairs a seed, and both groups 6 samples."""
    desk: Any = SimpleNamespace(trainings=range(3), seeds=range(64))
    pairs, samples = over_trainings(desk), over_samples(desk)
    assert (pairs["n"], pairs["counted"]) == (576, "pairs of samples")
    assert (samples["n"], samples["counted"]) == (384, "samples")
    near = np.where(np.arange(64) < 32, 0.99, 0.5) * np.ones((2, 6, 1))
    near[1] = 0.5
    record_shares(claim, "", (4, 32), near, {"kind": "synthetic", **pairs})
    told = {e.name: (e.n, e.counted) for e in claim.evidence}
    assert told["share of copies, N = 4"] == told["share of copies, N = 32"] == (384, "samples")
    assert told["trend of the share of copies over N (Spearman)"] == (384, "samples at each N")
