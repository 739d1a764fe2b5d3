"""When in training a diffusion model memorises (Verkhovensky 2025; Bonnaire et al. 2025), on Gaussian mixtures."""

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy import optimize, stats
from torch import Tensor

from audit.calibration import record_calibration
from core.dynamics import (
    Curves,
    MixtureData,
    crossing_time,
    ddpm,
    distances,
    draw_mixture,
    expected_to_centre,
    expected_to_nearest,
    oracle_noise,
)
from core.metrics.lpips import Embedding
from core.metrics.replication import gap_ratio, groups_of, join, nearest_l2
from core.oracles import Empirical
from core.presets import DynamicsConfig, Mixtures
from core.stats import Interval, bootstrap_mean
from fixtures.desk import Desk
from fixtures.dynamics import curves, feature_losses, law_config, published_config
from reports.record import ClaimRecord

README = {"training points": 5000, "dimensions": 128}
SCRIPT = {"training points": 1000, "dimensions": 128}  # CONFIG of train.py as first published (commit 4b84cd1b)
CENTRE, POINT = "distance to the nearest centre", "distance to the nearest training point"
SAMPLED = 64  # points drawn from each exact sampler
GOOD = 1.0  # energy distance below which samples count as good: untrained 400, fresh points of the mixture 0
MEMORISED = 0.05  # share of memorised samples at which memorisation has begun: `MEM_THR` of Verkhovensky's later script
BELOW_BAYES = 0.9  # random features have memorised once their training loss is this share of the best attainable loss
Measures = dict[str, Any]


# --- V-setup ---------------------------------------------------------------------------------------------


def setting_differences(readme: dict[str, int], script: dict[str, int]) -> dict[str, int]:
    return {f"{name}, script minus README": script[name] - readme[name] for name in readme}


