"""Agreement of several trainings of each side: every network with every other, from the same noise.

One training a side does not say how much two trainings differ at all. The tables made here are what
`core.stats.crossed` takes its means, ceilings and intervals from: training seeds and sampling seeds both vary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from core.errors import InputError
from core.metrics.agreement import WEAK_QUANTILE, Agreement, agreement

Measure = Callable[[Tensor, Tensor], Agreement]


@dataclass(frozen=True)
class Replicates:
    """Similarities of samples from pairs of networks.

    Attributes:
        same: (r, s, n), network i of one side with network j of the other from sampling seed k.
        mismatched: (m,), of all pairs of networks from different seeds.
    """

    same: np.ndarray
    mismatched: np.ndarray

    @property
    def weak_threshold(self) -> float:
        """95th percentile of mismatched seeds over all pairs of networks."""
        return float(np.quantile(self.mismatched, WEAK_QUANTILE))


def across(a: Sequence[Tensor], b: Sequence[Tensor], measure: Measure = agreement) -> Replicates:
    """Every network of A with every one of B; samples (n, c, h, w) each, sample k of all from seed k."""
    if not a or not b:
        raise InputError(f"replicates: found samples of {len(a)} and {len(b)} networks, expected at least one each")
    found = [[measure(first, second) for second in b] for first in a]
    same = np.stack([[pair.same for pair in row] for row in found])
    return Replicates(same, np.concatenate([pair.mismatched for row in found for pair in row]))


def within(a: Sequence[Tensor], measure: Measure = agreement) -> Replicates:
    """Every pair of different networks of one side; `same` (r, r, n) is symmetric, and NaN for a network with itself.

    `measure` is symmetric, as agreement and the correlation of residuals are.
    """
    if len(a) < 2:
        raise InputError(f"replicates: found samples of {len(a)} networks, expected at least two trainings of one set")
    pairs = [(i, j) for j in range(len(a)) for i in range(j)]
    found = [measure(a[i], a[j]) for i, j in pairs]
    same = np.full((len(a), len(a), len(a[0])), np.nan)
    for (i, j), pair in zip(pairs, found, strict=True):
        same[i, j] = same[j, i] = pair.same
    return Replicates(same, np.concatenate([pair.mismatched for pair in found]))
