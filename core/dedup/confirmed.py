"""What a second look says of the pairs that the rule found: where the two kinds part, and how many are confirmed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from core.dedup.pairs import Pairs
from core.dedup.second_look import LEAST, MEASURE, same_photograph
from core.progress import Progress

REFERENCE = 0.85  # the middle of the gap, 0.79 to 0.917, among 73 pairs of 12,000 aligned photographs
MOST = 20_000  # pairs that are looked at where nothing hangs on each of them
FEWEST = 10  # pairs on either side without which no threshold is read off
_RANGE = (0.6, 0.95)  # in which it may lie
_BINS = 200  # of the density, over [0, 1]
_SMOOTHING = 8  # bins, the deviation of the kernel
_RESAMPLES = 400
_EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0)  # of bands of correlation
Picture = Callable[[int], np.ndarray]  # number -> (3, h, w) 8-bit levels
Pictures = tuple[Picture, Picture]  # of i and of j
Names = tuple[Sequence[str] | Mapping[int, str], Sequence[str] | Mapping[int, str]]  # of what i and j count


@dataclass(frozen=True)
class Parting:
    """From which value on a pair is one photograph, and between which values that threshold may as well lie."""

    threshold: float
    low: float
    high: float
    read: bool  # off these pairs; else the reference


@dataclass(frozen=True)
class SecondLook:
    """Values of the pairs that were looked at; `index` (q,) says which, `value` (q,) is NaN for pictures too small."""

    index: np.ndarray
    value: np.ndarray
    parting: Parting

    @property
    def confirms(self) -> np.ndarray:
        """(q,) whether each is one photograph."""
        return np.nan_to_num(self.value, nan=-1.0) >= self.parting.threshold

    def only_confirmed(self, pairs: Pairs) -> Pairs:
        """The pairs that are confirmed."""
        stay = np.sort(self.index[self.confirms])
        return replace(pairs, i=pairs.i[stay], j=pairs.j[stay], correlation=pairs.correlation[stay])

    def counts(self, pairs: Pairs) -> dict[str, Any]:
        """What a report says: pairs of the rule and confirmed ones, in all and by band, and the threshold."""
        strength = np.abs(pairs.correlation)
        seen, known = strength[self.index], np.isfinite(self.value)
        doubtful = known & (self.value >= self.parting.low) & (self.value < self.parting.high)
        bands = []
        for low, high in bands_above(pairs.threshold):
            inside = (seen > low) & (seen <= high)
            bands.append(
                {
                    "above": low,
                    "to": high,
                    "pairs": int(((strength > low) & (strength <= high)).sum()),
                    "looked_at": int((inside & known).sum()),
                    "confirmed": int((inside & self.confirms).sum()),
                    "in_doubt": int((inside & doubtful).sum()),
                }
            )
        return {
            "measure": MEASURE,
            "pairs": len(pairs.i),
            "looked_at": int(known.sum()),
            "too_small": int((~known).sum()),
            "confirmed": int(self.confirms.sum()),
            "in_doubt": int(doubtful.sum()),
            "threshold": self.parting.threshold,
            "threshold_low": self.parting.low,
            "threshold_high": self.parting.high,
            "threshold_read_off_these_pairs": self.parting.read,
            "bands": bands,
        }


@dataclass(frozen=True)
class Seen:
    """A second look at the pairs of the rule, and what reads the full-size pictures of i and of j."""

    look: SecondLook
    pairs: Pairs
    pictures: Pictures | None

    def nearest(self, band: tuple[float, float], confirmed: bool, most: int) -> tuple[np.ndarray, int]:
        """Of one band of correlation the pairs of one kind that lie nearest to the threshold of the second look.

        Returns:
            Where they stand in `look.index`, at most `most`, and how many of that kind the band holds.
        """
        strength, value = np.abs(self.pairs.correlation[self.look.index]), self.look.value
        kind = self.look.confirms == confirmed
        inside = np.flatnonzero((strength > band[0]) & (strength <= band[1]) & kind & np.isfinite(value))
        away = np.abs(value[inside] - self.look.parting.threshold)
        return inside[np.argsort(away, kind="stable")][:most], len(inside)


def bands_above(threshold: float) -> list[tuple[float, float]]:
    """Bands of absolute correlation from the threshold of the rule to 1."""
    edges = [threshold, *(edge for edge in _EDGES if edge > threshold)]
    return list(pairwise(edges))


def parting(values: np.ndarray) -> Parting:
    """Where values of confirmed and of unconfirmed pairs part: the least density between the two kinds.

    Density is a histogram smoothed by a Gaussian of 0.04. The interval is that of the threshold over pairs drawn anew
    (95 %). Where there are fewer than ten on a side, or no valley half as low as the lower of both hills, the threshold
    is the reference, and the interval the gap that it was read off.
    """
    values = values[np.isfinite(values)]
    counts = np.histogram(values.clip(0, 1), _BINS, (0, 1))[0]
    at = _valley(counts)
    threshold = (at + 0.5) / _BINS
    below, above = int((values < threshold).sum()), int((values >= threshold).sum())
    smooth = _smoothed(counts)
    hills = min(smooth[:at].max(initial=0), smooth[at:].max(initial=0))
    if min(below, above) < FEWEST or smooth[at] > hills / 2:
        return Parting(REFERENCE, 0.79, 0.917, read=False)
    rng = np.random.default_rng(0)
    drawn = [_valley(rng.multinomial(len(values), counts / counts.sum())) for _ in range(_RESAMPLES)]
    low, high = np.quantile((np.array(drawn) + 0.5) / _BINS, [0.025, 0.975])
    return Parting(threshold, float(low), float(high), read=True)


def _smoothed(counts: np.ndarray) -> np.ndarray:
    reach = np.arange(-4 * _SMOOTHING, 4 * _SMOOTHING + 1)
    return np.convolve(counts, np.exp(-0.5 * (reach / _SMOOTHING) ** 2), mode="same")


def _valley(counts: np.ndarray) -> int:
    """The bin of least density within the range in which the threshold may lie."""
    first, last = (round(edge * _BINS) for edge in _RANGE)
    return first + int(np.argmin(_smoothed(counts)[first:last]))


def chosen_pairs(pairs: Pairs, *, every: bool) -> np.ndarray:
    """Which pairs are looked at: all, or where not every one is needed, `MOST` drawn with a fixed seed."""
    n = len(pairs.i)
    if every or n <= MOST:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, MOST, replace=False))


def look_at(
    pairs: Pairs, index: np.ndarray, first: Picture, last: Picture, *, threads: int, progress: Progress | None = None
) -> np.ndarray:
    """The second look's value of the pairs at `index`, NaN where pictures have fewer than `LEAST` pixels a side.

    The negative of a photograph, which the rule finds by its absolute value, is turned back first.
    """

    def one(p: int) -> float:
        a, b = first(int(pairs.i[p])), last(int(pairs.j[p]))
        value = same_photograph(a, b if pairs.correlation[p] > 0 else 255 - b)
        return np.nan if value is None else value

    values = np.empty(len(index))
    with ThreadPoolExecutor(threads) as pool:
        try:
            for done, value in enumerate(pool.map(one, index.tolist())):
                values[done] = value
                if progress:
                    progress(done + 1, len(index))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return values


def told(counts: dict[str, Any]) -> list[str]:
    """The counts of a second look as lines for a reader at a terminal."""
    if not counts["looked_at"]:
        return [f"no second look: the pictures have fewer than {LEAST} pixels a side"] if counts["pairs"] else []
    drawn = counts["looked_at"] + counts["too_small"] < counts["pairs"]
    of = f"a draw of {counts['looked_at']:,} of {counts['pairs']:,}" if drawn else f"{counts['looked_at']:,}"
    how = (
        f"read off these pairs, 95 % interval {counts['threshold_low']:.2f} to {counts['threshold_high']:.2f}"
        if counts["threshold_read_off_these_pairs"]
        else "that of 12,000 photographs of CelebA: these pairs are too few, or show no two kinds, to read one off"
    )
    small = f", {counts['too_small']:,} are of pictures too small" if counts["too_small"] else ""
    lines = [
        f"second look at {of} pairs{small}: {counts['confirmed']:,} confirmed, "
        f"{counts['in_doubt']:,} in doubt; {counts['measure']}, from {counts['threshold']:.2f} on ({how})"
    ]
    for band in counts["bands"]:
        if band["pairs"]:
            lines.append(
                f"  correlation {band['above']:g} to {band['to']:g}: {band['pairs']:,} pairs, "
                f"{band['confirmed']:,} of {band['looked_at']:,} confirmed"
            )
    return lines
