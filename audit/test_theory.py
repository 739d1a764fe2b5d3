"""Claims about the optimal denoiser (Kadkhodaie et al. 2024; Topeza 2025, 4.1), on densities in closed form."""

from typing import Any

import pytest
import torch

from audit.measures.densities import SIGMAS, oracles, random_gaussian
from audit.measures.theory import (
    SET,
    copies_drawn,
    excess_of_perturbation,
    finite_set,
    formula_error,
    formula_measures,
    miyasawa_names,
    perturbations,
    record_empirical_optimum,
    score_error,
)
from core.denoisers.oracles import Empirical, Gaussian
from core.stats import clopper_pearson, t_interval
from fixtures.experiments.desk import TrainedExperiment
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("T-miyasawa")
def test_the_denoiser_gives_the_score(evidence: ClaimRecord) -> None:
    for name, oracle in oracles().items():
        worst = max(score_error(oracle, sigma, oracle.denoise) for sigma in SIGMAS)
        evidence.add(f"largest relative difference, {name}", worst, kind="property", n=64 * len(SIGMAS), varies="point")


@pytest.mark.control("T-miyasawa", "positive")
def test_miyasawa_holds_for_a_single_gaussian(judge: Judge) -> None:
    oracle = random_gaussian(3, 5)
    error = max(score_error(oracle, sigma, oracle.denoise) for sigma in SIGMAS)
    assert judge("T-miyasawa", dict.fromkeys(miyasawa_names(), error)) == "reproduced"


@pytest.mark.control("T-miyasawa", "negative")
@pytest.mark.parametrize("defect", ["sigma not squared", "a constant added"])
def test_a_wrong_denoiser_does_not_give_the_score(judge: Judge, defect: str) -> None:
    oracle = random_gaussian(8, 0)
    wrong = {
        "sigma not squared": lambda y, sigma: y + sigma * oracle.score(y, sigma),
        "a constant added": lambda y, sigma: oracle.denoise(y, sigma) + 1e-3,
    }[defect]
    error = max(score_error(oracle, sigma, wrong) for sigma in SIGMAS)
    assert judge("T-miyasawa", dict.fromkeys(miyasawa_names(), error)) == "refuted"


@pytest.mark.claim("K-empirical-optimum")
def test_the_optimum_over_a_finite_set_memorises_it(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    record_empirical_optimum(evidence, desk)


@pytest.mark.control("K-empirical-optimum", "positive")
def test_the_optimum_of_one_point_is_that_point(judge: Judge, desk: TrainedExperiment) -> None:
    train = desk.corpus.images[:1]
    hits, samples = copies_drawn(desk, Empirical(train), train)
    share = hits / len(samples)
    found = {
        "share of training images among samples": (share, clopper_pearson(hits, len(samples))),
        "share of training images among samples, counted": share,
    }
    assert judge("K-empirical-optimum", found, "synthetic") == "reproduced"


@pytest.mark.control("K-empirical-optimum", "positive")
def test_the_formula_is_recognised_on_another_set(judge: Judge) -> None:
    assert judge("K-empirical-optimum", formula_measures(finite_set(7, seed=6)), "property") == "reproduced"


@pytest.mark.control("K-empirical-optimum", "negative")
def test_one_sample_that_is_no_copy_is_caught(judge: Judge) -> None:
    found = {
        "share of training images among samples": (63 / 64, clopper_pearson(63, 64)),
        "share of training images among samples, counted": 63 / 64,
    }
    assert judge("K-empirical-optimum", found, "synthetic") == "refuted"


@pytest.mark.control("K-empirical-optimum", "negative")
def test_a_sampler_that_generalises_and_a_wrong_formula_are_caught(judge: Judge, desk: TrainedExperiment) -> None:
    train = desk.corpus.images[:SET]
    rows = desk.held_out.images.reshape(len(desk.held_out), -1).double()
    covariance = torch.cov(rows.T) + 1e-4 * torch.eye(rows.shape[1], dtype=torch.float64)
    wiener = Gaussian.from_covariance(rows.mean(dim=0), covariance)
    hits, samples = copies_drawn(desk, wiener, train)
    interval = clopper_pearson(hits, len(samples))
    found = {
        "share of training images among samples": (hits / len(samples), (interval.low, interval.high)),
        "share of training images among samples, counted": hits / len(samples),
    }
    assert judge("K-empirical-optimum", found, "synthetic") == "refuted"
    oracle = Empirical(finite_set(40))
    wrong: dict[str, Any] = {
        "formula, largest error": formula_error(perturbations(oracle)["sigma 20 % too large"], oracle.points.double())
    }
    wrong |= {f"cost of: {name}": (1.0, (0.5, 1.5)) for name in perturbations(oracle)}
    assert judge("K-empirical-optimum", wrong, "property") == "refuted"


@pytest.mark.control("K-empirical-optimum", "negative")
def test_a_denoiser_that_is_not_the_optimum_is_improved_by_some_step(judge: Judge) -> None:
    oracle = Empirical(finite_set(40))
    shrunk = perturbations(oracle)["shrunk by 5 %"]
    towards = excess_of_perturbation(oracle, lambda y, sigma: shrunk(y, sigma) / 0.95, base=shrunk)
    cost = (float(towards.mean()), t_interval(towards, over="noisy points"))
    found: dict[str, Any] = {"formula, largest error": 0.0} | {f"cost of: {n}": cost for n in perturbations(oracle)}
    assert judge("K-empirical-optimum", found, "property") == "refuted"
