"""The page of findings about published pictures."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from audit.published import page as published_page
from audit.published.figures import PUBLISHED
from core.data.corpus import Corpus
from core.errors import InputError
from fixtures.published.files import Published
from fixtures.published.tiles import Tiles


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
    assert "3 rest on an interval" in page or "2 rest on an interval" in page
    shown = page.split("</style>")[1]
    pictures = re.findall(r'src="(data:image/[^"]*)"', shown)
    assert pictures and "http" not in re.sub(r'src="data:image/[^"]*"', "", shown), "nothing is loaded from elsewhere"
    links = {link for picture in pictures for link in re.findall(r"https?://[^'\"%\s]*", picture)}
    assert all(link.startswith("http://www.w3.org/") for link in links), "names of formats, which nobody asks for"
    assert not [p for p in pictures if re.search(r"href='(?!#|%23|data:)", p)], "a picture refers to itself alone"


def test_every_published_measure_has_a_row(request: pytest.FixtureRequest) -> None:
    from reports.plugin import LEDGER

    for claim in PUBLISHED:
        assert "published" in request.config.stash[LEDGER][claim].evidence
