import os
from pathlib import Path

import pytest

from core.files import names_sha256, sha256_file, sha256_text, write_atomic


def test_names_hash_is_that_of_the_list_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "sub" / "list.txt", "b.jpg\na.jpg\n")
    assert names_sha256(["b.jpg", "a.jpg"]) == sha256_file(tmp_path / "sub" / "list.txt")
    assert names_sha256(["a.jpg", "b.jpg"]) != names_sha256(["b.jpg", "a.jpg"])
    assert names_sha256([]) == sha256_text("")


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "state.json"
    write_atomic(target, "old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(target, "new")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]
