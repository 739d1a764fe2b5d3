"""Claims judged on published pictures alone (Topeza 2025, section 5), and controls of everything measured on them."""

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from audit.measures.made_up import made_up_scores
from audit.published import measures, neighbours
from audit.published import page as published_page
from audit.published.figures import PUBLISHED, published_convergence_order, published_figure_provenance
from audit.published.lpips import published_lpips_protocol
from audit.published.tests.known import judged_by, made_up_similarity, provenance
from core.data.corpus import Corpus
from core.errors import InputError
from core.metrics.agreement import agreement
from core.metrics.lpips_weights import WeightsMissing
from fixtures.published import reported
from fixtures.published.files import Published
from fixtures.published.made_up import changed, publication
from fixtures.published.notebooks import SET_SIZES, notebook_tiles
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
    assert judge("T-figure-provenance", provenance(tiles, figures), "published") == "reproduced"
    seeds = measures.figure_seeds(tiles, figures, measures.agreements(tiles)).set_index("figure")
    assert list(seeds.seed) == [0, 0, 0, 1, 0, 0, 0]
    assert seeds.missing_smaller.sum() == 0
    assert not measures.differing_cells(tiles)


@pytest.mark.control("T-figure-provenance", "negative")
@pytest.mark.parametrize("defect", ["another seed", "another sample at N = 100", "a retouched figure"])
def test_defective_figures_are_caught(made_up: tuple[Tiles, Tiles], judge: Judge, defect: str) -> None:
    tiles, figures = made_up
    if defect == "another seed":
        other = tiles.where(experiment="male", cell=30, group="A", position=5).images
        tiles = changed(tiles, other, experiment="male", cell=23, group="A", role="sample", set_size=100000)
        assert ("male", 23, 5, 0) in measures.shown_seeds(tiles).itertuples(index=False, name=None)
    elif defect == "another sample at N = 100":
        other = tiles.where(experiment="male", cell=30, group="A", position=5).images
        tiles = changed(tiles, other, experiment="male", cell=28, group="A", role="sample", set_size=100)
    else:
        place = {"figure": "samples_overlap.png", "group": "B", "role": "sample", "set_size": 100000}
        retouched = figures.where(**place).images.copy()
        retouched[0, 20, 20] ^= 1
        figures = changed(figures, retouched, **place)
    assert judge("T-figure-provenance", provenance(tiles, figures), "published") == "refuted"


def test_tiles_of_smaller_sizes_are_counted_apart(made_up: tuple[Tiles, Tiles]) -> None:
    tiles, figures = made_up
    place = {"figure": "male_female_intermediate.png", "group": "A", "role": "sample", "set_size": 1000}
    figures = changed(figures, np.eye(40, dtype=np.uint8)[None], **place)
    seeds = measures.figure_seeds(tiles, figures, measures.agreements(tiles)).set_index("figure")
    assert (seeds.missing_smaller[7], seeds.missing.sum()) == (1, 0)


def test_a_screenshot_leads_to_its_seed(made_up: tuple[Tiles, Tiles]) -> None:
    tile = made_up[0].where(experiment="celeba", cell=30, group="B", position=7).tensor()
    enlarged = torch.nn.functional.interpolate(tile, (97, 97), mode="bilinear")[0, 0].numpy()
    page = np.full((300, 127), 255.0)
    page[12:109, 15:112] = 249 * enlarged  # the page is the only white
    group, seed, value = measures.example_seed(page, made_up[0])
    assert (group, seed) == ("B", 7)
    assert value > 0.7


# --- LPIPS ---------------------------------------------------------------------------------------------------------


@pytest.mark.control("T-lpips-protocol", "positive")
def test_values_that_follow_the_network_are_recognised(judge: Judge) -> None:
    printed = made_up_scores(0)
    found = judged_by(printed, printed + 0.3 * made_up_scores(1), made_up_scores(2))
    assert judge("T-lpips-protocol", found, "published") == "reproduced"


@pytest.mark.control("T-lpips-protocol", "negative")
def test_values_of_a_random_network_are_caught(judge: Judge) -> None:
    printed = made_up_scores(0)
    assert (
        judge("T-lpips-protocol", judged_by(printed, made_up_scores(2), printed + 0.3 * made_up_scores(1)), "published")
        == "refuted"
    )
    assert (
        judge("T-lpips-protocol", judged_by(printed, made_up_scores(1), made_up_scores(2)), "published") != "reproduced"
    )


