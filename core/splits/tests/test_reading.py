"""Kinds of files that made a checker say 'holds' without looking, and what is said of each now."""

import bz2
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import InputError
from core.splits.leakage import Leakage, count_leakage
from core.splits.reading import Given, read_groups
from core.splits.requirements import violations
from core.splits.sentences import count_lines


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def count(**given: Any) -> tuple[Leakage, str]:
    """What is counted, and all notes as one text."""
    membership, notes, _ = read_groups(Given(**given))
    return count_leakage(membership), "\n".join(map(str, notes))


def lists(folder: Path, a: str | bytes, b: str | bytes, suffix: str = "txt", **given: Any) -> tuple[Leakage, str]:
    paths = write(folder, f"a.{suffix}", a), write(folder, f"b.{suffix}", b)
    return count(groups=[f"a={paths[0]}", f"b={paths[1]}"], **given)


@pytest.mark.parametrize(
    ("a", "b", "suffix"),
    [
        ("image,label\nimg1,cat\nimg2,dog\n", "filename,label\nimg1,dog\nimg3,cat\n", "csv"),
        ("img1.jpg,0\nimg2.jpg,1\n", "img1.jpg,1\nimg3.jpg,0\n", "txt"),
        ("img1.jpg\tcat\nimg2.jpg\tdog\n", "img1.jpg\tdog\nimg3.jpg\tcat\n", "txt"),
        ("img1.jpg;0\nimg2.jpg;1\n", "img1.jpg\nimg3.jpg\n", "txt"),
        ("img1.jpg 0\nimg2.jpg 1\n", "img1.jpg 1\nimg3.jpg 0\n", "txt"),
        ("c/img1.jpg 0\nc/img2.jpg 1\n", "c/img1.jpg\nc/img3.jpg\n", "txt"),
        ('"img1.jpg"\n"img2.jpg"\n', "img1.jpg\nimg3.jpg\n", "txt"),
        ("  img1.jpg\n  img2.jpg\n", "img1.jpg\nimg3.jpg\n", "txt"),
        ("filename\nimg1.jpg\nimg2.jpg\n", "img1.jpg\nimg3.jpg\n", "txt"),
        ("./c/img1.jpg\nc/img2.jpg\n", "c\\img1.jpg\nc/img3.jpg\n", "txt"),
        ('"x, img1.jpg"\n"z.jpg"\n', '"x, img1.jpg"\n"y.jpg"\n', "txt"),
        ('["img1.jpg", "img2.jpg"]', "img1.jpg\nimg3.jpg\n", "json"),
        ("my photo 1.jpg\nphoto 2.jpg\n", "my photo 1.jpg\nmy other photo 3.jpg\n", "txt"),
    ],
)
def test_a_list_that_is_a_table_is_read_as_one(tmp_path: Path, a: str, b: str, suffix: str) -> None:
    found, notes = lists(tmp_path, a, b, suffix)
    assert found.pairs[0].shared_images == 1
    assert found.looked_at == {"rows": 4, "images": 3, "groups": 2, "pairs of groups": 1}
    assert notes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.jpg\nb.jpg,1\n", "line 2: found 'b.jpg,1', with a comma that other lines lack"),
        ("cat b.jpg\ndog c.jpg\n", "line 1: found 'cat b.jpg'; is this a name with blanks or a name and more"),
        ("my photo 1.jpg\nmy photo 2.jpg\n", "line 1: found 'my photo 1.jpg'; is this a name with blanks"),
        ("a.jpg 0\nb.jpg\n", "line 1: found 'a.jpg 0'; is this a name with blanks or a name and more"),
        ("drive_1 69 l\ndrive_1 70 l\n", "1+2"),
        ("l/1.jpg r/1.jpg\nl/2.jpg r/2.jpg\n", "columns 1, 2 each look like names"),
        ("d/one 1\nd/one 2\n", "column 1 holds 1 names in 2 rows"),
        ("file,path\na,b\n", "the columns 'file' and 'path' could each name the image"),
    ],
)
def test_what_may_be_a_name_or_a_row_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        lists(tmp_path, content, "x.jpg\n")
    assert message in str(refusal.value)


