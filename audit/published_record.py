"""Recording what was measured on published pictures: the pieces that several claims share."""

from collections.abc import Hashable, Mapping
from typing import Any

from audit import published_measures as measures
from audit.published_measures import ORDER
from core.metrics.agreement import Agreement
from core.stats import Interval, clopper_pearson
from fixtures.notebooks import EXPERIMENTS
from fixtures.tiles import Tiles
from reports.record import ClaimRecord

SEEDS = {"n": 20, "seeds": "0:20", "varies": "seed"}


def put(evidence: ClaimRecord, name: str, found: Any, **more: Any) -> None:
    """Record a value, or a pair of value and interval, as published evidence."""
    value, interval = found if isinstance(found, tuple) else (found, None)
    evidence.add(name, value, kind="published", interval=interval, **more)


def share(hits: int, n: int) -> tuple[float, Interval]:
    """A share and its exact interval."""
    return hits / n, clopper_pearson(hits, n)


def read_off(row: Mapping[Hashable, Any], column: str, curves: str) -> tuple[float, Interval]:
    """A value read off curves, within the bounds of the reading."""
    value, error = float(row[column]), float(row["error_db"])
    return value, Interval(value - error, value + error, f"error of reading {curves}")


def put_agreements(evidence: ClaimRecord, found: dict[str, Agreement], names: tuple[str, ...] = ORDER) -> None:
    """Mean agreement, the mismatched baseline and retrieval for some experiments."""
    for name in names:
        title, a = EXPERIMENTS[name].title, found[name]
        put(evidence, f"agreement, {title}", a.mean(seed=measures.SEED), **SEEDS)
        put(evidence, f"mismatched seeds, 95th percentile, {title}", a.weak_threshold, n=len(a.mismatched))
        put(evidence, f"B's image retrieved, {title}", a.retrieval(), **SEEDS, note="chance 0.05")


def put_equal_size(evidence: ClaimRecord, tiles: Tiles, found: dict[str, Agreement]) -> None:
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
            share(own, 20),
            **SEEDS,
            figures=pictures,
            note=f"linear classifier of the {len(scores['faces_a']) + len(scores['faces_b'])} real faces shown",
        )
        n = len(scores[faces])
        put(evidence, f"real '{title}' faces recognised as such", share(real, n), n=n, varies="face, left out")
    more = int((scores["A"] > scores["B"]).sum())
    put(evidence, f"share of seeds whose A looks more {about.group_a} than B", share(more, 20), **SEEDS)