def test_follows_is_the_correlation_of_the_chosen_values() -> None:
    printed, computed, use = made_up_scores(0), made_up_scores(0) + made_up_scores(3), made_up_scores(4) < 0.8
    found = neighbours.follows(printed, computed, made_up_scores(5), use)["computed"]
    assert found[0] == pytest.approx(np.corrcoef(printed[use], computed[use])[0, 1])
    assert found[1].low < found[0] < found[1].high


# --- measures of the claims that have other evidence too --------------------------------------------------------------


def test_growth_needs_agreement_at_the_largest_size(made_up: tuple[Tiles, Tiles]) -> None:
    tiles, _ = made_up
    found = measures.agreements(tiles)
    growing = measures.growth(tiles, found["celeba"])["growth of agreement from smallest to largest N"]
    assert growing[1].low > 0
    shuffled = agreement(
        tiles.where(experiment="celeba", cell=30, group="A").tensor(),
        tiles.where(experiment="celeba", cell=30, group="B").tensor().roll(1, 0),
    )
    still = measures.growth(tiles, shuffled)["growth of agreement from smallest to largest N"]
    assert still[1].low < 0 < still[1].high


def test_copies_are_told_from_other_samples(made_up: tuple[Tiles, Tiles]) -> None:
    tiles, figures = made_up
    copies = measures.smallest_copies(tiles, figures)
    assert len(copies) == 8
    assert copies.min() > 0.99
    place = {"experiment": "male", "group": "B", "role": "sample", "set_size": 10}
    for cell in (21, 23, 25, 28):
        tiles = changed(tiles, tiles.where(experiment="male", cell=30, group="A").images[7], cell=cell, **place)
    assert (measures.smallest_copies(tiles, figures) < 0.5).sum() == 1


def test_one_seed_is_as_uncertain_as_its_spread() -> None:
    spread = np.random.default_rng(0).normal(0, 0.1, 20)
    assert measures.one_seed(-0.1, spread).contains(0.0)
    assert not measures.one_seed(-0.5, spread).contains(0.0)


def test_the_lowest_decile_sees_what_the_mean_does_not() -> None:
    high = np.full(40, 0.9) + np.linspace(0, 0.01, 40)
    low = high.copy()
    low[:8] -= 0.4
    value, interval = measures.lowest_decile(high, low)
    assert value == pytest.approx(0.4, abs=0.01)
    assert interval.low > 0.3


