"""Expected distances of Gaussian samples to their centre and to the nearest of n others, in closed form."""

import math
from functools import cache

import numpy as np
from scipy import integrate, special, stats

from core.errors import InputError


def expected_to_centre(dimensions: int, sigma: float) -> float:
    """Mean distance of a point of a round Gaussian to its centre, sigma sqrt(2) Gamma((d+1)/2) / Gamma(d/2)."""
    _check_gaussian(dimensions, sigma)
    return sigma * math.sqrt(2) * math.exp(special.gammaln((dimensions + 1) / 2) - special.gammaln(dimensions / 2))


def expected_to_nearest(dimensions: int, sigma: float, n: float, *, clusters: int = 1, apart: float = 0.0) -> float:
    """Mean distance of a fresh point of a round Gaussian to the nearest of n others of the same Gaussian.

    Given the fresh point's own squared length (chi^2), squared distances to the others are noncentral chi^2, so that
    P(nearest > r) = E[(1 - F(r^2))^n], integrated over r; about sigma sqrt(2 d) less the reach of the smallest of n.
    With `clusters`, n points each and centres `apart`, the points of the others count as well; what of the fresh
    point lies towards each of them is normal, and taken as independent between them.

    Raises:
        InputError: for a number of points, clusters or dimensions below 1, or a sigma or distance that is not positive.
    """
    for name, value in (("dimensions", dimensions), ("n", n), ("clusters", clusters)):
        if not (math.isfinite(value) and value >= 1):
            raise InputError(f"{name}: found {value}; expected at least 1")
    for name, value in (("sigma", sigma), *((("apart", apart),) if clusters > 1 else ())):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name}: found {value}; expected a positive number")
    with np.errstate(divide="ignore"):
        own, other = (np.exp(n * np.log1p(-_distance_law(dimensions, a))).mean(axis=2) for a in (0.0, apart / sigma))
    beyond = (own * other ** (clusters - 1)).mean(axis=1)
    return float(sigma * integrate.simpson(beyond, x=_radii(dimensions)))


def _radii(dimensions: int) -> np.ndarray:
    """Distances between points of a unit Gaussian over which to integrate, (401,)."""
    return np.linspace(0, 3 * math.sqrt(2 * dimensions), 401)


@cache
def _distance_law(dimensions: int, apart: float) -> np.ndarray:
    """P(distance < r) to a point of a unit Gaussian whose centre is `apart`, at every r of `_radii`, (401, 24, t).

    Given each of 24 equally likely lengths of the fresh point about its own centre, and each of 12 equally likely
    parts of it towards the other centre (t = 1 where there is none).
    """
    lengths = stats.chi2.ppf((np.arange(24) + 0.5) / 24, dimensions)[:, None]
    towards = stats.norm.ppf((np.arange(12) + 0.5) / 12) if apart else np.zeros(1)
    squares = (lengths - 2 * apart * towards + apart**2).clip(0)
    return stats.ncx2.cdf(_radii(dimensions)[:, None, None] ** 2, dimensions, squares).clip(0, 1)


def _check_gaussian(dimensions: int, sigma: float) -> None:
    if dimensions < 1 or not (math.isfinite(sigma) and sigma > 0):
        raise InputError(f"sigma: found {sigma} in {dimensions} dimensions; expected a positive number in at least one")
