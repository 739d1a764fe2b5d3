"""`samenoise split` and `samenoise verify`, as a user runs them."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from audit.cli import main
from audit.commands import split, verify
from core.data.attributes import ATTRIBUTES
from core.data.corpus import Corpus, save_corpus
from core.errors import InputError
from core.splits.build import load_split


def run(*words: Any, module: Any = verify) -> Any:
    """Exit code and output of one command; bad input is raised, as the program's own frame expects."""
    app = typer.Typer()
    app.command()(module.command)
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture
def lists(tmp_path: Path) -> Any:
    """Two lists of 60 and 40 names without an image in common but with one identity in common."""
    names = [f"{i:06d}.jpg" for i in range(1, 101)]
    (tmp_path / "a.txt").write_text("".join(f"{n}\r\n" for n in names[:60]))
    (tmp_path / "b.txt").write_text("\n".join(names[60:]))
    (tmp_path / "who.txt").write_text("".join(f"{n} {i // 9}\n" for i, n in enumerate(names)))
    rows = (f"{n} " + " ".join("1" if i < 60 else "-1" for _ in range(40)) for i, n in enumerate(names))
    (tmp_path / "attr.txt").write_text("100\n" + " ".join(ATTRIBUTES) + "\n" + "\n".join(rows) + "\n")
    return tmp_path


def groups(folder: Path) -> Any:
    return "--group", f"A={folder / 'a.txt'}", "--group", f"B={folder / 'b.txt'}"


def test_what_holds_and_what_does_not(lists: Path) -> None:
    who = "--identities", lists / "who.txt"
    assert run(*groups(lists), "--require", "image")[0] == 0
    code, out = run(*groups(lists), *who, "--require", "image,identity,balance")
    assert code == 1
    assert "VIOLATED identity: A and B share 1 identity (6): 6 of 60 images of A (10.00%)" in out
    assert "3 of 40 of B (7.50%)" in out
    assert "VIOLATED balance" in out
    assert "holds: image" in out
    assert run(*groups(lists), *who)[0] == 0


def test_json_and_html(lists: Path) -> None:
    code, _ = run(
        *groups(lists), "--identities", lists / "who.txt", "--attributes", lists / "attr.txt",
        "--require", "identity,attribute:Male", "--json", lists / "o.json", "--html", lists / "o.html",
    )  # fmt: skip
    assert code == 1
    found = json.loads((lists / "o.json").read_text())
    assert found["groups"]["A"]["images"] == 60
    assert found["groups"]["B"]["identities"] == 6
    (pair,) = found["pairs"]
    keys = "shared_images shared_identities images_of_b_with_identity_in_a fraction_of_b images_of_a_with_identity_in_b"
    assert [pair[key] for key in keys.split()] == [0, 1, 3, 0.075, 6]
    assert pair["attributes"]["Male"]["total_variation"] == 1.0
    assert [v["property"] for v in found["violations"]] == ["identity"]
    assert not found["holds"]
    page = (lists / "o.html").read_text()
    assert "share 1 identity" in page
    assert not re.search(r"(?:src|href)\s*=|url\(|@import|<script", page)


def test_text_in_the_page_is_escaped(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["a", "<b>"], "group": ["<img src=x>", "y"], "<i>": ["&", "<s>"]})
    table.to_csv(tmp_path / "t.csv", index=False)
    run("--table", tmp_path / "t.csv", "--html", tmp_path / "o.html")
    page = (tmp_path / "o.html").read_text()
    assert "&lt;img" in page
    assert not re.search(r"<img|<i>|<s>", page)


def test_a_slice_of_a_list_is_a_group(lists: Path) -> None:
    code, out = run(
        "--group", f"x={lists / 'a.txt'}[:20]", "--group", f"y={lists / 'a.txt'}[19:]", "--require", "image"
    )
    assert code == 1
    assert "share 1 image (000020.jpg)" in out


def test_tables_serve_other_data_sets(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "scan": list("abcdef"),
            "split": ["train"] * 3 + ["test"] * 3,
            "patient_id": ["p1", "p2", "p3", "p3", "p4", None],
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    words = ["--table", tmp_path / "t.csv", "--group-column", "split", "--name-column", "scan"]
    words += ["--identity-column", "patient_id", "--require", "identity"]
    with pytest.raises(InputError, match="1 of 6 rows have no patient_id, the first is row 6"):
        run(*words)
    code, out = run(*words, "--on-unknown", "skip")
    assert code == 1
    assert "test and train share 1 identity (p3)" in out
    assert "note: 1 rows without patient_id" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg\nb.jpg\na.jpg\n", r"1 repeated names, first 'a\.jpg'"),
        ("x/a.jpg\n", r"identities: 1 of 61 images are not there, the first is 'x/a\.jpg'"),
        ("a.jpg 1\nb.jpg\n", r"line 1: found 'a\.jpg 1'; is this a name with blanks or a name and more"),
        ("", "found no name"),
        ("a.jpg\n\xff.jpg\n", "not there"),
    ],
)
def test_bad_lists_are_named(lists: Path, text: str, message: str) -> None:
    (lists / "b.txt").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        run(*groups(lists), "--identities", lists / "who.txt")


