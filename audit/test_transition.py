"""From memorisation to generalisation as N grows (Kadkhodaie et al. 2024, section 2.2), on the generated corpus."""

import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from audit.measures.networks import nearest_training
from audit.measures.record import SEED, Measures
from audit.plots.shared import draw_with_intervals
from audit.test_structure import made_up_agreement
from core.metrics.agreement import Agreement
from core.metrics.replication import COPY_CORRELATION
from core.stats import Interval, bootstrap_difference, bootstrap_mean, clopper_pearson, spearman_trend
from core.theory.critical_size import HALF, UNRESOLVED, Crossing, critical_size, crossing, exponent
from core.training.presets import DEFAULT_SCALE, preset
from fixtures.experiments import critical
from fixtures.experiments.critical import Setting, nearest_by_setting, settings
from fixtures.experiments.desk import GROUPS, Cell, Desk, random_pairs
from fixtures.experiments.stored import Pairs, Trained
from reports.judge import Judge
from reports.record import ClaimRecord

LARGER = "pytest audit/test_transition.py --scale desk-long"


def strong_measures(
    largest: Agreement, smallest: Agreement, near_largest: np.ndarray, near_smallest: np.ndarray
) -> Measures:
    """Nearly the same function at the largest N and not at the smallest; `near_*`: nearest-training correlations."""

    def beside(a: Agreement, near: np.ndarray) -> tuple[float, Interval]:
        interval = bootstrap_difference(a.same, near, seed=SEED, paired=True, over="seeds")
        return float((a.same - near).mean()), interval

    above = bootstrap_difference(
        largest.same, np.full_like(largest.same, largest.weak_threshold), seed=SEED, paired=True, over="seeds"
    )
    return {
        "agreement at the largest N above mismatched seeds": (
            float(largest.same.mean() - largest.weak_threshold),
            above,
        ),
        "agreement minus nearest training image, largest N": beside(largest, near_largest),
        "agreement minus nearest training image, smallest N": beside(smallest, near_smallest),
    }


def record_crossing(evidence: ClaimRecord, name: str, found: Crossing, about: Mapping[str, Any]) -> None:
    """A number with its interval where the sizes tried hold both; else the inequality that the interval leaves."""
    low, high = found.interval.low, found.interval.high
    told = {**about, "unit": "images", "interval_method": found.interval.method}

    def note(said: str) -> str:
        return "; ".join(filter(None, [said, about.get("note")]))

    if found.bracketed:
        below, above = found.between
        shape = (
            f"for a curve linear in log N; one of another shape crosses anywhere from N = {below:,.0f} to {above:,.0f}"
        )
        evidence.add(name, found.value, interval=(low, high), **{**told, "note": note(shape)})
    elif high < math.inf:
        bound = high or found.between[1]
        evidence.add(f"{name}, upper bound", bound, **{**told, "note": note(f"one-sided; mean {found}")})
    elif low > 0:
        bound = low if low < math.inf else found.between[0]
        evidence.add(f"{name}, lower bound", bound, **{**told, "note": note(f"one-sided; mean {found}")})
    else:
        evidence.add(f"{name}, in words", f"undecided at these sizes; mean {found}", **about)


def record_shares(
    evidence: ClaimRecord, whose: str, sizes: Sequence[int], near: np.ndarray, about: Mapping[str, Any]
) -> None:
    """Share of copies by N with exact intervals, and their trend; `near` is (sizes, groups, seeds)."""
    copies = near > COPY_CORRELATION
    for n, flags in zip(sizes, copies.reshape(len(sizes), -1), strict=True):
        share, interval = float(flags.mean()), clopper_pearson(int(flags.sum()), len(flags))
        evidence.add(f"share of copies{whose}, N = {n}", share, interval=interval, **{**about, "n": len(flags)})
    if np.ptp(copies.mean(axis=(1, 2))) > 0:
        trend, interval = spearman_trend(sizes, list(copies.mean(axis=1)), seed=SEED)
        evidence.add(f"trend of the share of copies over N{whose} (Spearman)", trend, interval=interval, **about)


def mean_and_bars(axes: Axes, sizes: Sequence[int], values: np.ndarray, style: str, label: str) -> None:
    """Mean over the last axis of (sizes, seeds) values with bootstrap intervals."""
    rows = [(float(v.mean()), bootstrap_mean(v, seed=SEED, over="seeds")) for v in values]
    draw_with_intervals(axes, sizes, rows, style, label)


def size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    """Set sizes on a logarithmic axis, ticks at those tried."""
    axes.set(xscale="log", xlabel="training images N")
    axes.set_xticks(list(sizes), labels=[f"{n:,}" for n in sizes])
    axes.minorticks_off()


