"""From memorisation to generalisation as N grows (Kadkhodaie et al. 2024, section 2.2), on the generated corpus."""

from typing import Any

import numpy as np
import pytest

from audit.measures.agreement import beyond_measures, by_sampler, independence_measures
from audit.measures.made_up import Notebook, made_up_passage, made_up_size
from audit.measures.own import record_own
from audit.measures.planted import leaking_jobs, linear, shifted, trained_on_a, untrained, with_other_samples
from audit.measures.record import SEED, record_pairs, record_photographs
from audit.measures.transition import (
    record_beyond,
    record_crossing,
    record_same_data,
    record_strong,
    strong_measures,
)
from core.compare.run import Comparison
from core.theory.critical_size import crossing
from core.training.samples import converged
from fixtures.experiments.desk import TrainedExperiment, random_pairs
from fixtures.experiments.experiment import HEUN, Experiment
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("K-strong-generalization")
@pytest.mark.trains(jobs=random_pairs)
def test_beyond_a_critical_size_the_sample_does_not_matter(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
    own_or_none: Comparison | None,
) -> None:
    record_own(evidence, own_or_none)
    record_pairs(evidence, trained_or_none, desk, record_strong, photographs_or_none)


@pytest.mark.control("K-strong-generalization", "negative")
def test_a_size_that_was_not_reached_is_never_given_as_a_number() -> None:
    """Memorisers at every size, networks that never memorise, and ones whose interval leaves the sizes tried."""
    rng = np.random.default_rng(0)
    cases = {
        "between": (-1.0, -0.5, 0.5),
        "never": (-1.0, -0.9, -0.8),
        "always": (0.5, 0.6, 0.9),
        "open": (-1, -0.5, 0),
    }
    taken = {}
    for name, means in cases.items():
        curves = np.asarray(means)[:, None] + rng.normal(0, 0.2, (3, 64)) * (name in ("between", "open"))
        notebook: Any = Notebook()
        record_crossing(notebook, "critical size", crossing((4, 32, 512), curves, seed=SEED), {"kind": "synthetic"})
        ((taken[name], (value, interval)),) = notebook.found.items()
        assert (interval is None) == (name != "between") and 4 <= value <= 512
    assert taken == {
        "between": "critical size",
        "never": "critical size, lower bound",
        "always": "critical size, upper bound",
        "open": "critical size, lower bound",
    }


@pytest.mark.control("K-strong-generalization", "positive")
def test_strong_generalization_is_recognised(judge: Judge) -> None:
    assert judge("K-strong-generalization", strong_measures(made_up_passage()), "synthetic") == "reproduced"


@pytest.mark.control("K-strong-generalization", "negative")
def test_memorisers_at_every_size_are_caught(judge: Judge) -> None:
    first = made_up_size(4, of_set=10, copies=True)
    assert judge("K-strong-generalization", strong_measures([first, first]), "synthetic") == "refuted"


@pytest.mark.control("K-strong-generalization", "negative")
def test_samples_of_other_noise_are_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """Real samples of the largest N, B's moved on by one seed: what looks alike then is the data, not the function."""
    sizes = by_sampler(desk)[HEUN]
    found = strong_measures([*sizes[:-1], with_other_samples(desk, sizes[-1], HEUN, shifted)])
    assert judge("K-strong-generalization", found, "synthetic") == "refuted"


@pytest.mark.control("K-strong-generalization", "negative")
def test_networks_that_learnt_nothing_are_refused(desk: TrainedExperiment) -> None:
    """They hand back the noise that they were given, and so agree: such samples are not judged."""
    with pytest.raises(RuntimeError, match="64 of 64 seeds did not converge"):
        converged(untrained(desk, desk.sizes[-1]), "untrained")


@pytest.mark.claim("K-same-data")
@pytest.mark.trains(jobs=random_pairs)
def test_it_no_longer_matters_which_images(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
    clothes_or_none: Experiment | None,
    own_or_none: Comparison | None,
) -> None:
    record_own(evidence, own_or_none)
    record_photographs(evidence, clothes_or_none, record_same_data)
    record_pairs(evidence, trained_or_none, desk, record_same_data, photographs_or_none)


@pytest.mark.control("K-same-data", "positive")
def test_sets_that_stop_to_matter_are_recognised(judge: Judge) -> None:
    assert judge("K-same-data", independence_measures(made_up_passage()), "synthetic") == "reproduced"


@pytest.mark.control("K-same-data", "negative")
@pytest.mark.trains(jobs=leaking_jobs)
def test_networks_trained_on_the_same_images_are_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """B trained on A's images agrees as much as A with itself at every N: nothing has stopped to matter."""
    sizes = by_sampler(desk)[HEUN]
    assert sizes[1].plain.gap.estimate > 0.05, "where the halves are disjoint it matters here"
    found = independence_measures([sizes[0], trained_on_a(desk), *sizes[2:]])
    assert judge("K-same-data", found, "synthetic") == "refuted"


@pytest.mark.control("K-same-data", "negative")
def test_sets_that_go_on_to_matter_are_caught(judge: Judge) -> None:
    sizes = [*made_up_passage()[:2], made_up_size(512, of_set=0.4)]
    assert judge("K-same-data", independence_measures(sizes), "synthetic") == "refuted"


@pytest.mark.claim("K-beyond-gaussian")
@pytest.mark.trains(jobs=random_pairs)
def test_networks_share_more_than_mean_and_covariance(
    evidence: ClaimRecord,
    desk: TrainedExperiment,
    trained_or_none: Experiment | None,
    photographs_or_none: Experiment | None,
    clothes_or_none: Experiment | None,
    own_or_none: Comparison | None,
) -> None:
    record_own(evidence, own_or_none)
    record_photographs(evidence, clothes_or_none, record_beyond)
    record_pairs(evidence, trained_or_none, desk, record_beyond, photographs_or_none)


@pytest.mark.control("K-beyond-gaussian", "positive")
def test_what_no_gaussian_explains_is_recognised(judge: Judge) -> None:
    found = beyond_measures(made_up_size(512, of_set=0.01, linear=0.5))
    assert judge("K-beyond-gaussian", found, "synthetic") == "reproduced"


@pytest.mark.control("K-beyond-gaussian", "negative")
def test_linear_denoisers_are_caught(judge: Judge, desk: TrainedExperiment) -> None:
    """Wiener filters in place of the networks agree from the same noise, and share nothing beyond a Gaussian."""
    size = linear(desk, desk.sizes[-1])
    assert size.plain.agreement.estimate > 0.8
    assert judge("K-beyond-gaussian", beyond_measures(size), "synthetic") == "refuted"
