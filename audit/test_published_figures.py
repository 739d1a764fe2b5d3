"""Claims judged on published pictures alone (Topeza 2025, section 5), and controls of everything measured on them."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from audit import published_measures as measures
from audit import published_neighbours as neighbours
from audit import published_page
from audit.published_figures import (
    PUBLISHED,
    published_convergence_order,
    published_figure_provenance,
)
from audit.published_lpips import published_lpips_protocol
from core.errors import InputError
from core.metrics.agreement import Agreement, agreement
from fixtures import reported
from fixtures.notebooks import CELLS, EXPERIMENTS, FIGURES, SET_SIZES, notebook_tiles
from fixtures.published import Published
from fixtures.tiles import Tiles
from reports.record import ClaimRecord

Judge = Callable[..., str]


@pytest.mark.claim("T-convergence-order")
def test_agreement_falls_down_the_order(evidence: ClaimRecord, published: Published) -> None:
    published_convergence_order(evidence, published)


@pytest.mark.claim("T-figure-provenance")
def test_figures_are_what_the_notebooks_print(evidence: ClaimRecord, published: Published) -> None:
    published_figure_provenance(evidence, published)


@pytest.mark.claim("T-lpips-protocol")
def test_printed_lpips_follows_from_the_tiles(evidence: ClaimRecord, published: Published) -> None:
    published_lpips_protocol(evidence, published)


# --- a made-up publication -----------------------------------------------------------------------------------------

MIX = {"celeba": 0.99, "no_overlap": 0.9, "male": 0.7, "eyeglasses": 0.5}  # share of B's sample that is A's


def stretched(images: np.ndarray) -> np.ndarray:
    """(n, 40, 40) to uint8, each over the whole range."""
    low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    return np.round(255 * (images - low) / (high - low)).astype(np.uint8)


def publication(seed: int = 0) -> tuple[Tiles, Tiles]:
    """Notebook and figure tiles in which everything is as it should be; figures show seed 0, figure 6 seed 1."""
    rng = np.random.default_rng(seed)

    def noise(n: int) -> np.ndarray:
        return rng.random((n, 40, 40))

    rows: list[tuple] = []
    images: list[np.ndarray] = []
    shown: dict[tuple[str, str], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for name in EXPERIMENTS:
        common = noise(25)
        for group in "AB":
            own = common if group == "A" else MIX[name] * common + (1 - MIX[name]) * noise(25)
            train, seeds = stretched(noise(10)), stretched(own[:20])
            samples = np.concatenate([train[3:4], stretched(own[20:23]), seeds[:1]])
            near = {rank: np.concatenate([train[3:4], stretched(noise(4))]) for rank in range(1, 11)}
            shown[name, group] = (samples, near[1], seeds)
            for cell, plan in CELLS.items():
                for place, role, rank in plan:
                    if place == group and cell not in EXPERIMENTS[name].cleared:
                        generated = seeds if cell == 30 else samples
                        found = near[rank] if role == "nearest" else {"train": train, "sample": generated}[role]
                        sizes = SET_SIZES if len(found) == 5 else (10 if role == "train" else 100000,) * len(found)
                        rows += [(name, "", cell, group, role, rank, k, size) for k, size in enumerate(sizes)]
                        images.append(found)
    columns = ["experiment", "figure", "cell", "group", "role", "rank", "position", "set_size"]
    tiles = Tiles(pd.DataFrame(rows, columns=columns), np.concatenate(images))
    rows, images = [], []
    for file, (number, name, plan) in FIGURES.items():
        for group, role, rank in plan:
            samples, nearest, seeds = shown[name, group]
            picked = np.concatenate([samples[:4], seeds[1:2]]) if number == 6 else samples
            rows += [(name, file, 0, group, role, rank, k, size) for k, size in enumerate(SET_SIZES)]
            images.append(picked if role == "sample" else nearest)
    return tiles, Tiles(pd.DataFrame(rows, columns=columns), np.concatenate(images))


def changed(tiles: Tiles, images: np.ndarray, **columns: object) -> Tiles:
    """The tiles with those that match `columns` replaced."""
    place = np.ones(len(tiles.table), dtype=bool)
    for column, value in columns.items():
        place &= (tiles.table[column] == value).to_numpy()
    assert place.any()
    new = tiles.images.copy()
    new[place] = images
    return replace(tiles, images=new)


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
    noisy = {name: made_up_agreement(0.9, rng) for name in found}
    assert judge("T-convergence-order", measures.steps(noisy), "published") != "reproduced"


def made_up_agreement(mean: float, rng: np.random.Generator) -> Agreement:
    similarity = rng.normal(0.2, 0.1, (20, 20))
    np.fill_diagonal(similarity, rng.normal(mean, 0.04, 20))
    return Agreement(similarity)


# --- provenance ----------------------------------------------------------------------------------------------------


def provenance(tiles: Tiles, figures: Tiles) -> dict[str, int]:
    return measures.provenance(tiles, measures.figure_seeds(tiles, figures, measures.agreements(tiles)))


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


def scores(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((30, 10))


def judged_by(printed: np.ndarray, computed: np.ndarray, drawn: np.ndarray) -> dict[str, measures.Measured]:
    found = neighbours.follows(printed, computed, drawn, np.ones((30, 10), dtype=bool))
    return {"stated protocol minus random trunk": found["difference"]}


@pytest.mark.control("T-lpips-protocol", "positive")
def test_values_that_follow_the_network_are_recognised(judge: Judge) -> None:
    printed = scores(0)
    found = judged_by(printed, printed + 0.3 * scores(1), scores(2))
    assert judge("T-lpips-protocol", found, "published") == "reproduced"


@pytest.mark.control("T-lpips-protocol", "negative")
def test_values_of_a_random_network_are_caught(judge: Judge) -> None:
    printed = scores(0)
    assert judge("T-lpips-protocol", judged_by(printed, scores(2), printed + 0.3 * scores(1)), "published") == "refuted"
    assert judge("T-lpips-protocol", judged_by(printed, scores(1), scores(2)), "published") != "reproduced"


def test_follows_is_the_correlation_of_the_chosen_values() -> None:
    printed, computed, use = scores(0), scores(0) + scores(3), scores(4) < 0.8
    found = neighbours.follows(printed, computed, scores(5), use)["computed"]
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


def test_a_folder_without_notebooks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    with pytest.raises(InputError, match="found no folder notebooks/, expected a checkout"):
        published_page.require_folder(tmp_path)


def test_the_page_shows_every_cell_and_verdict(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {claim: PUBLISHED[claim] for claim in ("T-convergence-order", "T-figure-provenance")}
    monkeypatch.setattr(published_page, "PUBLISHED", few)
    page = published_page.published_page(published)
    assert page.count('class="sheet"') == 4 * 7 - 2 + 7
    assert all(claim in page for claim in few)
    assert "http" not in page.split("</style>")[1], "nothing is loaded from elsewhere"


def test_every_published_measure_has_a_row(request: pytest.FixtureRequest) -> None:
    from reports.plugin import LEDGER

    for claim in PUBLISHED:
        assert "published" in request.config.stash[LEDGER][claim].evidence
