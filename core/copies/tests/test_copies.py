"""A planted memoriser is found and fresh samples are cleared; what criteria can see is measured on planted copies."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.copies.options import Options
from core.copies.run import Asked, Copies, find_copies
from core.copies.sentences import answer, lines, required
from core.copies.tests.made_up import images
from core.errors import InputError
from core.metrics.known_copies import perturb

TRAIN = images(400, 0)
HELD_OUT = images(200, 1)
FRESH = images(150, 2)
OFF = Options(lpips="off")


def ask(tmp: Path, samples: Tensor, train: Tensor = TRAIN, held_out: Tensor | None = HELD_OUT) -> Asked:
    """The sets as files."""
    named: dict[str, Path | None] = {"samples": None, "train": None, "held_out": None}
    for name, pixels in (("samples", samples), ("train", train), ("held_out", held_out)):
        if pixels is not None:
            named[name] = tmp / f"{name}.npy"
            np.save(tmp / f"{name}.npy", pixels.numpy())
    assert named["samples"] is not None and named["train"] is not None
    return Asked.of(named["samples"], named["train"], named["held_out"], None)


def found(tmp: Path, samples: Tensor, options: Options = OFF, **sets: Any) -> Copies:
    return find_copies(ask(tmp, samples, **sets), options, tmp / "work")


def row(result: dict[str, Any], key: str) -> dict[str, Any]:
    return next(one for one in result["criteria"] if one["key"] == key)


def test_a_memoriser_is_found_and_its_originals_are_named(tmp_path: Path) -> None:
    samples = torch.cat([perturb(TRAIN[:60], "noise", 0.02, seed=0), FRESH[:90]])
    copies = found(tmp_path, samples)
    result = copies.result
    together = result["any"]["samples"]
    assert together["copies"] == 60 and together["low"] < 0.4 < together["high"]
    originals = {int(pair["sample"]): int(pair["nearest"]) for pair in result["copies"]}
    assert originals == {k: k for k in range(60)}
    first, nearest = copies.pictures[0]
    k = int(result["nearest"][0]["sample"])
    assert torch.equal(first, samples[k]) and torch.equal(nearest, TRAIN[k])
    assert result["answer"].startswith("60 of 150 samples are copies of training images")


def test_fresh_samples_are_cleared_of_what_is_seen_and_of_nothing_else(tmp_path: Path) -> None:
    result = found(tmp_path, FRESH).result
    assert result["any"]["samples"]["copies"] == 0 and result["copies"] == []
    assert "exact" in result["any"]["sees"] and "flipped" in result["any"]["does_not_see"]
    assert result["answer"].startswith(
        "No sample of 150 is a copy that gap ratio, Carlini or correlation can see (exact"
    )
    assert "flipped" not in result["answer"] and "flipped" in result["sight"]
    assert result["not_looked_at"].keys() == {"SSCD", "LPIPS"}
    assert "not looked at, SSCD" in "\n".join(lines(result))


def test_a_copy_with_a_twin_in_the_training_set_is_found_by_the_gap_ratio(tmp_path: Path) -> None:
    twins = torch.cat([TRAIN, perturb(TRAIN[:60], "noise", 0.01, seed=3)])
    result = found(tmp_path, perturb(TRAIN[:60], "noise", 0.02, seed=0), train=twins).result
    assert row(result, "gap")["samples"]["copies"] == 60
    assert result["twins"] == {"correlation_above": 0.95, "groups": 400, "joined": 120, "largest": 2}


def test_joining_twins_is_what_finds_it(tmp_path: Path) -> None:
    twins = torch.cat([TRAIN, perturb(TRAIN[:60], "noise", 0.01, seed=3)])
    apart = Options(lpips="off", twins=1.0)
    result = found(tmp_path, perturb(TRAIN[:60], "noise", 0.02, seed=0), apart, train=twins).result
    assert row(result, "gap")["samples"]["copies"] == 0


def test_a_negative_is_no_twin(tmp_path: Path) -> None:
    negatives = torch.cat([TRAIN, 1 - TRAIN[:60]])
    result = found(tmp_path, FRESH, train=negatives).result
    assert result["twins"]["joined"] == 0


def test_a_near_duplicate_chain_is_said(tmp_path: Path) -> None:
    crowd = torch.cat([TRAIN, perturb(TRAIN[:1].repeat(80, 1, 1, 1), "noise", 0.01, seed=3)])
    (note,) = found(tmp_path, FRESH, train=crowd).result["notes"]
    assert note.startswith("81 of 480 training images are one group of near-duplicates")


@pytest.mark.parametrize(
    ("copies", "at_most", "holds", "verdict"),
    [
        (0, 0.05, True, "holds, of copies that these criteria see (exact"),
        (30, 0.05, False, "does not hold: 20 %"),
        (4, 0.03, False, "is not shown: the interval ends at 6.7 %"),
    ],
)
def test_the_interval_decides(tmp_path: Path, copies: int, at_most: float, holds: bool, verdict: str) -> None:
    samples = torch.cat([perturb(TRAIN[:copies], "noise", 0.01, seed=0), FRESH[copies:]]) if copies else FRESH
    result = found(tmp_path, samples, Options(lpips="off", at_most=at_most)).result
    assert result["holds"] is holds and result["verdict"].startswith(verdict)


def test_without_held_out_images_training_images_are_the_non_copies(tmp_path: Path) -> None:
    result = found(tmp_path, FRESH, held_out=None).result
    assert row(result, "gap")["calibrated"] is not None and result["any"]["held-out images"] is None
    assert "training images, each beside the others" in result["sight"]


def test_few_training_images_give_published_thresholds_and_fewer_neighbours(tmp_path: Path) -> None:
    result = found(tmp_path, perturb(TRAIN[:10], "noise", 0.01, seed=0), train=TRAIN[:10], held_out=None).result
    assert row(result, "gap")["calibrated"] is None and row(result, "gap")["threshold"] == pytest.approx(1 / 3)
    assert "over the 9 nearest" in row(result, "carlini")["rule"]
    assert result["any"]["samples"]["copies"] == 10 and "exact" in result["any"]["sees"]


def test_a_published_threshold_that_calls_strangers_copies_gives_way(tmp_path: Path) -> None:
    """Images that are all alike: a correlation above 0.95 is no sign of a copy among them."""
    base = images(1, 9)
    alike = [(0.7 * base + 0.3 * images(n, seed)) for n, seed in ((300, 0), (200, 1), (150, 2))]
    apart = Options(lpips="off", twins=1.0)
    result = found(tmp_path, alike[2], apart, train=alike[0], held_out=alike[1]).result
    correlation = row(result, "correlation")
    assert not correlation["as_published"] and correlation["threshold"] > 0.95
    assert correlation["held-out images"]["share"] <= 0.01 and correlation["samples"]["share"] < 0.05


def test_calibrated_thresholds_see_more(tmp_path: Path) -> None:
    result = found(tmp_path, FRESH, Options(lpips="off", calibrated=True)).result
    published = found(tmp_path, FRESH).result
    assert set(result["any"]["sees"]) > set(published["any"]["sees"])
    assert not row(result, "gap")["as_published"]
    assert "* calibrated" in "\n".join(lines(result)) and "* calibrated" not in "\n".join(lines(published))


def test_held_out_images_that_are_all_but_training_images_leave_little_to_see(tmp_path: Path) -> None:
    near = (TRAIN[:200] + 1e-3).clamp(0, 1)
    result = found(tmp_path, FRESH, held_out=near).result
    assert set(result["any"]["sees"]) <= {"exact", "brightened"} and not row(result, "gap")["as_published"]


def test_where_nothing_is_seen_nothing_is_cleared(tmp_path: Path) -> None:
    result = found(tmp_path, FRESH).result
    result["any"]["sees"], result["any"]["does_not_see"] = [], list(result["planted_kinds"])
    result["answer"] = answer(result)
    assert "cannot be told" in result["answer"]
    with pytest.raises(InputError, match=r"--at-most 0.05: cannot be told"):
        required(result, 0.05)


def test_a_stopped_run_gives_the_same_answer(tmp_path: Path) -> None:
    asked = ask(tmp_path, FRESH)

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "comparing planted copies":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_copies(asked, OFF, tmp_path / "work", stop)
    stages: list[str] = []
    again = find_copies(asked, OFF, tmp_path / "work", lambda stage, done, total: stages.append(stage))
    assert not any(stage.startswith(("pooling", "checking")) for stage in stages)
    assert again.result == find_copies(asked, OFF, tmp_path / "other").result
