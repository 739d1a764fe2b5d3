"""Agreement of two denoisers from the same noise, beside its ceiling, its floor and what one Gaussian explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from core.compare.drawn import Drawn
from core.errors import InputError
from core.metrics.agreement import Agreement, agreement
from core.metrics.residuals import residual_agreement
from core.stats.crossed import SAMPLING, Crossed, crossed_mean


@dataclass(frozen=True, eq=False)
class Measured:
    """Similarities seed by seed; None where a third denoiser was not given or nothing was left to compare.

    Attributes:
        plain: A with B.
        floor: the best linear denoisers of A's and of B's images with each other.
        residual: A with B without what the linear denoiser of all images draws from the same noise.
        ceiling: A with the third denoiser, trained on A's images.
        residual_ceiling: the same of residuals.
    """

    plain: Agreement
    floor: Agreement
    residual: Agreement | None
    ceiling: Agreement | None
    residual_ceiling: Agreement | None

    @property
    def gap(self) -> Crossed | None:
        """The ceiling minus the agreement of A with B, over sampling seeds."""
        return None if self.ceiling is None else over_seeds(self.ceiling.same - self.plain.same)

    @property
    def residual_gap(self) -> Crossed | None:
        """The same of what one Gaussian does not explain."""
        if self.residual is None or self.residual_ceiling is None:
            return None
        return over_seeds(self.residual_ceiling.same - self.residual.same)

    @property
    def above_floor(self) -> Crossed:
        """The agreement of A with B minus that of the linear denoisers, over sampling seeds."""
        return over_seeds(self.plain.same - self.floor.same)


def over_seeds(values: np.ndarray) -> Crossed:
    """The mean of one value a sampling seed, and how it varies over them."""
    return crossed_mean(values, (SAMPLING,))


def measure(drawn: Drawn) -> Measured:
    """Everything that agreement is read from, of samples of one noise."""
    samples, both = drawn.samples, drawn.wiener["both"]
    third = samples.get("ceiling")
    return Measured(
        agreement(samples["A"], samples["B"]),
        agreement(drawn.wiener["A"], drawn.wiener["B"]),
        _residual(samples["A"], samples["B"], both),
        None if third is None else agreement(samples["A"], third),
        None if third is None else _residual(samples["A"], third, both),
    )


def _residual(a: Tensor, b: Tensor, wiener: Tensor) -> Agreement | None:
    try:
        return residual_agreement(a, b, wiener)
    except InputError:  # a sample is its linear one: nothing is left of it
        return None


def table(measured: Measured) -> list[dict[str, Any]]:
    """One row a quantity: mean, interval over sampling seeds, mean and 95th percentile of mismatched seeds."""
    rows = {
        "A with B": measured.plain,
        "ceiling, A with a second training on its images": measured.ceiling,
        "floor, two linear denoisers": measured.floor,
        "beyond one Gaussian, A with B": measured.residual,
        "beyond one Gaussian, ceiling": measured.residual_ceiling,
    }
    return [_row(name, found) for name, found in rows.items() if found is not None]


def _row(name: str, found: Agreement) -> dict[str, Any]:
    value, interval = found.mean(seed=0)
    retrieved, share = found.retrieval()
    return {
        "measure": name,
        "value": value,
        "low": interval.low,
        "high": interval.high,
        "method": interval.method,
        "mismatched": float(found.mismatched.mean()),
        "mismatched_95": found.weak_threshold,
        "retrieved": retrieved,
        "retrieved_low": share.low,
        "retrieved_high": share.high,
    }
