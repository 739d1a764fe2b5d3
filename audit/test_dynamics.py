"""What the Gaussian-mixture experiment of Verkhovensky (2025) shows, and the criteria of copying it leans on."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from audit.measures.calibration import record_desk_calibration
from audit.measures.copiers import COPIER_SAMPLES, copier_measures, found_share
from audit.measures.distance_criterion import (
    GENERALISER,
    MEMORISER,
    SAMPLED,
    copies_passing,
    criterion,
    criterion_answers,
    kept_sampler,
    known_answers,
    points_until_memorising,
    record_distances,
)
from audit.measures.dynamics import (
    POINT,
    README,
    SCRIPT,
    STATED,
    distance_gap_measures,
    expected_distances,
    setting_differences,
)
from audit.plots.dynamics import plot_dynamics, plot_exact, plot_settings, plot_shares
from core.denoisers.oracles import Empirical
from core.metrics.lpips import Embedding
from core.metrics.neighbours import nearest_l2
from core.stats import Interval, bootstrap_statistic, clopper_pearson
from core.theory.mixtures import distances, draw_mixture
from core.training.config import DynamicsConfig
from core.training.presets import Mixtures
from fixtures.experiments.curves import published_curves, published_jobs
from fixtures.experiments.desk import Desk
from reports.judge import Judge
from reports.record import ClaimRecord

# --- V-setup ---------------------------------------------------------------------------------------------


@pytest.mark.claim("V-setup")
def test_readme_and_script_describe_one_experiment(evidence: ClaimRecord) -> None:
    settings = {"README": dict(README), "script": dict(SCRIPT)}
    for where, setting in settings.items():
        setting["optimiser steps"] = -(-setting["training points"] // DynamicsConfig().batch) * Mixtures().epochs
        evidence.add(f"optimiser steps in 2,000 epochs, {where}", setting["optimiser steps"], kind="arithmetic")
    figures = [evidence.figure("settings", plot_settings(settings))]
    for name, difference in setting_differences(README, SCRIPT).items():
        evidence.add(name, difference, kind="arithmetic", figures=figures)


@pytest.mark.control("V-setup", "positive")
def test_equal_settings_are_one_experiment(judge: Judge) -> None:
    assert judge("V-setup", setting_differences(SCRIPT, SCRIPT)) == "reproduced"


@pytest.mark.control("V-setup", "negative")
def test_other_dimensions_are_another_experiment(judge: Judge) -> None:
    assert judge("V-setup", setting_differences(SCRIPT, {**SCRIPT, "dimensions": 64})) == "refuted"


# --- closed forms of the mixture -------------------------------------------------------------------------


# --- V-gap -----------------------------------------------------------------------------------------------


@pytest.mark.claim("V-gap")
@pytest.mark.trains(jobs=lambda desk: published_jobs(desk.preset.mixtures), corpus=False)
def test_the_gap_lasts_to_the_end_of_training(evidence: ClaimRecord, desk: Desk) -> None:
    scale = desk.preset.mixtures
    for n, found in published_curves(desk.crew, scale).items():
        epoch = -(-n // scale.published.batch)
        epochs = int(found.steps[-1]) // epoch
        whole = epochs == scale.epochs
        size = f", N = {n}" if whole else f", N = {n} after {epochs:,} of {scale.epochs:,} epochs"
        suffix = "" if n == SCRIPT["training points"] else size
        levels = expected_distances(draw_mixture(scale.published, n, 0), scale.published)
        figures = [evidence.figure(f"dynamics-{n}", plot_dynamics(found, epoch, levels, size[2:]))]
        about: dict[str, Any] = {
            "kind": "synthetic",
            "n": found.to_train[:, -1].numel(),
            "seeds": f"0:{len(found.to_train)}",
            "varies": "generated sample",
            "note": None if whole else "the whole training: --scale desk-long",
        }
        for name, (value, interval) in distance_gap_measures(
            found.to_centre[:, -1].reshape(-1).numpy(), found.to_train[:, -1].reshape(-1).numpy()
        ).items():
            evidence.add(name + suffix, value, interval=interval, figures=figures, **about)
        for name, level in levels.items():
            evidence.add(f"{name}, fresh points in closed form, N = {n}", level, kind="synthetic")
        looks = len(found.steps) // 2
        smallest = (found.to_train - found.to_centre).mean(dim=(0, 2))[-looks:].min()
        evidence.add(f"smallest mean gap of the last {looks} looks{size}", smallest, kind="synthetic")
        memorised = float(found.memorised[:, -1].mean())
        exact = clopper_pearson(round(memorised * about["n"]), about["n"])
        evidence.add(f"memorised at the end{size}", memorised, interval=exact, **about)


@pytest.mark.control("V-gap", "positive")
def test_distances_as_printed_are_recognised(judge: Judge) -> None:
    rng = np.random.default_rng(0)
    assert (
        judge("V-gap", distance_gap_measures(rng.normal(11, 0.5, 100), rng.normal(15, 0.5, 100)), "synthetic")
        == "reproduced"
    )


@pytest.mark.control("V-gap", "negative")
def test_a_memoriser_has_no_gap(judge: Judge) -> None:
    data = draw_mixture(DynamicsConfig(), 1000, 0)
    copies = [x.numpy() for x in distances(data.train[:100], data)[:2]]
    assert judge("V-gap", distance_gap_measures(*copies), "synthetic") == "refuted"


# --- V-criterion -----------------------------------------------------------------------------------------


@pytest.mark.claim("V-criterion")
def test_the_criterion_on_samplers_whose_answer_is_known(evidence: ClaimRecord, desk: Desk) -> None:
    config = DynamicsConfig()
    figure, panels = plt.subplots(1, len(STATED), figsize=(9, 3.4), sharey=True)
    passing: dict[int, tuple[float, Interval]] = {}
    for axes, n in zip(panels, STATED, strict=True):
        data = draw_mixture(config, n, 0)
        oracles = {GENERALISER: data.oracle, MEMORISER: Empirical(data.train.double())}
        samplers = {name: kept_sampler(desk, name, oracle, config, n) for name, oracle in oracles.items()}
        for name, answer in criterion_answers(samplers, data, n).items():
            evidence.add(
                name, answer, kind="property", n=SAMPLED[name.split(", ")[0].removeprefix("criterion on the ")]
            )
        found = {name: distances(samples, data)[:2] for name, samples in samplers.items()}
        to_centre, to_point = (x.numpy() for x in found[GENERALISER])
        interval = bootstrap_statistic([to_centre, to_point], copies_passing, seed=0, paired=True, over="samples")
        passing[n] = float(copies_passing(to_centre, to_point)), interval
        plot_exact(found, record_distances(evidence, found, data, config), axes, f"N = {n:,}")
    figures = [evidence.figure("distances", figure)]
    for n, (share_passing, interval) in passing.items():
        evidence.add(
            f"share of copies that the criterion lets pass, N = {n}",
            share_passing,
            interval=interval,
            kind="property",
            n=SAMPLED[GENERALISER],
            varies="generated sample",
            note="a sampler that copies this share of the time, and draws fresh points otherwise, still shows a gap",
            figures=figures,
        )
    collapsed = data.centres[torch.zeros(64, dtype=torch.int64)]
    evidence.add("criterion on a sampler that always returns one centre", criterion(collapsed, data), kind="property")
    for d in (2, 8, 32):
        evidence.add(
            f"points at which a perfect sampler in {d} dimensions counts as memorising",
            points_until_memorising(d),
            kind="property",
        )


@pytest.mark.control("V-criterion", "positive")
def test_the_criterion_tells_copies_from_fresh_points(judge: Judge) -> None:
    assert judge("V-criterion", known_answers(DynamicsConfig())) == "reproduced"


@pytest.mark.control("V-criterion", "negative")
def test_a_criterion_that_errs_is_caught(judge: Judge) -> None:
    """In two dimensions the nearest of many points is nearer than the centre, whoever draws."""
    assert judge("V-criterion", known_answers(DynamicsConfig(dimensions=2, clusters=1))) == "refuted"


@pytest.mark.control("V-criterion", "negative")
@pytest.mark.parametrize("wrong", ["one cluster", "sigma", "two dimensions too many"])
def test_a_closed_form_that_is_slightly_wrong_is_told_from_the_samples(wrong: str) -> None:
    """2,000 exact points: the right form is within 0.5 %, one with a part forgotten is not."""
    config = DynamicsConfig()
    data = draw_mixture(config, 1000, 0)
    right = expected_distances(data, config)[POINT]
    found = distances(data.oracle.sample(2000, torch.Generator().manual_seed(1)), data)[1].mean()
    assert right == pytest.approx(float(found), rel=0.005)
    changed = {
        "one cluster": config.replace(clusters=1),
        "sigma": config.replace(sigma=config.sigma * 1.01),
        "two dimensions too many": config.replace(dimensions=config.dimensions + 2),
    }[wrong]
    assert expected_distances(data, changed)[POINT] != pytest.approx(float(found), rel=0.005)


# --- B-memorised-fraction --------------------------------------------------------------------------------


@pytest.mark.claim("B-memorised-fraction")
def test_the_gap_ratio_finds_every_copy(evidence: ClaimRecord, desk: Desk, lpips: Embedding | None) -> None:
    record_desk_calibration(evidence, desk, lpips)
    points = draw_mixture(DynamicsConfig(), 500, 0).train
    found, joined = copier_measures(points)
    found["share found, inexact copies, near-duplicates counted once"] = joined
    figures = [evidence.figure("shares", plot_shares({n.removeprefix("share found, "): v for n, v in found.items()}))]
    for name, (value, interval) in found.items():
        evidence.add(name, value, kind="property", interval=interval, n=COPIER_SAMPLES, varies="copy", figures=figures)
    fresh = draw_mixture(DynamicsConfig(), 500, 0).oracle.sample(500, torch.Generator().manual_seed(1)).float()
    alarms, interval = found_share(nearest_l2(fresh, points, 2, value_range=None))
    evidence.add("share of fresh points called memorised", alarms, kind="property", interval=interval, n=500)


@pytest.mark.control("B-memorised-fraction", "positive")
def test_a_ratio_that_counts_twins_once_finds_every_copy(judge: Judge) -> None:
    found, joined = copier_measures(draw_mixture(DynamicsConfig(), 200, 1).train)
    assert judge("B-memorised-fraction", dict.fromkeys(found, joined)) == "reproduced"


@pytest.mark.control("B-memorised-fraction", "negative")
def test_a_criterion_that_misses_copies_is_caught(judge: Judge) -> None:
    """Copies as far from their original as points are from each other: nothing tells them from fresh points."""
    points = draw_mixture(DynamicsConfig(), 200, 1).train
    sound, joined = copier_measures(points)
    far, _ = copier_measures(points, inexact=1.0)
    name = "share found, inexact copies, distinct points"
    assert sound[name][0] == 1 and far[name][0] < 0.05
    assert judge("B-memorised-fraction", {**dict.fromkeys(sound, joined), name: far[name]}) == "refuted"
