"""Lists read as a whole give the names that lists read line by line give."""

from pathlib import Path

import pytest

from core.splits import listed
from core.splits.listed import read_listed
from core.splits.plain_list import plain_names
from core.splits.text import read_text_of


@pytest.mark.parametrize("content", ["a/1.jpg\na/2.jpg\n", "1.jpg\n2.jpg", "x.png\ny:z.png\n"])
def test_plain_names_are_those_of_the_lines(tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list.txt"
    path.write_text(content)
    found = read_listed(path)
    assert plain_names(read_text_of(path)) is not None
    monkeypatch.setattr(listed, "plain_names", lambda text: None)
    slow = read_listed(path)
    assert found.names.to_pylist() == slow.names.to_pylist() == content.split()
    assert (list(found.lines or ()), found.notes) == (slow.lines, slow.notes)


@pytest.mark.parametrize(
    "content",
    ["file\n1.jpg\n", "2\n1.jpg\n2.jpg\n", "1.jpg\n1.jpg\n", "1.jpg\n\n2.jpg\n", "1.jpg\n./2.jpg\n",
     "1.jpg,a\n2.jpg,b\n",
     "1.jpg\n2 .jpg\n", "1.jpg\n#2.jpg\n", "1.jpg\r\n2.jpg\r\n", "1.jpg:4\n2.jpg:5\n", "1.jpg\né.jpg\n",
     "1.jpg\n'2.jpg'\n"],
)  # fmt: skip
def test_what_needs_a_closer_look_is_left_to_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content.encode())
    assert plain_names(read_text_of(path)) is None
