"""Near-duplicates across groups, looked at again at full size: a planted copy is confirmed, a likeness is not."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.cli import main
from core.data.corpus import save_corpus
from core.errors import InputError
from core.splits.near_duplicates import Again, near_duplicates_across
from core.splits.reading import Given, read_groups
from fixtures.faces.corpus import generate


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """Two lists and their pictures: one photograph in both, encoded and lit anew, and a pair alike at 20x20 only."""
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(60, 196, (10, 10)), np.ones((16, 16)))
    own = np.kron(rng.integers(0, 256, (40, 40)), np.ones((4, 4)))
    fine = [rng.normal(0, 25, (80, 80)).repeat(2, axis=0).repeat(2, axis=1) for _ in range(2)]
    pictures = {"a.jpg": own, "b.jpg": coarse + fine[0], "c.jpg": own * 0.8 + 30, "d.jpg": coarse + fine[1]}
    (tmp_path / "pictures").mkdir()
    for name, levels in pictures.items():
        stream = io.BytesIO()
        Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=70)
        (tmp_path / "pictures" / name).write_bytes(stream.getvalue())
    (tmp_path / "train.txt").write_text("a.jpg\nb.jpg\n")
    (tmp_path / "test.txt").write_text("c.jpg\nd.jpg\n")
    return tmp_path


def command(groups: Path, *more: str) -> list[str]:
    lists = ["--group", f"train={groups / 'train.txt'}", "--group", f"test={groups / 'test.txt'}"]
    return ["verify", *lists, "--images", str(groups / "pictures"), *more]


def test_both_counts_are_told_and_confirm_keeps_the_copy(groups: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for name, more in (("plain", []), ("confirmed", ["--confirm"])):
        out = groups / f"{name}.json"
        with pytest.raises(SystemExit) as ended:
            main(command(groups, *more, "--json", str(out), "--html", str(groups / f"{name}.html")))
        assert ended.value.code == 0
        found[name] = json.loads(out.read_text())
    assert [found[name]["pairs"][0]["near_duplicate_pairs"] for name in found] == [2, 1]
    assert found["confirmed"]["pairs"][0]["examples"]["near_duplicates"] == ["a.jpg ~ c.jpg"]
    looked = found["plain"]["second_look"]
    assert (looked["pairs"], looked["looked_at"], looked["confirmed"]) == (2, 2, 1)
    assert "second look at 2 pairs: 1 confirmed" in capsys.readouterr().out
    assert "what a second look confirms" in (groups / "plain.html").read_text()


def test_the_page_shows_the_pairs_of_each_band(groups: Path) -> None:
    """The copy under its heading, the likeness under another, both from the photographs and not from small images."""
    with pytest.raises(SystemExit):
        main(command(groups, "--html", str(groups / "page.html")))
    page = (groups / "page.html").read_text()
    confirmed, likeness = (
        re.search(rf"{word} \(1 pairs\)</h3>(.*?)</ul>", page, re.DOTALL) for word in (": confirmed", "not confirmed")
    )
    assert confirmed is not None and "a.jpg &middot; c.jpg" in confirmed[1]
    assert likeness is not None and "b.jpg &middot; d.jpg" in likeness[1]
    assert "Confirmed means one photograph" in page and "img-src data:" in page
    shown = re.search(r"data:image/png;base64,([^\"]+)", confirmed[1])
    assert shown is not None
    assert Image.open(io.BytesIO(base64.b64decode(shown[1]))).size == (160, 160)


def test_a_required_property_is_lost_by_a_confirmed_pair_only(groups: Path) -> None:
    (groups / "train.txt").write_text("b.jpg\n")
    for more, code in ((["--require", "duplicate"], 1), (["--require", "duplicate", "--confirm"], 0)):
        with pytest.raises(SystemExit) as ended:
            main(command(groups, *more))
        assert ended.value.code == code


def test_a_corpus_has_no_full_size_pictures(tmp_path: Path, groups: Path) -> None:
    corpus = generate(8, size=20, seed=0).corpus
    save_corpus(corpus, tmp_path / "corpus")
    for name, part in (("one.txt", corpus.names[:4]), ("two.txt", corpus.names[4:])):
        (tmp_path / name).write_text("".join(f"{each}\n" for each in part))
    given = Given(groups=(f"one={tmp_path / 'one.txt'}", f"two={tmp_path / 'two.txt'}"))
    membership = read_groups(given)[0]
    again = Again()
    near_duplicates_across(membership, tmp_path / "corpus", again=again)
    assert again.counts is not None and "no full-size pictures" in again.counts["not_looked"]
    with pytest.raises(InputError, match="--confirm"):
        near_duplicates_across(membership, tmp_path / "corpus", again=Again(confirm=True))
    with pytest.raises(SystemExit) as ended:
        main([*command(groups)[:-2], "--confirm"])
    assert ended.value.code == 2
