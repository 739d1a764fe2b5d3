from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.cache import cached
from core.errors import InputError


def test_made_once_and_made_again_when_the_key_or_the_bytes_change(tmp_path: Path) -> None:
    calls: list[int] = []

    def make() -> dict[str, Tensor]:
        calls.append(1)
        return {"a": torch.arange(3.0)}

    for _ in range(2):
        torch.testing.assert_close(cached(tmp_path, {"seed": 0}, make)["a"], torch.arange(3.0))
    assert len(calls) == 1
    cached(tmp_path, {"seed": 1}, make)
    assert len(calls) == 2
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    torch.testing.assert_close(cached(tmp_path, {"seed": 0}, make)["a"], torch.arange(3.0))
    assert len(calls) == 3


def test_a_directory_that_cannot_be_written_is_named_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    calls: list[int] = []

    def make() -> dict[str, Tensor]:
        calls.append(1)
        return {}

    with pytest.raises(InputError, match=r"file/samples: cannot be written .*; expected a store of results"):
        cached(tmp_path / "file" / "samples", {}, make)
    assert not calls
