"""Outlines and detail of the published samples, below and above a frequency (Topeza 2025, section 5.2)."""

from collections.abc import Mapping

import numpy as np

from audit.measures.attribute_agreement import BANDS, CUT
from audit.published.measures import Measured, paired
from audit.published.record import SEEDS, put
from core.metrics.agreement import Agreement, agreement
from fixtures.published.notebooks import HasRoot, notebook_tiles
from fixtures.published.tiles import Tiles
from reports.record import ClaimRecord


def by_band(tiles: Tiles, experiment: str, shift: int = 0) -> dict[str, Agreement]:
    """Agreement of the twenty seeds at the largest set size (cell 30), by band; `shift` moves B's seeds on."""
    a, b = (tiles.where(experiment=experiment, cell=30, group=group).tensor() for group in "AB")
    return {name: agreement(a, b.roll(shift, dims=0), frequencies=span) for name, span in BANDS.items()}


def coarse(split: Mapping[str, Agreement], baseline: Mapping[str, Agreement], name: str) -> dict[str, Measured]:
    """What T-coarse-aligned is judged by, for one attribute: halves by it and random halves, each `by_band`."""
    low = split["below"]
    lost = {band: baseline[band].same - split[band].same for band in BANDS}
    nothing = np.zeros(len(low.same))
    return {
        f"agreement below {CUT:g} cycles above mismatched seeds, {name}": paired(
            low.same - low.weak_threshold, nothing
        ),
        f"lost from {CUT:g} cycles on minus lost below, {name}": paired(lost["above"], lost["below"]),
        f"lost below {CUT:g} cycles, {name}": paired(lost["below"], nothing),
        f"lost from {CUT:g} cycles on, {name}": paired(lost["above"], nothing),
    }


def published_coarse_aligned(evidence: ClaimRecord, published: HasRoot) -> None:
    """T-coarse-aligned: the twenty seeds at the largest sizes, below and from four cycles an image on."""
    tiles = notebook_tiles(published)
    baseline = by_band(tiles, "celeba")
    note = (
        "against random halves of 98,117 images (halves by glasses have 13,193 images, by sex 84,434); one training "
        "each: intervals hold which seeds were shown, and nothing of how trainings differ"
    )
    for experiment, name in (("eyeglasses", "glasses"), ("male", "sex")):
        for what, found in coarse(by_band(tiles, experiment), baseline, name).items():
            put(evidence, what, found, **SEEDS, note=note)
