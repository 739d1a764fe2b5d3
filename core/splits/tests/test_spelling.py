"""What verify says of spellings depends on the names that rows show, and on each of their digits."""

from pathlib import Path

import numpy as np
import pytest

from core.splits import places
from core.splits.places import find_lines
from core.splits.presence import first_of_each
from core.splits.reading import Given, read_groups


def notes(folder: Path, rows: list[tuple[str, str]]) -> list[str]:
    """What is said of spellings in a table of names and groups, rows without a group left out."""
    path = folder / "table.csv"
    path.write_text("name,split\n" + "".join(f"{name},{group}\n" for name, group in rows))
    given = Given(tables=(path,), name_column="name", group_column="split", on_unknown="skip")
    return [note.text for note in read_groups(given)[1] if note.kind == "spelling"]


@pytest.mark.parametrize(
    "shown",
    [
        [("1.jpg", "a"), ("2.png", "a"), ("3.gif", "b"), ("3.jpg", "a")],
        [("x/1.jpg", "a"), ("y/2.jpg", "a"), ("z/2.jpg", "b")],
        [("1.jpg", "a"), ("1.jpg'", "b"), ("2.jpg", "b")],
        [("1.jpg", "a"), ("b 1.jpg", "b")],
        [("1.jpg", "a"), ("1.jpg:5", "b")],
        [("1.jpg", "a"), ("É.jpg", "a"), ("E\u0301.jpg", "b")],
        [("01.jpg", "a"), ("1.JPG", "b")],
    ],
)
@pytest.mark.parametrize("unseen", ["9.gif", "'9.jpg", "z/9.png", "y/1.jpg", "c 1.jpg", "1.jpg@3", "é", "+1"])
def test_rows_that_are_left_out_have_no_say(tmp_path: Path, shown: list[tuple[str, str]], unseen: str) -> None:
    assert notes(tmp_path, [(unseen, ""), *shown]) == notes(tmp_path, shown)
    assert notes(tmp_path, [*shown, shown[0]]) == notes(tmp_path, shown)


def test_names_of_one_shape_are_still_looked_at_where_digits_matter(tmp_path: Path) -> None:
    (found,) = notes(tmp_path, [("c/1.mp3", "a"), ("c/1.mp4", "b")])
    assert "share no extension" in found and "1 names are in both" in found
    (found,) = notes(tmp_path, [("d1/7.jpg", "a"), ("d2/7.jpg", "b")])
    assert "share no folder (d1/, d2/)" in found and "1 file names are in both" in found
    (found,) = notes(tmp_path, [("1.jpg:1", "a"), ("1.jpg:2", "b")])
    assert "behind a mark" in found
    (found,) = notes(tmp_path, [("a 1.jpg", "a"), ("a 1.jpg", "a"), ("b 1.jpg", "b")])
    assert "before their last blank" in found
    assert notes(tmp_path, [("c/1.jpg", "a"), ("c/2.jpg", "b")]) == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_wherever_a_piece_of_a_file_ends(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "list.txt"
    names = [f"a/{i}.jpg" for i in range(40)]
    path.write_bytes(end.join(["", *names[:20], "", *names[20:], names[3]]).encode())
    expected = [names.index(name) + 2 + (name in names[20:]) for name in names]
    for piece in (1, 7, 50, 1 << 20):
        monkeypatch.setattr(places, "_PIECE", piece)
        assert find_lines(path, [(name, 1) for name in names]) == expected
        assert find_lines(path, [(names[3], 2), (names[30], 1)]) == [43, 33]


def test_the_first_row_of_each_code_is_kept() -> None:
    codes = np.random.default_rng(0).integers(0, 700, 1000).astype(np.int32)
    rows = np.arange(3, 900)
    assert first_of_each(codes, rows, 700).tolist() == sorted(
        (np.unique(codes[rows], return_index=True)[1] + 3).tolist()
    )
