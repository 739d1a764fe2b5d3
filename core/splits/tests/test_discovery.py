"""What a published folder is taken for, whatever lies in it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import InputError
from core.splits.discovery import discover, find_images, role_of
from core.splits.folders import read_folders


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("train", ("train", "")),
        ("TRAIN", ("train", "")),
        ("val2017", ("val", "2017")),
        ("testA", ("test", "a")),
        ("trainlist01", ("train", "01")),
        ("bounding_box_test", ("test", "bounding box")),
        ("fold_3", ("fold 3", "")),
        ("fold", None),
        ("contest", None),
        ("trainer", None),
        ("images", None),
    ],
)
def test_names_of_groups(name: str, role: Any) -> None:
    assert role_of(name) == role


def test_lists_and_what_lies_beside_them(tmp_path: Path) -> None:
    write(tmp_path, test_DOT_txt="b.png\n", train_DOT_txt="a.png\n", ids_DOT_txt="a.png x\nb.png y\n")
    write(tmp_path, README_DOT_txt="words\n", classes_DOT_txt="cat\ndog\n")
    found = discover(tmp_path)
    assert found.lists == {"train": tmp_path / "train.txt", "test": tmp_path / "test.txt"}
    assert found.identities == tmp_path / "ids.txt"
    assert f"{tmp_path} for 2 lists (train.txt, test.txt) and ids.txt" in found.taken_for
    assert [note.text for note in found.notes] == ["not looked at: classes.txt"]


def test_alternative_splits_are_not_mixed(tmp_path: Path) -> None:
    for number in ("01", "02"):
        write(tmp_path, **{f"trainlist{number}_DOT_txt": "a.avi 1\n", f"testlist{number}_DOT_txt": "b.avi\n"})
    found = discover(tmp_path)
    assert list(found.lists) == ["trainlist01", "testlist01"]
    assert any("trainlist02" in note.text for note in found.notes)


def test_tables_named_after_groups(tmp_path: Path) -> None:
    write(tmp_path, train_DOT_csv="image_id,patient_id\na,1\n", val_DOT_csv="image_id,patient_id\nb,2\n")
    found = discover(tmp_path)
    assert found.columns == {"name": "image_id", "identity": "patient_id"}
    assert list(found.lists) == ["train", "val"]


def test_a_table_with_a_split_column_in_a_subfolder(tmp_path: Path) -> None:
    write(tmp_path, meta__train_folds_DOT_csv="image_name,patient_id,kfold,age\na,p,0,3\nb,q,1,4\n")
    found = discover(tmp_path)
    assert found.table == tmp_path / "meta" / "train_folds.csv"
    assert found.columns == {"group": "kfold", "name": "image_name", "identity": "patient_id"}


def test_celeba(tmp_path: Path) -> None:
    write(tmp_path, Eval__list_eval_partition_DOT_txt="000001.jpg 0\n000002.jpg 1\n")
    write(tmp_path, Anno__identity_CelebA_DOT_txt="000001.jpg 1\n000002.jpg 2\n")
    found = discover(tmp_path)
    assert found.table == tmp_path / "Eval" / "list_eval_partition.txt"
    assert found.identities == tmp_path / "Anno" / "identity_CelebA.txt"
    write(tmp_path, list_eval_partition_DOT_csv="image_id,partition\n000001.jpg,0\n")
    assert discover(tmp_path).columns == {"group": "partition", "name": "image_id"}


def test_folders_of_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "train" / "cat" / "1.png", 1)
    picture(tmp_path / "images" / "val" / "dog" / "7.png", 2)
    write(tmp_path, labels__train__1_DOT_txt="0 1 1 1\n", labels__val__7_DOT_txt="0 1 1 1\n")
    found = discover(tmp_path)
    assert found.folders == {"train": tmp_path / "images" / "train", "val": tmp_path / "images" / "val"}


def test_equal_bytes_are_one_image_whatever_their_names(tmp_path: Path) -> None:
    for path, seed in {"train/1.png": 1, "train/2.png": 2, "test/1.png": 3, "test/x/9.png": 2}.items():
        picture(tmp_path / path, seed)
    write(tmp_path, train__labels_DOT_csv="x\n", test__notes="x\n")
    (tmp_path / "train" / ".hidden.png").write_bytes(b"")
    read = read_folders({"train": tmp_path / "train", "test": tmp_path / "test"}, tmp_path)
    image = read.membership.image
    assert [image.values[code] for code in image.codes] == ["train/1.png", "train/2.png", "test/1.png", "train/2.png"]
    assert read.membership.group.tolist() == [0, 0, 1, 1]
    assert [note.text for note in read.notes] == ["3 files that are no pictures (1 hidden, 1 .csv, 1 without a suffix)"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="group empty has no picture"):
        read_folders({"train": tmp_path / "train", "empty": tmp_path / "empty"}, tmp_path)


def test_images_are_found_where_they_lie(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / "img_align_celeba" / "img_align_celeba" / f"{name}.png", 1)
    inner = tmp_path / "img_align_celeba" / "img_align_celeba"
    assert find_images(tmp_path, ["a.png", "b.png"]) == (inner, 0)
    assert find_images(tmp_path, ["a.png", "b.png", "c.png"]) == (inner, 1)
    assert find_images(tmp_path, ["x\0", "y" * 5000, "../z"]) == (None, 3)


@pytest.mark.parametrize("what", ["nothing", "a list", "unrelated", "no folder", "a file"])
def test_what_is_no_split_is_refused(tmp_path: Path, what: str) -> None:
    root = tmp_path / "x"
    if what == "a file":
        root.write_text("train.png\n")
    elif what != "no folder":
        root.mkdir()
    if what == "a list":
        write(root, train_DOT_txt="a.png\n")
    if what == "unrelated":
        write(root, notes_DOT_csv="a,b\n1,2\n", train__x_DOT_wav="", test__y_DOT_wav="")
    with pytest.raises(InputError, match=r"found no split|no such folder|expected a folder") as refused:
        discover(root)
    assert "\n" not in str(refused.value)


NAMES = st.sampled_from(
    ["train", "test", "val", "trainA", "testB", "fold1", "fold_2", "images", "data", "a b", "[/x]", "ü", "%s", ".h"]
)
SUFFIX = st.sampled_from([".txt", ".csv", ".tsv", ".parquet", ".png", ".jpg", ".gz", ".csv.gz", ".lst", ""])
CONTENT = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"a.png\nb.png\n", b"name,split\na,train\nb,test\n", b"image_id,partition\n1.png,0\n", b"\xff\xfe", b"PAR1"]
    ),
)
TREES = st.dictionaries(st.tuples(st.lists(NAMES, max_size=3).map(tuple), NAMES, SUFFIX), CONTENT, max_size=8)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREES)
def test_any_tree_is_taken_for_something_or_refused_in_a_line(tmp_path_factory: Any, tree: Any) -> None:
    root = tmp_path_factory.mktemp("tree")
    for (folders, name, suffix), content in tree.items():
        path = root.joinpath(*folders, name + suffix)
        if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    try:
        found = discover(root)
    except InputError as refused:
        assert len(str(refused)) < 1000
        return
    assert found.lists or found.folders or found.table
    assert found.taken_for
    for path in (*found.lists.values(), *([found.table] if found.table else [])):
        assert path.is_file()
    assert len(found.lists) != 1
    assert len(found.folders) != 1