@pytest.mark.claim("V-setup")
def test_readme_and_script_describe_one_experiment(evidence: ClaimRecord) -> None:
    for name, difference in setting_differences(README, SCRIPT).items():
        evidence.add(name, difference, kind="arithmetic")
    for where, setting in (("script", SCRIPT), ("README", README)):
        steps = -(-setting["training points"] // DynamicsConfig().batch) * Mixtures().epochs
        evidence.add(f"optimiser steps in 2,000 epochs, {where}", steps, kind="arithmetic")


@pytest.mark.control("V-setup", "positive")
def test_equal_settings_are_one_experiment(judge: Callable[..., str]) -> None:
    assert judge("V-setup", setting_differences(SCRIPT, SCRIPT)) == "reproduced"


@pytest.mark.control("V-setup", "negative")
def test_other_dimensions_are_another_experiment(judge: Callable[..., str]) -> None:
    assert judge("V-setup", setting_differences(SCRIPT, {**SCRIPT, "dimensions": 64})) == "refuted"


# --- V-gap -----------------------------------------------------------------------------------------------


def gap_measures(to_centre: np.ndarray, to_train: np.ndarray) -> Measures:
    """What V-gap is judged by: distances of single samples, in the standardised units of the published script."""
    gap = to_train - to_centre
    return {
        name: (float(x.mean()), bootstrap_mean(x, seed=0, over="samples"))
        for name, x in ((CENTRE, to_centre), (POINT, to_train), ("gap between the two", gap))
    }


def plot_dynamics(found: Curves, levels: dict[str, float]) -> Figure:
    """The published picture: both distances over training, beside what the exact samplers give."""
    figure, axes = plt.subplots(figsize=(6, 3.2))
    for name, values, style in ((CENTRE, found.to_centre, "C0-"), (POINT, found.to_train, "C1--")):
        axes.plot(found.steps[1:], values.mean(dim=(0, 2))[1:], style, marker=".", label=name)
    for (name, level), colour in zip(levels.items(), ("C0", "C1"), strict=True):
        axes.axhline(level, color=colour, lw=0.8, ls=":", label=f"{name}, fresh points")
    axes.set(xlabel="optimiser steps", ylabel="standardised distance", yscale="log")
    axes.legend(frameon=False, fontsize=8)
    return figure


@pytest.mark.claim("V-gap")
def test_the_gap_lasts_to_the_end_of_training(evidence: ClaimRecord, desk: Desk) -> None:
    scale = desk.preset.mixtures
    for n in scale.sizes:
        found = curves(desk.root, published_config(scale, n), n, range(scale.seeds), desk.note, desk.begin)
        data = draw_mixture(scale.published, n, 0)
        fresh = data.oracle.sample(2000, torch.Generator().manual_seed(1))
        levels = {name: float(x.mean()) for name, x in zip((CENTRE, POINT), distances(fresh, data)[:2], strict=True)}
        about: dict[str, Any] = {"kind": "synthetic", "n": found.to_train[:, -1].numel(), "varies": "generated sample"}
        judged = n == SCRIPT["training points"]
        suffix = "" if judged else f", N = {n}"
        figures = [evidence.figure(f"dynamics-{n}", plot_dynamics(found, levels))]
        for name, (value, interval) in gap_measures(
            found.to_centre[:, -1].reshape(-1).numpy(), found.to_train[:, -1].reshape(-1).numpy()
        ).items():
            evidence.add(name + suffix, value, interval=interval, figures=figures, **about)
        for name, level in levels.items():
            evidence.add(f"{name}, fresh points, N = {n}", level, kind="synthetic", n=len(fresh))
        smallest = (found.to_train - found.to_centre).mean(dim=(0, 2)).min()
        evidence.add(f"smallest gap of any look, N = {n}", smallest, kind="synthetic")
        evidence.add(f"memorised at the end, N = {n}", found.memorised[:, -1].mean(), kind="synthetic")


@pytest.mark.control("V-gap", "positive")
def test_distances_as_printed_are_recognised(judge: Callable[..., str]) -> None:
    rng = np.random.default_rng(0)
    assert judge("V-gap", gap_measures(rng.normal(11, 0.5, 100), rng.normal(15, 0.5, 100)), "synthetic") == "reproduced"


@pytest.mark.control("V-gap", "negative")
def test_a_memoriser_has_no_gap(judge: Callable[..., str]) -> None:
    data = draw_mixture(DynamicsConfig(), 1000, 0)
    copies = [x.numpy() for x in distances(data.train[:100], data)[:2]]
    assert judge("V-gap", gap_measures(*copies), "synthetic") == "refuted"


# --- V-criterion -----------------------------------------------------------------------------------------


def criterion(samples: Tensor, data: MixtureData) -> str:
    """The README's: generating while the mean distance to a centre is below that to a training point."""
    to_centre, to_train, _ = distances(samples, data)
    return "not memorised" if float(to_centre.mean()) < float(to_train.mean()) else "memorised"


def exact_sampler(oracle: Any, config: DynamicsConfig, n: int = SAMPLED) -> Tensor:
    """Points that DDPM generates with the exact noise of a known density."""
    source = torch.Generator().manual_seed(2)
    start = torch.randn(n, config.dimensions, dtype=torch.float64, generator=source)
    return ddpm(oracle_noise(oracle, config), start, config, source)


def answers(generaliser: Tensor, memoriser: Tensor, data: MixtureData) -> dict[str, str]:
    return {
        "criterion on the exact generaliser": criterion(generaliser, data),
        "criterion on the exact memoriser": criterion(memoriser, data),
    }


@pytest.mark.claim("V-criterion")
def test_the_criterion_on_samplers_whose_answer_is_known(evidence: ClaimRecord) -> None:
    config = DynamicsConfig()
    data = draw_mixture(config, SCRIPT["training points"], 0)
    samplers = {
        "exact generaliser": exact_sampler(data.oracle, config),
        "exact memoriser": exact_sampler(Empirical(data.train), config),
    }
    for name, answer in answers(samplers["exact generaliser"], samplers["exact memoriser"], data).items():
        evidence.add(name, answer, kind="property", n=SAMPLED)
    figure, axes = plt.subplots(figsize=(6, 3))
    for k, (name, samples) in enumerate(samplers.items()):
        for what, x, hatch in zip((CENTRE, POINT), distances(samples, data)[:2], (None, "///"), strict=True):
            evidence.add(
                f"{what}, {name}",
                float(x.mean()),
                kind="property",
                n=SAMPLED,
                interval=bootstrap_mean(x.numpy(), seed=0, over="samples"),
            )
            axes.hist(
                x.numpy(),
                bins=np.linspace(0, 16, 65).tolist(),
                color=f"C{k}",
                alpha=0.5,
                hatch=hatch,
                label=f"{name}: {what}",
            )
    axes.set(xlabel="standardised distance", ylabel="samples")
    axes.legend(frameon=False, fontsize=7)
    unit = float(data.deviation.mean())
    centre = expected_to_centre(config.dimensions, config.sigma) / unit
    to_centre, to_point, _ = distances(samplers["exact generaliser"], data)
    hidden = 1 - float(to_centre.mean() / to_point.mean())
    figures = [evidence.figure("distances", figure)]
    evidence.add("expected distance to the centre, closed form", centre, kind="property", figures=figures)
    for n in (1000, 5000):
        nearest = expected_to_nearest(config.dimensions, config.sigma, n // config.clusters) / unit
        evidence.add(
            f"expected distance to the nearest of N = {n}, closed form",
            nearest,
            kind="property",
            note="of the point's own cluster alone; the other clusters bring it a little nearer",
        )
    evidence.add(
        "share of copies that the criterion lets pass",
        hidden,
        kind="property",
        note="a sampler that copies this share of the time, and draws fresh points otherwise, still shows a gap",
    )
    collapsed = data.centres[torch.zeros(SAMPLED, dtype=torch.int64)]
    evidence.add("criterion on a sampler that always returns one centre", criterion(collapsed, data), kind="property")
    for d in (2, 8, 32):
        evidence.add(
            f"points at which a perfect sampler in {d} dimensions counts as memorising", flip(d), kind="property"
        )


def flip(dimensions: int) -> int:
    """Training points of a round Gaussian at which a fresh point is as near to one of them as to the centre."""
    centre = expected_to_centre(dimensions, 1.0)

    def excess(log_n: float) -> float:
        return expected_to_nearest(dimensions, 1.0, 10**log_n) - centre

    return round(10 ** float(optimize.brentq(excess, 0, 12, xtol=0.01)))


@pytest.mark.control("V-criterion", "positive")
def test_the_criterion_tells_copies_from_fresh_points(judge: Callable[..., str]) -> None:
    data = draw_mixture(DynamicsConfig(), 500, 3)
    fresh = data.oracle.sample(200, torch.Generator().manual_seed(0))
    assert judge("V-criterion", answers(fresh, data.train[:200], data)) == "reproduced"


@pytest.mark.control("V-criterion", "negative")
def test_a_criterion_that_errs_is_caught(judge: Callable[..., str]) -> None:
    plane = DynamicsConfig(dimensions=2, clusters=1)
    data = draw_mixture(plane, 500, 3)
    fresh = data.oracle.sample(200, torch.Generator().manual_seed(0))
    assert judge("V-criterion", answers(fresh, data.train[:200], data)) == "refuted"


# --- B: times over N -------------------------------------------------------------------------------------


def exponent(sizes: Sequence[int], times: np.ndarray) -> tuple[float, Interval]:
    """Slope of log time on log N over single trainings, times (sizes, seeds), with its t interval.

    The scatter about the line holds both the seeds' spread and what a power law fails to fit; resampling three seeds
    would see less than either.
    """
    if not np.isfinite(times).all():
        raise RuntimeError(f"{int((~np.isfinite(times)).sum())} trainings ended before the time that was looked for")
    x = np.repeat(np.log(np.asarray(sizes, dtype=float)), times.shape[1])
    fit = stats.linregress(x, np.log(times).reshape(-1))
    half = float(stats.t.ppf(0.975, len(x) - 2) * fit.stderr)
    return float(fit.slope), Interval(fit.slope - half, fit.slope + half, "t interval of the slope over trainings")


def law(desk: Desk) -> tuple[dict[int, Curves], np.ndarray, np.ndarray]:
    """Curves by N, and the times at which samples become good and copies appear, (sizes, seeds) in steps."""
    scale = desk.preset.mixtures
    seeds = range(scale.law_seeds)
    found = {n: curves(desk.root, law_config(scale, n), n, seeds, desk.note, desk.begin) for n in scale.law_sizes}
    good, copying = (
        np.stack([np.asarray(f(c)) for c in found.values()])
        for f in (
            lambda c: crossing_time(c.steps, c.quality, GOOD, falling=True),
            lambda c: crossing_time(c.steps, c.memorised, MEMORISED),
        )
    )
    return found, good, copying


FEATURE_TIMES = torch.logspace(0, 8, 321, dtype=torch.float64)
NOISE = 0.1  # of the random-features model: variance share of the noise


def feature_law(desk: Desk) -> tuple[dict[int, dict[str, Tensor]], np.ndarray, np.ndarray]:
    """Losses by N, and when the test loss is 80 % of its way to the optimum and the training loss far below it."""
    scale, bayes = desk.preset.mixtures, 1 - NOISE
    found = {n: feature_losses(desk.root, scale, n, FEATURE_TIMES, NOISE, desk.begin) for n in scale.feature_sizes}
    levels = {"test": 1 - 0.8 * (1 - bayes), "train": BELOW_BAYES * bayes}
    good, copying = (
        np.stack(
            [np.asarray(crossing_time(FEATURE_TIMES, losses[name], level, falling=True)) for losses in found.values()]
        )
        for name, level in levels.items()
    )
    return found, good, copying


def plot_law(found: dict[int, Curves], what: str, label: str) -> Figure:
    """One measure by training time, and against time over N: equal laws fall on one curve there."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.8), sharey=True)
    for k, (n, c) in enumerate(found.items()):
        values = getattr(c, what)
        for axis, time in zip(axes, (c.steps, c.steps / n), strict=True):
            axis.plot(time, values.T, color=f"C{k}", lw=0.5, alpha=0.5)
            axis.plot(time, values.mean(0), color=f"C{k}", label=f"N = {n}")
    for axis, name in zip(axes, ("steps", "steps / N"), strict=True):
        axis.set(xscale="log", xlabel=name)
    axes[0].set(ylabel=label, yscale="log" if what == "quality" else "linear")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def plot_features(found: dict[int, dict[str, Tensor]]) -> Figure:
    """Training and test loss of the random-features model over time."""
    figure, axes = plt.subplots(figsize=(5, 2.8))
    for k, (n, losses) in enumerate(found.items()):
        axes.plot(FEATURE_TIMES, losses["test"][0], color=f"C{k}", label=f"N = {n}")
        axes.plot(FEATURE_TIMES, losses["train"][0], color=f"C{k}", ls="--")
    axes.axhline(1 - NOISE, color="k", lw=0.5)
    axes.set(xscale="log", xlabel="training time", ylabel="loss (test full, training dashed)", ylim=(0, 1.5))
    axes.legend(frameon=False, fontsize=8)
    return figure


def record_law(evidence: ClaimRecord, desk: Desk, which: int, what: str, label: str) -> None:
    """Times and exponents of one law, of the network and of random features."""
    scale = desk.preset.mixtures
    found, *times = law(desk)
    models, *feature_times = feature_law(desk)
    kind = "synthetic"
    for n, row in zip(scale.law_sizes, times[which], strict=True):
        evidence.add(f"time at N = {n}", float(np.exp(np.log(row).mean())), kind=kind, n=len(row), unit="steps")
    figures = [evidence.figure("curves", plot_law(found, what, label))]
    slope, interval = exponent(scale.law_sizes, times[which])
    seeds = f"0:{scale.law_seeds}"
    evidence.add(
        "exponent in N",
        slope,
        kind=kind,
        n=times[which].size,
        interval=interval,
        seeds=seeds,
        varies="training set and weights",
        figures=figures,
    )
    slope, interval = exponent(scale.feature_sizes, feature_times[which])
    figures = [evidence.figure("random-features", plot_features(models))]
    evidence.add(
        "exponent in N, random features in closed form",
        slope,
        kind=kind,
        n=feature_times[which].size,
        interval=interval,
        seeds=f"0:{scale.feature_seeds}",
        varies="training set and features",
        figures=figures,
    )


@pytest.mark.claim("B-generation-time")
def test_samples_become_good_at_the_same_time(evidence: ClaimRecord, desk: Desk) -> None:
    record_law(evidence, desk, 0, "quality", "energy distance to fresh points")


@pytest.mark.claim("B-memorisation-time")
def test_copies_appear_in_proportion_to_the_set(evidence: ClaimRecord, desk: Desk) -> None:
    record_law(evidence, desk, 1, "memorised", "share memorised")


def made_up_times(power: float, sizes: Sequence[int] = (16, 32, 64, 128)) -> dict[str, Any]:
    noise = np.random.default_rng(0).normal(0, 0.05, (len(sizes), 3))
    return {"exponent in N": exponent(sizes, np.asarray(sizes)[:, None] ** power * np.exp(noise))}


@pytest.mark.control("B-generation-time", "positive")
def test_a_constant_time_is_recognised(judge: Callable[..., str]) -> None:
    assert judge("B-generation-time", made_up_times(0.0), "synthetic") == "reproduced"


@pytest.mark.control("B-generation-time", "negative")
def test_a_time_that_grows_is_caught(judge: Callable[..., str]) -> None:
    assert judge("B-generation-time", made_up_times(0.5), "synthetic") == "refuted"


@pytest.mark.control("B-memorisation-time", "positive")
def test_a_linear_time_is_recognised(judge: Callable[..., str]) -> None:
    assert judge("B-memorisation-time", made_up_times(1.0), "synthetic") == "reproduced"


@pytest.mark.control("B-memorisation-time", "negative")
def test_a_time_that_grows_as_the_root_is_caught(judge: Callable[..., str]) -> None:
    assert judge("B-memorisation-time", made_up_times(0.5), "synthetic") == "refuted"


# --- B-memorised-fraction --------------------------------------------------------------------------------

COPIES = 100
INEXACT = 0.05  # how far a copier's copies are from their original, in the points' own deviation
TWIN = 0.1  # how far a near-duplicate is from its original: a correlation of 0.995


def copier_measures(points: Tensor) -> tuple[dict[str, float], float]:
    """Shares of a copier's samples that the criterion finds, by training set; and the last after twins are joined."""
    source = torch.Generator().manual_seed(4)
    noise, blur = (torch.randn(points.shape, dtype=points.dtype, generator=source) for _ in range(2))
    twins, repeated = torch.cat([points, points + TWIN * noise]), torch.cat([points, points])
    exact, inexact = points[:COPIES], (points + INEXACT * blur)[:COPIES]
    found = {
        name: float((gap_ratio(nearest_l2(copies, train, 2)) < 1 / 3).mean())
        for name, copies, train in (
            ("share found, exact copies, distinct points", exact, points),
            ("share found, inexact copies, distinct points", inexact, points),
            ("share found, exact copies, set with near-duplicates", exact, twins),
            ("share found, inexact copies, set with near-duplicates", inexact, twins),
            ("share found, exact copies, set with repeated points", exact, repeated),
        )
    }
    pairs = np.stack([np.arange(len(points)), np.arange(len(points)) + len(points)], axis=1)
    joined = join(lambda k: nearest_l2(inexact, twins, k), groups_of(pairs, len(twins)), 2)
    return found, float((gap_ratio(joined) < 1 / 3).mean())


@pytest.mark.claim("B-memorised-fraction")
def test_the_gap_ratio_finds_every_copy(evidence: ClaimRecord, desk: Desk, lpips: Embedding | None) -> None:
    record_calibration(evidence, desk, lpips)
    points = draw_mixture(DynamicsConfig(), 500, 0).train
    found, joined = copier_measures(points)
    for name, share in found.items():
        evidence.add(name, share, kind="property", n=COPIES, varies="copy")
    evidence.add("share found, inexact copies, near-duplicates counted once", joined, kind="property", n=COPIES)
    fresh = draw_mixture(DynamicsConfig(), 500, 0).oracle.sample(500, torch.Generator().manual_seed(1)).float()
    alarms = float((gap_ratio(nearest_l2(fresh, points, 2)) < 1 / 3).mean())
    evidence.add("share of fresh points called memorised", alarms, kind="property", n=500)


@pytest.mark.control("B-memorised-fraction", "positive")
def test_a_ratio_that_counts_twins_once_finds_every_copy(judge: Callable[..., str]) -> None:
    found, joined = copier_measures(draw_mixture(DynamicsConfig(), 200, 1).train)
    assert judge("B-memorised-fraction", dict.fromkeys(found, joined)) == "reproduced"


@pytest.mark.control("B-memorised-fraction", "negative")
def test_a_criterion_that_misses_copies_is_caught(judge: Callable[..., str]) -> None:
    found, _ = copier_measures(draw_mixture(DynamicsConfig(), 200, 1).train)
    found["share found, exact copies, distinct points"] = 0.99
    assert judge("B-memorised-fraction", found) == "refuted"
