"""Measures on recovered tiles, on a made-up publication."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import audit
from audit.measures.rules import COPY_CORRELATION
from audit.published import measures
from audit.published.record import exact_share
from core.metrics.agreement import agreement
from fixtures.published.made_up import changed
from fixtures.published.notebooks import SET_SIZES
from fixtures.published.tiles import Tiles
from reports.judge import Evidence, judge_check
from reports.ledger import load_ledger
from reports.record import as_pair


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


@pytest.mark.parametrize(("strangers", "outcome"), [(0, "holds"), (3, "open"), (8, "fails")])
def test_the_rule_on_few_published_copies_can_hold_and_can_fail(
    made_up: tuple[Tiles, Tiles], strangers: int, outcome: str
) -> None:
    """Samples of as many groups as `strangers` says are no training images: eight are shown at N = 10."""
    tiles, figures = made_up
    groups = [(name, group) for name in measures.ORDER for group in "AB"][:strangers]
    for k, (name, group) in enumerate(groups):
        noise = np.random.default_rng(k).integers(0, 256, (40, 40), dtype=np.uint8)
        place = {"experiment": name, "group": group, "role": "sample", "set_size": SET_SIZES[0]}
        tiles, figures = (changed(source, noise, **place) for source in (tiles, figures))
    copies = measures.smallest_copies(tiles, figures) > COPY_CORRELATION
    share, interval = exact_share(int(copies.sum()), len(copies))
    name = "share of copies at the smallest N"
    ledger = load_ledger(Path(audit.__file__).parent / "claims.toml")
    (check,) = (c for c in ledger["T-convergence"].checks if (c.kind, c.evidence) == ("published", name))
    assert check.value == ledger.rules["copies"]["copy_share_low_end_above_published"]
    assert judge_check(check, Evidence("published", name, share, interval=as_pair(interval)))[0] == outcome


def test_one_seed_is_as_uncertain_as_its_spread() -> None:
    spread = np.random.default_rng(0).normal(0, 0.1, 20)
    assert measures.one_seed(-0.1, spread).contains(0.0)
    assert not measures.one_seed(-0.5, spread).contains(0.0)


def test_the_lowest_decile_sees_what_the_mean_does_not() -> None:
    high = np.full(40, 0.9) + np.linspace(0, 0.01, 40)
    low = high.copy()
    low[:8] -= 0.4
    value, interval = measures.lowest_decile_over_seeds(high, low)
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
