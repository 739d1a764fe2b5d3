"""One folder of pictures through everything that reads one: the same pixels, and the same near-duplicates."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from core.data.corpus import save_corpus
from core.data.pictures import Fit
from core.data.tests.corpora import corpus_of
from core.data.tests.test_pictures import oriented, photo
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.dedup.search import near_duplicates
from core.errors import InputError
from core.splits.membership import from_lists
from core.splits.near_duplicates import StandingPairs, near_duplicates_across

ALIKE = {"gray.png", "rgb.png", "rgba.png", "palette.png", "deep.png", "turned.png", "wide.png", "jpeg.jpg", "a.gif"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One picture in nine dresses, an aligned photograph twice, rectangles, constants, and what is no picture."""
    there = tmp_path / "pics"
    there.mkdir()
    gray = photo(64, 64)[:, :, 0]
    image = Image.fromarray(gray)
    image.save(there / "gray.png")
    image.convert("RGB").save(there / "rgb.png")
    image.convert("RGBA").save(there / "rgba.png")
    image.convert("RGB").quantize(256).save(there / "palette.png")
    Image.fromarray(gray.astype(np.uint16) * 257).save(there / "deep.png")
    oriented(gray, 6, there / "turned.png")
    Image.fromarray(np.pad(gray, ((0, 0), (20, 20)))).save(there / "wide.png")  # cropped to its centre
    image.save(there / "jpeg.jpg", quality=90)
    image.save(there / "a.gif")
    aligned = Image.fromarray(photo(178, 218, seed=3))
    aligned.save(there / "aligned.png")
    aligned.convert("RGBA").save(there / "aligned_rgba.png")
    Image.fromarray(photo(90, 50, seed=4)).save(there / "rectangle.png")
    for name, value in (("white.png", 255), ("white2.png", 255), ("black.png", 0)):
        Image.fromarray(np.full((30, 30), value, np.uint8)).save(there / name)
    (there / "notes.txt").write_text("")
    (there / "x.heic").write_bytes(b"")
    return there


def names_of_pairs(out: Path) -> set[frozenset[str]]:
    pairs = pd.read_parquet(out / "pairs.parquet")
    return {frozenset(pair) for pair in zip(pairs["name_i"], pairs["name_j"], strict=True)}


@pytest.mark.parametrize("fit", [None, Fit("crop", 20), Fit("squeeze", 40), Fit("crop", 40, True)])
def test_all_callers_see_the_same_pixels_and_the_same_pairs(folder: Path, tmp_path: Path, fit: Fit | None) -> None:
    corpus, _ = corpus_of(folder, tmp_path / "corpus", fit=fit)
    of_folder = run([find_input(folder, fit=fit)], tmp_path / "folder", Options())
    of_corpus = run([find_input(tmp_path / "corpus")], tmp_path / "of-corpus", Options())
    hashes = [result["inputs"][0]["sha256_of_image_sha256s"] for result in (of_folder, of_corpus)]
    if fit is None or not fit.colour:
        assert hashes[0] == hashes[1]
    pairs = near_duplicates(corpus.images)
    expected = {frozenset((corpus.names[i], corpus.names[j])) for i, j in zip(pairs.i, pairs.j, strict=True)}
    assert frozenset(("white.png", "white2.png")) in expected and frozenset(("gray.png", "turned.png")) in expected
    assert frozenset(("aligned.png", "aligned_rgba.png")) in expected
    if fit is None:
        assert {pair for pair in expected if pair <= ALIKE} == {
            frozenset((a, b)) for a in ALIKE for b in ALIKE if a < b
        }
        assert sum(len(pair & ALIKE) != 2 for pair in expected) == 2
    assert names_of_pairs(tmp_path / "folder") == names_of_pairs(tmp_path / "of-corpus") == expected
    groups = {"a": list(corpus.names[::2]), "b": list(corpus.names[1::2])}
    membership = from_lists(groups)
    across = {pair for pair in expected if len(pair & set(groups["a"])) == 1}
    for source in (folder, tmp_path / "corpus"):
        found = near_duplicates_across(membership, source, fit=fit)["a", "b"]
        listed = {frozenset(membership.image.examples(np.array(pair), most=2)) for pair in found}
        assert listed == across
    for name, members in groups.items():
        (tmp_path / name).mkdir()
        for member in members:
            (tmp_path / name / member).symlink_to(folder / member)
    run([find_input(tmp_path / name, fit=fit) for name in groups], tmp_path / "two", Options())
    assert names_of_pairs(tmp_path / "two") == across


def test_what_was_looked_at_is_told(folder: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in folder.iterdir() if path.suffix not in (".txt", ".heic"))
    found: dict[str, int] = {}
    near_duplicates_across(from_lists({"a": names[:5], "b": names[5:]}), folder, tell=found.__setitem__)
    assert found == {
        "pictures turned as their EXIF orientation says": 1,
        "pictures with transparency, composed on white": 2,
        "pictures of 178x218, cropped as aligned photographs of CelebA": 2,
        "images of one value, which has no correlation: compared by their pixels": 3,
    }
    about = run([find_input(folder)], tmp_path / "out", Options())["looked_at"]["sets"][0]
    assert about["passed_over"] == {".txt": 1, ".heic": 1} and about["images"] == 15 and about["constant"] == 3
    assert about["pictures"] == {"turned": 1, "transparent": 2, "aligned": 2}
    assert about["fit"] == "crop:40:gray" and about["pooled"] == "20x20 by squares of 2 pixels"


def test_pictures_whose_size_is_kept_must_be_of_one(folder: Path) -> None:
    membership = from_lists({"a": ["gray.png"], "b": ["rectangle.png"]})
    with pytest.raises(
        InputError, match=r"rectangle\.png: found 3x50x90 .*, expected 1x64x64 like .*gray\.png; crop:N"
    ):
        near_duplicates_across(membership, folder, fit=Fit.parse("keep"))


def test_placeholders_in_two_groups_are_counted_without_a_list_of_all_pairs(tmp_path: Path) -> None:
    """600 and 500 copies of one picture: 300,000 pairs between the groups, one entry an image."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(np.repeat(rng.random((1, 1, 20, 20), dtype=np.float32), 1102, 0))
    images[1100:] = torch.rand(2, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    from core.data.corpus import Corpus

    names = tuple(f"{k:04d}.png" for k in range(1102))
    save_corpus(Corpus(images, names), tmp_path / "corpus")
    groups = {"a": [*names[:600], names[1100]], "b": [*names[600:1100], names[1101]]}
    found = near_duplicates_across(from_lists(groups), tmp_path / "corpus")["a", "b"]
    assert isinstance(found, StandingPairs) and len(found) == 300_000
    assert len(np.unique(found[:, 0])) == 600 and len(np.unique(found[:, 1])) == 500
    assert len(found.listed) < 1200