def test_shared_noise_is_told_from_other_noise() -> None:
    rng = np.random.default_rng(0)
    means = rng.random(20)

    def log(a: np.ndarray, b: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(
            {"group": ["A"] * 20 + ["B"] * 20, "seed": [*range(20)] * 2, "mean_10": np.concatenate([a, b])}
        )

    same = {name: log(means + 0.001 * rng.random(20), means) for name in ("celeba", "male")}
    assert measures.shared_noise(same) > 0.99
    assert measures.shared_noise({**same, "male": log(rng.permutation(means), means)}) < 0.9


def test_falls_and_rises_of_the_gap() -> None:
    levels = [(5.0, 0.02), (25.0, 0.1), (40.0, 0.02)]
    rows = [
        ("celeba", size, level, 20.0 - 4 * k + (9 if (k, level) == (2, 25.0) else 0), error)
        for k, size in enumerate(SET_SIZES)
        for level, error in levels
    ]
    gaps = pd.DataFrame(rows, columns=["experiment", "set_size", "input_db", "gap_db", "error_db"])
    falls = measures.falls(gaps, "celeba")
    assert list(falls.input_db) == [5.0, 25.0]
    assert list(falls.fall_db) == [16.0, 16.0]
    assert list(falls.error_db) == pytest.approx([0.04, 0.2])
    assert measures.rises(gaps, "celeba")[["input_db", "set_size", "rise_db"]].values.tolist() == [[25.0, 1000, 5.0]]


def test_an_attribute_is_read_where_it_is_and_not_where_it_is_not(made_up: tuple[Tiles, Tiles]) -> None:
    tiles, _ = made_up
    dark = (tiles.table.group == "A").to_numpy()
    images = tiles.images.copy()
    images[dark, 14:18, 8:32] = 0  # spectacles
    images[~dark, 14:18, 8:32] = 255
    scores = measures.attribute_scores(Tiles(tiles.table, images), "eyeglasses")
    assert (scores["A"] > 0).mean() == 1
    assert (scores["B"] < 0).mean() == 1
    unrelated = measures.attribute_scores(tiles, "eyeglasses")
    assert 0.2 < (unrelated["faces_a"] > 0).mean() < 0.8


def test_reranking_counts_changes_and_copies() -> None:
    rows = pd.DataFrame(
        {
            "experiment": "male",
            "group": ["A"] * 10 + ["B"] * 10,
            "n_label": 10,
            "n_images": 10,
            "correlation": [1.0, *np.linspace(0.5, 0.1, 9), *np.linspace(0.8, 0.5, 10)],
            "lpips_vgg": [*np.linspace(0, 0.5, 10), *np.linspace(0.5, 0.1, 10)],
        }
    )
    table = neighbours.reranking(rows, rows.correlation.to_numpy().reshape(2, 10))
    assert table["copy"].tolist() == [True, False]
    assert table.changed.tolist() == [False, True]
    assert table.lpips_rank.tolist() == [1, 10]
    assert table.tau.tolist() == pytest.approx([1.0, -1.0])


def test_values_of_the_trap_are_told_from_those_of_the_stated_protocol() -> None:
    stated, trapped = made_up_scores(0) * 0.2 + 0.3, made_up_scores(1) * 0.1 + 0.7
    assert not neighbours.nearer_to(stated + 0.05 * made_up_scores(2), trapped, stated).any()
    one = stated.copy()
    one[4] = trapped[4] - 0.02
    assert np.flatnonzero(neighbours.nearer_to(one, trapped, stated)).tolist() == [4]


def test_correlation_by_size_counts_only_what_is_used() -> None:
    rows = pd.DataFrame({"n_label": np.repeat([10, 100], 150)})
    printed, use = made_up_scores(0), np.ones((30, 10), dtype=bool)
    use[:, 0] = False
    computed = np.where(np.arange(30)[:, None] < 15, printed, made_up_scores(1))
    computed[:, 0] = 9.0
    table = neighbours.correlation_by_size(rows, printed, computed, use).set_index("set_size")
    assert table["values"].tolist() == [135, 135]
    assert table["together"].loc[10] == pytest.approx(1.0)
    assert table["least of a sample"].loc[10] == pytest.approx(1.0)
    assert abs(float(table["together"].loc[100])) < 0.3


def test_backbones_leave_copies_out_and_hold_the_control_against_correlation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "VARIANTS", ())
    r = np.sort(made_up_scores(0), axis=1)[:, ::-1] * 0.9
    r[0, 0] = 1.0
    rows = pd.DataFrame({"correlation": r.ravel(), "lpips_vgg": made_up_scores(1).ravel()})
    table, missing = neighbours.backbones(rows, torch.rand(30, 1, 8, 8), torch.rand(30, 10, 1, 8, 8), r)
    assert set(table["n"]) == {29} and not missing
    control = table.set_index("network").loc["structural similarity"]
    assert control["nearest changes"] == 0.0  # the control given here is the correlation itself
    assert control["Kendall, correlation"] == pytest.approx(1.0)
    assert float(table["nearest changes"].iloc[0]) > 0.7 and set(table["chance"]) == {0.9}


def test_a_package_that_computes_something_else_is_noticed() -> None:
    try:
        network = neighbours.embedding("vgg")
    except WeightsMissing:
        pytest.skip("needs VGG-16's weights: samenoise weights")
    a, b = torch.rand(2, 2, 1, 40, 40, generator=torch.Generator().manual_seed(0)).unbind()
    right = network.distance(a, b)
    assert neighbours.package_difference(network, a, b, right) < 1e-5
    assert neighbours.package_difference(network, a, b, right * 1.001) == pytest.approx(1e-3, rel=0.1)


