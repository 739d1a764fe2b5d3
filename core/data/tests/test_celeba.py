"""CelebA's files: what is well formed is read, what is not is named."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import core.data.celeba
from core.data.attributes import ATTRIBUTES
from core.data.celeba import celeba_in_part, read_attributes, read_celeba, read_identities, read_partition
from core.data.corpus import shuffled
from core.data.lists import read_list, write_list
from core.data.pictures import read_image
from core.data.preprocess import preprocess
from core.errors import InputError
from core.files import names_sha256, sha256_file

N = 6
NAMES = [f"{k:06d}.jpg" for k in range(1, N + 1)]
VALUES = np.random.default_rng(7).choice(np.array([-1, 1]), size=(N, 40))
ATTRIBUTE_TEXT = "\n".join(
    [str(N), " ".join(ATTRIBUTES) + " "]
    + [f"{name} {' '.join(f'{v:2d}' for v in row)}" for name, row in zip(NAMES, VALUES.tolist(), strict=True)]
    + [""]
)


def jpeg(seed: int, size: tuple[int, int] = (178, 218), mode: str = "RGB", kind: str = "JPEG") -> bytes:
    low = np.random.default_rng(seed).integers(0, 256, (20, 16, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(low).resize(size).convert(mode).save(stream, kind, quality=90)
    return stream.getvalue()


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    (tmp_path / "img_align_celeba").mkdir()
    for k in reversed(range(N)):
        (tmp_path / "img_align_celeba" / NAMES[k]).write_bytes(jpeg(k))
    (tmp_path / "img_align_celeba" / ".DS_Store").write_bytes(b"")
    (tmp_path / "list_attr_celeba.txt").write_text(ATTRIBUTE_TEXT)
    (tmp_path / "identity_CelebA.txt").write_text("".join(f"{n} {9 - k // 2}\n" for k, n in enumerate(NAMES)))
    (tmp_path / "list_eval_partition.txt").write_text("".join(f"{n} {k % 3}\n" for k, n in enumerate(NAMES)))
    return tmp_path


def test_everything_is_read_in_the_order_of_the_names(celeba: Path) -> None:
    corpus = read_celeba(celeba)
    assert corpus.names == tuple(NAMES) and corpus.images.shape == (N, 1, 40, 40)
    for k in range(N):
        with Image.open(io.BytesIO(jpeg(k))) as image:
            assert (corpus.images[k] == preprocess(image)).all()
    assert corpus.identities is not None and corpus.identities.tolist() == [9, 9, 8, 8, 7, 7]
    assert corpus.attributes is not None and np.array_equal(corpus.attributes.to_numpy(), VALUES)


def test_order_by_list_and_by_seed(celeba: Path) -> None:
    whole = read_celeba(celeba, size=20)
    for order in (NAMES[::-1], NAMES[2:4]):
        assert read_celeba(celeba, size=20, order=order).fingerprint == whole.by_names(order).fingerprint
    by_seed = read_celeba(celeba, size=20, order=3)
    assert list(by_seed.names) == shuffled(NAMES, 3)
    assert by_seed.fingerprint == whole.by_names(shuffled(NAMES, 3)).fingerprint
    assert read_celeba(celeba, size=20, order=3, threads=1).fingerprint == by_seed.fingerprint


def test_progress_counts_images(celeba: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    read_celeba(celeba, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(N, N)]
    seen.clear()
    monkeypatch.setattr(core.data.celeba, "_CHUNK", 4)
    read_celeba(celeba, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, N), (N, N)]


def test_official_folders_zip_and_missing_tables(celeba: Path) -> None:
    plain = read_celeba(celeba)
    (celeba / "Anno").mkdir()
    (celeba / "Img").mkdir()
    (celeba / "img_align_celeba").rename(celeba / "Img" / "img_align_celeba")
    (celeba / "identity_CelebA.txt").rename(celeba / "Anno" / "identity_CelebA.txt")
    (celeba / "list_attr_celeba.txt").unlink()
    with zipfile.ZipFile(celeba / "Anno" / "list_attr_celeba.zip", "w") as archive:
        archive.writestr("anything.txt", ATTRIBUTE_TEXT)
        archive.writestr("__MACOSX/._anything.txt", "junk")
    assert read_celeba(celeba).fingerprint == plain.fingerprint
    (celeba / "Anno" / "list_attr_celeba.zip").unlink()
    (celeba / "Anno" / "identity_CelebA.txt").unlink()
    bare = read_celeba(celeba)
    assert bare.attributes is None and bare.identities is None


def as_kaggle(celeba: Path) -> None:
    """The same data set as Kaggle ships it: one folder in another, tables as CSV."""
    inner = celeba / "img_align_celeba" / "img_align_celeba"
    (celeba / "img_align_celeba").rename(celeba / "images")
    inner.parent.mkdir()
    (celeba / "images").rename(inner)
    rows = [f"{name},{','.join(map(str, row))}" for name, row in zip(NAMES, VALUES.tolist(), strict=True)]
    (celeba / "list_attr_celeba.csv").write_text("\n".join([",".join(["image_id", *ATTRIBUTES]), *rows, ""]))
    (celeba / "list_attr_celeba.txt").unlink()
    for stem, what in (("identity_CelebA", "identity"), ("list_eval_partition", "partition")):
        lines = (celeba / f"{stem}.txt").read_text().replace(" ", ",")
        (celeba / f"{stem}.csv").write_text(f"image_id,{what}\n{lines}")
        (celeba / f"{stem}.txt").unlink()


def test_a_directory_as_kaggle_ships_it_is_the_same_corpus(celeba: Path) -> None:
    plain = read_celeba(celeba)
    as_kaggle(celeba)
    notes: list[str] = []
    assert read_celeba(celeba, note=notes.append).fingerprint == plain.fingerprint
    assert len(notes) == 1 and "list_eval_partition.csv passed over" in notes[0]
    assert read_partition(celeba / "list_eval_partition.csv").tolist() == [0, 1, 2, 0, 1, 2]


def test_what_is_assumed_or_passed_over_is_noted(celeba: Path) -> None:
    plain, notes = read_celeba(celeba), []  # type: tuple[object, list[str]]
    (celeba / "list_attr_celeba.txt").write_text(ATTRIBUTE_TEXT.split("\n", 1)[1])
    (celeba / "identity_CelebA.csv").write_text("")
    (celeba / "img_align_celeba" / "7.jpg").write_bytes(b"")
    assert read_celeba(celeba, note=notes.append).fingerprint == plain.fingerprint  # type: ignore[attr-defined]
    assert [note.split(": ", 1)[1] for note in notes] == [
        "identity_CelebA.csv, list_eval_partition.txt passed over; a corpus holds images, attributes and identities",
        "1 entries are no NNNNNN.jpg and passed over, first '7.jpg'",
        "has no line that counts its images, so that rows lost at its end would not be noticed",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id,Bald\n", "found no row"),
        ("image_id\n000001.jpg\n", "found no attribute"),
        ("image_id,Bald,Young\n000001.jpg,1\n", "line 2: found"),
        ("image_id,Bald\n000001.jpg,1\n000002.jpg,0\n", "line 3: found '0', expected a name and values -1 or 1"),
        ("image_id,Bald\n000001.jpg,1,1\n", "not a readable CSV table"),
        ("image_id,Bald\n000001.jpg,1\n000001.jpg,1\n", "line 3: found 1 repeated names"),
        ("", "not a readable CSV table"),
        ('image_id,Bald\n"000001.jpg,1\n', "not a readable CSV table"),
    ],
)
def test_bad_csv_tables_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list_attr_celeba.csv").write_text(text)
    with pytest.raises(InputError, match=f"list_attr_celeba.csv.*{message}"):
        read_attributes(tmp_path / "list_attr_celeba.csv")


def test_bad_csv_identities_are_named(tmp_path: Path) -> None:
    path = tmp_path / "identity_CelebA.csv"
    for text, message in (("a,b,c\n1.jpg,2,3\n", "3 columns"), ("a,b\n1.jpg,x\n", "line 2: found '1.jpg x'")):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_identities(path)


def test_a_packed_or_false_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "img_align_celeba.zip").write_bytes(b"")
    with pytest.raises(InputError, match=r"found img_align_celeba.zip but no img_align_celeba: unpack it"):
        read_celeba(tmp_path)
    (tmp_path / "img_align_celeba").write_bytes(b"")
    with pytest.raises(InputError, match="found a file, expected a folder of images"):
        read_celeba(tmp_path)


BAD_IMAGES = {
    "half a JPEG": (jpeg(0)[: len(jpeg(0)) // 2], "truncated JPEG"),
    "a JPEG without its last bytes": (jpeg(0)[:-2], "truncated JPEG"),
    "an empty file": (b"", "no readable image"),
    "text": (b"not an image", "no readable image"),
    "half a PNG": (jpeg(0, kind="PNG")[:-200], "no readable image"),
    "another size": (jpeg(0, (178, 217)), "found 178x217 RGB, expected 178x218 RGB"),
    "a gray image": (jpeg(0, mode="L"), "found 178x218 L"),
}


@pytest.mark.parametrize("what", BAD_IMAGES)
def test_bad_images_are_named(celeba: Path, what: str) -> None:
    data, message = BAD_IMAGES[what]
    (celeba / "img_align_celeba" / NAMES[3]).write_bytes(data)
    with pytest.raises(InputError, match=rf"{NAMES[3]}: .*{message}"):
        read_celeba(celeba)


def test_missing_things_are_named(celeba: Path) -> None:
    with pytest.raises(InputError, match=r"img_align_celeba: lacks 1 of 2 images, first '000009.jpg'"):
        read_celeba(celeba, order=["000001.jpg", "000009.jpg"])
    with pytest.raises(InputError, match=r"lacks 1 of 1 images, first '../list_attr_celeba.txt'"):
        read_celeba(celeba, order=["../list_attr_celeba.txt"])
    with pytest.raises(InputError, match=r"order, line 2: found 1 repeated names, first '000001.jpg'"):
        read_celeba(celeba, order=["000001.jpg", "000001.jpg"])
    with pytest.raises(InputError, match="found no image"):
        read_celeba(celeba, order=[])
    (celeba / "identity_CelebA.txt").write_text("000001.jpg 1\n000003.jpg 2\n")
    with pytest.raises(InputError, match=r"identity_CelebA.txt: lacks 4 of 6 images, first '000002.jpg'"):
        read_celeba(celeba)
    (celeba / "identity_CelebA.txt").unlink()
    (celeba / "img_align_celeba" / "000002.jpg").unlink()
    with pytest.raises(InputError, match=r"lacks 1 of 6 images, first '000002.jpg'"):
        read_celeba(celeba, order=NAMES)
    with pytest.raises(InputError, match="nowhere: found no img_align_celeba"):
        read_celeba(celeba / "nowhere")


def test_a_png_is_read_like_a_jpeg(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(jpeg(1, kind="PNG"))
    with Image.open(tmp_path / "a.png") as image:
        assert (read_image(tmp_path / "a.png") == preprocess(image)).all()


names = st.from_regex(r"[0-9]{6}\.jpg", fullmatch=True) | st.from_regex(r"[a-zé_-]{1,9}\.jpg", fullmatch=True)


@given(
    st.lists(names, min_size=1, unique=True), st.sampled_from(["\n", "\r\n", "\r"]), st.integers(0, 3), st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_lists_are_read_as_written(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[str], end: str, blanks: int, mark: bool
) -> None:
    path = tmp_path_factory.mktemp("list") / "list.txt"
    text = ("\ufeff" if mark else "") + end.join(f"{name}{' ' * blanks}" for name in wanted) + end * blanks
    path.write_bytes(text.encode())
    assert read_list(path) == wanted
    write_list(path, wanted)
    assert read_list(path) == wanted and sha256_file(path) == names_sha256(wanted)


BAD_LISTS = {
    b"": "found no name",
    b"\n \n": "found no name",
    b"a.jpg\n\nb.jpg\n": "line 2: found a blank line",
    b"a.jpg\nb.jpg\na.jpg\n": r"line 3: found 1 repeated names, first 'a.jpg' \(also on line 1\)",
    b"a.jpg\n../b.jpg\n": r"line 2: found '../b.jpg', expected a bare file name",
    b"a.jpg\nd/b.jpg\n": "line 2: found 'd/b.jpg'",
    b"a.jpg\nd\\b.jpg\n": "line 2",
    b"a.jpg\nC:b.jpg\n": "line 2",
    b"a.jpg\n..\n": "line 2",
    b"a.jpg\nb.png\n": r"extensions \['jpg', 'png'\]",
    b"a.jpg\nb.jpg\n\xe9.jpg\n": "line 3: found byte 0xe9, expected utf-8 text",
    "a.jpg\nb.jpg\n".encode("utf-16"): "line 1: found byte 0xff",
    "a.jpg\nb.jpg\n".encode("utf-16-le"): "line 1: found a zero byte",
    b"PK\x03\x04 and no zip": "not a readable zip file",
}


@pytest.mark.parametrize("data", BAD_LISTS)
def test_bad_lists_are_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(data)
    with pytest.raises(InputError, match=BAD_LISTS[data]) as refusal:
        read_list(tmp_path / "list.txt")
    assert "list.txt" in str(refusal.value)


def test_lists_in_other_encodings_and_with_blank_lines_on_request(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("é.jpg\n\nb.jpg\n".encode("latin-1"))
    assert read_list(tmp_path / "list.txt", encoding="latin-1", skip_blank=True) == ["é.jpg", "b.jpg"]
    (tmp_path / "list.txt").write_text("a.jpg\n\nb.jpg\nb.jpg\n")
    with pytest.raises(InputError, match=r"line 4: .* \(also on line 3\)"):
        read_list(tmp_path / "list.txt", skip_blank=True)


def test_identities_and_partition(celeba: Path) -> None:
    (celeba / "identity_CelebA.txt").write_bytes(b"000001.jpg 2880\r\n000002.jpg  2937 \r\n\r\n000003.jpg 2880")
    found = read_identities(celeba / "identity_CelebA.txt")
    assert found.to_dict() == {"000001.jpg": 2880, "000002.jpg": 2937, "000003.jpg": 2880}
    assert found.dtype == np.int64
    assert read_partition(celeba / "list_eval_partition.txt").tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found no line"),
        ("000001.jpg 1\n000002.jpg\n", "line 2: found '000002.jpg'"),
        ("000001.jpg 1\n000002.jpg x\n", "line 2"),
        ("000001.jpg 1\n000002.jpg 1 2\n", "line 2"),
        ("000001.jpg\n1 000002.jpg 2\n", "line 1"),
        ("000001.jpg 1\n000002.jpg 1.5\n", "line 2"),
        ("000001.jpg 99999999999999999999\n", "line 1"),
        ("000001.jpg 1\n\n000001.jpg 2\n", r"line 3: found 1 repeated names, first '000001.jpg' \(also on line 1\)"),
    ],
)
def test_bad_identities_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "identity_CelebA.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_identities(tmp_path / "identity_CelebA.txt")


def test_a_partition_is_0_1_or_2(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("000001.jpg 0\n000002.jpg 3\n")
    with pytest.raises(InputError, match=r"000002.jpg has the value 3, expected 0, 1 or 2"):
        read_partition(tmp_path / "p.txt")


def test_attribute_archives(tmp_path: Path) -> None:
    path = tmp_path / "attributes.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("attributes.txt", ATTRIBUTE_TEXT)
    assert np.array_equal(read_attributes(path).to_numpy(), VALUES)
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + bytes([whole[200] ^ 255]) + whole[201:])
    with pytest.raises(InputError, match=r"attributes.zip: not a readable zip file"):
        read_attributes(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", ATTRIBUTE_TEXT)
        archive.writestr("b.txt", ATTRIBUTE_TEXT)
    with pytest.raises(InputError, match=r"found 2 \.txt files"):
        read_attributes(path)
    with pytest.raises(InputError, match="no such file"):
        read_attributes(tmp_path / "none.txt")


def test_the_whole_and_a_part_are_told_apart(celeba: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert celeba_in_part(celeba) == "6 of CelebA's 202,599 images"
    monkeypatch.setattr(core.data.celeba, "IMAGES", N)
    assert celeba_in_part(celeba) is None
    lines = (celeba / "identity_CelebA.txt").read_text().splitlines()
    (celeba / "identity_CelebA.txt").write_text("\n".join(lines[:-1]) + "\n")
    assert celeba_in_part(celeba) == "identity_CelebA.txt names 5 of CelebA's 6 images"
    (celeba / "img_align_celeba" / NAMES[-1]).unlink()
    assert celeba_in_part(celeba) == "5 of CelebA's 6 images"
    assert len(read_celeba(celeba)) == 5  # the attribute list still names six
