"""Verdicts of pairs that are built to deserve them; defects are planted in networks, images and lists."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from core.compare.options import Options
from core.compare.run import compare
from core.compare.sentences import lines
from core.compare.tests.made_up import SHAPE, learnt, of_kinds, pair_of, told
from core.copies.options import Options as CopiesOptions
from core.copies.tests.made_up import images
from core.denoisers.oracles import Gaussian
from core.denoisers.protocol import SigmaDenoiser, Told
from reports.two_denoisers import compare_page

OPTIONS = Options(
    strong=0.9, same_within=0.03, residual_within=0.05, levels=12, seeds=40, copies=CopiesOptions(lpips="off")
)
A, B = of_kinds(500, 0), of_kinds(500, 1)
pytestmark = pytest.mark.usefixtures("one_thread")


def asked(
    tmp: Path,
    denoisers: dict[str, SigmaDenoiser],
    a: Tensor = A,
    b: Tensor = B,
    options: Options = OPTIONS,
    **more: Any,
) -> dict[str, Any]:
    """The result of one comparison, whose page can be drawn."""
    found = compare(replace(pair_of(tmp, denoisers, a, b), **more), options, tmp / "work")
    assert found.result["answer"].replace("'", "&#39;") in compare_page(found)
    assert next(iter(lines(found.result))) == found.result["answer"]
    return found.result


def verdicts(result: dict[str, Any]) -> list[str]:
    return [one["verdict"] for one in result["questions"]]


def test_the_same_function_beside_its_ceiling(tmp_path: Path) -> None:
    result = asked(tmp_path, {"A": learnt(0), "B": learnt(1), "ceiling": learnt(2)})
    assert verdicts(result)[::2] == ["yes", "none found"]
    assert result["answer"].startswith("A and B are the same function as far as these samples tell.")
    assert "as alike as two trainings on the same images" in result["questions"][0]["why"]
    assert abs(result["ceiling_minus_agreement"]["value"]) < 0.01


@pytest.mark.parametrize(("last", "expected"), [(12, "no"), (18, "cannot be told")])
def test_a_network_that_never_saw_some_kinds_is_not_called_the_same(tmp_path: Path, last: int, expected: str) -> None:
    """Agreement itself hardly tells, since mean and covariance are much the same: what is beyond a Gaussian does."""
    some = of_kinds(500, 1, last=last)
    result = asked(tmp_path, {"A": learnt(0), "B": learnt(1, last=last), "ceiling": learnt(2)}, b=some)
    assert verdicts(result)[0] == expected and result["agreement"][0]["value"] > 0.9
    assert result["residual_ceiling_minus_agreement"]["low"] > 0.02


def test_a_ceiling_that_was_trained_on_other_images_is_no_ceiling(tmp_path: Path) -> None:
    result = asked(tmp_path, {"A": learnt(0), "B": learnt(1), "ceiling": learnt(2, last=12)})
    assert verdicts(result)[0] == "cannot be told"
    reason = result["questions"][0]["why"] if not result["not_admitted"] else result["not_admitted"][0]
    assert "Was A2 trained as A was?" in reason or reason.startswith("ceiling: errs by")


def test_without_a_ceiling_nobody_says_the_same(tmp_path: Path) -> None:
    result = asked(tmp_path, {"A": learnt(0), "B": learnt(1)})
    assert verdicts(result)[0] == "nearly" and "--ceiling A2" in result["questions"][0]["why"]
    assert "ceiling" not in result["denoisers"] and result["ceiling_minus_agreement"] is None


def test_two_linear_denoisers_agree_and_are_not_called_the_same(tmp_path: Path) -> None:
    """They agree by 0.9 from the same noise and know nothing but mean and covariance."""
    sets = images(600, 0, size=8), images(600, 1, size=8)
    a, b = (told(Gaussian.from_images(x)) for x in sets)
    result = asked(tmp_path, {"A": a, "B": b}, *sets)
    assert result["agreement"][0]["low"] > 0.9 and verdicts(result)[0] == "cannot be told"
    assert "a shared mean and covariance may be all" in result["questions"][0]["why"]


def test_too_few_seeds(tmp_path: Path) -> None:
    result = asked(tmp_path, {"A": learnt(0), "B": learnt(1)}, options=replace(OPTIONS, seeds=8))
    assert verdicts(result)[0] == "cannot be told" and "at least 20 are needed" in result["questions"][0]["why"]


def test_a_network_read_as_something_else_is_sampled_by_nobody(tmp_path: Path) -> None:
    inner = learnt(1)
    noise = Told(lambda x, s: x - inner(x, s), shape=SHAPE, data_range=(0.0, 1.0), sigma_min=0.02, sigma_max=20.0)
    result = asked(tmp_path, {"A": learnt(0), "B": noise}, options=replace(OPTIONS, at_least=0.5))
    assert verdicts(result) == ["cannot be told", "cannot be told", "none found", "not at all"]
    assert result["answer"].startswith("Whether A and B are the same function cannot be told: B: ")
    assert "it reads as the noise, x - x0" in result["answer"] and result["agreement"] == []
    assert result["holds"] is False


@pytest.mark.parametrize("bits", [0, 1], ids=["the image", "nearly the image"])
def test_an_image_in_both_sets_comes_first(tmp_path: Path, bits: int) -> None:
    """Pixel for pixel it overlaps; nearly so, in arrays that no second look can settle, it cannot be told."""
    leaked = torch.cat([B[:-1], (A[:1] + bits * 0.01).clamp(0, 1)])
    result = asked(tmp_path, {"A": learnt(0), "B": learnt(1)}, b=leaked, options=replace(OPTIONS, at_least=0.5))
    expected = ["cannot be told", "cannot be told"] if bits else ["means little", "yes"]
    assert verdicts(result)[::2] == expected and result["holds"] is False
    assert result["overlap"]["near_duplicates"]["pairs"] == 1
    assert result["overlap"]["images"]["images_of_b"] == 1 - bits
    first = (
        "What agreement means cannot be told" if bits else "Agreement means little, as the training sets overlap: 1 of"
    )
    assert result["answer"].startswith(first)


def test_a_photograph_saved_again_is_confirmed_at_full_size(tmp_path: Path) -> None:
    """Pictures of 96 pixels, one of which is in both sets through a JPEG file."""
    for name, seed in (("A", 0), ("B", 1)):
        (tmp_path / name).mkdir()
        for k, image in enumerate((images(60, seed, size=96)[:, 0] * 255).byte().numpy()):
            Image.fromarray(image).save(tmp_path / name / f"{name}{k}.png")
    stream = io.BytesIO()
    Image.open(tmp_path / "A" / "A7.png").save(stream, "JPEG", quality=80)
    (tmp_path / "B" / "again.jpg").write_bytes(stream.getvalue())
    train = {name: tmp_path / name for name in ("A", "B")}
    a, b = (told(Gaussian.from_images(images(400, seed, size=8))) for seed in (0, 1))
    result = asked(tmp_path, {"A": a, "B": b}, train=train)
    near = result["overlap"]["near_duplicates"]
    assert near["confirmed"] == 1 and near["examples"] == [["A7.png", "again.jpg"]]
    assert verdicts(result)[2] == "yes" and "1 pairs of near-duplicates" in result["answer"]


def test_the_same_samples_whatever_the_batch(tmp_path: Path) -> None:
    found = [
        asked(tmp_path, {"A": learnt(0), "B": learnt(1)}, options=replace(OPTIONS, batch=batch))["agreement"][0]
        for batch in (7, 32)
    ]
    np.testing.assert_allclose(found[0]["value"], found[1]["value"], atol=1e-5)
