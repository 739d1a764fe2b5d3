"""The page of a duplicate search."""

import re
from pathlib import Path

import numpy as np
import torch

from core.data.corpus import Corpus, save_corpus
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.dedup.tests.duplicates import pictures
from reports.duplicates import duplicates_page


def test_pairs_are_shown_without_a_network(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pictures())
    run([find_input(tmp_path / "x.npy")], tmp_path / "some", Options(rule="representatives"), page=duplicates_page)
    page = (tmp_path / "some" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_names_are_escaped_on_the_page(tmp_path: Path) -> None:
    images = torch.from_numpy(pictures(10))
    save_corpus(Corpus(images, tuple(f"<script>{k}</script>" for k in range(10))), tmp_path / "corpus")
    run([find_input(tmp_path / "corpus")], tmp_path / "out", Options(), page=duplicates_page)
    assert "<script" not in (tmp_path / "out" / "index.html").read_text()
