"""Published material whose measures are known, for controls."""

import numpy as np

from audit.published import measures, neighbours
from core.metrics.agreement import Agreement
from fixtures.published.tiles import Tiles


def made_up_similarity(mean: float, rng: np.random.Generator) -> Agreement:
    """Agreement of twenty seeds about `mean`, mismatched seeds about 0.2."""
    similarity = rng.normal(0.2, 0.1, (20, 20))
    np.fill_diagonal(similarity, rng.normal(mean, 0.04, 20))
    return Agreement(similarity)


def provenance_of(tiles: Tiles, figures: Tiles) -> dict[str, int]:
    """What T-figure-provenance is judged by, from tiles of notebooks and of figures."""
    return measures.provenance(measures.figure_seeds(tiles, figures, measures.agreements(tiles)))


def protocol_measures(printed: np.ndarray, computed: np.ndarray, drawn: np.ndarray) -> dict[str, measures.Measured]:
    """What T-lpips-protocol is judged by, from printed, computed and random-network values (30, 10)."""
    found = neighbours.follows(printed, computed, drawn, np.ones((30, 10), dtype=bool))
    return {"stated protocol minus random trunk": found["difference"]}
