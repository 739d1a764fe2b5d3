"""The preprocessing is crop, bicubic resize, mean of the channels, in this order and to the bit."""

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.preprocess import preprocess, resize_rgb
from core.errors import InputError


def photograph(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (218, 178, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [20, 40, 80, 160])
def test_shape_type_and_range(size: int) -> None:
    image = preprocess(photograph(), size)
    assert image.shape == (1, size, size) and image.dtype == torch.float32
    assert image.min() >= 0 and image.max() <= 1


def test_equal_to_the_published_steps() -> None:
    """The steps of `load_CelebA_dataset`, in numpy: the mean is taken in float64 here and rounded once."""
    for seed in range(5):
        pixels = np.asarray(photograph(seed))[29:-29, 9:-9]
        resized = np.asarray(Image.fromarray(pixels).resize((40, 40), resample=Image.Resampling.BICUBIC))
        expected = (resized.astype(np.float64).mean(axis=2) / 255).astype(np.float32)
        assert np.array_equal(preprocess(photograph(seed))[0].numpy(), expected)


def test_only_the_central_square_counts() -> None:
    pixels = np.asarray(photograph()).copy()
    pixels[:29] = pixels[-29:] = 7
    pixels[:, :9] = pixels[:, -9:] = 7
    assert torch.equal(preprocess(Image.fromarray(pixels)), preprocess(photograph()))
    for row, column in ((29, 89), (188, 89), (109, 9), (109, 168)):  # each side's outermost pixels do count
        changed = np.asarray(photograph()).copy()
        changed[row - 1 : row + 2, column - 1 : column + 2] ^= 255
        assert not torch.equal(preprocess(Image.fromarray(changed)), preprocess(photograph()))


def test_constant_colours_are_exact() -> None:
    for colour in ((0, 0, 0), (255, 255, 255), (1, 2, 3), (200, 10, 77)):
        image = preprocess(Image.new("RGB", (178, 218), colour))
        assert torch.equal(image, torch.full((1, 40, 40), sum(colour) / 765))


def test_left_stays_left_and_up_stays_up() -> None:
    pixels = np.zeros((218, 178, 3), dtype=np.uint8)
    pixels[:109, :89] = 255
    image = preprocess(Image.fromarray(pixels))[0]
    assert image[:18, :18].min() > 0.99 and image[22:].max() < 0.01 and image[:, 22:].max() < 0.01


def test_colour_is_kept_until_after_the_resize() -> None:
    assert resize_rgb(photograph()).shape == (40, 40, 3) and resize_rgb(photograph()).dtype == np.uint8


@pytest.mark.parametrize(
    ("image", "size", "message"),
    [
        (Image.new("RGB", (218, 178)), 40, "found 218x178 RGB, expected 178x218 RGB"),
        (Image.new("L", (178, 218)), 40, "found 178x218 L"),
        (Image.new("RGBA", (178, 218)), 40, "found 178x218 RGBA"),
        (Image.new("RGB", (178, 218)), 0, "size: found 0"),
        (Image.new("RGB", (178, 218)), 161, "size: found 161"),
    ],
)
def test_other_images_are_refused(image: Image.Image, size: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        preprocess(image, size)
