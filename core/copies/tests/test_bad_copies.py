"""Sets between which a comparison means nothing are refused in one sentence that names the file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from core.copies.options import Options, fewest_samples
from core.copies.run import Asked, find_copies
from core.copies.tests.made_up import images
from core.data.pictures import Fit
from core.errors import InputError
from core.stats import clopper_pearson
from core.tensors import pack

OFF = Options(lpips="off")


def files(tmp: Path, **sets: Tensor) -> dict[str, Path]:
    for name, pixels in sets.items():
        np.save(tmp / f"{name}.npy", pixels.numpy())
    return {name: tmp / f"{name}.npy" for name in sets}


def run(tmp: Path, samples: Path, train: Path, held_out: Path | None = None, *, options: Options = OFF) -> list[str]:
    """Notes of the result."""
    return list(find_copies(Asked.of(samples, train, held_out, None), options, tmp / "work").result["notes"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: 2 * x - 1, r"samples.npy: found samples with values from -0.9.* to .* beside training images from"),
        (lambda x: 2 * x - 1, r"these look like \[-1, 1\]: save them as \(x \+ 1\) / 2"),
        (lambda x: 255 * x, r"these look like levels of 0 to 255"),
        (lambda x: x * 1.05, r"expected \[0, 1\]; .* of the pixels lie outside; --clip clips up to 0.05"),
        (lambda x: (x + 1) / 2, r"keep to 0.5.* where the training images fill .*converted once too often"),
        (lambda x: x / 255, r"keep to .* to 0.0039.* of their range"),
        (lambda x: x[:, :, :-1], r"found samples of 1x19x20 .* expected 1x20x20 like the training images"),
        (lambda x: x.repeat(1, 3, 1, 1), r"found samples of 3x20x20 .* --size N, with --color"),
        (lambda x: x.index_fill(0, torch.tensor([7]), torch.nan), r"samples.npy: image 7 has a pixel that is NaN"),
        (lambda x: (255 * x).long(), r"found pixels of int64, expected levels of 8 or 16 bits"),
        (lambda x: x.flatten(1), r"found vectors \(60, 400\), expected images"),
        (lambda x: x[:0], r"samples.npy: holds no image; expected samples"),
    ],
)
def test_samples_of_another_kind(tmp_path: Path, change: Callable[[Tensor], Tensor], message: str) -> None:
    paths = files(tmp_path, samples=change(images(60, 1)), train=images(120, 0))
    with pytest.raises(InputError, match=message) as error:
        run(tmp_path, paths["samples"], paths["train"])
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_a_range_is_declared_for_every_array_and_then_held(tmp_path: Path) -> None:
    paths = files(tmp_path, samples=2 * images(60, 1) - 1, train=2 * images(120, 0) - 1, half=images(60, 1))
    declared = Options(lpips="off", value_range=(-1.0, 1.0))
    run(tmp_path, paths["samples"], paths["train"], options=declared)
    with pytest.raises(InputError, match=r"expected some below 0 in a range declared as -1:1: is it \[0, 1\]\?"):
        run(tmp_path, paths["half"], paths["train"], options=declared)


@pytest.mark.parametrize(("n", "share"), [(367, 0.01), (35, 0.1), (1, 0.5)])
def test_fewer_samples_than_the_interval_needs(tmp_path: Path, n: int, share: float) -> None:
    needed = fewest_samples(share)
    assert clopper_pearson(0, needed).high <= share < clopper_pearson(0, needed - 1).high and needed > n
    paths = files(tmp_path, samples=images(n, 1), train=images(120, 0))
    with pytest.raises(InputError, match=rf"found {n} samples, expected at least {needed}: even without a copy"):
        run(tmp_path, paths["samples"], paths["train"], options=Options(at_most=share))


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_a_share_that_nothing_shows(share: float) -> None:
    with pytest.raises(InputError, match=r"--at-most: got .*, expected a share above 0 and below 1"):
        Options(at_most=share)


def test_a_training_folder_that_holds_the_samples(tmp_path: Path) -> None:
    for name in ("train", "train/samples"):
        (tmp_path / name).mkdir(exist_ok=True)
    for k, image in enumerate((images(12, 0)[:, 0] * 255).byte().numpy()):
        Image.fromarray(image).save(tmp_path / ("train/samples" if k < 4 else "train") / f"{k}.png")
    with pytest.raises(InputError, match=r"samples: found 4 of 4 samples among the files of .*train, expected samples"):
        Asked.of(tmp_path / "train" / "samples", tmp_path / "train", None, None)


def test_one_file_given_twice(tmp_path: Path) -> None:
    paths = files(tmp_path, train=images(120, 0), samples=images(60, 1))
    with pytest.raises(
        InputError, match=r"train.npy: found the same file as .*train.npy, expected samples and training"
    ):
        run(tmp_path, paths["train"], paths["train"])
    with pytest.raises(InputError, match="expected samples and held-out images in files of their own"):
        run(tmp_path, paths["samples"], paths["train"], paths["samples"])


def test_samples_copied_into_the_training_set_are_said(tmp_path: Path) -> None:
    samples = images(60, 1)
    paths = files(tmp_path, samples=samples, train=torch.cat([images(120, 0), samples[:9]]))
    assert any(note.startswith("9 samples equal a training image") for note in run(tmp_path, *paths.values()))


def test_held_out_images_that_are_training_images(tmp_path: Path) -> None:
    train = images(120, 0)
    paths = files(tmp_path, samples=images(60, 1), train=train, held=torch.cat([images(99, 2), train[5:6]]))
    with pytest.raises(InputError, match=r"1 of 100 held-out images are training images.* such as 99 and 5"):
        run(tmp_path, *paths.values())


def test_too_few_held_out_or_training_images(tmp_path: Path) -> None:
    paths = files(tmp_path, samples=images(60, 1), train=images(120, 0), held=images(99, 2), two=images(2, 3))
    with pytest.raises(InputError, match=r"held.npy: found 99 held-out images, expected at least 100"):
        run(tmp_path, paths["samples"], paths["train"], paths["held"])
    with pytest.raises(InputError, match="training images: found 2 that are no near-duplicates"):
        run(tmp_path, paths["samples"], paths["two"])


def test_gray_samples_beside_coloured_training_images(tmp_path: Path) -> None:
    gray = images(60, 1).repeat(1, 3, 1, 1)
    paths = files(tmp_path, samples=gray, train=images(120, 0, channels=3))
    with pytest.raises(InputError, match="samples without colour, their three channels are equal, beside coloured"):
        run(tmp_path, paths["samples"], paths["train"])


def test_clipped_samples_are_said(tmp_path: Path) -> None:
    paths = files(tmp_path, samples=(2 * images(60, 1) - 1).clamp(0, 1), train=images(120, 0))
    assert any("were samples in [-1, 1] clipped" in note for note in run(tmp_path, *paths.values()))


def test_pictures_of_other_sizes_are_said_and_a_broken_one_is_named(tmp_path: Path) -> None:
    for name, side, seed in (("samples", 32, 1), ("train", 64, 0)):
        (tmp_path / name).mkdir()
        for k, image in enumerate((images(30, seed, size=side)[:, 0] * 255).byte().numpy()):
            Image.fromarray(image).save(tmp_path / name / f"{k}.png")
    notes = run(tmp_path, tmp_path / "samples", tmp_path / "train")
    assert any(note.startswith("training pictures are of 64x64, samples of 32x32") for note in notes)
    (tmp_path / "samples" / "0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"0.png: not a readable picture .*--skip-bad"):
        run(tmp_path, tmp_path / "samples", tmp_path / "train")
    left = run(tmp_path, tmp_path / "samples", tmp_path / "train", options=Options(lpips="off", skip_bad=True))
    assert "samples: 1 that cannot be used are left out of every count" in left


def test_pictures_are_read_like_the_array_they_stand_beside(tmp_path: Path) -> None:
    train = images(120, 0, size=32, channels=3)
    np.save(tmp_path / "train.npy", train.numpy())
    (tmp_path / "samples").mkdir()
    for k, image in enumerate((train[:9] * 255).round().byte().permute(0, 2, 3, 1).numpy()):
        Image.fromarray(image).save(tmp_path / "samples" / f"{k}.png")
    asked = Asked.of(tmp_path / "samples", tmp_path / "train.npy", None, None)
    result = find_copies(asked, OFF, tmp_path / "work").result
    assert result["any"]["samples"]["copies"] == 9 and "read as crop:32:colour, like the array" in result["notes"][0]
    with pytest.raises(InputError, match="found samples of 1x16x16"):
        said = Asked.of(tmp_path / "samples", tmp_path / "train.npy", None, Fit("crop", 16))
        find_copies(said, OFF, tmp_path / "said")


def test_a_sampler_that_oversteps_the_range_is_clipped_on_request(tmp_path: Path) -> None:
    paths = files(tmp_path, samples=images(60, 1) * 1.05, far=2 * images(60, 1) - 1, train=images(120, 0))
    notes = run(tmp_path, paths["samples"], paths["train"], options=Options(lpips="off", clip=True))
    assert any("samples: values from" in note and "are clipped to [0, 1]" in note for note in notes)
    with pytest.raises(InputError, match=r"these look like \[-1, 1\]"):
        run(tmp_path, paths["far"], paths["train"], options=Options(lpips="off", clip=True))


def test_samples_as_the_project_itself_leaves_them(tmp_path: Path) -> None:
    train = images(120, 0)
    np.save(tmp_path / "train.npy", train.numpy())
    kept = {"images": train[:8], "steps": torch.arange(8)}
    (tmp_path / "s.safetensors").write_bytes(pack(kept))
    asked = Asked.of(tmp_path / "s.safetensors", tmp_path / "train.npy", None, None)
    assert find_copies(asked, OFF, tmp_path / "work").result["any"]["samples"]["copies"] == 8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            pack({"a": torch.zeros(2), "b": torch.zeros(3)}),
            r"holds 2 tensors, a \(2,\), b \(3,\); expected one, or one that",
        ),
        (pack({}), r"holds no tensor; expected one, or one that is called images or data"),
        (pack({"images": torch.zeros(2, 1, 4, 4, dtype=torch.bool)}), "found a tensor of BOOL, expected one of F64"),
        (b"\x00" * 40, "s.safetensors: not a safetensors file"),
        (pack({"images": torch.zeros(2, 1, 4, 4)})[:-4], "s.safetensors: not a safetensors file"),
    ],
)
def test_safetensors_of_another_kind(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "s.safetensors").write_bytes(content)
    paths = files(tmp_path, train=images(120, 0))
    with pytest.raises(InputError, match=message):
        run(tmp_path, tmp_path / "s.safetensors", paths["train"])


def test_repeated_samples_are_said(tmp_path: Path) -> None:
    samples = images(40, 1)
    paths = files(tmp_path, samples=torch.cat([samples, samples[:5]]), train=images(120, 0))
    assert any(note.startswith("5 samples repeat another one") for note in run(tmp_path, *paths.values()))
