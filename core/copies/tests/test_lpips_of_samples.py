"""LPIPS to the nearest training image, beside held-out images; and why it is not looked at."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.copies import lpips
from core.copies.lpips import lpips_scores, passes_of, why_not
from core.copies.options import Options
from core.copies.run import find_copies
from core.copies.search import Queries, search
from core.copies.sentences import lpips_passes
from core.copies.tests.made_up import images
from core.copies.tests.test_copies import FRESH, ask, row
from core.copies.tests.test_search import saved
from core.metrics import lpips_weights
from core.metrics.known_copies import perturb
from core.metrics.lpips import Embedding
from core.metrics.lpips_first_pass import BFLOAT16


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
def test_how_many_were_measured_again_is_told_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by a run that goes on from what another one kept."""
    monkeypatch.setattr("core.metrics.lpips.choose", lambda *sizes: BFLOAT16)
    train, queries = images(24, 0), images(3, 1)
    kept, asked = saved(tmp_path / "t.npy", train.numpy()), Queries(lambda part: queries[part], 3, np.full(3, -1))
    found = search(asked, kept, np.arange(24), 20, tmp_path / "near")
    for _ in range(2):
        lpips_scores(asked, found, kept, tmp_path / "all", every=True)
        passes = passes_of(tmp_path / "all")
        assert passes is not None and passes["first_pass"] == BFLOAT16 and 3 <= passes["measured_again"] <= 24
        assert passes["bound"] > 0
    lpips_scores(asked, found, kept, tmp_path / "some", every=False)
    assert passes_of(tmp_path / "some") is None


def test_the_line_says_how_all_were_searched() -> None:
    sets = {"train": {"images": 5000}}
    rounded, plain = ({"first_pass": first, "measured_again": n} for first, n in ((BFLOAT16, 1234), ("float32", 0)))
    told = list(lpips_passes({"sets": sets, "lpips_passes": {"samples": rounded, "held-out images": rounded}}))
    assert told == [
        "LPIPS was searched in bfloat16; of 5,000 training images were measured again in float32: 1,234 for samples "
        "and 1,234 for held-out images"
    ]
    (line,) = lpips_passes({"sets": sets, "lpips_passes": {"samples": plain}})
    assert "in float32 among all training images" in line
    assert list(lpips_passes({"sets": sets, "lpips_passes": {}})) == []


@pytest.mark.usefixtures("weights", "one_thread")
def test_it_is_shown_and_does_not_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.copies.scored.ORIGINALS", 8)
    train, samples = images(60, 0), torch.cat([perturb(images(60, 0)[:5], "noise", 0.01, seed=0), FRESH[:5]])
    result = find_copies(ask(tmp_path, samples, train, images(100, 1)), Options(), tmp_path / "work").result
    assert row(result, "lpips")["samples"]["copies"] >= 5 and not row(result, "lpips")["judges"]
    assert result["lpips_passes"] == {}, "ten candidates each, not all"
    assert row(result, "lpips")["held-out images"]["copies"] <= 1 and "LPIPS" not in result["any"]["of"]