def test_tables_given_twice_are_two_groups_or_pieces_of_one(tmp_path: Path) -> None:
    train = write(tmp_path, "train.csv", "name,group\na.png,x\n")
    test = write(tmp_path, "test.csv", "name,group\na.png,p\nb.png,q\n")
    found, notes = count(tables=[train, test])
    assert list(found.groups) == ["train", "test"] and found.pairs[0].shared_images == 1
    assert "2 tables are 2 groups, train, test" in notes
    found, _ = count(tables=[train, test], group_column="group")
    assert sorted(found.groups) == ["p", "q", "x"]
    with pytest.raises(InputError, match="one file is given twice"):
        count(tables=[train, train])


def test_identities_of_any_text_and_any_form(tmp_path: Path) -> None:
    for content in ("a.png p1\nb.png p1\n", "name identity\na.png p1\nb.png p1\n", "who,file\np1,a.png\np1,b.png\n",
                    "a.png Aaron Peirsol\nb.png Aaron Peirsol\n", "a.png;x;y\nb.png;x;z\n"):  # fmt: skip
        who = write(tmp_path, "ids.txt", content)
        column = "2" if ";" in content else None
        found, _ = lists(tmp_path, "a.png\n", "b.png\n", identities=who, identity_column=column)
        assert found.pairs[0].shared_identities == 1, content
    write(tmp_path, "ids.txt", "a.png p1\nb.png p1\nb.png p2\n")
    with pytest.raises(InputError, match=r"'b\.png' has two identities, p1 and p2"):
        lists(tmp_path, "a.png\n", "b.png\n", identities=tmp_path / "ids.txt")


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("a/1.jpg\n", "1.jpg\n", "a and b share no folder (a/, no folder)"),
        ("/data/c/1.jpg\n", "c/1.jpg\n", "share no folder (/data/, c/)"),
        ("1.jpg\n2.jpg\n", "1.png\n3.png\n", "share no extension (.jpg, .png); without it 1 names are in both"),
        ("1\n2\n", "1.png\n3.png\n", "share no extension (none, .png)"),
        ("1.jpg\nx.png\n", "1.png\ny.jpg\n", "1 names are in two groups but for their extension"),
        ("IMG1.jpg\n", "img1.jpg\n", "differ only by case"),
        ("a cat b.jpg\ndog c.jpg\n", "cow c.jpg\na dog d.jpg\n", "'dog c.jpg' in a, 'cow c.jpg' in b"),
        ("001.jpg\n", "1.jpg\n", "'001.jpg' in a, '1.jpg' in b"),
    ],
)
def test_names_that_cannot_be_compared_are_noted(tmp_path: Path, a: str, b: str, said: str) -> None:
    found, notes = lists(tmp_path, a, b)
    assert found.pairs[0].shared_images == 0 and said in notes


@pytest.mark.parametrize(
    "pair", [("17787.0", "17787"), ("00123", "123"), ("p7", "P7"), ("P 7", "P7"), ("Zoé", "Zoe\u0301")]
)
def test_identities_spelled_in_two_ways_are_noted(tmp_path: Path, pair: tuple[str, str]) -> None:
    path = write(tmp_path, "t.csv", f"name,who,group\nx,{pair[0]},a\nx2,B,a\ny,{pair[1]},b\ny2,C,b\n")
    found, notes = count(tables=[path], identity_column="who")
    assert found.pairs[0].shared_identities == 0
    assert "1 identities are in two groups under spellings" in notes
    path = write(tmp_path, "t.csv", "name,who,group\nx,P7 ,a\ny,P7,b\n")
    found, notes = count(tables=[path], identity_column="who")
    assert found.pairs[0].shared_identities == 1 and "blanks around 1 values" in notes


