"""Folders of pictures as input of the search: bad ones, deep ones, nested ones, and what is refused before reading."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.data import gather
from core.data.pictures import KEEP, Fit, read_picture
from core.dedup.on_disk import run as dedup_run
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.dedup.tests.duplicates import pictures
from core.errors import InputError


def save(folder: Path, images: np.ndarray, first: int = 0) -> None:
    """8-bit pictures NN.png of (n, 1, h, w) values in [0, 1]."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, image in enumerate(np.round(images * 255).astype(np.uint8), first):
        Image.fromarray(image[0]).save(folder / f"{k:02d}.png")


def names_of_pairs(out: Path) -> set[tuple[str, str]]:
    pairs = pd.read_parquet(out / "pairs.parquet")
    return set(zip(pairs["name_i"], pairs["name_j"], strict=True))


def truncated(path: Path) -> None:
    """A picture whose header is good and whose pixels end in the middle."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (20, 20), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:200])


def test_bad_pictures_are_named_or_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    save(folder, pictures(30))
    (folder / "10.png").write_bytes(b"not a picture")
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(folder / "20.png")
    given = find_input(folder, fit=KEEP)
    with pytest.raises(InputError, match=r"10\.png: not a readable picture"):
        run([given], tmp_path / "out", Options())
    (folder / "10.png").unlink()
    with pytest.raises(InputError, match=r"20\.png: found 1x40x40 .* expected 1x20x20 like 28 of the 29"):
        run([find_input(folder, fit=KEEP)], tmp_path / "out", Options())
    (folder / "10.png").write_bytes(b"not a picture")
    result = run([find_input(folder, fit=KEEP)], tmp_path / "out", Options(skip_bad=True))
    counts = result["counts"]
    assert counts["images"] == [30] and counts["skipped"] == 2  # as for a tensor: all that were given
    assert counts["kept"] + counts["removed"] + counts["skipped"] == 30
    assert names_of_pairs(tmp_path / "out") == {
        ("00.png", "01.png"),
        ("01.png", "02.png"),
        ("03.png", "07.png"),
    }
    (folder / "10.png").unlink()
    run([find_input(folder, fit=Fit("crop", 20))], tmp_path / "resized", Options())


def test_all_unreadable_pictures_are_listed_and_leaving_them_out_decodes_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "folder", tmp_path / "out"
    save(folder, pictures(30))
    for k in (10, 20, 25):
        truncated(folder / f"{k}.png")
    with pytest.raises(InputError, match=r"10\.png: not a readable picture .*; 2 more such images are listed in"):
        run([find_input(folder, fit=KEEP)], out, Options())
    listed = [line.split("\t")[0] for line in (out / "unusable.txt").read_text().splitlines()]
    assert listed == ["10.png", "20.png", "25.png"]
    monkeypatch.setattr(dedup_run, "read_picture", None)
    result = run([find_input(folder, fit=KEEP)], out, Options(skip_bad=True))
    assert result["counts"]["skipped"] == 3 and not (out / "unusable.txt").exists()
    assert [line.split("\t")[0] for line in (out / "skipped.txt").read_text().splitlines()] == listed


def test_an_odd_first_picture_does_not_cost_the_others(tmp_path: Path) -> None:
    save(tmp_path / "folder", pictures(30))
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / "folder" / "00.png")
    result = run([find_input(tmp_path / "folder", fit=KEEP)], tmp_path / "out", Options(skip_bad=True))
    assert result["counts"]["skipped"] == 1 and names_of_pairs(tmp_path / "out") == {
        ("01.png", "02.png"),
        ("03.png", "07.png"),
    }


def test_a_folder_where_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").write_bytes(b"no")
    with pytest.raises(InputError, match=r"none of its 1 pictures can be read; .*a\.png"):
        run([find_input(tmp_path / "folder", fit=KEEP)], tmp_path / "out", Options(skip_bad=True))
    (tmp_path / "folder" / "a.png").unlink()
    truncated(tmp_path / "folder" / "a.png")
    with pytest.raises(InputError, match="none of its 1 pictures can be read"):
        run([find_input(tmp_path / "folder", fit=KEEP)], tmp_path / "out", Options(skip_bad=True))


def test_sixteen_bits_are_not_cut_off_at_eight(tmp_path: Path) -> None:
    levels = (np.round(pictures(30) * 65535)).astype(np.uint16)
    for k, image in enumerate(levels):
        Image.fromarray(image[0]).save(tmp_path / f"{k:02d}.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "04.png", KEEP), levels[4] / np.float32(65535))
    small = read_picture(tmp_path / "04.png", Fit("crop", 10))
    assert small.std() > 0.03 and abs(small.mean() - levels[4].mean() / 65535) < 0.01
    squeezed = read_picture(tmp_path / "04.png", Fit("squeeze", 40))
    assert squeezed.std() > 0.1 and abs(squeezed.mean() - levels[4].mean() / 65535) < 0.01
    run([find_input(tmp_path, fit=KEEP)], tmp_path / "out", Options())
    assert names_of_pairs(tmp_path / "out") == {
        ("00.png", "01.png"),
        ("01.png", "02.png"),
        ("03.png", "07.png"),
    }


def test_thirty_two_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((20, 20), np.float32)).save(tmp_path / "a.tiff")
    for fit in (KEEP, Fit("crop", 20)):
        with pytest.raises(InputError, match=r"a\.tiff: not a readable picture \(32 bits a pixel"):
            run([find_input(tmp_path, fit=fit)], tmp_path / "out", Options())
    with pytest.raises(InputError, match="32 bits a pixel"):
        read_picture(tmp_path / "a.tiff", Fit("crop", 20))


def test_deep_and_plain_pictures_in_one_folder(tmp_path: Path) -> None:
    images = pictures(10)
    save(tmp_path / "folder", images[:9])
    Image.fromarray(np.round(images[0, 0] * 65535).astype(np.uint16)).save(tmp_path / "folder" / "09.png")
    run([find_input(tmp_path / "folder", fit=KEEP)], tmp_path / "out", Options())
    assert ("00.png", "09.png") in names_of_pairs(tmp_path / "out")


def test_folders_of_classes_are_read_with_relative_names(tmp_path: Path) -> None:
    images = pictures(30)
    save(tmp_path / "set" / "cats", images[:5])
    save(tmp_path / "set" / "dogs", images[5:], first=5)
    save(tmp_path / "set" / ".thumbnails", images[:2])
    run([find_input(tmp_path / "set", fit=KEEP)], tmp_path / "out", Options())
    assert ("cats/03.png", "dogs/07.png") in names_of_pairs(tmp_path / "out")
    assert len((tmp_path / "out" / "kept.txt").read_text().splitlines()) == 27


@pytest.mark.parametrize(
    ("side", "options", "message"),
    [
        (20, {"memory": "100kB"}, "cannot hold a tile"),
        (20, {"device": "abacus"}, "device: cannot use 'abacus'"),
        (20, {"threads": 0}, "threads: expected at least 1, got 0"),
        (
            2000,
            {"memory": "64MB", "size": 20},
            r"cannot hold .*00\.png while it is decoded; expected at least 96000000",
        ),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, options: dict[str, Any], message: str
) -> None:
    save(tmp_path / "folder", np.zeros((2, 1, side, side)))
    monkeypatch.setattr(dedup_run, "read_picture", None)
    with pytest.raises(InputError, match=message) as error:
        run([find_input(tmp_path / "folder", fit=KEEP)], tmp_path / "out", Options(**options))
    assert "\n" not in str(error.value)


def test_two_sets_that_do_not_match_are_refused_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a", np.zeros((2, 1, 20, 20)))
    np.save(tmp_path / "b.npy", np.zeros((2, 3, 20, 20), np.float32))
    monkeypatch.setattr(dedup_run, "read_picture", None)
    with pytest.raises(InputError, match=r"b\.npy: found 1200 pooled values an image, expected 400"):
        run([find_input(tmp_path / "a", fit=KEEP), find_input(tmp_path / "b.npy")], tmp_path / "out", Options())


def test_batches_hold_as_many_pictures_as_the_memory() -> None:
    sizes = np.array([10, 10, 10, 50, 10, 10])
    assert list(gather._batches(sizes, 0, 30)) == [(0, 3), (3, 4), (4, 6)]
    assert list(gather._batches(sizes, 4, 30)) == [(4, 6)]
    assert max(high - low for low, high in gather._batches(np.ones(1000, int), 0, 10**9)) == 256


def test_a_picture_that_vanishes_is_named(tmp_path: Path) -> None:
    save(tmp_path / "folder", np.zeros((4, 1, 20, 20)))
    given = find_input(tmp_path / "folder", fit=KEEP)
    (tmp_path / "folder" / "02.png").unlink()
    with pytest.raises(InputError, match=r"02\.png: was listed a moment ago and cannot be read now"):
        run([given], tmp_path / "out", Options())


def test_what_stands_where_celeba_has_its_folder(tmp_path: Path) -> None:
    (tmp_path / "img_align_celeba").write_text("")
    with pytest.raises(InputError, match="img_align_celeba: found a file, expected CelebA's folder of pictures"):
        find_input(tmp_path)


def test_names_that_a_list_cannot_hold(tmp_path: Path) -> None:
    save(tmp_path, np.zeros((2, 1, 20, 20)))
    (tmp_path / "00.png").rename(tmp_path / "0\n0.png")
    with pytest.raises(InputError, match=r"the name '0\\n0\.png' holds a character that a list cannot show"):
        find_input(tmp_path)
