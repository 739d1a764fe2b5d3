"""LPIPS to the nearest training image, beside held-out images; and why it is not looked at."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.copies import lpips
from core.copies.lpips import lpips_scores, why_not
from core.copies.options import Options
from core.copies.run import find_copies
from core.copies.search import Queries, search
from core.copies.tests.made_up import images
from core.copies.tests.test_copies import FRESH, ask, row
from core.copies.tests.test_search import saved
from core.metrics import lpips_weights
from core.metrics.known_copies import perturb
from core.metrics.lpips import Embedding


def test_why_it_is_not_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lpips_weights, "find", lambda net: None)
    assert "--held-out DIR" in str(why_not((1, 20, 20), False))
    assert "16 pixels a side" in str(why_not((1, 15, 20), True)) and "channels" in str(why_not((4, 20, 20), True))
    assert "`samenoise weights` brings them" in str(why_not((1, 20, 20), True))
    result = find_copies(ask(tmp_path, FRESH), Options(), tmp_path / "work").result
    assert "not on this machine" in result["not_looked_at"]["LPIPS"]
    assert all(one["key"] != "lpips" for one in result["criteria"])


@pytest.fixture
def weights() -> None:
    """The network's weights, fetched where need be."""
    try:
        lpips_weights.load("vgg")
    except lpips_weights.WeightsMissing as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("weights", "one_thread")
def test_the_nearest_are_those_of_the_whole_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lpips, "PART", 3)
    train, queries = images(24, 0), images(7, 1)
    kept, group = saved(tmp_path / "t.npy", train.numpy()), np.arange(24)
    asked = Queries(lambda part: queries[part], 7, np.full(7, -1))
    found = search(asked, kept, group, 20, tmp_path / "near")
    matrix = Embedding("vgg").matrix(queries, train).numpy()
    some = np.take_along_axis(matrix, found.groups.index[:, : lpips.CANDIDATES].numpy(), axis=1)
    for every, expected in ((True, matrix), (False, some)):
        scores = lpips_scores(asked, found, kept, tmp_path / str(every), every=every)
        np.testing.assert_allclose(-scores, expected.min(axis=1), atol=1e-6)


@pytest.mark.usefixtures("weights", "one_thread")
def test_it_is_shown_and_does_not_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.copies.scored.ORIGINALS", 8)
    train, samples = images(60, 0), torch.cat([perturb(images(60, 0)[:5], "noise", 0.01, seed=0), FRESH[:5]])
    result = find_copies(ask(tmp_path, samples, train, images(100, 1)), Options(), tmp_path / "work").result
    assert row(result, "lpips")["samples"]["copies"] >= 5 and not row(result, "lpips")["judges"]
    assert row(result, "lpips")["held-out images"]["copies"] <= 1 and "LPIPS" not in result["any"]["of"]
