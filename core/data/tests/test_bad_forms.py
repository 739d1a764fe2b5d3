"""Collections that are broken, or that should not be trusted: one line that names the file, and nothing is lost."""

import gzip
import io
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from core.data.collections import collection
from core.data.collections.find import open_collection
from core.data.pictures import KEEP, read_header
from core.data.tests.corpora import corpus_of
from core.data.tests.test_forms import FORMS, PIXELS, write_idx
from core.errors import InputError


def png(k: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS[k]).save(stream, "PNG")
    return stream.getvalue()


def write_zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def write_parquet(path: Path, pictures: list[bytes | None]) -> None:
    rows = [{"bytes": data, "path": f"{k}.png"} for k, data in enumerate(pictures)]
    pq.write_table(pa.table({"image": rows}), path)


def refused(path: Path, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        open_collection(path)
    assert "\n" not in str(caught.value) and path.name.partition("::")[0] in str(caught.value)


@pytest.mark.parametrize("form", ["folder", "zip", "tar", "parquet"])
def test_a_picture_cut_short_is_named_or_left_out(tmp_path: Path, form: str) -> None:
    pictures = [png(0), png(1)[:200], png(2)]
    path = tmp_path / f"x.{form}"
    if form == "folder":
        path.mkdir()
        for k, data in enumerate(pictures):
            (path / f"{k}.png").write_bytes(data)
    elif form == "zip":
        write_zip(path, {f"{k}.png": data for k, data in enumerate(pictures)})
    elif form == "tar":
        write_tar(path, [(f"{k}.png", data) for k, data in enumerate(pictures)])
    else:
        write_parquet(path, list(pictures))
    out = tmp_path / "out"
    with pytest.raises(InputError, match=rf"x\.{form}/1\.png: not a readable picture .*; --skip-bad leaves it out"):
        corpus_of(path, out)
    assert not (out / "corpus.json").exists()
    corpus, _ = corpus_of(path, out, skip_bad=True)
    assert corpus.names == ("0.png", "2.png")
    assert (out / "skipped.txt").read_text().startswith("1.png\t")


def test_what_is_done_with_odd_pictures_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    Image.fromarray(PIXELS[0]).convert("CMYK").save(tmp_path / "x" / "inks.jpg")
    frames = [Image.fromarray(pixels) for pixels in PIXELS]
    frames[0].save(tmp_path / "x" / "moves.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(PIXELS[0, :, :, 0].astype(np.uint16) * 257).save(tmp_path / "x" / "deep.png")
    corpus, told = corpus_of(tmp_path / "x", tmp_path / "out", size=8)
    assert (
        told
        == [
            "1 pictures of four inks (CMYK), turned to red, green and blue without a colour profile",
            "1 pictures of several frames or pages, read by their first",
        ]
        and len(corpus) == 3
    )
    assert read_header(tmp_path / "x" / "deep.png", KEEP).deep  # 16 bits are read whole: nothing to tell


def test_tables_without_pictures() -> None:
    refused(FORMS / "no_image.parquet", r"found no image columns, .*; it has caption \(string\), label \(int64\)")
    refused(FORMS / "datasets.parquet::picture", r"found no image column 'picture', .*; it has image \(struct")
    (stored,) = open_collection(FORMS / "paths_only.parquet").stored([0])
    assert isinstance(stored.data, InputError)
    assert "row 0: holds only the path 'a.png', expected the picture's bytes" in str(stored.data)


def test_a_table_of_two_image_columns_is_asked_about(tmp_path: Path) -> None:
    rows = [{"bytes": png(), "path": "a.png"}]
    pq.write_table(pa.table({"front": rows, "back": rows}), tmp_path / "x.parquet")
    refused(tmp_path / "x.parquet", r"found 2 image columns, .*; x\.parquet::COLUMN says which")
    assert open_collection(tmp_path / "x.parquet::back").names == ("a.png",)


def test_paths_that_repeat_become_row_numbers(tmp_path: Path) -> None:
    rows = [{"bytes": png(k), "path": name} for k, name in enumerate(("a.png", "a.png", "b.png"))]
    pq.write_table(pa.table({"image": rows}), tmp_path / "x.parquet")
    assert open_collection(tmp_path / "x.parquet").names == ("000000", "000001", "000002")


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=PIXELS, labels=np.array([{}, {}, {}, {}]))
    refused(tmp_path / "x.npz", "labels: holds pickled Python objects, which are never loaded")


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "x/../../a.png", "..\\a.png", "C:\\a.png"])
def test_paths_that_climb_are_refused(tmp_path: Path, name: str) -> None:
    write_tar(tmp_path / "x.tar", [("b.png", png()), (name, png())])
    refused(tmp_path / "x.tar", "holds the path .*, which leads out of it")
    write_zip(tmp_path / "x.zip", {"b.png": png(), name: png()})
    refused(tmp_path / "x.zip", "holds the path .*, which leads out of it")


