"""Folders of pictures with and without a table."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.corpus import load_corpus
from core.data.pictures import Fit, read_picture
from core.data.tests.corpora import corpus_of
from core.errors import InputError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    source = np.random.default_rng(0)
    for k, name in enumerate(("b.png", "a.png", "c.jpg")):
        Image.fromarray(source.integers(0, 256, (12 + k, 10, 3), dtype=np.uint8)).save(folder / name)
    (folder / "notes.txt").write_text("")
    return folder


def test_the_central_square_is_resized_and_turned_gray(tmp_path: Path) -> None:
    pixels = np.zeros((8, 4, 3), dtype=np.uint8)
    pixels[2:6] = np.arange(48).reshape(4, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    assert torch.allclose(
        torch.from_numpy(read_picture(tmp_path / "x.png", Fit("crop", 4))[0]),
        torch.from_numpy(pixels[2:6].mean(axis=2) / 255).float(),
    )


def test_without_a_table_names_are_in_order(pictures: Path, tmp_path: Path) -> None:
    corpus, _ = corpus_of(pictures, tmp_path / "out", size=8)
    assert corpus.names == ("a.png", "b.png", "c.jpg") and corpus.images.shape == (3, 1, 8, 8)
    assert corpus.identities is None and corpus.attributes is None


def test_a_table_gives_order_identities_and_attributes(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("name,identity,Male,Young\nc.jpg,7,1,1\na.png,8,0,-1\n")
    seen: list[tuple[str, int, int]] = []
    corpus, _ = corpus_of(
        pictures, tmp_path / "out", size=8, table=tmp_path / "t.csv", progress=lambda *told: seen.append(told)
    )
    assert corpus.names == ("c.jpg", "a.png") and seen == [("looking", 2, 2), ("reading", 2, 2)]
    assert load_corpus(tmp_path / "out").fingerprint == corpus.fingerprint
    assert corpus.identities is not None and corpus.identities.tolist() == [7, 8]
    assert corpus.attributes is not None and corpus.attributes.to_numpy().tolist() == [[1, 1], [-1, -1]]
    assert torch.equal(corpus.images[1], torch.from_numpy(read_picture(pictures / "a.png", Fit("crop", 8))))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("file\na.png\n", "columns are file; expected one called name"),
        ("name\n", "found no picture"),
        ("name\nz.png\na.png\n", "lacks 1 of 2 pictures, first 'z.png'"),
        ("name\n../t.csv\n", "lacks 1 of 1 pictures"),
        ("name\na.png\na.png\n", "occurs twice"),
        ("name,identity\na.png,x\n", "column identity holds .*, expected whole numbers"),
        ("name,Male\na.png,2\n", r"column Male holds \['2'\], expected -1 and 1"),
        ("name,Male\n,1\n", "line 2 has no name"),
    ],
)
def test_bad_tables_are_named(pictures: Path, tmp_path: Path, table: str, says: str) -> None:
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(InputError, match=says):
        corpus_of(pictures, tmp_path / "out", size=8, table=tmp_path / "t.csv")


def test_bad_folders_are_named(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: found no such file or folder"):
        corpus_of(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: found no picture"):
        corpus_of(tmp_path / "empty", tmp_path / "out")
    (pictures / "a.png").write_bytes((pictures / "a.png").read_bytes()[:100])
    with pytest.raises(InputError, match=r"a.png: not a readable picture"):
        corpus_of(pictures, tmp_path / "out", size=8)


def test_what_is_passed_over_or_changed_is_told(pictures: Path, tmp_path: Path) -> None:
    (pictures / "sub").mkdir()
    Image.new("RGBA", (9, 9)).save(pictures / "d.png")
    corpus, told = corpus_of(pictures, tmp_path / "out", size=8)
    assert told == ["1 passed over: .txt", "1 pictures with transparency, composed on white"]
    assert (corpus.by_names(["d.png"]).images == 1).all()
