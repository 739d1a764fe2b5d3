"""Claims on the path from photographs to the tensor: preprocessing and order (T 3.2)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.measures.order import rebuild, record_order_rebuilt, write_noise
from audit.measures.preprocessing import (
    by_the_book,
    compare_pixels,
    generated_photographs,
    gray_first,
    preprocessed,
    record_preprocessing,
)
from core.data.lists import write_list
from core.data.preprocess import CROP_BOX
from reports.judge import Judge
from reports.record import ClaimRecord

# -------------------------------------------------------------------------------------------------------- preprocessing


@pytest.mark.claim("T-preprocess")
def test_preprocess(evidence: ClaimRecord, celeba_dir: Path | None, tmp_path: Path) -> None:
    record_preprocessing(evidence, celeba_dir, tmp_path)


@pytest.mark.control("T-preprocess", "positive")
def test_colours_that_need_no_rounding_survive_exactly() -> None:
    for colour in ((0, 0, 0), (255, 255, 255), (10, 20, 30)):
        image = Image.new("RGB", (178, 218), colour)
        assert (by_the_book(image) == np.float32(sum(colour) / 765)).all()
        assert compare_pixels([image], preprocessed)[0]["pixels_different"] == 0


@pytest.mark.control("T-preprocess", "negative")
@pytest.mark.parametrize("defect", ["gray first", "shifted crop", "bilinear", "no averaging", "luma weights"])
def test_other_steps_are_caught(judge: Judge, defect: str) -> None:
    def planted(image: Image.Image) -> np.ndarray:
        box = (10, 29, 170, 189) if defect == "shifted crop" else CROP_BOX
        method = {"bilinear": Image.Resampling.BILINEAR, "no averaging": Image.Resampling.NEAREST}
        small = image.crop(box).resize((40, 40), method.get(defect, Image.Resampling.BICUBIC))
        if defect == "luma weights":
            return np.asarray(small.convert("L"), dtype=np.float32) / np.float32(255)
        return (np.asarray(small).astype(np.float64).mean(axis=2) / 255).astype(np.float32)

    implementation = gray_first if defect == "gray first" else planted
    found, _ = compare_pixels(generated_photographs(5, seed=1), implementation)
    assert found["pixels_different"] > 0
    found["largest_gray_difference"] = 0.0
    assert judge("T-preprocess", found) == "refuted"


# ---------------------------------------------------------------------------------------------------------------- order


@pytest.mark.claim("T-order")
def test_order(evidence: ClaimRecord, celeba_dir: Path | None, tmp_path: Path) -> None:
    record_order_rebuilt(evidence, celeba_dir, tmp_path)


@pytest.mark.control("T-order", "positive")
def test_two_images_and_their_list(tmp_path: Path, judge: Judge) -> None:
    names = write_noise(tmp_path, 2, np.random.default_rng(1))
    assert judge("T-order", rebuild(tmp_path, names, tmp_path)) == "reproduced"


@pytest.mark.control("T-order", "negative")
def test_lists_that_lose_the_order_are_caught(tmp_path: Path, judge: Judge) -> None:
    names = sorted(write_noise(tmp_path, 5, np.random.default_rng(2)), reverse=True)

    def sorting(path: Path, order: Sequence[str]) -> None:
        write_list(path, sorted(order))

    found = rebuild(tmp_path, names, tmp_path, sorting)
    assert found["bytes_different"] > 0 and found["swaps_unnoticed"] == 0
    assert judge("T-order", found) == "refuted"


@pytest.mark.control("T-order", "negative")
def test_images_that_are_all_alike_hide_the_order(tmp_path: Path, judge: Judge) -> None:
    names = write_noise(tmp_path, 3, np.random.default_rng(3))
    folder = tmp_path / "img_align_celeba"
    for name in names[1:]:
        (folder / name).write_bytes((folder / names[0]).read_bytes())
    assert judge("T-order", rebuild(tmp_path, names, tmp_path)) == "refuted"
