"""The steps from a photograph to an image for networks, implemented a second time (Topeza 2025, section 3.2)."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from audit.measures.record import record
from audit.plots.preprocessing import steps_figure
from core.data.celeba import require_file
from core.data.corpus import shuffled
from core.data.preprocess import preprocess
from fixtures.faces.corpus import write_celeba
from reports.record import ClaimRecord


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
    """The stated steps with the last two exchanged: gray before the reduction, (size, size) float32."""
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
    """Preprocess with the project's implementation, which the claim tests: (40, 40)."""
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


def record_preprocessing(evidence: ClaimRecord, celeba_dir: Path | None, tmp_path: Path) -> None:
    """Pixels in which the implementation differs from the stated steps (T-preprocess)."""
    write_celeba(tmp_path, 1, seed=5)
    with Image.open(tmp_path / "img_align_celeba" / "000001.jpg") as image:
        figure = evidence.figure("steps", steps_figure(image, preprocessed(image), gray_first(image)))
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
        record(evidence, found, kind="celeba", n=pixels, seeds="0", note=f"{len(names)} photographs")