def test_mixed_encodings_are_named_with_their_line(lists: Path) -> None:
    (lists / "b.txt").write_bytes(b"000061.jpg\n\xe9.jpg\n")
    with pytest.raises(InputError, match=r"b\.txt, line 2: found byte 0xe9"):
        run(*groups(lists))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "found 0"),
        (("--group", "a.txt"), "expected NAME=LIST"),
        (("--group", "A={a}", "--group", "A={b}"), "the name A is taken"),
        (("--group", "A={a}", "--group", "B={b}[40:]"), "group B: found no image"),
        (("--group", "A={a}", "--group", "B={b}", "--require", "identity"), "needs identities"),
        (("--group", "A={a}", "--group", "B={b}", "--require", "duplicate"), "needs the images"),
        (("--group", "A={a}", "--group", "B={b}", "--require", "speed"), "found 'speed'"),
        (("--group", "A={a}", "--group", "B={b}", "--identity-column", "x"), "go with --table"),
        (("--group", "A={a}", "--group", "B={b}", "--table", "t.csv"), "give no lists beside it"),
    ],
)
def test_bad_options_are_named(lists: Path, words: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        run(*(word.format(a=lists / "a.txt", b=lists / "b.txt") for word in words))


def test_unknown_images_are_an_error_or_are_counted(lists: Path) -> None:
    (lists / "who.txt").write_text("".join(f"{i:06d}.jpg {i // 9}\n" for i in range(11, 101)))
    words = *groups(lists), "--identities", lists / "who.txt", "--require", "image"
    with pytest.raises(InputError, match="10 of 100 images are not there"):
        run(*words)
    code, out = run(*words, "--on-unknown", "skip")
    assert code == 0
    assert "note: 10 images without identities" in out


def pictures(folder: Path, source: np.random.Generator) -> None:
    """Six different pictures; the last is the first again, brighter and stored under another name and in PNG."""
    folder.mkdir()
    for i in range(6):
        pixels = source.integers(0, 200, (10, 10, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((178, 218), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    copy = np.asarray(Image.open(folder / "0.png")).astype(int) + 20
    Image.fromarray(copy.clip(0, 255).astype(np.uint8)).save(folder / "5.png")


def test_the_same_picture_under_two_names_is_caught(tmp_path: Path) -> None:
    pictures(tmp_path / "img", np.random.default_rng(0))
    (tmp_path / "a.txt").write_text("0.png\n1.png\n2.png\n")
    (tmp_path / "b.txt").write_text("3.png\n4.png\n5.png\n")
    code, out = run(*groups(tmp_path), "--images", tmp_path / "img", "--require", "image,duplicate")
    assert code == 1
    assert "1 images of A have a near-duplicate in B, 1 of B one in A (0.png ~ 5.png)" in out
    assert "holds: image" in out
    (tmp_path / "b.txt").write_text("3.png\n4.png\n")
    assert run(*groups(tmp_path), "--images", tmp_path / "img", "--require", "duplicate")[0] == 0


def test_images_stay_inside_their_folder(tmp_path: Path) -> None:
    pictures(tmp_path / "img", np.random.default_rng(0))
    pd.DataFrame({"name": ["0.png", "../secret.png"], "group": ["a", "b"]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match="leads out of"):
        run("--table", tmp_path / "t.csv", "--images", tmp_path / "img")
    pd.DataFrame({"name": ["0.png", "9.png"], "group": ["a", "b"]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match="no such image"):
        run("--table", tmp_path / "t.csv", "--images", tmp_path / "img")


@pytest.fixture
def corpus(tmp_path: Path) -> Any:
    source = torch.Generator().manual_seed(0)
    images = torch.rand(24, 1, 20, 20, generator=source)
    images[23] = images[2]
    male = np.where(np.arange(24) % 3, -1, 1).astype(np.int8)
    made = Corpus(images, tuple(f"{i:03d}.png" for i in range(24)), np.arange(24) // 4, pd.DataFrame({"Male": male}))
    save_corpus(made, tmp_path / "corpus")
    return made


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        (["--kind", "baseline", "--size", 5], (5, 5)),
        (["--kind", "baseline", "--size", 5, "--definition", "consecutive"], (5, 5)),
        (["--kind", "attribute:Male"], (8, 8)),
        (["--kind", "attribute:Male", "--size", 3], (3, 3)),
        (["--kind", "identity", "--seed", 4], (12, 12)),
        (["--kind", "baseline", "--size", 11, "--drop-duplicates"], (11, 11)),
    ],
)
def test_split_writes_a_directory_that_verify_and_a_rebuild_accept(
    tmp_path: Path, corpus: Any, words: Any, sizes: tuple[int, int]
) -> None:
    for out in ("one", "two"):
        assert run(tmp_path / "corpus", *words, "--out", tmp_path / out, module=split)[0] == 0
    made = load_split(tmp_path / "one")
    assert tuple(made.sizes.values()) == sizes
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    a = (tmp_path / "one" / "A.txt").read_text().split()
    assert torch.equal(corpus.by_names(a).images, corpus.images[[int(name[:3]) for name in a]])
    code, _ = run(
        "--group", f"A={tmp_path}/one/A.txt", "--group", f"B={tmp_path}/one/B.txt", "--require", "image,balance"
    )
    assert code == 0


def test_dropping_duplicates_is_written_down(tmp_path: Path, corpus: Any) -> None:
    words = ["--kind", "baseline", "--size", 11, "--out", tmp_path / "out"]
    run(tmp_path / "corpus", *words, "--drop-duplicates", module=split)
    made = load_split(tmp_path / "out")
    assert made.parameters["near_duplicates"]["removed"] == 1
    assert made.groups["B"][-1] == "022.png"
    run(tmp_path / "corpus", *words, module=split)
    assert load_split(tmp_path / "out").groups["B"][-1] == "023.png"


def test_a_list_with_its_files_gives_the_same_split_as_a_corpus(tmp_path: Path, corpus: Any) -> None:
    (tmp_path / "names.txt").write_text("\n".join(corpus.names))
    (tmp_path / "who.txt").write_text("".join(f"{n} {i // 4}\n" for i, n in enumerate(corpus.names)))
    run(tmp_path / "corpus", "--kind", "identity", "--out", tmp_path / "one", module=split)
    words = [tmp_path / "names.txt", "--identities", tmp_path / "who.txt", "--kind", "identity"]
    run(*words, "--out", tmp_path / "two", module=split)
    assert load_split(tmp_path / "one") == load_split(tmp_path / "two")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kind", "baseline"], "--size"),
        (["--kind", "baseline", "--size", 13], "n: found 13; expected 1 to 12"),
        (["--kind", "attribute:Hat"], "no attribute 'Hat'; known: Male"),
        (["--kind", "attribute:Male", "--size", 9], "the smaller side of Male"),
        (["--kind", "random"], "found 'random'"),
        (["--kind", "identity", "--identities", "x"], "go with a list"),
    ],
)
def test_bad_splits_are_named(tmp_path: Path, corpus: Any, words: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        run(tmp_path / "corpus", *words, "--out", tmp_path / "out", module=split)
    assert not (tmp_path / "out").exists()


def test_a_path_that_cannot_be_written_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(SystemExit) as end:
        main(["prepare", "--faces", "4", "--size", "8", "--out", str(tmp_path / "taken")])
    assert end.value.code == 2
    assert capsys.readouterr().err == f"samenoise: {tmp_path / 'taken'}: File exists\n"


@pytest.mark.parametrize("option", ["--require", "--identities", "--json", "--name-column", "--groups", "--threshold"])
def test_an_option_given_twice_is_refused(lists: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*map(str, groups(lists)), option, "1", option, "2"]
    with pytest.raises(SystemExit) as done:
        main(["verify", *words])
    assert done.value.code == 2
    assert f"{option} is given twice; expected once" in capsys.readouterr().err


def test_the_page_and_the_json_carry_the_notes_and_what_was_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x/1.jpg\nx/2.jpg\n")
    (tmp_path / "b.txt").write_text("1.jpg\n3.jpg\n")
    code, out = run(
        *groups(tmp_path), "--require", "image", "--json", tmp_path / "o.json", "--html", tmp_path / "o.html"
    )
    assert code == 0 and "looked at 4 rows, 4 images, 2 groups, 1 pairs of groups" in out
    assert out.index("share no folder") < out.index(
        "holds: image (2 + 2 images of 2 groups looked at, as spelled; 1 note of spelling above)"
    )
    found = json.loads((tmp_path / "o.json").read_text())
    assert found["looked_at"]["images"] == 4
    assert [note["kind"] for note in found["notes"]] == ["spelling"]
    assert "share no folder" in (tmp_path / "o.html").read_text()


def test_many_groups_have_a_line_each(tmp_path: Path) -> None:
    rows = "".join(f"i{k}.png,p{k % 7},{k % 10}\n" for k in range(40))
    (tmp_path / "f.csv").write_text("name,who,fold\n" + rows)
    words = "--table", tmp_path / "f.csv", "--identity-column", "who", "--require", "identity"
    code, out = run(*words, "--html", tmp_path / "o.html")
    assert code == 1 and out.count("VIOLATED") == 10 and " and 1:" not in out
    assert "Each group against all others" in (tmp_path / "o.html").read_text()
