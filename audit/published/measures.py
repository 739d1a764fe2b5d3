"""What the published pictures say, measured: pure functions of recovered tiles and transcribed tables.

`tiles` are those of `fixtures.published.notebooks.notebook_tiles`, `figures` those of `figure_tiles`.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import nn

from audit.measures.rules import GAP_BELOW
from core.metrics.agreement import Agreement, agreement
from core.metrics.correlation import correlation, correlation_matrix, normalise
from core.stats import Interval, bootstrap_difference, lowest_decile_difference
from fixtures.published.notebooks import EXPERIMENTS, FIGURES, SET_SIZES
from fixtures.published.tiles import SIDE, Tiles

SEED = 0  # of every bootstrap here
ORDER = ("celeba", "no_overlap", "male", "eyeglasses")  # of falling agreement, as claimed
LARGEST = SET_SIZES[-1]
Measured = tuple[float, Interval]


# --- agreement -----------------------------------------------------------------------------------------------------


def agreements(tiles: Tiles) -> dict[str, Agreement]:
    """Same-noise agreement of the twenty seeds at the largest set size (cell 30), by experiment."""
    return {name: agreement(*(tiles.where(experiment=name, cell=30, group=g).tensor() for g in "AB")) for name in ORDER}


def steps(found: Mapping[str, Agreement]) -> dict[str, Measured]:
    """Paired difference over the seeds for every step down the claimed order."""
    titles = {name: EXPERIMENTS[name].title for name in ORDER}
    return {f"{titles[a]} minus {titles[b]}": paired(found[a].same, found[b].same) for a, b in pairwise(ORDER)}


def paired(a: np.ndarray, b: np.ndarray, over: str = "seeds") -> Measured:
    """Mean of a - b, value i of both from seed i, and its interval."""
    return float((a - b).mean()), bootstrap_difference(a, b, seed=SEED, paired=True, over=over)


def lowest_decile_over_seeds(a: np.ndarray, b: np.ndarray) -> Measured:
    """Mean of the lowest tenth of a minus that of b (each its own seeds), seeds resampled jointly."""
    return lowest_decile_difference(a, b, seed=SEED, over="seeds")


def by_size(tiles: Tiles, experiment: str) -> pd.DataFrame:
    """Cell 23's seed by set size: agreement of A and B, and each sample's correlation with its nearest image."""
    shown = {
        (g, role): tiles.where(experiment=experiment, cell=23, group=g, role=role).tensor()
        for g in "AB"
        for role in ("sample", "nearest")
    }
    return pd.DataFrame(
        {
            "set_size": SET_SIZES,
            "agreement": correlation(shown["A", "sample"], shown["B", "sample"]),
            "nearest_a": correlation(shown["A", "sample"], shown["A", "nearest"]),
            "nearest_b": correlation(shown["B", "sample"], shown["B", "nearest"]),
        }
    )


def one_seed(value: float, differences: np.ndarray) -> Interval:
    """Interval of a mean difference known from one seed only, the spread taken from other paired differences."""
    half = float(stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1))
    method = f"one seed, t interval with the spread of {len(differences)} paired differences at the largest set size"
    return Interval(value - half, value + half, method)


def growth(tiles: Tiles, largest: Agreement, experiment: str = "celeba") -> dict[str, Measured]:
    """How agreement grows with the set size where one seed a size is published, twenty at the largest.

    At the smallest size the samples are copies of the ten training images that cells 9 and 10 show, so agreement there
    lies between the smallest and the largest correlation of A's ten with B's ten: bounds for every seed. The trend's
    interval lends each single seed the spread of mismatched pairs.
    """
    table = by_size(tiles, experiment)
    ten = correlation_matrix(*(tiles.where(experiment=experiment, cell=c).tensor() for c in (9, 10)))
    mean, interval = largest.mean(seed=SEED)
    difference = Interval(
        interval.low - float(ten.max()),
        interval.high - float(ten.min()),
        f"{interval.method} at the largest set size; at the smallest, the range over the 100 pairs of training images",
    )
    rng = np.random.default_rng(SEED)
    values = table.agreement.to_numpy()[:-1] + largest.mismatched.std(ddof=1) * rng.standard_normal((4000, 4))
    last = largest.same[rng.integers(0, len(largest.same), (4000, len(largest.same)))].mean(1)
    ranks = stats.rankdata(np.column_stack([values, last]), axis=1) - 3
    rho = ranks @ np.arange(-2, 3) / 10
    low, high = np.quantile(rho, [0.025, 0.975])
    trend = Interval(
        float(low), float(high), "parametric bootstrap, each single seed with the spread of mismatched pairs"
    )
    return {
        "growth of agreement from smallest to largest N": (mean - float(table.agreement.iloc[0]), difference),
        "trend of agreement over N (Spearman)": (
            float(stats.spearmanr(SET_SIZES, [*table.agreement[:-1], mean]).statistic),
            trend,
        ),
    }


def smallest_copies(tiles: Tiles, figures: Tiles) -> np.ndarray:
    """Correlation with the nearest of the group's ten training images, for every distinct sample at N = 10."""
    found = []
    for name in ORDER:
        for group, cell in (("A", 9), ("B", 10)):
            wanted = {"experiment": name, "group": group, "role": "sample", "set_size": SET_SIZES[0]}
            samples = np.concatenate([source.where(**wanted).images for source in (tiles, figures)])
            distinct = Tiles(pd.DataFrame(), np.unique(samples, axis=0)).tensor()
            found.append(correlation_matrix(distinct, tiles.where(experiment=name, cell=cell).tensor()).amax(1))
    return torch.cat(found).numpy()


