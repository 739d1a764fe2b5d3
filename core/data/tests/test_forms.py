"""Every form of a collection, read from a file that the library which owns the form has written."""

import gzip
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.collections.collection import Collection, positions
from core.data.collections.find import find_collection, open_collection
from core.data.pictures import KEEP, Fit, read_picture
from core.data.tests.corpora import corpus_of
from core.errors import InputError

FORMS = Path(__file__).parent / "forms"  # its README says what wrote each file
PIXELS = np.load(FORMS / "pixels.npy")  # (4, 12, 16, 3) levels
NAMES = ("n0_0.png", "n0_1.png", "n1_2.png", "n1_3.png")


def pixels_of(collection: Collection, at: list[int] | None = None) -> np.ndarray:
    """(n, h, w, c) levels of some pictures, or of all."""
    wanted = list(range(len(collection))) if at is None else at
    return np.stack([read_picture(one, KEEP).transpose(1, 2, 0) for one in collection.stored(wanted)])


def write_idx(path: Path, array: np.ndarray) -> None:
    """Bytes as MNIST's: 0, 0, type, axes, sizes, values."""
    data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The four pictures in folders of their persons."""
    for name, pixels in zip(NAMES, PIXELS, strict=True):
        (tmp_path / "people" / name[:2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "people" / name[:2] / name)
    return tmp_path / "people"


def test_hugging_face_parquet() -> None:
    found = open_collection(FORMS / "datasets.parquet")
    assert found.names == NAMES
    np.testing.assert_array_equal(pixels_of(found), PIXELS)
    np.testing.assert_array_equal(pixels_of(found, [1, 3]), PIXELS[[1, 3]])
    assert found.columns["label"].tolist() == ["cat", "dog", "cat", "dog"]  # the classes by their names
    assert found.columns["celeb_id"].tolist() == [100, 100, 101, 101]


def test_a_saved_data_set() -> None:
    found = open_collection(FORMS / "saved")
    assert found.names == NAMES and found.columns["label"].tolist() == ["cat", "dog", "cat", "dog"]
    np.testing.assert_array_equal(pixels_of(found), PIXELS)
    np.testing.assert_array_equal(pixels_of(found, [2]), PIXELS[[2]])


def test_saved_splits() -> None:
    found = open_collection(FORMS / "saved_splits")
    assert found.names == ("train/n0_0.png", "train/n0_1.png", "train/n1_2.png", "test/n1_3.png")
    np.testing.assert_array_equal(pixels_of(found), PIXELS)
    one = open_collection(FORMS / "saved_splits::test")
    assert one.names == ("n1_3.png",)
    np.testing.assert_array_equal(pixels_of(one), PIXELS[3:])


def test_shards_of_webdataset() -> None:
    found = open_collection(FORMS / "shards")
    assert found.names == ("shard-000000/n0_0.png", "shard-000001/n1_3.png")
    np.testing.assert_array_equal(pixels_of(found), PIXELS[[0, 3]])
    assert {key: column.tolist() for key, column in found.columns.items()} == {
        "cls": ["0", "1"],
        "celeb_id": ["100", "101"],
    }
    one = open_collection(FORMS / "shards" / "shard-000001.tar")
    assert one.names == ("n1_3.png",)
    np.testing.assert_array_equal(pixels_of(one), PIXELS[3:])


def test_hdf5() -> None:
    pytest.importorskip("h5py")
    found = open_collection(FORMS / "h5py.h5")
    assert found.names == ("000000", "000001", "000002", "000003") and found.pixels == ((3, 12, 16), np.dtype("u1"))
    assert found.remark is not None and "channels last" in found.remark
    np.testing.assert_array_equal(pixels_of(found), PIXELS)
    np.testing.assert_array_equal(pixels_of(found, [1, 3]), PIXELS[[1, 3]])
    assert found.columns["labels"].tolist() == [0, 1, 0, 1]
    assert found.columns["celeb_id"].tolist() == [100, 100, 101, 101]


def test_hdf5_without_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(InputError, match=r"HDF5 needs h5py; pip install 'samenoise\[hdf5\]' brings it"):
        open_collection(FORMS / "h5py.h5")


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_idx_as_torchvision_reads_it(tmp_path: Path, packed: str) -> None:
    from core.metrics.lpips_models import import_lpips

    import_lpips()  # makes torchvision importable beside any build of torch
    from torchvision.datasets import mnist

    gray = PIXELS[..., 0]
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, chosen in (("train", gray[:3]), ("t10k", gray[3:])):
        write_idx(raw / f"{part}-images-idx3-ubyte{packed}", chosen)
        write_idx(raw / f"{part}-labels-idx1-ubyte{packed}", np.arange(len(chosen), dtype=np.uint8))
    found = open_collection(raw.parent)
    assert found.names == ("t10k/000000", "train/000000", "train/000001", "train/000002")
    assert found.columns["labels"].tolist() == [0, 0, 1, 2]
    one = open_collection(raw / f"train-images-idx3-ubyte{packed}")
    assert one.names == ("000000", "000001", "000002") and one.columns["labels"].tolist() == [0, 1, 2]
    if not packed:
        theirs = mnist.read_image_file(str(raw / "train-images-idx3-ubyte")).numpy()
        np.testing.assert_array_equal(pixels_of(one)[..., 0], theirs)
        assert mnist.read_label_file(str(raw / "train-labels-idx1-ubyte")).tolist() == [0, 1, 2]
    np.testing.assert_array_equal(pixels_of(one)[..., 0], gray[:3])
    np.testing.assert_array_equal(pixels_of(found, [0, 2, 3])[..., 0], gray[[3, 1, 2]])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_in_the_layout_of_medmnist(tmp_path: Path, save: object) -> None:
    arrays: dict[str, np.ndarray] = {}
    for part, at in (("train", [0, 1]), ("val", [2]), ("test", [3])):
        arrays |= {f"{part}_images": PIXELS[at], f"{part}_labels": np.array(at, np.uint8)[:, None]}
    save(tmp_path / "bloodmnist.npz", **arrays)  # type: ignore[operator]
    found = open_collection(tmp_path / "bloodmnist.npz")
    assert found.names == ("train/000000", "train/000001", "val/000000", "test/000000")
    assert found.columns["labels"].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(pixels_of(found), PIXELS)
    one = open_collection(tmp_path / "bloodmnist.npz::val")
    assert one.names == ("000000",) and one.columns["labels"].tolist() == [2]
    np.testing.assert_array_equal(pixels_of(one), PIXELS[[2]])


def test_npz_with_one_array_of_any_type(tmp_path: Path) -> None:
    values = PIXELS[..., 0] / 255
    np.savez(tmp_path / "x.npz", x=values, y=np.array([5, 5, 6, 7]))
    found = open_collection(tmp_path / "x.npz")
    assert found.pixels == ((1, 12, 16), np.dtype("f8")) and found.columns["y"].tolist() == [5, 5, 6, 7]
    np.testing.assert_array_equal(pixels_of(found)[..., 0], values)


def test_a_zip_of_pictures(tmp_path: Path, folder: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.png"), reverse=True):
            archive.write(path, path.relative_to(tmp_path))
        archive.writestr("people/notes.txt", "")
        archive.writestr("__MACOSX/people/n0/._n0_0.png", "")
    found = open_collection(tmp_path / "x.zip")
    assert found.names == tuple(f"people/{name[:2]}/{name}" for name in NAMES)
    assert found.passed_over == {".txt": 1, "hidden": 1}
    np.testing.assert_array_equal(pixels_of(found), PIXELS)


def test_a_folder_with_subfolders(folder: Path) -> None:
    found = open_collection(folder)
    assert found.names == tuple(f"{name[:2]}/{name}" for name in NAMES)
    np.testing.assert_array_equal(pixels_of(found, [0, 2]), PIXELS[[0, 2]])
    assert positions(found, ["n1_3.png", "n0/n0_0.png"]) == [3, 0]


def test_identities_and_attributes_of_every_source(tmp_path: Path, folder: Path) -> None:
    by_folder, told = corpus_of(folder, tmp_path / "1", identity="folder", attributes=["folder"])
    assert by_folder.identities is not None and by_folder.identities.tolist() == [0, 0, 1, 1]
    assert "identities are numbered in the order of their names: 'n0' is 0, 'n1' is 1" in told
    assert by_folder.attributes is not None
    assert by_folder.attributes.to_dict("list") == {"folder=n0": [1, 1, -1, -1], "folder=n1": [-1, -1, 1, 1]}
    by_name, _ = corpus_of(folder, tmp_path / "2", identity=r"_(\d+)\.", attributes=[r"/n(\d)_"])
    assert by_name.identities is not None and by_name.identities.tolist() == [0, 1, 2, 3]
    assert by_name.attributes is not None and list(by_name.attributes) == ["name=0", "name=1"]
    assert by_name.attributes["name=1"].tolist() == [-1, -1, 1, 1]
    column, _ = corpus_of(FORMS / "saved", tmp_path / "3", identity="celeb_id", attributes=["label"])
    assert column.identities is not None and column.identities.tolist() == [100, 100, 101, 101]
    assert column.attributes is not None and column.attributes["label=dog"].tolist() == [-1, 1, -1, 1]


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({"identity": "person"}, r"has no such column; expected one of folder, or a pattern with a group"),
        ({"identity": r"x(\d)"}, r"found nothing in 'n0/n0_0.png'; expected it in each name"),
        ({"identity": r"(n)(\d)"}, r"found 2 groups, expected one"),
        ({"identity": r"n("}, r"not a regular expression"),
    ],
)
def test_sources_that_say_nothing(tmp_path: Path, folder: Path, known: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        corpus_of(folder, tmp_path / "out", **known)


def test_arrays_keep_their_size_or_are_fitted_as_pictures(tmp_path: Path, folder: Path) -> None:
    np.savez(tmp_path / "x.npz", images=PIXELS)
    kept, _ = corpus_of(tmp_path / "x.npz", tmp_path / "kept", fit=KEEP)
    np.testing.assert_array_equal(
        kept.images.numpy(), PIXELS.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    )
    fitted, _ = corpus_of(tmp_path / "x.npz", tmp_path / "fitted", fit=Fit("crop", 10))
    pictures, _ = corpus_of(folder, tmp_path / "pictures", fit=Fit("crop", 10))
    assert (fitted.images == pictures.images).all()


def test_another_file_is_none() -> None:
    assert find_collection(Path(__file__)) is None
    assert find_collection(FORMS / "nowhere.zip") is None