ROWS = "name,who,group\na.png,P1,train\nb.png,P2,train\nc.png,P1,test\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", ROWS.replace(",", ";")),
        ("t.txt", ROWS),
        ("t.txt", ROWS.replace(",", "|")),
        ("t.txt", ROWS.replace(",", "  ")),
        ("t.csv", "sep=;\n" + ROWS.replace(",", ";")),
        ("t.csv", "# made\n# by hand\n" + ROWS),
        ("t.csv", "#" + ROWS),
        ("t.csv", ROWS.replace("group\n", "group,\n")),
        ("t.csv", ROWS.replace("test\n", "test\n\n# the end\n")),
        ("t.csv", "".join(f"{'' if k == 0 else k},{line}\n" for k, line in enumerate(ROWS.split()))),
        ("t.csv", "".join(line if k == 0 else f"{k},{line}" for k, line in enumerate(ROWS.splitlines(True)))),
        ("t.csv", ROWS.replace("\n", "\r")),
        ("t.csv", b"\xef\xbb\xbf" + ROWS.encode()),
        ("t.csv", ROWS.encode("utf-16")),
        ("t.csv.bz2", bz2.compress(ROWS.encode())),
        ("t.csv.zst", pa.compress(ROWS.encode(), "zstd", asbytes=True)),
        ("t.csv", ROWS.replace("group", "group,x,x").replace("n\n", "n,1,2\n").replace("t\n", "t,1,2\n")),
        ("t.jsonl", "".join(f'{{"name": "{n}", "who": "{w}", "group": "{g}", "box": [1]}}\n'
                            for n, w, g in (line.split(",") for line in ROWS.split()[1:]))),
    ],
)  # fmt: skip
def test_every_dialect_gives_the_same_counts(tmp_path: Path, name: str, content: str | bytes) -> None:
    found, _ = count(tables=[write(tmp_path, name, content)], identity_column="who")
    assert found.looked_at["rows"] == 3 and found.looked_at["identities"] == 2
    assert found.pairs[0].shared_identities == 1


def test_a_quote_that_swallows_rows(tmp_path: Path) -> None:
    text = "who\tpath\tsentence\tsplit\ns1\tc1\tplain\ttrain\n"
    text += 's2\tc2\t"open\ttrain\ns9\tc3\tx\ttrain\ns3\tc4\tclose"\ttrain\ns9\tc5\ty\ttest\n'
    for name, content in (("c.tsv", text), ("c.csv", text.replace("\t", ","))):
        found, notes = count(tables=[write(tmp_path, name, content)], group_column="split", identity_column="who")
        assert found.looked_at["rows"] == 5 and found.pairs[0].shared_identities == 1
        assert "line 3: quotes do not pair up: read without quoting, 5 rows" in notes
    swallowing = 'who,path,sentence,split\ns1,c1,"a, b",train\n'
    swallowing += 's2,c2,"open,train\ns9,c3,x,train\ns3,c4,close",train\ns9,c5,y,test\n'
    with pytest.raises(InputError, match="line 3: a quote opens here and closes in another row"):
        count(tables=[write(tmp_path, "c.csv", swallowing)], group_column="split", identity_column="who")
    legal = 'path,text,split\na,"one\ntwo, three",train\nb,x,test\n'
    found, notes = count(tables=[write(tmp_path, "c.csv", legal)])
    assert found.looked_at["rows"] == 2 and "2 rows from 3 lines" in notes


def test_nested_columns_are_passed_over_unless_named(tmp_path: Path) -> None:
    image = pa.array(
        [{"bytes": b"", "path": p} for p in ("a", "b")], pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    )
    pq.write_table(pa.table({"image": image, "group": ["x", "y"], "name": ["a", "a"]}), tmp_path / "t.parquet")
    found, notes = count(tables=[tmp_path / "t.parquet"])
    assert found.pairs[0].shared_images == 1 and "column image: it holds struct" in notes
    assert count(tables=[tmp_path / "t.parquet"], name_column="image.path")[0].pairs[0].shared_images == 0
    with pytest.raises(InputError, match=r"column image: struct.*cannot be counted.*image\.FIELD"):
        count(tables=[tmp_path / "t.parquet"], attribute=["image"])


FOLDS = "image,who,kfold\n" + "".join(f"i{k},{'shared' if k in (0, 11) else k},{k % 10}\n" for k in range(60))