def shared_noise(logs: Mapping[str, pd.DataFrame]) -> float:
    """Smallest correlation over the seeds, of any two of the groups, of the mean gray after ten sampling steps.

    At that point an image is still nine tenths noise: close to 1 says that seed k is the same noise everywhere.
    """
    rows = [log[log.group == g].sort_values("seed").mean_10 for log in logs.values() for g in "AB"]
    return float(np.corrcoef(np.stack(rows)).min())


# --- what the figures show -----------------------------------------------------------------------------------------


def shown_seeds(tiles: Tiles) -> pd.DataFrame:
    """Which seed of cell 30 cells 21, 23, 25 and 28 show at the largest set size: seed_a and seed_b, -1 for none."""
    rows = []
    for name in ORDER:
        twenty = {g: tiles.where(experiment=name, cell=30, group=g).fingerprints() for g in "AB"}
        for cell in (21, 23, 25, 28):
            if cell not in EXPERIMENTS[name].cleared:
                shown = {
                    g: tiles.where(experiment=name, cell=cell, group=g, role="sample", set_size=LARGEST).fingerprints()[
                        0
                    ]
                    for g in "AB"
                }
                rows.append((name, cell, *(_place(shown[g], twenty[g]) for g in "AB")))
    return pd.DataFrame(rows, columns=["experiment", "cell", "seed_a", "seed_b"])


def sample_seeds(tiles: Tiles) -> np.ndarray:
    """The seed of every distinct generated image, (n,), in the order of `notebooks.published_samples`.

    Cell 30 numbers its seeds; the samples at smaller sizes beside one of its images start from the same noise.
    """
    table, keys = tiles.table, tiles.fingerprints()
    thirty = ((table.cell == 30) & (table.role == "sample")).to_numpy()
    of = {(table.experiment[k], keys[k]): int(table.position[k]) for k in np.flatnonzero(thirty)}
    found: dict[bytes, int] = {}
    for _, row in table[table.role == "sample"].groupby(["experiment", "cell", "group"], sort=False):
        shown = of[row.experiment.iloc[0], keys[row.index[-1]]]  # the last one is at the largest set size
        for k in row.index:
            found.setdefault(keys[k], of.get((table.experiment[k], keys[k]), shown))
    order = dict.fromkeys(keys[k] for k in np.flatnonzero((table.role == "sample").to_numpy()))
    return np.array([found[key] for key in order])


