"""Claims on the path from photographs to the tensor: preprocessing and order (T 3.2)."""

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image, features

from core.data.celeba import read_celeba, require_file
from core.data.corpus import Corpus, shuffled
from core.data.lists import read_list, write_list
from core.data.preprocess import CROP_BOX, preprocess, resize_rgb
from fixtures.faces.corpus import write_celeba
from reports.judge import Judge
from reports.record import ClaimRecord

# -------------------------------------------------------------------------------------------------------- preprocessing


def bicubic(pixels: np.ndarray, size: int) -> np.ndarray:
    """A second implementation of the bicubic reduction of 8-bit images, (h, w, c) to (size, size, c) uint8.

    Keys' cubic with a = -1/2, widened by the reduction factor (so that it averages), weights in 22-bit fixed
    point, columns first, rounded to 8 bits between the passes: the definition that Pillow implements.
    """

    def reduce_rows(array: np.ndarray) -> np.ndarray:
        length = array.shape[0]
        scale = length / size
        out = np.empty((size, *array.shape[1:]), dtype=np.uint8)
        for i in range(size):
            centre = (i + 0.5) * scale
            low, high = max(int(centre - 2 * scale + 0.5), 0), min(int(centre + 2 * scale + 0.5), length)
            t = np.abs((np.arange(low, high) - centre + 0.5) / scale)
            near, far = (1.5 * t - 2.5) * t * t + 1, (((t - 5) * t + 8) * t - 4) * -0.5
            weights = np.where(t < 1, near, np.where(t < 2, far, 0.0))
            fixed = np.round(weights / weights.sum() * 2**22).astype(np.int64)
            total = np.tensordot(fixed, array[low:high].astype(np.int64), axes=1) + 2**21
            out[i] = np.clip(total >> 22, 0, 255)
        return out

    return reduce_rows(reduce_rows(pixels.swapaxes(0, 1)).swapaxes(0, 1))


def by_the_book(image: Image.Image, size: int = 40) -> np.ndarray:
    """The stated steps in numpy alone: crop, reduce, mean of the channels, (size, size) float32."""
    reduced = bicubic(np.asarray(image)[29:-29, 9:-9], size)
    return (reduced.astype(np.float64).mean(axis=2) / 255).astype(np.float32)


def gray_first(image: Image.Image, size: int = 40) -> np.ndarray:
    """The same steps with the last two exchanged."""
    gray = np.asarray(image)[29:-29, 9:-9].astype(np.float64).mean(axis=2)
    return bicubic(np.round(gray).astype(np.uint8)[..., None], size)[..., 0].astype(np.float32) / np.float32(255)


def compare_pixels(
    images: Iterable[Image.Image], implementation: Callable[[Image.Image], np.ndarray]
) -> tuple[dict[str, float], int]:
    """Pixels in which the implementation differs from the stated steps, and in which exchanged steps would."""
    different = exchanged = pixels = side = 0
    for image in images:
        expected, got = by_the_book(image), implementation(image)
        side = max(side, *got.shape)
        pixels += expected.size
        different += expected.size if got.shape != expected.shape else int((expected != got).sum())
        exchanged += int((expected != gray_first(image)).sum())
    return {"side": side, "pixels_different": different, "share_changed_by_gray_first": exchanged / pixels}, pixels


def preprocessed(image: Image.Image) -> np.ndarray:
    """The implementation under test, as (40, 40)."""
    return preprocess(image)[0].numpy()


def generated_photographs(n: int, seed: int) -> list[Image.Image]:
    """Noise at every scale, so that every weight of the filter and its clipping are reached."""
    rng = np.random.default_rng(seed)
    images = []
    for k in range(n):
        coarse = rng.integers(0, 256, (2 + 7 * (k % 30), 2 + 6 * (k % 29), 3), dtype=np.uint8)
        images.append(Image.fromarray(coarse).resize((178, 218), Image.Resampling.NEAREST))
    return images


def largest_gray_difference() -> float:
    """Between the mean of the channels rounded once, and float32(x / 255) averaged in float32: all 2^24 colours."""
    level = (np.arange(256) / 255).astype(np.float32)
    once = (np.arange(766) / 765).astype(np.float32)
    pair, pair_sum = level[:, None] + level[None, :], np.arange(256)[:, None] + np.arange(256)[None, :]
    return max(float(np.abs((pair + level[k]) / np.float32(3) - once[pair_sum + k]).max()) for k in range(256))


@pytest.mark.claim("T-preprocess")
def test_preprocess(evidence: ClaimRecord, celeba_dir: Path | None, tmp_path: Path) -> None:
    write_celeba(tmp_path, 1, seed=5)
    with Image.open(tmp_path / "img_align_celeba" / "000001.jpg") as image:
        figure = evidence.figure("steps", steps_figure(image))
    n = 60
    found, pixels = compare_pixels(generated_photographs(n, seed=0), preprocessed)
    for name, value in found.items():
        shown = [figure] if name == "share_changed_by_gray_first" else []
        note = f"{n} generated photographs"
        evidence.add(name, value, kind="property", n=pixels, seeds="0", note=note, figures=shown)
    evidence.add(
        "largest_gray_difference",
        largest_gray_difference(),
        kind="property",
        n=2**24,
        note="over all colours, between the mean rounded once (used here) and the published order of operations, "
        "float32(x / 255) averaged in float32; the proven bound is 5 units of 2^-25",
    )
    if celeba_dir is not None:
        folder = require_file(celeba_dir, "img_align_celeba")
        names = shuffled((path.name for path in folder.glob("*.jpg")), 0)[:200]
        found, pixels = compare_pixels((Image.open(folder / name) for name in names), preprocessed)
        for name, value in found.items():
            evidence.add(name, value, kind="celeba", n=pixels, seeds="0", note=f"{len(names)} photographs")


