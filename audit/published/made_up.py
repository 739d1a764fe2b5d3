"""Published material whose measures are known, for controls."""

import numpy as np
from torch import Tensor

from audit.published import measures, neighbours
from core.metrics.agreement import Agreement
from fixtures.faces.corpus import generate
from fixtures.published.tiles import Tiles


def made_up_similarity(mean: float, rng: np.random.Generator) -> Agreement:
    """Agreement of twenty seeds about `mean`, mismatched seeds about 0.2."""
    similarity = rng.normal(0.2, 0.1, (20, 20))
    np.fill_diagonal(similarity, rng.normal(mean, 0.04, 20))
    return Agreement(similarity)


def provenance_of(tiles: Tiles, figures: Tiles) -> dict[str, int]:
    """What T-figure-provenance is judged by, from tiles of notebooks and of figures."""
    return measures.provenance(measures.figure_seeds(tiles, figures, measures.agreements(tiles)))


def protocol_measures(
    printed: np.ndarray, computed: np.ndarray, left: np.ndarray, drawn: np.ndarray
) -> dict[str, measures.Measured]:
    """What T-lpips-protocol is judged by, from values (n, 10): printed, stated, inputs left in [0, 1], random trunk."""
    use = np.ones(printed.shape, dtype=bool)
    return {
        "stated protocol minus random trunk": neighbours.follows(printed, computed, drawn, use)["difference"],
        "stated protocol minus inputs left in [0, 1]": neighbours.follows(printed, computed, left, use)["difference"],
    }


def faces_and_candidates(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Generated faces (n, 1, 40, 40) and ten others for each of them (n, 10, 1, 40, 40)."""
    images = generate(11 * n, size=40, seed=seed).corpus.images
    return images[:n], images[n:].unflatten(0, (n, 10))
