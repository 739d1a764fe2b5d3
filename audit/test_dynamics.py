"""What the Gaussian-mixture experiment of Verkhovensky (2025) shows, and the criteria of copying it leans on."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor

from audit.measures.calibration import record_desk_calibration
from audit.measures.record import Measures
from audit.plots.dynamics import plot_dynamics, plot_exact, plot_settings, plot_shares
from core.denoisers.oracles import Empirical, Oracle
from core.metrics.lpips import Embedding
from core.metrics.neighbours import Neighbours, nearest_groups, nearest_l2, twin_groups
from core.metrics.replication import GAP, gap_ratio, share
from core.stats import Interval, bootstrap_mean, bootstrap_statistic, clopper_pearson
from core.theory.gaussian_distances import expected_to_centre, expected_to_nearest
from core.theory.mixtures import MixtureData, ddpm, distances, draw_mixture, oracle_noise
from core.training.config import DynamicsConfig
from core.training.presets import Mixtures
from fixtures.experiments.curves import published_curves, published_jobs
from fixtures.experiments.desk import Desk
from fixtures.experiments.measured import measured
from reports.judge import Judge
from reports.record import ClaimRecord

README = {"training points": 5000, "dimensions": 128}
SCRIPT = {"training points": 1000, "dimensions": 128}  # CONFIG of train.py as first published (commit 4b84cd1b)
STATED = (SCRIPT["training points"], README["training points"])
CENTRE, POINT = "distance to the nearest centre", "distance to the nearest training point"
GENERALISER, MEMORISER = "exact generaliser", "exact memoriser"
SAMPLED = {GENERALISER: 64, MEMORISER: 16}  # points drawn from each exact sampler; copies are all at distance 0


# --- V-setup ---------------------------------------------------------------------------------------------


def setting_differences(readme: dict[str, int], script: dict[str, int]) -> dict[str, int]:
    return {f"{name}, script minus README": script[name] - readme[name] for name in readme}


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


def unit_length(data: MixtureData) -> float:
    """Standardised length of a raw unit length in a random direction: the root mean square of one over the deviations.

    The coordinates are divided by deviations that differ a little, so that every closed form is exact to about 0.3 %.
    """
    return float(data.deviation.pow(-2).mean().sqrt())


def expected_distances(data: MixtureData, config: DynamicsConfig) -> dict[str, float]:
    """Standardised distances of a fresh point of the mixture, in closed form."""
    unit, n = unit_length(data), len(data.train)
    raw = data.centres.double() * data.deviation
    apart = float(torch.pdist(raw).square().mean().sqrt())
    nearest = expected_to_nearest(
        config.dimensions, config.sigma, n / config.clusters, clusters=config.clusters, apart=apart
    )
    return {CENTRE: unit * expected_to_centre(config.dimensions, config.sigma), POINT: unit * nearest}


# --- V-gap -----------------------------------------------------------------------------------------------


def distance_gap_measures(to_centre: np.ndarray, to_train: np.ndarray) -> Measures:
    """What V-gap is judged by: distances of single samples, in the standardised units of the published script."""
    gap = to_train - to_centre
    return {
        name: (float(x.mean()), bootstrap_mean(x, seed=0, over="samples"))
        for name, x in ((CENTRE, to_centre), (POINT, to_train), ("gap between the two", gap))
    }


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


def criterion(samples: Tensor, data: MixtureData) -> str:
    """The README's: generating while the mean distance to a centre is below that to a training point."""
    to_centre, to_train, _ = distances(samples, data)
    return "not memorised" if float(to_centre.mean()) < float(to_train.mean()) else "memorised"


def exact_sampler(oracle: Oracle, config: DynamicsConfig, n: int) -> Tensor:
    """Points that DDPM generates with the exact noise of a known density."""
    source = torch.Generator().manual_seed(2)
    start = torch.randn(n, config.dimensions, dtype=torch.float64, generator=source)
    return ddpm(oracle_noise(oracle, config), start, config, source)


def kept_sampler(desk: Desk, name: str, oracle: Oracle, config: DynamicsConfig, n: int) -> Tensor:
    """`exact_sampler` on `n` points of seed 0, from the store where it ran before."""

    def make() -> dict[str, Tensor]:
        return {"points": exact_sampler(oracle, config, SAMPLED[name])}

    about: dict[str, object] = {"sampler": name, "points": n, "options": config.to_dict(), "sampled": SAMPLED[name]}
    return measured(desk.root, "exact sampler", make, **about)["points"]


def criterion_answers(samplers: dict[str, Tensor], data: MixtureData, n: int) -> dict[str, str]:
    """What the criterion says of each sampler."""
    return {f"criterion on the {name}, N = {n}": criterion(samples, data) for name, samples in samplers.items()}


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


def copies_passing(to_centre: np.ndarray, to_point: np.ndarray, axis: int = -1) -> np.ndarray:
    """Share of copies, at no distance from a training point, at which the mean distances of the README are equal."""
    return 1 - np.mean(to_centre, axis=axis) / np.mean(to_point, axis=axis)


