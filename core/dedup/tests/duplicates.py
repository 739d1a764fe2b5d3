"""Corpora with near-duplicates of every kind, and the all-pairs answer that the exact join is held against."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from core.dedup.definition import correlations, normalised_rows
from core.dedup.pairs import Pairs
from core.tests.thorough import THOROUGH

FILES = ("pairs.parquet", "kept.txt", "removed.txt")
# HYPOTHESIS_PROFILE=thorough draws six hundred corpora a property.
few = settings(
    max_examples=600 if THOROUGH else 25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


def pictures(n: int = 300, side: int = 20, seed: int = 0) -> np.ndarray:
    """Noise images (n, 1, side, side); 1 and 2 are chained to 0, 7 is the negative of 3."""
    rng = np.random.default_rng(seed)
    images = rng.random((n, 1, side, side), dtype=np.float32) / 2 + 0.2
    step = rng.random((2, 1, side, side), dtype=np.float32) - 0.5
    images[1] = images[0] + 0.15 * step[0]
    images[2] = images[1] + 0.15 * step[1]
    images[7] = 1 - images[3]
    return images.clip(0, 1)


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def told(folder: Path) -> dict[str, Any]:
    about = json.loads((folder / "dedup.json").read_text())
    return {key: value for key, value in about.items() if key != "measured"}


def all_pairs(a: np.ndarray, b: np.ndarray | None, threshold: float, size: int) -> set[tuple[int, int]]:
    """The float64 answer, pair by pair, with nothing left out."""
    rows = [normalised_rows(x[:, None, None, :] if x.ndim == 2 else x, 1 if x.ndim == 2 else size) for x in (a,)]
    other = rows[0]
    if b is not None:
        other = normalised_rows(b[:, None, None, :] if b.ndim == 2 else b, 1 if b.ndim == 2 else size)
    i, j = (g.ravel() for g in np.meshgrid(np.arange(len(a)), np.arange(len(other)), indexing="ij"))
    if b is None:
        i, j = i[i < j], j[i < j]
    values = np.abs(correlations(rows[0], other, i, j))
    second = a if b is None else b
    for p in np.flatnonzero(~np.any(rows[0][i], axis=1) & ~np.any(other[j], axis=1)):  # constant ones: by their pixels
        values[p] = float((a[i[p]] == second[j[p]]).all())
    above = values > threshold
    return set(zip(i[above].tolist(), j[above].tolist(), strict=True))


def found(pairs: Pairs) -> set[tuple[int, int]]:
    listed = list(zip(pairs.i.tolist(), pairs.j.tolist(), strict=True))
    assert listed == sorted(set(listed)), "in order, and each once"
    return set(listed)


@st.composite
def corpora(draw: st.DrawFn, threshold: float, longest: int = 230, tile: int | None = None) -> np.ndarray:
    """Images among which every kind of trouble occurs, relative to `threshold` and to the edges of tiles."""
    pooled, window, channels = draw(st.sampled_from([(2, 1, 1), (4, 1, 1), (4, 2, 1), (4, 2, 3), (6, 1, 2)]))
    n = draw(st.sampled_from([0, 1, 2, 3, 17, 63, 64, 65, 128, 129, longest]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    side = pooled * window
    decay = draw(st.sampled_from([0.0, 1.0, 3.0]))  # flat or steep spectrum
    images = rng.standard_normal((n, channels, side, side)) * (1.0 + np.arange(side)) ** -decay
    for edge in range(tile, n, tile) if tile else ():  # a copy on either side of every tile edge
        images[edge] = images[edge - 1] if draw(st.booleans()) else 1 - images[edge - 1]
    kinds = draw(st.lists(st.sampled_from("fcnkteb"), max_size=60))
    places = rng.permutation(n)[: len(kinds)]
    for place, kind in zip(sorted(places.tolist()), kinds, strict=False):
        source = images[int(rng.integers(max(1, place)))]
        if kind == "c":
            images[place] = source
        elif kind == "n":
            images[place] = 1 - source
        elif kind == "k":
            images[place] = rng.choice([0.0, 0.1, 0.5, 1.0])
        elif kind in "te":  # at the threshold, to 1e-7 or as near as float32 gets
            images[place] = at_correlation(
                source, threshold + (rng.choice([-1e-7, 1e-7]) if kind == "t" else 0.0), window, rng
            )
        elif kind == "b":
            images[place] = source * 1e-3 + 1e3
    return images.astype(np.float32)


def at_correlation(source: np.ndarray, correlation: float, window: int, rng: np.random.Generator) -> np.ndarray:
    """An image whose pooled correlation with `source` is +-`correlation`, but for rounding to float32."""
    c, h, _ = source.shape
    blocks = source.reshape(c, h // window, window, h // window, window).mean((2, 4))
    a = (blocks - blocks.mean()).ravel()
    if not a.any():
        return source
    a /= np.linalg.norm(a)
    e = rng.standard_normal(a.size)
    e -= e.mean()
    e -= a * (a @ e)
    correlation = min(correlation, 1.0)
    b = correlation * a + np.sqrt(1 - correlation**2) * e / np.linalg.norm(e)
    image = (rng.choice([-1.0, 1.0]) * b).reshape(blocks.shape)
    return image.repeat(window, axis=1).repeat(window, axis=2)


def pooled_size(images: np.ndarray) -> int:
    """Pooled rows of the images that `corpora` draws."""
    return {2: 2, 4: 4, 8: 4, 6: 6}[images.shape[2]]


def near_threshold(copies: int, off: float, seed: int) -> np.ndarray:
    """One image of 4x4 and `copies` others whose correlation with it is 0.95 + `off`, in absolute value."""
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((1, 4, 4))
    return np.stack([base, *[at_correlation(base, 0.95 + off, 1, rng) for _ in range(copies)]]).astype(np.float32)