def test_every_sample_has_the_seed_of_the_image_beside_it(made_up: tuple[Tiles, Tiles]) -> None:
    tiles, _ = made_up
    distinct = len(dict.fromkeys(tiles.where(role="sample").fingerprints()))
    seeds = measures.sample_seeds(tiles)
    assert len(seeds) == distinct == 8 * (4 + 20)
    assert (np.bincount(seeds) == [8 * 5, *[8] * 19]).all(), "smaller sizes start from seed 0, as cells 21 to 28 show"
    other = tiles.where(experiment="male", cell=30, group="A", position=5).images
    moved = changed(tiles, other, experiment="male", cell=21, group="A", role="sample", set_size=100000)
    for cell in (23, 25, 28):
        moved = changed(moved, other, experiment="male", cell=cell, group="A", role="sample", set_size=100000)
    assert np.bincount(measures.sample_seeds(moved))[5] == 8 + 4


def test_neighbours_must_stand_in_order() -> None:
    rows = reported.reported_neighbours()
    with pytest.raises(InputError, match="ranks out of order"):
        neighbours.neighbour_pairs(publication()[0], rows.iloc[::-1])


def test_printed_correlations_follow_from_the_recovered_tiles(published: Published) -> None:
    """The recovery's own check: 300 printed values, and the same computation with the tiles of one cell shuffled."""
    rows = reported.reported_neighbours()
    samples, candidates = neighbours.neighbour_pairs(notebook_tiles(published), rows)
    printed = rows.correlation.to_numpy().reshape(-1, 10)
    off = np.abs(neighbours.recomputed(samples, candidates) - printed)
    assert off.max() < 0.002  # three decimals printed, 8 bits a pixel drawn
    assert np.abs(neighbours.recomputed(samples, candidates.roll(1, 1)) - printed).max() > 0.05


# --- the page --------------------------------------------------------------------------------------------------------


def test_sheets_carry_every_gray_level(made_up: tuple[Tiles, Tiles]) -> None:
    tiles = made_up[0].where(experiment="male", cell=21)
    data = published_page.sheet([tiles.where(group="A"), tiles.where(group="B")])
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data.split(",")[1]))))
    step = 40 + published_page.GAP
    assert pixels.shape == (2 * step - published_page.GAP, 5 * step - published_page.GAP)
    np.testing.assert_array_equal(pixels[step : step + 40, 2 * step : 2 * step + 40], tiles.images[7])


def test_a_gallery_holds_every_image_once() -> None:
    images = torch.rand(43, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    found = published_page.gallery("Faces", Corpus(images, tuple(f"{k}.png" for k in range(43))))
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["uri"].split(",")[1]))))
    step, rows = 40 + published_page.GAP, 3
    assert found["n"] == 43
    assert pixels.shape == (rows * step - published_page.GAP, published_page.ACROSS * step - published_page.GAP)
    last = pixels[2 * step : 2 * step + 40, 2 * step : 2 * step + 40]
    np.testing.assert_array_equal(last, np.round(255 * images[42, 0].numpy()))


def test_a_folder_without_notebooks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    with pytest.raises(InputError, match="found no folder notebooks/, expected a checkout"):
        published_page.require_folder(tmp_path)


def test_the_page_shows_every_cell_and_verdict(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {claim: PUBLISHED[claim] for claim in ("T-size-confound", "T-convergence-order", "T-figure-provenance")}
    monkeypatch.setattr(published_page, "PUBLISHED", few)
    page = published_page.published_page(published)
    assert page.count('class="sheet"') == 4 * 7 - 2 + 7 + 2
    assert all(claim in page for claim in few)
    unsupported = page[page.index('<h2 id="unsupported">') :]
    assert "At equal size one seed is published" in unsupported
    assert all(text.split(".")[0] in unsupported for text in published_page.LIMITS)
    assert "generated faces" not in page, "what was trained elsewhere is no finding about these pictures"
    assert "3 of them rest" in page or "2 of them rest" in page
    assert "http" not in page.split("</style>")[1], "nothing is loaded from elsewhere"


def test_every_published_measure_has_a_row(request: pytest.FixtureRequest) -> None:
    from reports.plugin import LEDGER

    for claim in PUBLISHED:
        assert "published" in request.config.stash[LEDGER][claim].evidence
