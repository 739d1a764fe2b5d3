"""What a training keeps of its progress, stopped and resumed or not (Topeza 2025, section 4.4)."""

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from core.tensors import read_tensors
from core.training.config import TrainConfig
from core.training.state import HISTORY, INDEX
from core.training.train import train

SEED = 0
MONITORED = TrainConfig(
    image_size=8, base_channels=2, blocks=1, exposures=64, epochs=6, batch=16, halve_every=1, repetition="exact"
)


class Interrupted(Exception):
    """Stands for the loss of the process; the real one, by signal, is among the trainer's own tests."""


def train_monitored(directory: Path, stop_after: int | None = None) -> int:
    """Run a small training; how many of its epochs left a readable state behind them."""
    images = torch.rand((12, 1, 8, 8), generator=torch.Generator().manual_seed(SEED))
    states = 0

    def on_epoch(row: dict[str, Any]) -> None:
        nonlocal states
        index = json.loads((directory / INDEX).read_text())
        read_tensors(directory / index["last"]["file"], sha256=index["last"]["sha256"])
        states += index["last"]["epochs"] == row["epoch"] + 1
        if row["epoch"] + 1 == stop_after:
            raise Interrupted

    train(images, MONITORED, seed=SEED, directory=directory, test_images=images[:4], on_epoch=on_epoch)
    return states


def kept_history(directory: Path) -> list[dict[str, Any]]:
    """The rows of history on disk, without the times."""
    rows = [json.loads(line) for line in (directory / HISTORY).read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]


def missing_records(rows: list[dict[str, Any]], states: int, resumed: list[dict[str, Any]]) -> dict[str, int]:
    """Missing records of a run of six epochs, and in how many rows a run that was stopped and resumed differs."""
    return {
        "missing_losses": MONITORED.epochs - sum("loss" in row and "test_loss" in row for row in rows),
        "missing_psnr": MONITORED.epochs - sum("psnr" in row and "test_psnr" in row for row in rows),
        "missing_checkpoints": MONITORED.epochs - states,
        "differences_after_resuming": sum(a != b for a, b in itertools.zip_longest(rows, resumed)),
    }


def monitored_twice(directory: Path) -> tuple[list[dict[str, Any]], int, list[dict[str, Any]]]:
    """Rows and states of an uninterrupted run, and rows of one stopped after two epochs and resumed."""
    states = train_monitored(directory / "whole")
    with contextlib.suppress(Interrupted):
        train_monitored(directory / "cut", stop_after=2)
    assert train_monitored(directory / "cut") == MONITORED.epochs - 2
    return kept_history(directory / "whole"), states, kept_history(directory / "cut")


def test_everything_is_kept_at_every_epoch_stopped_and_resumed_or_not(tmp_path: Path) -> None:
    assert set(missing_records(*monitored_twice(tmp_path)).values()) == {0}


def test_two_uninterrupted_runs_are_the_same(tmp_path: Path) -> None:
    states = [train_monitored(tmp_path / name) for name in "ab"]
    found = missing_records(kept_history(tmp_path / "a"), states[0], kept_history(tmp_path / "b"))
    assert set(found.values()) == {0}


@pytest.mark.parametrize("defect", ["a missing row", "no PSNR", "a missed state", "a loss that differs"])
def test_a_gap_in_the_records_is_noticed(tmp_path: Path, defect: str) -> None:
    rows, states, resumed = monitored_twice(tmp_path)
    if defect == "a missing row":
        resumed = resumed[:-1]
    elif defect == "no PSNR":
        del rows[3]["psnr"]
    elif defect == "a missed state":
        states -= 1
    else:
        resumed[4]["loss"] *= 1 + 1e-7
    assert set(missing_records(rows, states, resumed).values()) != {0}
