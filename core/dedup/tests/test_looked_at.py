"""A file met twice, under two names or in two sets, and what is passed over: said, and not removed as a duplicate."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.pictures import KEEP
from core.dedup.on_disk.inputs import find_input
from core.dedup.on_disk.looked_at import told, warnings
from core.dedup.on_disk.options import Options
from core.dedup.on_disk.run import run
from core.dedup.tests.duplicates import pictures


def save(folder: Path, first: int, images: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for k, image in enumerate(np.round(images * 255).astype(np.uint8), first):
        Image.fromarray(image[0]).save(folder / f"{k:02d}.png")


def test_a_folder_and_its_subfolder(tmp_path: Path) -> None:
    images = pictures(20)
    save(tmp_path / "pics", 0, images[:5])
    save(tmp_path / "pics" / "sub", 5, images[5:9])  # 07 is the negative of 03, which the subfolder does not have
    given = [find_input(tmp_path / "pics", fit=KEEP), find_input(tmp_path / "pics" / "sub", fit=KEEP)]
    result = run(given, tmp_path / "out", Options())
    assert result["looked_at"]["same_file_in_both_sets"] == 4
    assert (tmp_path / "out" / "kept.txt").read_text().split() == ["05.png", "06.png", "08.png"]
    assert (tmp_path / "out" / "removed.txt").read_text().split("\t")[:2] == ["07.png", "03.png"]
    assert result["counts"]["pairs"] == 1
    assert (tmp_path / "out" / "same_files.txt").read_text().splitlines()[0] == "2\t05.png\t1\tsub/05.png"
    assert "the very same file is in both sets, for 4 images" in " ".join(warnings(result))


def test_links_are_other_names_of_one_picture(tmp_path: Path) -> None:
    save(tmp_path / "pics", 0, pictures(20)[4:10])
    os.link(tmp_path / "pics" / "00.png", tmp_path / "pics" / "hard.png")
    (tmp_path / "pics" / "soft.png").symlink_to("01.png")
    (tmp_path / "pics" / "copy.png").write_bytes((tmp_path / "pics" / "02.png").read_bytes())
    result = run([find_input(tmp_path / "pics", fit=KEEP)], tmp_path / "out", Options())
    assert result["counts"]["images"] == [7] and result["counts"]["pairs"] == result["counts"]["removed"] == 1
    assert result["looked_at"]["sets"][0]["same_files"] == 2
    lines = (tmp_path / "out" / "same_files.txt").read_text().splitlines()
    assert lines == ["1\thard.png\t1\t00.png", "1\tsoft.png\t1\t01.png"]
    assert any("2 names lead to a file that has another name" in line for line in warnings(result))
    (tmp_path / "pics" / "hard.png").unlink()
    (tmp_path / "pics" / "soft.png").unlink()
    run([find_input(tmp_path / "pics", fit=KEEP)], tmp_path / "out", Options())
    assert not (tmp_path / "out" / "same_files.txt").exists()


def test_one_tensor_given_twice(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", pictures(20))
    given = find_input(tmp_path / "x.npy")
    result = run([given, given], tmp_path / "out", Options())
    assert result["looked_at"]["same_file_in_both_sets"] == 20
    assert result["counts"]["pairs"] == 6 and result["counts"]["kept"] == 15  # 0-1, 1-2 and 3-7, from both sides


def test_what_is_passed_over_is_counted_by_kind(tmp_path: Path) -> None:
    save(tmp_path / "pics", 0, pictures(9)[:6])
    save(tmp_path / "elsewhere", 0, pictures(9))
    for name in ("a.txt", "b.txt", "c.heic", "README", ".hidden.png"):
        (tmp_path / "pics" / name).write_text("")
    (tmp_path / "pics" / "linked").symlink_to(tmp_path / "elsewhere")
    given = find_input(tmp_path / "pics")
    expected = {".txt": 2, "hidden": 1, "linked folder": 1, ".heic": 1, "without a suffix": 1}
    assert given.passed_over == expected and len(given.names or ()) == 6
    lines = list(told(run([given], tmp_path / "out", Options())))
    assert lines[0].startswith("6 pictures read as crop:40:gray, pooled to 20x20")
    assert lines[-1].startswith("passed over: 2 .txt, 1 ")
