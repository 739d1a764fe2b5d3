"""One pair of sample sets, looked at in every way that agreement is measured: tables for the report."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from core.metrics.agreement import STRONG, WEAK_QUANTILE, Agreement, agreement, perceptual_agreement
from core.metrics.lpips import Embedding
from core.stats import Interval

CLASSES = f"strong: above {STRONG:g}; weak: below the {100 * WEAK_QUANTILE:g}th percentile of mismatched seeds"
CUT = 4.0  # cycles an image: below it outline, pose and light of a face, above it eyes, mouth and hair


def agreement_table(
    a: Tensor,
    b: Tensor,
    *,
    seed: int,
    means: tuple[Tensor, Tensor] | None = None,
    lpips: Embedding | None = None,
) -> list[dict[str, Any]]:
    """Agreement of samples a and b, (n, c, h, w) each and sample k of both from seed k, one row a measure.

    Each row: mean over seeds with its bootstrap interval, mean over mismatched seeds, and the share of seeds whose
    sample of B is the nearest of B's to that of A. `means` are the group means to remove, (c, h, w) each (those of the
    training sets); without them the samples' own. `lpips` adds perceptual rows, of the samples clipped to its range.
    """
    plain = agreement(a, b)
    removed = agreement(a, b, means=means, remove_group_means=True)
    found = {
        "correlation": plain,
        "correlation, group means removed": removed,
        f"correlation, below {CUT:g} cycles an image": agreement(a, b, frequencies=(0.0, CUT)),
        f"correlation, from {CUT:g} cycles an image": agreement(a, b, frequencies=(CUT, math.inf)),
    }
    rows = [_row(measure, each, *each.mean(seed=seed)) for measure, each in found.items()]
    rows.insert(1, _row("correlation, above mismatched seeds", plain, *plain.mean_excess(seed=seed)))
    if lpips is not None:
        low, high = lpips.value_range
        perceptual = perceptual_agreement(lpips, a.clamp(low, high), b.clamp(low, high))
        rows.append(_row("minus LPIPS", perceptual, *perceptual.mean(seed=seed)))
        rows.append(_row("minus LPIPS, above mismatched seeds", perceptual, *perceptual.mean_excess(seed=seed)))
    return rows


def _row(measure: str, found: Agreement, value: float, interval: Interval) -> dict[str, Any]:
    return {
        "measure": measure,
        "value": value,
        "low": interval.low,
        "high": interval.high,
        "mismatched": float(found.mismatched.mean()),
        "retrieval": found.retrieval()[0],
    }


def mixture_row(found: Agreement, label: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Seeds that agree strongly, in between, or no more than another seed would: counts and exact intervals of shares.

    `label` fields stand before them, so that rows of several experiments make one table.
    """
    row: dict[str, Any] = {**(label or {}), "seeds": len(found.same)}
    for name, (count, _, interval) in found.mixture().items():
        row |= {name: count, f"{name}, share from": interval.low, f"{name}, to": interval.high}
    return row