def plot_transition(
    sizes: Sequence[int], agreement: np.ndarray, near: np.ndarray, found: Mapping[str, Crossing]
) -> Figure:
    """Agreement, correlation with the nearest training image and share of copies by N, with the crossings."""
    figure, axes = plt.subplots(figsize=(6, 3.4))
    mean_and_bars(axes, sizes, agreement, "C0o-", "agreement of A and B")
    mean_and_bars(axes, sizes, near.mean(axis=1), "C1s-", "nearest training image")
    mean_and_bars(axes, sizes, (near > COPY_CORRELATION).mean(axis=1), "C3^--", "share of copies")
    for (name, c), colour in zip(found.items(), ("C0", "C2", "C3"), strict=True):
        low, high = max(c.interval.low, sizes[0]), min(c.interval.high, sizes[-1])
        if low < high:
            axes.axvspan(low, high, color=colour, alpha=0.12, lw=0, label=f"critical size: {name}")
    size_axis(axes, sizes)
    axes.set(ylabel="correlation, share", ylim=(-0.05, 1.05))
    axes.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def plot_critical_settings(
    groups: Mapping[str, Mapping[int, Setting]], sizes: Sequence[int], near: Mapping[Setting, np.ndarray]
) -> Figure:
    """Share of copies by N for every network width and every image size."""
    figure, panels = plt.subplots(1, len(groups), figsize=(7, 2.8), sharey=True)
    for axes, (name, members) in zip(np.atleast_1d(panels), groups.items(), strict=True):
        for k, setting in enumerate(members.values()):
            mean_and_bars(axes, sizes, near[setting] > COPY_CORRELATION, f"C{k}o-", str(setting))
        axes.axhline(HALF, color="0.7", lw=0.8, ls=":")
        size_axis(axes, sizes)
        axes.set(title=f"by {name}", ylim=(-0.05, 1.05))
        axes.legend(frameon=False, fontsize=8)
    np.atleast_1d(panels)[0].set_ylabel("share of copies")
    return figure


def record_settings(evidence: ClaimRecord, desk: Desk) -> None:
    """How the critical size moves with network width and image size, on a short grid of small networks."""
    theory, near = desk.preset.theory, nearest_by_setting(desk)
    sizes, exposures = theory.critical_sizes, theory.critical.exposures * theory.critical.epochs
    groups = settings(desk)
    figure = evidence.figure("width-and-size", plot_critical_settings(groups, sizes, near))
    about: dict[str, Any] = {
        "kind": desk.kind,
        "n": len(desk.seeds),
        "varies": "sampling seed; one network each",
        "note": f"{exposures:,} exposures; N in {', '.join(map(str, sizes))}",
        "figures": [figure],
    }
    curves = {setting: HALF - (values > COPY_CORRELATION) for setting, values in near.items()}
    for setting, values in near.items():
        record_shares(evidence, f", {setting}", sizes, values[:, None], about)
        if lost := int((values == -1).sum()):
            note = "counted as no copies; of a network trained this shortly the noise level may rise without end"
            evidence.add(f"samples that did not converge, {setting}", lost, kind=desk.kind, n=values.size, note=note)
    found = {setting: crossing(sizes, curve, seed=SEED) for setting, curve in curves.items()}
    for setting, c in found.items():
        record_crossing(evidence, f"critical size, {setting}", c, about)
    for name, members in groups.items():
        slope, interval, words = exponent(list(members), sizes, [curves[s] for s in members.values()], seed=SEED)
        if words != UNRESOLVED:
            if all(found[s].bracketed for s in members.values()):
                evidence.add(f"exponent of the critical size in {name}", slope, interval=interval, **about)
            else:
                words += "; no exponent, as the sizes tried do not hold every critical size"
        smaller = desk.preset.name == DEFAULT_SCALE
        more = f"; a finer grid: {LARGER}" if smaller and words.startswith("inconclusive") else ""
        evidence.add(f"with {name}, in words", words + more, kind=desk.kind)