def test_folds_against_the_rest_and_merged(tmp_path: Path) -> None:
    path = write(tmp_path, "f.csv", FOLDS)
    found, _ = count(tables=[path], identity_column="who")
    assert [(r.group, r.images_with_identity_elsewhere) for r in found.rest][:3] == [("0", 1), ("1", 1), ("2", 0)]
    lines = list(count_lines(found))
    assert len(lines) == 10 and lines[0].endswith("1 images (16.67%) show one of 1 identities of other groups")
    assert [why for _, why in violations(found, ["identity", "image"])] == [
        "0: 1 of 6 images (16.67%) show 1 identity of other groups (shared)",
        "1: 1 of 6 images (16.67%) show 1 identity of other groups (shared)",
    ]
    found, notes = count(tables=[path], identity_column="who", merge="train=1-7,val=8,test=0")
    assert {name: g.images for name, g in found.groups.items()} == {"train": 42, "val": 6, "test": 6}
    assert [p.shared_identities for p in found.pairs] == [0, 1, 0]
    assert "6 rows of groups that --groups does not name: 9" in notes
    _, notes = count(tables=[path], identity_column="who", merge="train=1-7,val=8,test=9-12")
    assert "--groups takes in 3 groups that are not there: 10, 11, 12" in notes


@pytest.mark.parametrize(
    ("merge", "message"),
    [
        ("a=1,b=12", "found no group '12'"),
        ("a=1-3,b=3", "3 is in a and in b"),
        ("a=1-9", "found 1 (a)"),
        ("1,b=2", "found '1'"),
        ("a=1,a=2", "expected a new name once"),
    ],
)
def test_bad_merges_are_named(tmp_path: Path, merge: str, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        count(tables=[write(tmp_path, "f.csv", FOLDS)], merge=merge)
    assert message in str(refusal.value)


def test_one_column_a_group(tmp_path: Path) -> None:
    flags = write(tmp_path, "w.csv", "name,is_train,is_test\na,1,0\nb,0,1\nc,1,1\nd,0,0\n")
    found, notes = count(tables=[flags])
    assert found.pairs[0].shared_images == 1 and "1 rows in none of is_train, is_test" in notes
    names = write(tmp_path, "n.csv", "train,test\na.jpg,c.jpg\nb.jpg,a.jpg\nd.jpg,\n")
    found, notes = count(tables=[names], group_column="train,test")
    assert (found.groups["train"].images, found.groups["test"].images) == (3, 2)
    assert found.pairs[0].shared_images == 1 and "hold names" in notes


def test_celebas_partition_in_both_forms(tmp_path: Path) -> None:
    who = write(tmp_path, "identity_CelebA.txt", "000001.jpg 2880\n000002.jpg 2937\n")
    for name, content in (
        ("p.txt", "000001.jpg 0\n000002.jpg 1\n"),
        ("p.csv", "image_id,partition\n000001.jpg,0\n000002.jpg,1\n"),
    ):
        found, _ = count(tables=[write(tmp_path, name, content)], identities=who)
        assert [g.identities for g in found.groups.values()] == [1, 1] and found.pairs[0].shared_identities == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.xlsx", b"\xd0\xcf\x11\xe0" + bytes(600), "old Excel workbook"),
        ("x.csv", "version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("x.csv", "<!DOCTYPE html><html>", "web page"),
        ("x.csv.gz", b"\x1f\x8b\x08", "cannot be unpacked with gzip"),
        ("x.csv", b"a,b\n\0", "zero byte"),
        ("x.json", '{"train": ["a"], "test": ["b"]}', "a JSON object with 'train', 'test'"),
        ("x.csv", 'name,group\na,x\nb,y,"z"\n', "line 3: found 3 values apart by commas; expected 2"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(InputError) as refusal:
        count(tables=[write(tmp_path, name, content)])
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_first_row_is_no_header_where_columns_are_called_by_number(tmp_path: Path) -> None:
    found, _ = lists(tmp_path, "2\nAaron\t1\nBob\t1\n", "2\nAaron\t1\nCleo\t4\n", name_column="1")
    assert found.pairs[0].shared_images == 1
