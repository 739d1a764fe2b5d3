"""Measures on published nearest training images, on made-up ones."""

import numpy as np
import pandas as pd
import pytest
import torch

from audit.measures.made_up import made_up_scores
from audit.published import neighbours
from core.errors import InputError
from core.metrics.lpips_weights import WeightsMissing
from fixtures.published import reported
from fixtures.published.files import Published
from fixtures.published.made_up import publication
from fixtures.published.notebooks import notebook_tiles


def test_follows_is_the_correlation_of_the_chosen_values() -> None:
    printed, computed, use = made_up_scores(0), made_up_scores(0) + made_up_scores(3), made_up_scores(4) < 0.8
    found = neighbours.follows(printed, computed, made_up_scores(5), use)["computed"]
    assert found[0] == pytest.approx(np.corrcoef(printed[use], computed[use])[0, 1])
    assert found[1].low < found[0] < found[1].high


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