def record_strong(evidence: ClaimRecord, desk: Pairs, kind: str) -> None:
    """Agreement, copies and critical sizes over all N, and what the claim is judged by."""
    cells = {n: [Cell("random", n, g) for g in GROUPS] for n in desk.sizes}
    near = np.stack([[nearest_training(desk.samples(c), desk.images(c)) for c in pair] for pair in cells.values()])
    by_size = [desk.agreement("random", n) for n in desk.sizes]
    same = np.stack([a.same for a in by_size])
    found = critical_size(desk.sizes, same, near, SEED)
    about: dict[str, Any] = {
        "kind": kind,
        "n": len(desk.seeds),
        "seeds": f"{desk.seeds.start}:{desk.seeds.stop}",
        "varies": "seed",
        "figures": [evidence.figure(f"transition-{kind}", plot_transition(desk.sizes, same, near, found))],
    }
    for n, a in zip(desk.sizes, by_size, strict=True):
        mean, interval = a.mean(seed=SEED)
        evidence.add(f"agreement, random, N = {n}", mean, interval=interval, **about)
    record_shares(evidence, "", desk.sizes, near, about)
    for name, c in found.items():
        record_crossing(evidence, f"critical size: {name}", c, about)
    measures = strong_measures(by_size[-1], by_size[0], near[-1].mean(axis=0), near[0].mean(axis=0))
    for name, (value, interval) in measures.items():
        evidence.add(name, value, interval=interval, **about)


@pytest.mark.claim("K-strong-generalization")
@pytest.mark.trains(jobs=random_pairs)
@pytest.mark.trains(jobs=critical.jobs)
def test_beyond_a_critical_size_the_sample_does_not_matter(
    evidence: ClaimRecord, desk: Desk, trained_or_none: Trained | None
) -> None:
    if trained_or_none is not None:
        with evidence.attempt("full"):
            record_strong(evidence, trained_or_none, "full")
    record_strong(evidence, desk, desk.kind)
    if desk.kind != "full":  # the study's own networks are small at every scale
        with evidence.beside(desk.kind):
            record_settings(evidence, desk)


class Notebook:
    """Takes what a record would."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[Any, Any]] = {}

    def add(self, name: str, value: Any, *, interval: Any = None, **_: Any) -> None:
        self.found[name] = (value, interval)

    def figure(self, name: str, figure: Figure) -> str:
        plt.close(figure)
        return name


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


@pytest.mark.control("K-strong-generalization", "negative")
@pytest.mark.parametrize("narrow", ["held", "below the smallest size"])
def test_an_exponent_is_given_where_the_sizes_hold_every_critical_size(
    narrow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wider networks copy more; where the narrow one gives way before the smallest set, the slope is a bound only."""
    desk: Any = SimpleNamespace(preset=preset(DEFAULT_SCALE), kind="synthetic", seeds=range(64))
    shares = {"held": (1.0, 0.2, 0.0), "below the smallest size": (0.2, 0.0, 0.0)}[narrow]
    made = {
        setting: np.array([np.linspace(0, 1, 64) < share for share in by_size], dtype=float)
        for members in settings(desk).values()
        for setting, by_size in zip(members.values(), (shares, (1.0, 1.0, 0.2)), strict=True)
    }
    monkeypatch.setattr("audit.test_transition.nearest_by_setting", lambda desk: made)
    notebook: Any = Notebook()
    record_settings(notebook, desk)
    words, _ = notebook.found["with network width, in words"]
    assert words.startswith("the critical size grows")
    assert ("exponent of the critical size in network width" in notebook.found) == (narrow == "held")
    assert ("no exponent" in words) == (narrow != "held")


@pytest.mark.control("K-strong-generalization", "positive")
def test_strong_generalization_is_recognised(judge: Judge) -> None:
    found = strong_measures(made_up_agreement(0.9), made_up_agreement(0.1, seed=1), np.full(64, 0.8), np.ones(64))
    assert judge("K-strong-generalization", found, "synthetic") == "reproduced"


@pytest.mark.control("K-strong-generalization", "negative")
def test_memorisers_at_every_size_are_caught(judge: Judge) -> None:
    found = strong_measures(made_up_agreement(0.1), made_up_agreement(0.1, seed=1), np.ones(64), np.ones(64))
    assert judge("K-strong-generalization", found, "synthetic") == "refuted"


@pytest.mark.control("K-strong-generalization", "negative")
def test_samples_of_other_noise_are_caught(judge: Judge, desk: Desk) -> None:
    """Real samples of the largest N, B's moved on by one seed: what looks alike then is the data, not the function."""
    cells = [Cell("random", desk.sizes[-1], g) for g in GROUPS]
    near = np.mean([nearest_training(desk.samples(c), desk.images(c)) for c in cells], axis=0)
    shifted = Agreement(np.roll(desk.agreement("random", desk.sizes[-1]).similarity, 1, axis=1))
    found = strong_measures(shifted, made_up_agreement(0.1, seed=1), near, np.ones(64))
    assert judge("K-strong-generalization", found, "synthetic") == "refuted"
