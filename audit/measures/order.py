"""Whether a tensor of photographs can be rebuilt from its list of names (Topeza 2025, section 3.2)."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from audit.measures.record import record
from core.data.celeba import read_celeba, require_file
from core.data.corpus import Corpus, shuffled
from core.data.lists import read_list, write_list
from fixtures.faces.corpus import write_celeba
from reports.record import ClaimRecord


def tensor_bytes(corpus: Corpus) -> bytes:
    """The bytes of the tensor of images."""
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


def record_order_rebuilt(evidence: ClaimRecord, celeba_dir: Path | None, tmp_path: Path) -> None:
    """Tensors rebuilt from their lists, of generated directories and of CelebA (T-order)."""
    rng, trials = np.random.default_rng(0), 25
    totals = {"bytes_different": 0, "swaps_unnoticed": 0}
    for trial in range(trials):
        directory = tmp_path / f"noise-{trial}"
        names = shuffled(write_noise(directory, int(rng.integers(2, 9)), rng), trial)
        for name, value in rebuild(directory, names, directory).items():
            totals[name] += value
    record(evidence, totals, kind="property", n=trials, seeds=f"0:{trials}", note="directories of random images")
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
    record(evidence, rebuild(tmp_path / "faces", order, tmp_path), kind="synthetic", n=faces, seeds="3", note=note)
    if celeba_dir is not None:
        present = (path.name for path in require_file(celeba_dir, "img_align_celeba").glob("*.jpg"))
        sample = shuffled(present, 0)[:2000]
        record(evidence, rebuild(celeba_dir, sample, tmp_path), kind="celeba", n=len(sample), seeds="0", note=note)
