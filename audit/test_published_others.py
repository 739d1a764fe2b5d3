"""Claims judged on what Kadkhodaie et al. and Verkhovensky published: a slide, figure 1, and two curves."""

from collections.abc import Callable

import numpy as np
import pytest

from audit.measures.figure_1 import COPYING, MARGIN, figure_1_measures, record_figure_1
from audit.measures.published_curves import curve_measures, record_published_curves, recorded_ends
from audit.measures.slide_weights import (
    EXCESS,
    FACTOR,
    JUDGED,
    demanded_factor,
    excess_measure,
    record_slide_weights,
    weight_cost,
)
from fixtures.faces.corpus import generate
from fixtures.published.kadkhodaie import read_figure_1
from fixtures.published.made_up_figures import draw_curves, draw_figure_1
from reports.ledger import Ledger
from reports.plugin import LEDGER
from reports.record import ClaimRecord


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """The ledger of this run."""
    return request.config.stash[LEDGER]


@pytest.fixture
def converging() -> np.ndarray:
    """Faces (4, 6, 80, 80): samples are their closest images up to N = 100, and from there on each other's."""
    faces = (generate(24, size=80, seed=3).corpus.images.numpy() * 255).astype(np.uint8).reshape(4, 6, 80, 80)
    faces[1, :3], faces[2, :3], faces[2, 3:] = faces[0, :3], faces[3, :3], faces[1, 3:]
    return faces


# --- figure 1 of Kadkhodaie et al. -----------------------------------------------------------------------


@pytest.mark.claim("K-figure-1")
def test_samples_are_copies_at_first_and_each_other_at_last(evidence: ClaimRecord, kadkhodaie_figure_1: bytes) -> None:
    record_figure_1(evidence, kadkhodaie_figure_1)


@pytest.mark.control("K-figure-1", "positive")
def test_a_figure_that_converges_is_recognised(judge: Callable[..., str], converging: np.ndarray) -> None:
    found = figure_1_measures(read_figure_1(draw_figure_1(converging), "made up"))
    assert set(found) == {COPYING, MARGIN}
    assert judge("K-figure-1", found, "published") == "reproduced"


@pytest.mark.control("K-figure-1", "negative")
@pytest.mark.parametrize("defect", ["a new face at N = 100", "a copy at N = 100,000", "the other model's copy"])
def test_other_faces_in_the_figure_are_caught(judge: Callable[..., str], converging: np.ndarray, defect: str) -> None:
    if defect == "a new face at N = 100":
        converging[2, 2] = converging[0, 5]
    elif defect == "a copy at N = 100,000":
        converging[1, 5] = converging[0, 5]
    else:
        converging[2, 0] = converging[1, 0]
    found = figure_1_measures(read_figure_1(draw_figure_1(converging), "made up"))
    assert judge("K-figure-1", found, "published") == "refuted"


# --- the slide's weights ---------------------------------------------------------------------------------


@pytest.mark.claim("K-slide-weights")
def test_the_printed_weights_belong_to_the_printed_score(evidence: ClaimRecord) -> None:
    record_slide_weights(evidence, generate(256, size=20, seed=1).corpus.images)


@pytest.mark.control("K-slide-weights", "positive")
def test_halved_exponents_cost_nothing(judge: Callable[..., str]) -> None:
    cost = weight_cost(generate(64, size=20, seed=2).corpus.images, JUDGED, shrunk=1.0)
    assert judge("K-slide-weights", {EXCESS: excess_measure(cost)}, "property") == "reproduced"
    found = 2 * demanded_factor()  # the factor of -|y - x|^2 / (2 t)
    assert judge("K-slide-weights", {FACTOR: found}, "arithmetic") == "reproduced"


@pytest.mark.control("K-slide-weights", "negative")
@pytest.mark.parametrize("shrunk", [0.5, 1.5])
def test_weights_of_another_variance_cost(judge: Callable[..., str], shrunk: float) -> None:
    cost = weight_cost(generate(64, size=20, seed=2).corpus.images, JUDGED, shrunk)
    assert judge("K-slide-weights", {EXCESS: excess_measure(cost)}, "property") == "refuted"


# --- the curves of Verkhovensky --------------------------------------------------------------------------


@pytest.mark.claim("V-figure")
def test_the_published_curves_end_where_the_experiment_does(
    evidence: ClaimRecord, verkhovensky_curves: bytes, ledger: Ledger
) -> None:
    record_published_curves(evidence, verkhovensky_curves, ledger["V-levels"])


@pytest.mark.control("V-figure", "positive")
def test_curves_drawn_to_the_ends_of_the_run_are_recognised(judge: Callable[..., str], ledger: Ledger) -> None:
    windows = recorded_ends(ledger["V-levels"])
    middle = {line: sum(window) / 2 for line, window in windows.items()}
    assert (
        judge("V-figure", curve_measures(draw_curves(middle["to_centre"], middle["to_point"]), windows), "published")
        == "reproduced"
    )


@pytest.mark.control("V-figure", "negative")
def test_curves_drawn_to_the_words_of_the_readme_are_caught(judge: Callable[..., str], ledger: Ledger) -> None:
    windows = recorded_ends(ledger["V-levels"])
    assert judge("V-figure", curve_measures(draw_curves(10.0, 15.0), windows), "published") == "refuted"