def steps_figure(image: Image.Image) -> Figure:
    """The photograph with its crop, the result, and what averaging the channels first would change."""
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    axes = figure.subplots(1, 4)
    axes[0].imshow(np.asarray(image))
    left, top, right, bottom = CROP_BOX
    axes[0].plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="tab:red", lw=1)
    axes[1].imshow(resize_rgb(image))
    axes[2].imshow(preprocessed(image), cmap="gray", vmin=0, vmax=1)
    change = axes[3].imshow((gray_first(image) - preprocessed(image)) * 255, cmap="RdBu", vmin=-1.5, vmax=1.5)
    figure.colorbar(change, ax=axes[3], shrink=0.6, label="levels")
    titles = ("178 x 218, crop", "bicubic, 40 x 40", "mean of channels", "gray first: change")
    for panel, title in zip(axes, titles, strict=True):
        panel.set_title(title, fontsize=8)
        panel.set_axis_off()
    return figure


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


def tensor_bytes(corpus: Corpus) -> bytes:
    return corpus.images.numpy().tobytes()


def rebuild(
    directory: Path, names: Sequence[str], folder: Path, writer: Callable[[Path, Sequence[str]], None] = write_list
) -> dict[str, Any]:
    """Build a tensor, write its order, rebuild it from the file alone; then with one pair of names exchanged."""
    first = read_celeba(directory, order=names, threads=1)
    writer(folder / "order.txt", first.names)
    again = read_celeba(directory, order=read_list(folder / "order.txt"), threads=4)
    a, b = np.frombuffer(tensor_bytes(first), np.uint8), np.frombuffer(tensor_bytes(again), np.uint8)
    swapped = list(first.names)
    swapped[0], swapped[-1] = swapped[-1], swapped[0]
    writer(folder / "swapped.txt", swapped)
    other = read_celeba(directory, order=read_list(folder / "swapped.txt"))
    return {
        "bytes_different": int((a != b).sum()) if a.shape == b.shape else a.size,
        "swaps_unnoticed": int(tensor_bytes(other) == tensor_bytes(first)),
    }


def write_noise(directory: Path, n: int, rng: np.random.Generator) -> list[str]:
    """A directory of n small-detail photographs with random numbers for names, in CelebA's layout."""
    (directory / "img_align_celeba").mkdir(parents=True)
    names = [f"{k:06d}.jpg" for k in rng.choice(10**6, n, replace=False)]
    for name in names:
        stream = io.BytesIO()
        coarse = Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).resize((178, 218))
        coarse.save(stream, "JPEG", quality=int(rng.integers(60, 96)))
        (directory / "img_align_celeba" / name).write_bytes(stream.getvalue())
    return names


@pytest.mark.claim("T-order")
def test_order(evidence: ClaimRecord, celeba_dir: Path | None, tmp_path: Path) -> None:
    rng, trials = np.random.default_rng(0), 25
    totals = {"bytes_different": 0, "swaps_unnoticed": 0}
    for trial in range(trials):
        directory = tmp_path / f"noise-{trial}"
        names = shuffled(write_noise(directory, int(rng.integers(2, 9)), rng), trial)
        for name, value in rebuild(directory, names, directory).items():
            totals[name] += value
    for name, value in totals.items():
        evidence.add(name, value, kind="property", n=trials, seeds=f"0:{trials}", note="directories of random images")
    faces = 32
    write_celeba(tmp_path / "faces", faces, seed=3)
    order = shuffled((path.name for path in (tmp_path / "faces" / "img_align_celeba").iterdir()), 1)
    turbo = features.version("libjpeg_turbo")
    decoder = f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version('jpg')}"
    note = (
        f"decoded by Pillow {features.version('pil')} with {decoder}; another decoder may differ by a level here and "
        "there. The published list names 202,589 images, the published tensor holds the 196,235 left after duplicates "
        "went (T 3.3): the list fixes their order, but not which they are"
    )
    for name, value in rebuild(tmp_path / "faces", order, tmp_path).items():
        evidence.add(name, value, kind="synthetic", n=faces, seeds="3", note=note)
    if celeba_dir is not None:
        present = (path.name for path in require_file(celeba_dir, "img_align_celeba").glob("*.jpg"))
        sample = shuffled(present, 0)[:2000]
        for name, value in rebuild(celeba_dir, sample, tmp_path).items():
            evidence.add(name, value, kind="celeba", n=len(sample), seeds="0", note=note)


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
