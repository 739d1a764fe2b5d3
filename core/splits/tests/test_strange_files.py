"""Lists, tables and folders that are commonly written in a way that hides a leak: each is counted, noted or refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from core.errors import InputError
from core.splits.discovery import discover
from core.splits.folders import read_folders
from core.splits.leakage import count_leakage
from core.splits.tests.test_reading import count, lists, write


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (9, 9, 3)).astype(np.uint8)).save(path)


@pytest.mark.parametrize("mark", [":", "=", " : ", "/"])
def test_a_label_behind_a_mark_is_no_part_of_the_name(tmp_path: Path, mark: str) -> None:
    with pytest.raises(InputError, match=r"a\.txt, line 1: found 'x\.jpg.*a name and a label apart by"):
        lists(tmp_path, f"x.jpg{mark}1\ny.jpg{mark}2\n", f"x.jpg{mark}2\nz.jpg{mark}1\n")


@pytest.mark.parametrize("first", [0, 1])
def test_a_number_in_front_or_nothing_at_the_end_is_refused(tmp_path: Path, first: int) -> None:
    """Row numbers, or delimiters at line ends: what one reading takes for the image is the other's row number."""
    rows = "".join(f"{first + k},im{k % 2}.png,P{k},{('train', 'test')[k // 2]},\n" for k in range(4))
    with pytest.raises(InputError, match="every row has a value more than the header"):
        count(tables=[write(tmp_path, "t.csv", "file,who,split,text\n" + rows)], identity_column="who")


def test_marks_in_names_without_a_label_stay(tmp_path: Path) -> None:
    found, _ = lists(tmp_path, "a:1.jpg\nb=2.jpg\n", "a:1.jpg\nc=2.jpg\n")
    assert found.pairs[0].shared_images == 1


@pytest.mark.parametrize("other", ["\u200b5", "+5", "'5'", "5\u2060"])
def test_invisible_marks_quotes_and_signs_are_noted(tmp_path: Path, other: str) -> None:
    path = write(tmp_path, "t.csv", f"name,who,group\nx,5,a\nx2,B,a\ny,{other},b\ny2,C,b\n")
    found, notes = count(tables=[path], identity_column="who")
    assert found.pairs[0].shared_identities == 1 or "1 identities are in two groups under spellings" in notes


def test_a_delimiter_at_the_end_of_rows_shifts_no_column(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", "name,who,group\nx,p,a,\ny,q,a,\ny,q,b,\nz,p,b,\n")
    found, notes = count(tables=[path], identity_column="who")
    assert (found.pairs[0].shared_images, found.pairs[0].shared_identities) == (1, 2)
    assert "4 rows end in delimiters that the header lacks" in notes


def test_quoted_values_apart_by_blanks_as_r_writes_them(tmp_path: Path) -> None:
    content = '"name" "who" "group"\n"1" "x y.jpg" "p" "a"\n"2" "z.jpg" "q" "a"\n"3" "x y.jpg" "p" "b"\n'
    found, _ = count(tables=[write(tmp_path, "t.txt", content)], name_column="name", identity_column="who")
    assert (found.pairs[0].shared_images, found.pairs[0].shared_identities) == (1, 1)


@pytest.mark.parametrize("none", ["<NA>", "#N/A", "n/a"])
def test_what_pandas_and_spreadsheets_write_for_no_identity(tmp_path: Path, none: str) -> None:
    path = write(tmp_path, "t.csv", f"name,who,group\nx,{none},a\ny,q,a\nz,{none},b\n")
    with pytest.raises(InputError, match="2 of 3 rows have no who"):
        count(tables=[path], identity_column="who")


def test_a_linked_folder_is_entered_once(tmp_path: Path) -> None:
    picture(tmp_path / "train/0.png", 0)
    picture(tmp_path / "test/1.png", 1)
    (tmp_path / "test/more").symlink_to("../train")
    (tmp_path / "test/itself").symlink_to(".")
    found = read_folders({g: tmp_path / g for g in ("train", "test")}, tmp_path)
    assert len(found.files) == 3
    assert count_leakage(found.membership).pairs[0].shared_images == 1


def test_a_folder_of_pictures_beside_the_groups_is_named(tmp_path: Path) -> None:
    for at, name in enumerate(("train", "test", "unlabeled")):
        picture(tmp_path / name / "0.png", at)
    assert "not looked at: unlabeled" in "\n".join(map(str, discover(tmp_path).notes))


def test_pieces_of_a_list_are_not_left_out(tmp_path: Path) -> None:
    for name in ("train-00000.txt", "train-00001.txt", "test-00000.txt"):
        write(tmp_path, name, "a.jpg\n")
    with pytest.raises(InputError, match="of one group; join them"):
        discover(tmp_path)


def test_the_column_of_identities_is_not_guessed_to_be_the_image(tmp_path: Path) -> None:
    for name in "ab":
        pq.write_table(pa.table({"image": [{"path": f"{name}.jpg"}], "who": [f"p{name}.jpg"]}), tmp_path / name)
    with pytest.raises(InputError, match="say which names the image"):
        count(groups=[f"{name}={tmp_path / name}" for name in "ab"], identity_column="who")


@pytest.mark.parametrize(
    "form", ["x.jpg@{}", "x.jpg->{}", "x.jpg({})", "x.jpg:0.{}", "{}:x.jpg", "c{}:x.jpg", "000005:{}", "x.jpg?s={}"]
)
def test_names_that_differ_by_a_label_at_a_mark_are_noted(tmp_path: Path, form: str) -> None:
    found, notes = lists(tmp_path, f"{form.format(1)}\ny.png\n", f"{form.format(2)}\nz.png\n")
    assert found.pairs[0].shared_images == 0 and "1 names are in two groups but for what stands" in notes
