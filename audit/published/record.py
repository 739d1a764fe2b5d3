"""Recording what was measured on published pictures: the pieces that several claims share."""

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from audit.measures.agreement_tables import CLASSES, agreement_table, mixture_row
from audit.measures.record import record
from audit.published import measures
from audit.published.measures import ORDER
from audit.published.neighbours import embedding
from core.metrics.agreement import Agreement, agreement
from core.metrics.lpips_weights import WeightsMissing
from core.stats import Interval, clopper_pearson
from fixtures.published.files import Published
from fixtures.published.notebooks import EXPERIMENTS, HasRoot, notebook_tiles
from fixtures.published.tiles import Tiles
from reports.record import ClaimRecord

SEEDS = {"n": 20, "seeds": "0:20", "varies": "seed"}


def put(evidence: ClaimRecord, name: str, found: Any, **more: Any) -> None:
    """Record a value, or a pair of value and interval, as published evidence."""
    record(evidence, {name: found}, kind="published", **more)


def exact_share(hits: int, n: int) -> tuple[float, Interval]:
    """A share and its exact interval."""
    return hits / n, clopper_pearson(hits, n)


def read_off(row: Mapping[Hashable, Any], column: str, curves: str) -> tuple[float, Interval]:
    """A value read off curves, within the bounds of the reading."""
    value, error = float(row[column]), float(row["error_db"])
    return value, Interval(value - error, value + error, f"error of reading {curves}", level=1.0)


def put_agreements(evidence: ClaimRecord, found: dict[str, Agreement], names: tuple[str, ...] = ORDER) -> None:
    """Mean agreement, the mismatched baseline and retrieval for some experiments."""
    for name in names:
        title, a = EXPERIMENTS[name].title, found[name]
        put(evidence, f"agreement, {title}", a.mean(seed=measures.SEED), **SEEDS)
        put(evidence, f"mismatched seeds, 95th percentile, {title}", a.weak_threshold, n=len(a.mismatched))
        put(evidence, f"B's image retrieved, {title}", a.retrieval(), **SEEDS, note="chance 0.05")


@lru_cache(maxsize=8)
def _every_way(root: Path, experiment: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    tiles = notebook_tiles(Published(root))
    a, b = (tiles.where(experiment=experiment, cell=30, group=g).tensor() for g in "AB")
    try:
        lpips = embedding("vgg")
    except WeightsMissing:
        lpips = None
    title = {"protocol": EXPERIMENTS[experiment].title}
    rows = [title | row for row in agreement_table(a, b, seed=measures.SEED, lpips=lpips)]
    return rows, mixture_row(agreement(a, b), title)


def put_every_way(evidence: ClaimRecord, published: HasRoot, names: tuple[str, ...] = ORDER) -> None:
    """Agreement in every way that is measured, and how many seeds agree strongly, in between and weakly."""
    found = [_every_way(Path(published.root), name) for name in names]
    note = "low and high bands part at 4 cycles an image; LPIPS is of the stretched tiles"
    rows = [row for table, _ in found for row in table]
    put(evidence, "agreement in every way", rows, **SEEDS, note=note)
    mixtures = [mixture for _, mixture in found]
    note = f"{CLASSES}; exact intervals of the shares"
    put(evidence, "seeds that agree strongly, in between, weakly", mixtures, **SEEDS, note=note)


def put_equal_size(
    evidence: ClaimRecord, tiles: Tiles, found: dict[str, Agreement], pictures: Sequence[str] = ()
) -> None:
    """Agreement of random halves minus that of eyeglasses at 10,000 images each: one seed is published."""
    random, glasses = (measures.by_size(tiles, e).set_index("set_size").agreement for e in ("celeba", "eyeglasses"))
    value = float(random[10000] - glasses[10000])
    interval = measures.one_seed(value, found["celeba"].same - found["eyeglasses"].same)
    note = f"random halves {random[10000]:.3f}, eyeglasses {glasses[10000]:.3f}"
    put(
        evidence,
        "agreement of random halves of the same size, minus this",
        (value, interval),
        n=1,
        seeds="0",
        note=note,
        figures=pictures,
    )


def put_attribute(evidence: ClaimRecord, tiles: Tiles, experiment: str, pictures: list[str]) -> None:
    """Whether the twenty samples of each group look like their own group's faces."""
    scores = measures.attribute_scores(tiles, experiment)
    about = EXPERIMENTS[experiment]
    for group, faces, title, sign in (("A", "faces_a", about.group_a, 1), ("B", "faces_b", about.group_b, -1)):
        own, real = int((sign * scores[group] > 0).sum()), int((sign * scores[faces] > 0).sum())
        put(
            evidence,
            f"samples of the '{title}' model that are",
            exact_share(own, 20),
            **SEEDS,
            figures=pictures,
            note=f"linear classifier of the {len(scores['faces_a']) + len(scores['faces_b'])} real faces shown",
        )
        n = len(scores[faces])
        put(evidence, f"real '{title}' faces recognised as such", exact_share(real, n), n=n, varies="face, left out")
    more = int((scores["A"] > scores["B"]).sum())
    put(evidence, f"share of seeds whose A looks more {about.group_a} than B", exact_share(more, 20), **SEEDS)
