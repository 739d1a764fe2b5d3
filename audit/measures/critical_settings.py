"""How the critical set size moves with network width and image size (Kadkhodaie et al. 2024, the slides' summary)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from audit.measures.record import SEED
from audit.measures.rules import COPY_CORRELATION
from audit.measures.transition import record_crossing, record_shares
from audit.plots.transition import plot_critical_settings
from core.theory.critical_size import HALF, UNRESOLVED, Crossing, crossing, size_exponent
from core.training.presets import DEFAULT_SCALE
from fixtures.experiments.critical import NetworkSetting, nearest_by_setting, settings
from fixtures.experiments.desk import TrainedExperiment
from reports.record import ClaimRecord

LARGER = "pytest audit/test_critical.py --scale desk-long"
FEWEST = 3  # widths, or image sizes, that an exponent is fitted over
KIND = "synthetic"  # the study's own networks are small at every scale


def exponent_of(
    levels: Sequence[int], sizes: Sequence[int], curves: Sequence[np.ndarray], found: Sequence[Crossing]
) -> tuple[Any, Any, str]:
    """What a dependence is judged by: the exponent and its interval, or why there is none; and the reading in words.

    Args:
        levels: network widths, or image sides.
        sizes: training images tried.
        curves: by level, (sizes, seeds): one half minus whether the sample is a copy.
        found: by level, the critical size.
    """
    slope, interval, words = size_exponent(levels, sizes, curves, seed=SEED)
    if len(levels) < FEWEST:
        return f"undecided: {len(levels)} levels, where {FEWEST} are asked for", None, words
    if words == UNRESOLVED:
        return "undecided: the sizes tried do not tell the critical sizes apart", None, words
    if not all(c.bracketed for c in found):
        none = "; no exponent, as the sizes tried do not hold every critical size"
        return "undecided: the sizes tried do not hold every critical size", None, words + none
    return slope, interval, words


def record_settings(evidence: ClaimRecord, desk: TrainedExperiment) -> None:
    """How the critical size moves with network width and image size, on a short grid of small networks."""
    theory = desk.preset.theory
    exposures = theory.critical.exposures * theory.critical.epochs
    note = f"{exposures:,} exposures; N in {', '.join(map(str, theory.critical_sizes))}"
    groups, sizes, near = settings(desk), theory.critical_sizes, nearest_by_setting(desk)
    figure = evidence.figure("width-and-size", plot_critical_settings(groups, sizes, near))
    record_near(evidence, groups, sizes, near, note=note, figures=[figure])


def record_near(
    evidence: ClaimRecord,
    groups: Mapping[str, Mapping[int, NetworkSetting]],
    sizes: Sequence[int],
    near: Mapping[NetworkSetting, np.ndarray],
    **told: Any,
) -> None:
    """Shares of copies, critical sizes and their exponents (K-critical-depends).

    Args:
        evidence: the record of the claim.
        groups: settings by level, for every dependence.
        sizes: training images tried.
        near: by setting, correlation of every sample with its nearest training image, (sizes, seeds).
        told: note and figures.
    """
    about: dict[str, Any] = {
        "kind": KIND,
        "n": next(iter(near.values())).shape[1],
        "varies": "sampling seed; one network each",
        **told,
    }
    curves = {setting: HALF - (values > COPY_CORRELATION) for setting, values in near.items()}
    for setting, values in near.items():
        record_shares(evidence, f", {setting}", sizes, values[:, None], about)
        if lost := int((values == -1).sum()):
            why = "counted as no copies; of a network trained this shortly the noise level may rise without end"
            evidence.add(f"samples that did not converge, {setting}", lost, kind=KIND, n=values.size, note=why)
    found = {setting: crossing(sizes, curve, seed=SEED) for setting, curve in curves.items()}
    for setting, c in found.items():
        record_crossing(evidence, f"critical size, {setting}", c, about)
    for name, members in groups.items():
        record_exponent(evidence, name, members, sizes, curves, found, about)


def record_exponent(
    evidence: ClaimRecord,
    name: str,
    members: Mapping[int, NetworkSetting],
    sizes: Sequence[int],
    curves: Mapping[NetworkSetting, np.ndarray],
    found: Mapping[NetworkSetting, Crossing],
    about: Mapping[str, Any],
) -> None:
    """The exponent of one dependence, and its reading in words."""
    own = list(members.values())
    value, interval, words = exponent_of(list(members), sizes, [curves[s] for s in own], [found[s] for s in own])
    evidence.add(f"exponent of the critical size in {name}", value, interval=interval, **about)
    smaller = evidence.scale == DEFAULT_SCALE and not isinstance(value, float)
    evidence.add(f"with {name}, in words", words + (f"; a finer grid: {LARGER}" if smaller else ""), kind=KIND)