def record_distances(
    evidence: ClaimRecord, found: dict[str, tuple[Tensor, Tensor]], data: MixtureData, config: DynamicsConfig
) -> dict[str, float]:
    """Distances found of the exact samplers, what closed forms expect, the difference; returns the lines to draw."""
    n, length = len(data.train), unit_length(data) * config.sigma
    levels = expected_distances(data, config)
    formulas = {
        CENTRE: ("sigma sqrt(D)", length * config.dimensions**0.5, "of the mean length of a Gaussian vector"),
        POINT: ("sigma sqrt(2 D)", length * (2 * config.dimensions) ** 0.5, "of the nearest of N in all clusters"),
    }
    for what, (formula, value, reason) in formulas.items():
        evidence.add(f"{formula}, N = {n}", value, kind="property", note="in standardised units")
        evidence.add(
            f"known amount by which the {what} is below {formula}, N = {n}",
            value - levels[what],
            kind="property",
            note=f"closed form {reason}",
        )
    for name, both in found.items():
        for what, x in zip((CENTRE, POINT), both, strict=True):
            about: dict[str, Any] = {"kind": "property", "n": len(x), "varies": "generated sample"}
            interval = bootstrap_mean(x.numpy(), seed=0, over="samples")
            evidence.add(f"{what}, {name}, N = {n}", float(x.mean()), interval=interval, **about)
            if name == GENERALISER:
                off = Interval(interval.low - levels[what], interval.high - levels[what], interval.method)
                evidence.add(
                    f"{what}, measured minus expected, N = {n}", float(x.mean()) - levels[what], interval=off, **about
                )
    lines = {formula: value for formula, value, _ in formulas.values()}
    return lines | {"expected nearest of N": levels[POINT]}


def points_until_memorising(dimensions: int) -> int:
    """Training points of a round Gaussian at which a fresh point is as near to one of them as to the centre."""
    centre = expected_to_centre(dimensions, 1.0)

    def excess(log_n: float) -> float:
        return expected_to_nearest(dimensions, 1.0, 10**log_n) - centre

    return round(10 ** float(optimize.brentq(excess, 0, 12, xtol=0.01)))


@pytest.mark.control("V-criterion", "positive")
def test_the_criterion_tells_copies_from_fresh_points(judge: Judge) -> None:
    assert judge("V-criterion", known_answers(DynamicsConfig())) == "reproduced"


@pytest.mark.control("V-criterion", "negative")
def test_a_criterion_that_errs_is_caught(judge: Judge) -> None:
    """In two dimensions the nearest of many points is nearer than the centre, whoever draws."""
    assert judge("V-criterion", known_answers(DynamicsConfig(dimensions=2, clusters=1))) == "refuted"


def known_answers(config: DynamicsConfig) -> dict[str, str]:
    """The criterion on points drawn from the mixture and on training points, under the names of both stated sizes."""
    data = draw_mixture(config, 500, 3)
    fresh = data.oracle.sample(200, torch.Generator().manual_seed(0))
    samplers = {GENERALISER: fresh, MEMORISER: data.train[:200]}
    return {name: answer for n in STATED for name, answer in criterion_answers(samplers, data, n).items()}


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

COPIER_SAMPLES = 100
INEXACT = 0.05  # how far a copier's copies are from their original, in the points' own deviation
TWIN_DISTANCE = 0.1  # how far a near-duplicate is from its original: a correlation of 0.995


def found_share(neighbours: Neighbours) -> tuple[float, Interval]:
    """Share of samples that the criterion calls memorised, and its exact interval."""
    return share(gap_ratio(neighbours) < GAP)


def copier_measures(
    points: Tensor, *, inexact: float = INEXACT
) -> tuple[dict[str, tuple[float, Interval]], tuple[float, Interval]]:
    """Shares of a copier's samples that the criterion finds, by training set; and the last after twins are joined.

    Inexact copies are `inexact` away from their original in every coordinate, in the points' own deviation.
    """
    source = torch.Generator().manual_seed(4)
    noise, blur = (torch.randn(points.shape, dtype=points.dtype, generator=source) for _ in range(2))
    twins, repeated = torch.cat([points, points + TWIN_DISTANCE * noise]), torch.cat([points, points])
    exact, near = points[:COPIER_SAMPLES], (points + inexact * blur)[:COPIER_SAMPLES]
    found = {
        name: found_share(nearest_l2(copies, train, 2, value_range=None))
        for name, copies, train in (
            ("share found, exact copies, distinct points", exact, points),
            ("share found, inexact copies, distinct points", near, points),
            ("share found, exact copies, set with near-duplicates", exact, twins),
            ("share found, inexact copies, set with near-duplicates", near, twins),
            ("share found, exact copies, set with repeated points", exact, repeated),
        )
    }
    pairs = np.stack([np.arange(len(points)), np.arange(len(points)) + len(points)], axis=1)
    joined = nearest_groups(lambda k: nearest_l2(near, twins, k, value_range=None), twin_groups(pairs, len(twins)), 2)
    return found, found_share(joined)


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
