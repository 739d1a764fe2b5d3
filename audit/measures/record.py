"""Recording what a claim measured: one way for every value, and one for each place that evidence comes from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from core.stats import Interval, bootstrap_mean
from fixtures.experiments.desk import TrainedExperiment
from fixtures.experiments.experiment import Experiment
from fixtures.published.files import SHA256, Published
from reports.record import ClaimRecord

SEED = 0  # of every bootstrap, and of whatever else is drawn once
Measures = dict[str, Any]  # by name: a value, or (value, interval), or (value, interval, p-value)
Recorded = TypeVar("Recorded")
Pairs = TypeVar("Pairs", bound=Experiment)


def record(evidence: ClaimRecord, found: Mapping[str, Any], *, kind: str, **about: Any) -> None:
    """Record measures by name; `about` is what all of them share (see `ClaimRecord.add`).

    Args:
        evidence: the record of the claim.
        found: a value each, or value and interval, or these and the p-value of the test of equivalence behind them.
        kind: of evidence.
        about: n, what varies, seeds, unit, note, figures.
    """
    for name, item in found.items():
        value, interval, *p = item if isinstance(item, tuple) else (item, None)
        told = dict(about)
        if p:
            said = f"p = {p[0]:.2g} of the larger of two one-sided tests"
            told |= {"pvalue": p[0], "note": "; ".join(filter(None, (about.get("note"), said)))}
        evidence.add(name, value, kind=kind, interval=interval, **told)


def mean_over(values: Sequence[float], over: str) -> tuple[float, Interval]:
    """The mean of some values and its bootstrap interval over what they differ in."""
    return float(np.mean(values)), bootstrap_mean(values, seed=SEED, over=over)


def over_seeds(desk: Experiment) -> dict[str, Any]:
    """What measures over the sampling seeds of trained pairs share: how many there are, which, and that they vary."""
    return {"n": len(desk.seeds), "seeds": f"{desk.seeds.start}:{desk.seeds.stop}", "varies": "seed"}


def over_trainings(desk: Experiment) -> dict[str, Any]:
    """What measures over all trainings of both groups share: their intervals are taken over these and over seeds."""
    return {
        **over_seeds(desk),
        "n": len(desk.trainings) ** 2 * len(desk.seeds),
        "counted": "pairs of samples",
        "varies": f"{len(desk.trainings)} training seeds a group, {len(desk.seeds)} sampling seeds",
    }


def over_samples(desk: Experiment) -> dict[str, Any]:
    """The same of what is one value a sample, of every training of either group: copies, say."""
    return {**over_trainings(desk), "n": 2 * len(desk.trainings) * len(desk.seeds), "counted": "samples"}


def record_published(
    evidence: ClaimRecord, published: Published | None, measure: Callable[[ClaimRecord, Published], None]
) -> None:
    """Evidence from what the document's author published, where it is at hand."""
    if published is not None:
        measure(evidence, published)


def record_pairs(
    evidence: ClaimRecord,
    trained: Experiment | None,
    desk: TrainedExperiment,
    measure: Callable[[ClaimRecord, Experiment, str], Recorded],
    photographs: Experiment | None = None,
) -> Recorded:
    """Evidence of one kind from pairs that the run store holds, where there are any, and of another from this run's.

    Args:
        evidence: the record of the claim.
        trained: pairs of a full scale from the store; what they lack blocks the kind `full` and nothing else.
        desk: the pairs of this run.
        measure: records evidence of the given kind from the given pairs.
        photographs: pairs of this run on CelebA's photographs, where they are at hand; what these lack blocks their
            kind and nothing else.

    Returns:
        What `measure` returned for the pairs of this run.
    """
    if trained is not None:
        with evidence.attempt("full"):
            measure(evidence, trained, "full")
    record_photographs(evidence, photographs, measure)
    return measure(evidence, desk, desk.kind)


def record_photographs(
    evidence: ClaimRecord, pairs: Pairs | None, measure: Callable[[ClaimRecord, Pairs, str], object]
) -> None:
    """Evidence from pairs on photographs, where these are at hand; what the pairs lack blocks their kind alone."""
    if pairs is not None:
        with evidence.attempt(pairs.kind):
            measure(evidence, pairs, pairs.kind)


def cite(evidence: ClaimRecord, *files: str) -> None:
    """Name the published files that the evidence was computed from."""
    for name in files:
        evidence.input(f"published: {name}", sha256=SHA256[f"datasets/{name}"])
