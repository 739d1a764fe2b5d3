"""Whether a tensor of photographs can be rebuilt from its list of names (Topeza 2025, section 3.2)."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.data.celeba import read_celeba
from core.data.corpus import Corpus
from core.data.lists import read_list, write_list


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