def test_links_in_a_tar_are_passed_over(tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", [("a.png", png())])
    with tarfile.open(tmp_path / "x.tar", "a") as archive:
        info = tarfile.TarInfo("b.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(info)
    found = open_collection(tmp_path / "x.tar")
    assert found.names == ("a.png",) and found.passed_over == {"link or device": 1}


def test_what_unpacks_to_far_more_than_pictures_do_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = np.zeros((50, 100, 100), np.uint8)
    np.savez_compressed(tmp_path / "x.npz", images=zeros)
    write_idx(tmp_path / "x-images-idx3-ubyte.gz", zeros)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bmp", bytes(500_000))
    paths = [tmp_path / "x.npz", tmp_path / "x-images-idx3-ubyte.gz", tmp_path / "x.zip"]
    for path in paths:
        assert len(open_collection(path)) in (1, 50)  # half a megabyte is nothing yet
    monkeypatch.setattr(collection, "UNPACKED", 100_000)
    for path in paths:
        refused(path, r"bytes that unpack to 500,\d+, expected at most 200 times their size beyond 100,000 bytes")


def test_two_pictures_of_one_name(tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", [("a.png", png(0)), ("./a.png", png(1))])
    refused(tmp_path / "x.tar", "found two pictures called 'a.png'")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", png(0))
        archive.writestr("a.png", png(1))
    refused(tmp_path / "x.zip", "found two pictures called 'a.png'")
    for sub in ("one", "two"):
        (tmp_path / "x" / sub).mkdir(parents=True)
        (tmp_path / "x" / sub / "a.png").write_bytes(png())
    (tmp_path / "t.csv").write_text("name\na.png\n")
    with pytest.raises(InputError, match=r"'a\.png' names 2 pictures, 'one/a\.png' and 'two/a\.png'"):
        corpus_of(tmp_path / "x", tmp_path / "out", table=tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("name\ntwo/a.png\n")
    assert corpus_of(tmp_path / "x", tmp_path / "out", table=tmp_path / "t.csv")[0].names == ("two/a.png",)


def test_names_that_a_list_cannot_show(tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", [("a\tb.png", png())])
    refused(tmp_path / "x.tar", "holds a character that a list cannot show")


def test_archives_cut_short(tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", [("a.png", png(0)), ("b.png", png(1))])
    whole = (tmp_path / "x.tar").read_bytes()
    with tarfile.open(tmp_path / "x.tar") as archive:
        last = archive.getmember("b.png")
    for length in (last.offset_data + 100, last.offset_data, last.offset + 100, last.offset):
        (tmp_path / "x.tar").write_bytes(whole[:length])
        refused(tmp_path / "x.tar", r"cut short|not a readable tar file \(truncated|end of data")
    for after in (whole, b"garbage" * 200):
        (tmp_path / "x.tar").write_bytes(whole + after)
        refused(tmp_path / "x.tar", "holds something after byte .* that is no member")
    damaged = bytearray(whole)
    damaged[last.offset + 150] ^= 255  # the checksum of its header
    (tmp_path / "x.tar").write_bytes(bytes(damaged))
    refused(tmp_path / "x.tar", "holds something after byte .* that is no member")
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(whole))
    refused(tmp_path / "x.tar.gz", r"not a readable tar file \(gzip; gunzip it first\)")
    write_zip(tmp_path / "x.zip", {"a.png": png()})
    (tmp_path / "x.zip").write_bytes((tmp_path / "x.zip").read_bytes()[:-30])
    refused(tmp_path / "x.zip", "not a readable zip file")
    shutil.copyfile(FORMS / "datasets.parquet", tmp_path / "x.parquet")
    (tmp_path / "x.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:-30])
    refused(tmp_path / "x.parquet", "not a readable parquet file")
    shutil.copytree(FORMS / "saved", tmp_path / "saved")
    data = tmp_path / "saved" / "data-00000-of-00001.arrow"
    data.write_bytes(data.read_bytes()[:1200])
    with pytest.raises(InputError, match=r"data-00000-of-00001\.arrow: not a readable Arrow file"):
        open_collection(tmp_path / "saved")
    data.unlink()
    with pytest.raises(InputError, match=r"data-00000-of-00001\.arrow: not a readable Arrow file"):
        open_collection(tmp_path / "saved")


def test_a_damaged_member_of_a_zip_costs_only_itself(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", {f"{k}.png": png(k) for k in range(3)})
    data = bytearray((tmp_path / "x.zip").read_bytes())
    data[data.index(b"1.png") + 40] ^= 255
    (tmp_path / "x.zip").write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"x\.zip/1\.png: cannot be unpacked \(Bad CRC"):
        corpus_of(tmp_path / "x.zip", tmp_path / "out")
    assert corpus_of(tmp_path / "x.zip", tmp_path / "out", skip_bad=True)[0].names == ("0.png", "2.png")


def test_arrays_of_another_length_than_they_say(tmp_path: Path) -> None:
    path = tmp_path / "a-images-idx3-ubyte"
    write_idx(path, PIXELS[..., 0])
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    refused(path, "is cut short: found 779 bytes, expected 784 ")
    path.write_bytes(whole + b"x")
    refused(path, "is longer than it says: found 785 bytes, expected 784 ")
    packed = tmp_path / "b-images-idx3-ubyte.gz"
    for data, says in ((whole[:-5], "is cut short"), (whole + b"x", "is longer than it says")):
        packed.write_bytes(gzip.compress(data))
        with pytest.raises(InputError, match=says):
            list(open_collection(packed).stored(range(4)))
    packed.write_bytes(gzip.compress(whole)[:-20])
    with pytest.raises(InputError, match=r"cannot be unpacked|not a readable"):
        list(open_collection(packed).stored(range(4)))
    packed.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 4, 12, 16)[:9])
    refused(packed, "is cut short in its header")


def test_arrays_that_are_no_pictures(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=PIXELS, b=PIXELS)
    refused(tmp_path / "x.npz", r"found 2 arrays .*; it holds a 4x12x16x3 uint8, b .*x\.npz::KEY says which")
    np.savez(tmp_path / "y.npz", labels=np.arange(4))
    refused(tmp_path / "y.npz", "found no arrays of three or four axes; it holds labels 4 int64")
    np.savez(tmp_path / "z.npz", images=np.asfortranarray(PIXELS))
    refused(tmp_path / "z.npz", "is stored in Fortran order")
    np.savez(tmp_path / "v.npz", train_images=PIXELS, test_images=PIXELS[:, :6])
    refused(tmp_path / "v.npz", "found 3x6x16 .* of uint8, expected 3x12x16 of uint8 like .*train_images")
    np.savez(tmp_path / "w.npz", images=PIXELS.astype(np.float32))
    with pytest.raises(InputError, match=r"w\.npz/000000: found values in .* of float32, expected \[0, 1\]"):
        corpus_of(tmp_path / "w.npz", tmp_path / "out", fit=KEEP)


def test_hdf5_stays_in_its_file(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = PIXELS
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["elsewhere"] = h5py.ExternalLink("other.h5", "images")
        file.create_dataset("raw", (4, 12, 16), "u1", external=[(str(tmp_path / "x.raw"), 0, 768)])
    refused(tmp_path / "x.h5", "found no arrays of three or four axes; it holds nothing")
    (tmp_path / "y.h5").write_bytes((FORMS / "h5py.h5").read_bytes()[:3000])
    refused(tmp_path / "y.h5", "not a readable HDF5 file")


def test_saved_data_sets_stay_in_their_folder(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text('{"_data_files": [{"filename": "../x.arrow"}]}')
    refused(tmp_path / "saved", r"names the file '\.\./x\.arrow', expected one that lies in it")
