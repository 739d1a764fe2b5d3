"""The criterion of memorisation by distance of Verkhovensky (2025), on samplers whose answer is known."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import optimize
from torch import Tensor

from audit.measures.dynamics import CENTRE, POINT, STATED, expected_distances, unit_length
from audit.measures.record import record
from audit.plots.dynamics import plot_exact
from core.denoisers.oracles import Empirical, Oracle
from core.stats import Interval, bootstrap_mean, bootstrap_statistic
from core.theory.gaussian_distances import expected_to_centre, expected_to_nearest
from core.theory.mixtures import MixtureData, ddpm, distances, draw_mixture, oracle_noise
from core.training.config import DynamicsConfig
from fixtures.experiments.desk import TrainedExperiment
from fixtures.experiments.measured import measured
from reports.record import ClaimRecord

GENERALISER, MEMORISER = "exact generaliser", "exact memoriser"
MEMORISED, NOT_MEMORISED = "memorised", "not memorised"
SAMPLED = {GENERALISER: 64, MEMORISER: 16}  # points drawn from each exact sampler; copies are all at distance 0


def criterion(samples: Tensor, data: MixtureData) -> str:
    """The README's: generating while the mean distance to a centre is below that to a training point."""
    to_centre, to_train, _ = distances(samples, data)
    return NOT_MEMORISED if float(to_centre.mean()) < float(to_train.mean()) else MEMORISED


def exact_sampler(oracle: Oracle, config: DynamicsConfig, n: int) -> Tensor:
    """Points that DDPM generates with the exact noise of a known density."""
    source = torch.Generator().manual_seed(2)
    start = torch.randn(n, config.dimensions, dtype=torch.float64, generator=source)
    return ddpm(oracle_noise(oracle, config), start, config, source)


def kept_sampler(desk: TrainedExperiment, name: str, oracle: Oracle, config: DynamicsConfig, n: int) -> Tensor:
    """`exact_sampler` on `n` points of seed 0, from the store where it ran before."""

    def make() -> dict[str, Tensor]:
        return {"points": exact_sampler(oracle, config, SAMPLED[name])}

    about: dict[str, object] = {"sampler": name, "points": n, "options": config.to_dict(), "sampled": SAMPLED[name]}
    return measured(desk.root, "exact sampler", make, **about)["points"]


def criterion_answers(samplers: dict[str, Tensor], data: MixtureData, n: int) -> dict[str, str]:
    """The answer of the criterion for each sampler, by name of the evidence."""
    return {f"criterion on the {name}, N = {n}": criterion(samples, data) for name, samples in samplers.items()}


def called_wrongly(answers: Mapping[str, str]) -> dict[str, int]:
    """How many of the criterion's answers at both sizes are wrong; `answers` by name of the evidence."""
    right = {GENERALISER: NOT_MEMORISED, MEMORISER: MEMORISED}
    wrong = sum(answer != right[who] for name, answer in answers.items() for who in right if who in name)
    return {f"exact samplers that the criterion calls wrongly, of {len(answers)}": wrong}


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


def known_answers(config: DynamicsConfig) -> dict[str, Any]:
    """The criterion on points drawn from the mixture and on training points, under the names of both stated sizes."""
    data = draw_mixture(config, 500, 3)
    fresh = data.oracle.sample(200, torch.Generator().manual_seed(0))
    samplers = {GENERALISER: fresh, MEMORISER: data.train[:200]}
    answers = {name: answer for n in STATED for name, answer in criterion_answers(samplers, data, n).items()}
    return {**answers, **called_wrongly(answers)}


def record_criterion(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """Answers of the criterion for samplers that are known, and where it errs (V-criterion)."""
    config = DynamicsConfig()
    figure, panels = plt.subplots(1, len(STATED), figsize=(9, 3.4), sharey=True)
    passing: dict[int, tuple[float, Interval]] = {}
    answers: dict[str, str] = {}
    for axes, n in zip(panels, STATED, strict=True):
        data = draw_mixture(config, n, 0)
        oracles = {GENERALISER: data.oracle, MEMORISER: Empirical(data.train.double())}
        samplers = {name: kept_sampler(desk, name, oracle, config, n) for name, oracle in oracles.items()}
        answers |= criterion_answers(samplers, data, n)
        found = {name: distances(samples, data)[:2] for name, samples in samplers.items()}
        to_centre, to_point = (x.numpy() for x in found[GENERALISER])
        interval = bootstrap_statistic([to_centre, to_point], copies_passing, seed=0, paired=True, over="samples")
        passing[n] = float(copies_passing(to_centre, to_point)), interval
        plot_exact(found, record_distances(evidence, found, data, config), axes, f"N = {n:,}")
    figures = [evidence.figure("distances", figure)]
    record(evidence, called_wrongly(answers), kind="property", n=len(answers), figures=figures)
    for name, answer in answers.items():
        evidence.add(name, answer, kind="property", n=SAMPLED[name.split(", ")[0].removeprefix("criterion on the ")])
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
