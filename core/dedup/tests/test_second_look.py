"""The second look: planted copies are confirmed, likenesses are not; refused where there is nothing to see."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from core.data.celeba import read_celeba
from core.data.pictures import Fit, read_full
from core.dedup.confirmed import REFERENCE, SecondLook, bands_above, parting, told
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.dedup.pairs import Pairs
from core.dedup.search import near_duplicates
from core.dedup.second_look import LEAST, same_photograph
from core.errors import InputError
from fixtures.faces.corpus import write_celeba


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated faces of many people in CelebA's layout, among them pairs alike at 20x20."""
    folder = tmp_path_factory.mktemp("faces")
    write_celeba(folder, 160, seed=1)
    return folder


def encoded(levels: np.ndarray, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def copy_of(path: Path, moved: int = 2, brighter: int = 40) -> bytes:
    """The same photograph moved by two pixels each way, brightened and encoded anew at quality 60."""
    with Image.open(path) as image:
        levels = np.roll(np.asarray(image.convert("RGB")), (moved, moved), axis=(0, 1)).astype(int)
    return encoded(np.clip(levels + brighter, 0, 255).astype(np.uint8), 60)


def full(path: Path) -> np.ndarray:
    return read_full(path, Fit())


def test_a_shifted_brightened_copy_encoded_anew_is_confirmed(faces: Path, tmp_path: Path) -> None:
    for name in ("000003.jpg", "000050.jpg", "000120.jpg"):
        (tmp_path / name).write_bytes(copy_of(faces / "img_align_celeba" / name))
        assert same_photograph(full(faces / "img_align_celeba" / name), full(tmp_path / name)) > REFERENCE  # type: ignore[operator]


@pytest.mark.parametrize("change", ["turned", "reduced", "contrast", "gray"])
def test_what_else_a_copy_may_have_gone_through(faces: Path, change: str) -> None:
    picture = full(faces / "img_align_celeba" / "000007.jpg")
    other = {
        "turned": lambda x: ndimage.rotate(x, 3, axes=(1, 2), reshape=False, order=1, mode="nearest"),
        "reduced": lambda x: np.asarray(Image.fromarray(x.transpose(1, 2, 0)).resize((96, 96))).transpose(2, 0, 1),
        "contrast": lambda x: (x * 0.5 + 60).astype(np.uint8),
        "gray": lambda x: np.repeat(x.mean(axis=0, keepdims=True), 3, axis=0).astype(np.uint8),
    }[change](picture)
    value = same_photograph(picture, np.ascontiguousarray(other))
    assert value is not None and value > REFERENCE


def test_two_faces_alike_in_pose_and_light_are_not_confirmed(faces: Path) -> None:
    corpus = read_celeba(faces)
    pairs = near_duplicates(corpus.images, threshold=0.6)
    assert corpus.identities is not None
    others = np.flatnonzero(corpus.identities[pairs.i] != corpus.identities[pairs.j])
    assert len(others) >= 10
    for p in others[np.argsort(-np.abs(pairs.correlation[others]))][:10]:
        i, j = (faces / "img_align_celeba" / corpus.names[k] for k in (pairs.i[p], pairs.j[p]))
        assert same_photograph(full(i), full(j)) < REFERENCE  # type: ignore[operator]


def test_small_pictures_are_not_looked_at() -> None:
    small = np.random.default_rng(0).integers(0, 256, (3, LEAST - 1, 200), dtype=np.uint8)
    assert same_photograph(small, small) is None
    assert same_photograph(small, np.zeros((3, 200, 200), np.uint8)) is None


def test_the_threshold_is_read_off_where_the_two_kinds_part() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0.45, 0.08, 200), rng.normal(0.97, 0.02, 100)])
    found = parting(values)
    assert found.read and 0.65 < found.low <= found.threshold <= found.high < 0.93
    few = parting(values[:205])
    assert not few.read and few.threshold == REFERENCE and few.low < REFERENCE < few.high
    one_hill = parting(rng.normal(0.75, 0.1, 500))
    assert not one_hill.read


