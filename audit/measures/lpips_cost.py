"""What it costs to rank all of CelebA by LPIPS for the samples of one experiment (Topeza 2025, section 6.4)."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from audit.measures.record import Measures, record
from audit.measures.rules import FEASIBLE_HOURS
from core.data.celeba import read_celeba
from core.metrics.lpips import Embedding, nearest_lpips
from core.stats import bootstrap_mean
from fixtures.faces.corpus import generate
from reports.record import ClaimRecord

IMAGES = 202_589  # of the published tensor before duplicates were removed
QUERIES = 20  # seeds that the notebooks print for each group: the samples of one model
TIMED, REPEATS = 48, 5  # images of one timing, and timings
LONGER, WITHIN, ABOUT = "more than a week", "less than a week", "about a week"
TAKES, HOURS = "exhaustive search on this machine takes", "hours of the exhaustive search"
Search = Callable[[Tensor, Tensor], object]  # (queries, training images): finds the nearest of all


def cost_measures(
    search: Search, images: Tensor, *, clock: Callable[[], float] = time.perf_counter, images_in_all: int = IMAGES
) -> Measures:
    """What T-lpips-infeasible is judged by: hours of a search through so many images, from a search through few.

    The first of `images` (n, 1, h, w) are the queries, the others are searched. Queries are embedded once a search, so
    that the cost of few images overstates that of many.
    """
    hours = []
    for _ in range(REPEATS + 1):
        began = clock()
        search(images[:QUERIES], images[QUERIES:])
        hours.append((clock() - began) / (len(images) - QUERIES) * images_in_all / 3600)
    hours = hours[1:]  # the first one allocates
    interval = bootstrap_mean(hours, seed=0, over="timings")
    verdict = LONGER if interval.low > FEASIBLE_HOURS else WITHIN if interval.high < FEASIBLE_HOURS else ABOUT
    return {TAKES: verdict, HOURS: (float(np.mean(hours)), interval)}


def record_cost(evidence: ClaimRecord, lpips: Embedding | None, celeba: Path | None) -> None:
    """Hours for the samples of one model against all of CelebA, on the machine of this run (T-lpips-infeasible)."""
    if lpips is None:
        return
    sets = {"synthetic": generate(QUERIES + TIMED, size=40, seed=0).corpus.images}
    if celeba is not None:
        sets["celeba"] = read_celeba(celeba).images[: QUERIES + TIMED]
    for kind, images in sets.items():
        vectors = lpips.embed(images[:1]).shape[1]
        note = (
            f"{QUERIES} samples of 40x40 against {TIMED} images, as many times as {IMAGES:,} images take; the machine "
            f"and what else it does matter. Streamed: the vectors of all, {vectors:,} numbers each, would be "
            f"{4e-9 * vectors * IMAGES:.0f} GB"
        )
        about: dict[str, Any] = {"kind": kind, "n": REPEATS, "varies": "timing", "unit": "hours", "note": note}
        found = cost_measures(partial(nearest_lpips, lpips, k=1), images)
        evidence.add(TAKES, found.pop(TAKES), kind=kind, n=REPEATS, note=note)
        record(evidence, found, **about)
