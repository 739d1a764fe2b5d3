"""Claims judged on published pictures alone (Topeza 2025, section 5), and controls of everything measured on them."""

import numpy as np
import pytest

from audit.measures.made_up import made_up_scores
from audit.published import measures
from audit.published.figures import published_convergence_order, published_figure_provenance
from audit.published.lpips import published_lpips_protocol
from audit.published.made_up import faces_and_candidates, made_up_similarity, protocol_measures, provenance_of
from audit.published.neighbours import by_protocol
from core.metrics.lpips import Embedding
from fixtures.published.files import Published
from fixtures.published.made_up import changed, publication
from fixtures.published.tiles import Tiles
from reports.judge import Judge
from reports.record import ClaimRecord


@pytest.mark.claim("T-convergence-order")
def test_agreement_falls_down_the_order(evidence: ClaimRecord, published: Published) -> None:
    published_convergence_order(evidence, published)


@pytest.mark.claim("T-figure-provenance")
def test_figures_are_what_the_notebooks_print(evidence: ClaimRecord, published: Published) -> None:
    published_figure_provenance(evidence, published)


@pytest.mark.claim("T-lpips-protocol")
def test_printed_lpips_follows_from_the_tiles(evidence: ClaimRecord, published: Published) -> None:
    published_lpips_protocol(evidence, published)


@pytest.fixture(scope="module")
def made_up() -> tuple[Tiles, Tiles]:
    return publication()


# --- order ---------------------------------------------------------------------------------------------------------


@pytest.mark.control("T-convergence-order", "positive")
def test_a_falling_order_is_recognised(made_up: tuple[Tiles, Tiles], judge: Judge) -> None:
    assert judge("T-convergence-order", measures.steps(measures.agreements(made_up[0])), "published") == "reproduced"


@pytest.mark.control("T-convergence-order", "negative")
def test_equal_or_reversed_protocols_are_caught(made_up: tuple[Tiles, Tiles], judge: Judge) -> None:
    found = measures.agreements(made_up[0])
    backwards = dict(zip(found, reversed(found.values()), strict=True))
    assert judge("T-convergence-order", measures.steps(backwards), "published") == "refuted"
    rng = np.random.default_rng(1)
    noisy = {name: made_up_similarity(0.9, rng) for name in found}
    assert judge("T-convergence-order", measures.steps(noisy), "published") != "reproduced"


# --- provenance ----------------------------------------------------------------------------------------------------


@pytest.mark.control("T-figure-provenance", "positive")
def test_consistent_figures_are_recognised(made_up: tuple[Tiles, Tiles], judge: Judge) -> None:
    tiles, figures = made_up
    assert judge("T-figure-provenance", provenance_of(tiles, figures), "published") == "reproduced"
    seeds = measures.figure_seeds(tiles, figures, measures.agreements(tiles)).set_index("figure")
    assert list(seeds.seed) == [0, 0, 0, 1, 0, 0, 0]
    assert seeds.missing_smaller.sum() == 0
    assert not measures.differing_cells(tiles)


@pytest.mark.control("T-figure-provenance", "negative")
@pytest.mark.parametrize("defect", ["a retouched figure", "a figure of another experiment"])
def test_defective_figures_are_caught(made_up: tuple[Tiles, Tiles], judge: Judge, defect: str) -> None:
    tiles, figures = made_up
    place = {"figure": "samples_overlap.png", "group": "B", "role": "sample", "set_size": 100000}
    drawn = figures.where(**place).images.copy()
    if defect == "a retouched figure":
        drawn[0, 20, 20] ^= 1
    else:
        drawn = tiles.where(experiment="male", cell=30, group="A", position=5).images
    assert (
        judge("T-figure-provenance", provenance_of(tiles, changed(figures, drawn, **place)), "published") == "refuted"
    )


@pytest.mark.control("T-figure-provenance", "negative")
@pytest.mark.parametrize("defect", ["another seed", "another sample at N = 100"])
def test_a_cell_that_shows_another_sample_is_found_and_not_held_against_the_figures(
    made_up: tuple[Tiles, Tiles], judge: Judge, defect: str
) -> None:
    tiles, figures = made_up
    other = tiles.where(experiment="male", cell=30, group="A", position=5).images
    cell, size = (23, 100000) if defect == "another seed" else (28, 100)
    tiles = changed(tiles, other, experiment="male", cell=cell, group="A", role="sample", set_size=size)
    if defect == "another seed":
        assert ("male", 23, 5, 0) in measures.shown_seeds(tiles).itertuples(index=False, name=None)
    assert len(measures.differing_cells(tiles)) == 1
    assert judge("T-figure-provenance", provenance_of(tiles, figures), "published") == "reproduced"


# --- LPIPS ---------------------------------------------------------------------------------------------------------


@pytest.mark.control("T-lpips-protocol", "positive")
def test_values_that_follow_the_network_are_recognised(judge: Judge) -> None:
    printed = made_up_scores(0)
    found = protocol_measures(printed, printed + 0.3 * made_up_scores(1), made_up_scores(3), made_up_scores(2))
    assert judge("T-lpips-protocol", found, "published") == "reproduced"


@pytest.mark.control("T-lpips-protocol", "negative")
def test_values_of_a_random_network_are_caught(judge: Judge) -> None:
    printed = made_up_scores(0)
    near = printed + 0.3 * made_up_scores(1)
    of_the_trunk = protocol_measures(printed, made_up_scores(2), made_up_scores(3), near)
    assert judge("T-lpips-protocol", of_the_trunk, "published") == "refuted"
    of_neither = protocol_measures(printed, made_up_scores(1), made_up_scores(3), made_up_scores(2))
    assert judge("T-lpips-protocol", of_neither, "published") != "reproduced"


@pytest.mark.control("T-lpips-protocol", "negative")
@pytest.mark.parametrize("fed", ["stated: [-1, 1], ImageNet trunk", "[0, 1] taken for [-1, 1]", "random trunk"])
def test_values_printed_after_another_protocol_are_caught(judge: Judge, lpips: Embedding | None, fed: str) -> None:
    """The values are printed by the network itself, fed as stated or otherwise, as the notebooks print them."""
    if lpips is None:
        pytest.skip("needs VGG-16's weights: samenoise weights")
    computed = by_protocol(lpips, *faces_and_candidates(12, seed=3))
    printed = computed[fed].round(4)
    verdict = judge("T-lpips-protocol", protocol_measures(printed, *computed.values()), "published")
    assert verdict == ("reproduced" if fed.startswith("stated") else "refuted")