def test_counts_by_band_add_up() -> None:
    pairs = Pairs(np.arange(4), np.arange(4) + 4, np.array([0.951, 0.965, -0.995, 1.0]), 0.95)
    look = SecondLook(np.arange(4), np.array([0.3, np.nan, 0.99, 1.0]), parting(np.empty(0)))
    counts = look.counts(pairs)
    assert (counts["pairs"], counts["looked_at"], counts["too_small"], counts["confirmed"]) == (4, 3, 1, 2)
    assert [band["pairs"] for band in counts["bands"]] == [1, 1, 0, 0, 2]
    assert [band["confirmed"] for band in counts["bands"]] == [0, 0, 0, 0, 2]
    assert look.only_confirmed(pairs).i.tolist() == [2, 3]
    assert "1 are of pictures too small" in told(counts)[0]
    assert bands_above(0.8)[0] == (0.8, 0.9) and bands_above(1.0) == []


@pytest.fixture
def folder(faces: Path, tmp_path: Path) -> Path:
    """Forty faces, copies of two of them, and two that are alike at 20x20 only: checkers of other colours and noise."""
    place = tmp_path / "pictures"
    place.mkdir()
    for k in range(1, 41):
        (place / f"{k:06d}.jpg").write_bytes((faces / "img_align_celeba" / f"{k:06d}.jpg").read_bytes())
    for k in (1, 2):
        (place / f"copy{k}.jpg").write_bytes(copy_of(place / f"{k:06d}.jpg", moved=0, brighter=20))
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(60, 196, (10, 10, 1)), np.ones((16, 16, 3)))
    for name in "xy":  # one coarse pattern under two fine ones, which pooling takes off
        fine = rng.normal(0, 25, (80, 80, 1)).repeat(2, axis=0).repeat(2, axis=1)
        levels = np.zeros((218, 178, 3), np.uint8)
        levels[29:189, 9:169] = np.clip(coarse + fine, 0, 255)
        (place / f"like{name}.jpg").write_bytes(encoded(levels, 95))
    return place


def names_of(path: Path) -> set[tuple[str, str]]:
    table = pd.read_parquet(path)
    return set(zip(table["name_i"], table["name_j"], strict=True))


def test_confirm_keeps_confirmed_pairs_and_nothing_else_changes(folder: Path, tmp_path: Path) -> None:
    planted = {("000001.jpg", "copy1.jpg"), ("000002.jpg", "copy2.jpg")}
    plain = run([find_input(folder)], tmp_path / "plain", Options(threads=1))
    found = names_of(tmp_path / "plain" / "pairs.parquet")
    assert found >= planted | {("likex.jpg", "likey.jpg")}
    run([find_input(folder)], tmp_path / "confirmed", Options(threads=1, confirm=True))
    assert names_of(tmp_path / "confirmed" / "pairs.parquet") == planted
    removed = [line.split("\t")[0] for line in (tmp_path / "confirmed" / "removed.txt").read_text().splitlines()]
    assert removed == ["copy1.jpg", "copy2.jpg"]
    table = pd.read_parquet(tmp_path / "plain" / "second_look.parquet")
    assert set(zip(table.name_i[table.confirmed], table.name_j[table.confirmed], strict=True)) == planted
    assert plain["second_look"]["pairs"] == plain["counts"]["pairs"] == len(table)
    again = json.loads((tmp_path / "confirmed" / "dedup.json").read_text())["second_look"]
    assert again["confirmed"] == 2 and again["pairs"] == plain["counts"]["pairs"] and again["only_confirmed_kept"]


def test_an_array_has_no_full_size_pictures(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((6, 1, 20, 20)).astype(np.float32)
    images[5] = images[0]
    np.save(tmp_path / "images.npy", images)
    result = run([find_input(tmp_path / "images.npy")], tmp_path / "out", Options(threads=1))
    assert "no full-size pictures" in result["second_look"]["not_looked"]
    assert not (tmp_path / "out" / "second_look.parquet").exists()
    with pytest.raises(InputError, match="--confirm: no full-size pictures"):
        run([find_input(tmp_path / "images.npy")], tmp_path / "out", Options(threads=1, confirm=True))
