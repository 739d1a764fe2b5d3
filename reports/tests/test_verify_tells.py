"""What `samenoise verify` says: what was looked at, where a leak stands, and nothing that a terminal acts on."""

import contextlib
import gzip
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from audit import cli
from core.splits.places import find_lines
from core.tests.thorough import THOROUGH
from reports.annotations import github, sarif
from reports.text import one_line, printable

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "scipy", "numba", "matplotlib", "lightning", "lightning_fabric", "great_expectations", "pandas"}


def verify(*words: Any) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the program itself."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        cli.main(["verify", *(str(word) for word in words)])
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two lists with one image and one identity in common, in the folder that the command runs in."""
    (tmp_path / "train.txt").write_text("a.jpg\nb.jpg\nc.jpg\n")
    (tmp_path / "test.txt").write_text("d.jpg\n\nb.jpg\n")
    (tmp_path / "who.txt").write_text("a.jpg 1\nb.jpg 2\nc.jpg 3\nd.jpg 3\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


GROUPS = ("--group", "train=train.txt", "--group", "test=test.txt")


def test_holds_says_what_was_looked_at(lists: Path) -> None:
    (lists / "test.txt").write_text("d.jpg\ne.jpg\n")
    (lists / "who.txt").write_text("a.jpg 1\nb.jpg 2\nc.jpg 3\nd.jpg 4\n")
    words = (*GROUPS, "--identities", "who.txt", "--on-unknown", "skip", "--require", "image,identity")
    code, out, _ = verify(*words)
    assert code == 0
    assert "holds: image (3 + 2 images of 2 groups looked at)" in out
    assert "holds: identity (3 + 1 identities of 3 + 2 images looked at, 1 without an identity)" in out
    assert out.index("note: 1 images without identities") < out.index("holds:")


def test_nothing_looked_at_is_no_all_clear(lists: Path) -> None:
    (lists / "test.txt").write_text("x.jpg\ny.jpg\n")
    words = (*GROUPS, "--identities", "who.txt", "--on-unknown", "skip", "--json", "o.json", "--html", "o.html")
    code, out, err = verify(*words, "--require", "image,identity")
    assert code == 2
    assert "holds: image" in out
    assert "holds: identity" not in out
    assert "not looked at: identity (no image of test has a known identity)" in out
    assert err == "samenoise: require: 'identity' cannot be told: no image of test has a known identity\n"
    assert not json.loads((lists / "o.json").read_text())["holds"]
    assert "identity: cannot be told" in (lists / "o.html").read_text()


def test_strict_turns_a_note_into_exit_code_1(lists: Path) -> None:
    (lists / "who.txt").write_text("a.jpg 1\nb.jpg 2\nc.jpg 3\nd.jpg 4\ne.jpg 5\n")
    (lists / "test.txt").write_text("d.jpg\n")
    words = (*GROUPS, "--identities", "who.txt", "--require", "image,identity")
    assert verify(*words)[0] == 0
    code, out, _ = verify(*words, "--strict")
    assert code == 1
    assert "VIOLATED strict: 1 note, none is allowed" in out
    assert "holds" not in out
    (lists / "who.txt").write_text("a.jpg 1\nb.jpg 2\nc.jpg 3\nd.jpg 4\n")
    assert verify(*words, "--strict")[0] == 0


def test_annotations_point_at_the_line_of_the_second_list(lists: Path) -> None:
    code, out, _ = verify(*GROUPS, "--identities", "who.txt", "--require", "image,identity", "--format", "github")
    assert code == 1
    assert "::error file=test.txt,line=3,title=samenoise verify::image b.jpg of test is also in train" in out
    assert "::error file=test.txt,line=1,title=samenoise verify::image d.jpg of test shows identity 3" in out
    assert "; 1 of 2 between train and test" in out
    told = verify(*GROUPS, "--require", "identity", "--format", "github")[1]
    assert told.startswith("::error title=samenoise verify::require")


def test_annotations_point_at_the_row_of_a_table(lists: Path) -> None:
    (lists / "t.csv").write_text("name,group,patient\na,one,p\nb,one,q\na,two,p\nc,two,q\n")
    words = ("--table", "t.csv", "--identity-column", "patient", "--require", "image,identity", "--format", "github")
    found = re.findall(r"::error file=t.csv,line=(\d+),[^:]*::(image \w of \w+)", verify(*words)[1])
    assert found == [("4", "image a of two"), ("4", "image a of two"), ("5", "image c of two")]


def test_commands_in_names_are_switched_off(lists: Path) -> None:
    (lists / "t.csv").write_text("name,group\na,::add-mask::x\nb,y\n")
    out = verify("--table", "t.csv", "--format", "github")[1].splitlines()
    token = out[0].removeprefix("::stop-commands::")
    assert len(token) == 32
    end = out.index(f"::{token}::")
    assert [at for at, line in enumerate(out) if line.startswith("::add-mask")]
    assert all(at < end for at, line in enumerate(out) if line.startswith("::add-mask"))


def test_annotations_escape_what_github_documents() -> None:
    note = {"kind": "assumed", "text": "50% of\r\nit", "file": "a,b:%.txt", "line": 2}
    result = {"violations": [], "leaks": [], "notes": [note], "files": {}}
    assert list(github(result, []))[2:] == [
        "::warning file=a%2Cb%3A%25.txt,line=2,title=samenoise verify::50%25 of\\r\\nit"
    ]


def test_sarif_has_what_its_schema_requires(lists: Path) -> None:
    code, _, _ = verify(*GROUPS, "--require", "image,balance:0", "--sarif", "o.sarif")
    assert code == 1
    log = json.loads((lists / "o.sarif").read_text())
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["name"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    first = run["results"][0]
    assert first["locations"] == [
        {"physicalLocation": {"artifactLocation": {"uri": "test.txt"}, "region": {"startLine": 3}}}
    ]
    assert [result["ruleId"] for result in run["results"]] == ["image", "balance"]
    out = verify(*GROUPS, "--require", "image", "--format", "sarif")[1]
    assert json.loads(out)["runs"][0]["results"][0]["ruleId"] == "image"


def test_a_path_is_a_uri_in_sarif() -> None:
    place = {"file": "a b/ü%#.txt", "line": 1, "text": "leak"}
    leak = {"property": "image", "a": "a", "b": "b", "total": 1, "places": [place]}
    result = {"violations": [{"property": "image", "why": ""}], "leaks": [leak], "notes": [], "files": {}}
    (found,) = sarif(result)["runs"][0]["results"]
    uri = found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "a%20b/%C3%BC%25%23.txt"


def test_a_line_is_found_as_a_whole_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('name,x\n11.png,1\n"1.png",2\na/1.png;3\nb 1.png\n')
    assert find_lines(path, [("1.png", nth) for nth in (1, 2, 3, 9)]) == [3, 4, 5, 5]
    assert find_lines(path, [("png", 1), ("b 1.png", 1), ("a/1.png", 1), ("c/1.png", 1)]) == [None, 5, 4, None]
    (tmp_path / "l.txt").write_text("a\\1.png\n./b//./2.png\n")
    assert find_lines(tmp_path / "l.txt", [(name, 1) for name in ("a/1.png", "b/2.png", "b/1.png")]) == [1, 2, None]
    assert find_lines(tmp_path, [("1.png", 1)]) == [None]
    (tmp_path / "bytes").write_bytes(b"\xff\x00\n1.png\n")
    assert find_lines(tmp_path / "bytes", [("1.png", 1)]) == [2]
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert find_lines(tmp_path / "t.csv.gz", [("11.png", 1)]) == [2]


def saved(path: Path, seed: int, brighter: int = 0) -> None:
    pixels = np.random.default_rng(seed).integers(0, 200, (8, 8, 3)) + brighter
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).resize((80, 80), Image.Resampling.BICUBIC).save(path)


def test_a_folder_is_checked_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seed in {"train/cat/1.png": 1, "train/dog/2.png": 2, "test/cat/1.png": 3, "test/dog/4.png": 4}.items():
        saved(tmp_path / "data" / name, seed)
    monkeypatch.chdir(tmp_path)
    code, out, _ = verify("data", "--strict")
    assert code == 0
    assert out.startswith("took data for 2 folders of pictures (train, test)\n")
    assert "holds: image (2 + 2 images of 2 groups looked at)" in out
    assert "holds: duplicate (4 pairs of 2 + 2 images compared)" in out
    saved(tmp_path / "data" / "test" / "cat" / "near.png", 1, brighter=20)
    saved(tmp_path / "data" / "test" / "[same].png", 2)
    code, out, _ = verify("data", "--format", "github")
    assert code == 1
    near = (
        "data/test/cat/near.png,title=samenoise verify::image test/cat/near.png of test is a near-duplicate of train/c"
    )
    same = "data/test/[same].png,title=samenoise verify::the bytes of this file of test are those of train/dog/2.png"
    assert f"::error file={near}" in out
    assert f"::error file={same}" in out


def test_a_folder_of_lists_is_checked_with_its_images(tmp_path: Path) -> None:
    for number in range(4):
        saved(tmp_path / "images" / f"{number}.png", number % 3)
    (tmp_path / "train.txt").write_text("0.png\n1.png\n")
    (tmp_path / "test.txt").write_text("2.png\n3.png\n")
    code, out, _ = verify(tmp_path)
    assert code == 1
    assert "holds: image (2 + 2 images of 2 groups looked at)" in out
    assert "VIOLATED duplicate: train and test: 1 images of train have a near-duplicate in test" in out
    (tmp_path / "images" / "3.png").unlink()
    code, out, _ = verify(tmp_path)
    assert code == 0
    assert "near-duplicates: 1 of 4 images are not there" in out
    assert "duplicate (" not in out
    assert verify(tmp_path, "--strict")[0] == 1


PATHS = st.tuples(
    st.sampled_from(["", "train/", "test/", "val/x/", "data/train/", "data/test/", "fold1/", "fold2/"]),
    st.sampled_from(["train", "test", "meta", "ids", "1", "[/b]", "a%0A", "ü\n", "list_eval_partition"]),
    st.sampled_from([".txt", ".csv", ".png", ".parquet", ".gz", ""]),
)
CONTENTS = st.sampled_from(
    [
        b"",
        b"a.png\nb.png\n",
        b"a.png x\nb.png y\n",
        b"name,split\na,train\nb,[/x]\n",
        b"\xff\xfe\x00",
        b"PAR1",
        b"PNG",
        b"PIC",
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(PATHS, CONTENTS, max_size=7), st.sampled_from(["text", "github"]))
def test_any_folder_ends_with_a_verdict_or_one_line(tree: dict[tuple[str, ...], bytes], form: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, (parts, content) in enumerate(tree.items()):
            path = Path(folder) / "".join(parts)
            with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):  # taken by another
                if content == b"PIC":
                    saved(path.with_suffix(".png"), number)
                else:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
        code, out, err = verify(folder, "--format", form)
    assert code in (0, 1, 2)
    assert len([line for line in err.splitlines() if line.strip()]) == (code == 2)
    assert "Traceback" not in err
    assert "defect of samenoise" not in err
    assert ("holds: " in out or "VIOLATED" in out) == (code < 2)


@pytest.mark.parametrize("require", ["", " ", ","])
def test_an_empty_requirement_is_refused(lists: Path, require: str) -> None:
    code, out, err = verify(*GROUPS, "--require", require)
    assert code == 2 and not out and "found no property; expected one of image" in err


def test_many_groups_are_not_a_page_of_pairs(tmp_path: Path) -> None:
    rows = pd.DataFrame({"name": np.arange(200) % 199, "group": np.arange(200) // 5})
    rows.to_csv(tmp_path / "t.csv", index=False)
    code, out, _ = verify("--table", tmp_path / "t.csv", "--require", "image", "--html", tmp_path / "o.html")
    assert code == 1
    assert "0: 1 of 5 images are in other groups too" in out
    assert len(out.splitlines()) < 35
    assert (tmp_path / "o.html").read_text().count("<section>") < 40


TEXT = st.text(st.characters(codec="utf-8"), max_size=12).map("<{}>".format)  # blanks at the ends are cut off


@settings(
    max_examples=150 if THOROUGH else 50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(a=TEXT, b=TEXT, image=TEXT, form=st.sampled_from(["text", "github", "sarif"]))
def test_names_are_never_markup(tmp_path: Path, a: str, b: str, image: str, form: str) -> None:
    rows = {"name": [image, image, "z"], "group": [a, b, "z"]}
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    words = ("--table", tmp_path / "t.parquet", "--require", "image", "--format", form, "--html", tmp_path / "o.html")
    code, out, err = verify(*words)
    assert code in (0, 1, 2)
    assert len(err.splitlines()) == (code == 2)
    assert not [c for c in out + err if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\n"]
    if form == "text" and code < 2:
        assert printable(a)[:60] in out
        assert code == (a != b)


WORDS = st.lists(
    st.one_of(
        st.sampled_from(["--group", "--table", "--require", "--format", "--strict", "a=", "=", "x=/[:3]", "--", "-x"]),
        st.text(st.characters(exclude_characters="\0"), max_size=8),
    ),
    max_size=5,
)


@settings(max_examples=200, deadline=None)
@given(WORDS)
def test_any_words_end_with_one_line(words: list[str]) -> None:
    code, out, err = verify(*words)
    assert code in (0, 1, 2)
    assert "Traceback" not in out + err
    assert len(err.splitlines()) <= 2


def test_an_unexpected_error_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str | None) -> Any:
        raise RuntimeError("first\nsecond \x1b[31mred")

    monkeypatch.setattr(cli, "build", broken)
    code, out, err = verify()
    assert (code, out) == (2, "")
    assert err == (
        "samenoise: unexpected RuntimeError: first\\nsecond \\x1b[31mred (a defect of samenoise; "
        "SAMENOISE_TRACEBACK=1 shows where)\n"
    )


def test_text_is_printable_and_bounded() -> None:
    assert printable("[red]ü\x1b\n\u202e\udc80") == "[red]ü\\x1b\\n\\u202e\\udc80"
    assert len(one_line("x" * 5000)) <= 700


def test_help_lists_the_first_line_of_every_command() -> None:
    import importlib

    for module in cli.COMMANDS.values():
        own = importlib.import_module(module).command.__doc__.split("\n")[0]
        assert cli.first_help_line(module) == own
        assert own


@pytest.mark.parametrize(
    "words", [("verify", *GROUPS, "--require", "image"), ("verify", "--table", "t.csv"), ("--help",)]
)
def test_nothing_heavy_is_imported(lists: Path, words: tuple[str, ...]) -> None:
    code = (
        "import sys; from audit.cli import main\n"
        f"try: main({list(words)!r})\n"
        "except SystemExit: print(sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    (lists / "t.csv").write_text("name,group\na,one\nb,two\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    found = set(re.findall(r"'(\w+)'", done.stdout.splitlines()[-1]))
    assert "typer" in found
    assert not found & HEAVY