def differing_cells(tiles: Tiles) -> list[str]:
    """Cells whose samples, at any set size, differ from what most cells of the notebook show (on a tie, the first)."""
    odd = []
    for name in ORDER:
        cells = [cell for cell in (21, 23, 25, 28) if cell not in EXPERIMENTS[name].cleared]
        shown = {c: b"".join(tiles.where(experiment=name, cell=c, role="sample").fingerprints()) for c in cells}
        usual = max(cells, key=lambda c: (sum(shown[c] == other for other in shown.values()), -c))
        odd += [f"{EXPERIMENTS[name].notebook}, cell {c}" for c in cells if shown[c] != shown[usual]]
    return odd


def figure_seeds(tiles: Tiles, figures: Tiles, found: Mapping[str, Agreement]) -> pd.DataFrame:
    """Where each figure comes from: its seed among the twenty, that seed's agreement and rank (1 = strongest).

    `missing` counts tiles at the largest set size that cell 30 does not print (seed is -1 then), `missing_smaller`
    tiles at smaller sizes, and nearest images, that no cell of the notebook prints.
    """
    rows = []
    for file, (number, name, _) in FIGURES.items():
        twenty = {g: tiles.where(experiment=name, cell=30, group=g).fingerprints() for g in "AB"}
        samples = {g: _largest(figures, figure=file, group=g) for g in "AB"}
        seeds = {g: _place(samples[g], twenty[g]) for g in "AB"}
        anywhere = set(tiles.where(experiment=name).fingerprints())
        others = figures.where(figure=file)
        largest = ((others.table.role == "sample") & (others.table.set_size == LARGEST)).to_numpy()
        absent = np.array([key not in anywhere for key in others.fingerprints()])
        seed = seeds["A"] if seeds["A"] == seeds["B"] else -1
        same = found[name].same
        rows.append(
            {
                "figure": number,
                "file": file,
                "experiment": name,
                "seed": seed,
                "agreement": float(same[seed]) if seed >= 0 else None,
                "rank": int((same > same[seed]).sum()) + 1 if seed >= 0 else None,
                "missing": int(sum(place < 0 for place in seeds.values())),
                "missing_smaller": int((absent & ~largest).sum()),
            }
        )
    return pd.DataFrame(rows)


def provenance(seeds: pd.DataFrame) -> dict[str, int]:
    """What T-figure-provenance is judged by; `seeds` from `figure_seeds`."""
    return {"tiles at the largest size not among the twenty seeds": int(seeds.missing.sum())}


def _largest(tiles: Tiles, **columns: object) -> bytes:
    return tiles.where(**columns, role="sample", set_size=LARGEST).fingerprints()[0]


def _place(key: bytes, keys: list[bytes]) -> int:
    return keys.index(key) if key in keys else -1


