"""Published material whose measures are known, for controls."""

import numpy as np

from audit.published import measures, neighbours
from core.metrics.agreement import Agreement
from fixtures.published.tiles import Tiles


def made_up_similarity(mean: float, rng: np.random.Generator) -> Agreement:
    similarity = rng.normal(0.2, 0.1, (20, 20))
    np.fill_diagonal(similarity, rng.normal(mean, 0.04, 20))
    return Agreement(similarity)


def provenance(tiles: Tiles, figures: Tiles) -> dict[str, int]:
    return measures.provenance(tiles, measures.figure_seeds(tiles, figures, measures.agreements(tiles)))


def judged_by(printed: np.ndarray, computed: np.ndarray, drawn: np.ndarray) -> dict[str, measures.Measured]:
    found = neighbours.follows(printed, computed, drawn, np.ones((30, 10), dtype=bool))
    return {"stated protocol minus random trunk": found["difference"]}