def example_seed(pixels: np.ndarray, tiles: Tiles) -> tuple[str, int, float]:
    """Which baseline sample heads a screenshot of figure 10 or 11: group, seed and correlation of the likeliest.

    The screenshots are resampled, so that the match is by correlation and not exact.
    """
    ink = pixels < 250
    top = int(np.argmax(ink.sum(axis=1) > pixels.shape[1] // 3))
    height = int(np.argmin(ink[top:].sum(axis=1) > pixels.shape[1] // 3))
    across = np.flatnonzero(ink[top : top + height].any(axis=0))
    cut = torch.from_numpy(pixels[top : top + height, across[0] : across[-1] + 1].astype(np.float32))[None, None] / 255
    found = nn.functional.interpolate(cut, (SIDE, SIDE), mode="area")
    twenty = {g: tiles.where(experiment="celeba", cell=30, group=g).tensor() for g in "AB"}
    values = {g: correlation_matrix(found, images)[0] for g, images in twenty.items()}
    group = max("AB", key=lambda g: float(values[g].max()))
    return group, int(values[group].argmax()), float(values[group].max())


# --- attributes and curves -----------------------------------------------------------------------------------------


def attribute_scores(tiles: Tiles, experiment: str) -> dict[str, np.ndarray]:
    """How much each sample of cell 30 looks like A's attribute (above 0) or B's, by ridge regression on real faces.

    The training faces that the notebook shows are attribute-pure by group, so they label themselves. The penalty is
    the one with the best leave-one-out accuracy on them. `A`, `B`: scores of the samples; `faces_a`, `faces_b`:
    leave-one-out scores of the real faces.
    """

    def rows(images: np.ndarray) -> np.ndarray:
        return normalise(Tiles(pd.DataFrame(), images).tensor()).numpy() * images[0].size ** 0.5

    shown = tiles.where(experiment=experiment)
    faces = {
        g: np.unique(shown.images[((shown.table.group == g) & (shown.table.role != "sample")).to_numpy()], axis=0)
        for g in "AB"
    }
    x = rows(np.concatenate([faces["A"], faces["B"]]))
    y = np.repeat([1.0, -1.0], [len(faces["A"]), len(faces["B"])])
    centred, best = y - y.mean(), None
    for penalty in (1.0, 10.0, 100.0, 1000.0):
        hat = x @ x.T @ np.linalg.inv(x @ x.T + penalty * np.eye(len(x)))
        left_out = (hat @ centred - np.diag(hat) * centred) / (1 - np.diag(hat)) + y.mean()
        right = float(((left_out > 0) == (y > 0)).mean())
        if best is None or right > best[0]:
            best = (right, penalty, left_out)
    assert best is not None
    weight = x.T @ np.linalg.solve(x @ x.T + best[1] * np.eye(len(x)), centred)
    scores = {g: rows(shown.where(cell=30, group=g).images) @ weight + y.mean() for g in "AB"}
    return {**scores, "faces_a": best[2][y > 0], "faces_b": best[2][y < 0]}


def falls(gaps: pd.DataFrame, experiment: str, below_db: float = GAP_BELOW) -> pd.DataFrame:
    """Fall of the train-test gap from the smallest to the largest N by noise level: input_db, fall_db, error_db."""
    table = gaps[(gaps.experiment == experiment) & (gaps.input_db < below_db)]
    wide: Any = table.pivot(index="input_db", columns="set_size", values=["gap_db", "error_db"])
    fall = wide["gap_db"][SET_SIZES[0]] - wide["gap_db"][LARGEST]
    error = wide["error_db"][SET_SIZES[0]] + wide["error_db"][LARGEST]
    return pd.DataFrame({"fall_db": fall, "error_db": error}).reset_index()


def rises(gaps: pd.DataFrame, experiment: str, below_db: float = GAP_BELOW) -> pd.DataFrame:
    """Steps from one set size to the next at which the gap rises by more than the reading error, below `below_db`."""
    table = gaps[(gaps.experiment == experiment) & (gaps.input_db < below_db)].sort_values(["input_db", "set_size"])
    step = table.groupby("input_db")[["gap_db"]].diff().gap_db
    error = table.error_db + table.groupby("input_db").error_db.shift()
    found = table.assign(rise_db=step, error_db=error)[(step > error).to_numpy()]
    return found[["input_db", "set_size", "rise_db", "error_db"]].reset_index(drop=True)


def protocol_differences(curves: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Test PSNR of one experiment minus another's: set_size, input_db, difference_db, error_db."""
    test = curves[curves.split == "test"].set_index(["set_size", "input_db"])
    a, b = (test[test.experiment == name] for name in (first, second))
    return pd.DataFrame({"difference_db": a.output_db - b.output_db, "error_db": a.error_db + b.error_db}).reset_index()
