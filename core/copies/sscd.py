"""Similarity of copy-detection vectors (SSCD, Pizzi et al. 2022) from an ONNX file that the user brings.

Preprocessing is that of the published models: resized to the side that the file asks for (288 where it leaves it open),
bilinear with antialiasing, less ImageNet's mean, over its deviation; a gray image becomes three equal channels. Vectors
are brought to length one, so that their product is the similarity.
"""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.copies.search import Queries
from core.errors import InputError
from core.files import write_atomic
from core.progress import Progress

SIDE = 288
PART = 256  # images between two notes of progress
BATCH = 16
_MEAN, _DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class Sscd:
    """Maps images (n, 1 or 3, h, w) in [0, 1] to vectors (n, d) of length one.

    Raises:
        InputError: if onnxruntime is not installed, or the file is no network from pictures to vectors.
    """

    def __init__(self, path: Path) -> None:
        try:
            runtime: Any = importlib.import_module("onnxruntime")
        except ModuleNotFoundError as error:
            raise InputError(f"--sscd {path}: needs onnxruntime; `pip install 'samenoise[onnx]'` brings it") from error
        if not path.is_file():
            raise InputError(f"--sscd {path}: no such file")
        try:
            self.session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises many kinds for a file that is not its own
            reason = str(error).split("\n")[0][:200]
            raise InputError(f"--sscd {path}: not a readable ONNX file ({reason})") from error
        inputs, self.path = self.session.get_inputs(), path
        shape = inputs[0].shape if len(inputs) == 1 else []
        if len(shape) != 4 or (shape[1] not in (3, None) and not isinstance(shape[1], str)):
            raise InputError(f"--sscd {path}: found inputs {[one.shape for one in inputs]}, expected one (n, 3, h, w)")
        self.name = inputs[0].name
        self.batch = shape[0] if isinstance(shape[0], int) else BATCH
        self.size = tuple(side if isinstance(side, int) else SIDE for side in shape[2:])

    def embed(self, images: Tensor) -> np.ndarray:
        """Vectors (n, d) float32 of length one."""
        if images.shape[1] not in (1, 3):
            raise InputError(f"--sscd: found images of {images.shape[1]} channels, expected 1 or 3")
        x = functional.interpolate(images, self.size, mode="bilinear", align_corners=False, antialias=True)
        x = ((x.expand(-1, 3, -1, -1) - _MEAN[:, None, None]) / _DEVIATION[:, None, None]).contiguous()
        vectors = []
        for part in x.split(self.batch):
            filled = torch.cat([part, part[:1].expand(self.batch - len(part), -1, -1, -1)])  # where a batch is fixed
            out = self.session.run(None, {self.name: filled.numpy()})[0]
            vectors.append(np.asarray(out, dtype=np.float32)[: len(part)])
        found = np.concatenate(vectors)
        if found.ndim != 2 or not np.isfinite(found).all():
            raise InputError(
                f"--sscd {self.path}: found outputs of shape {found.shape}, expected finite vectors (n, d)"
            )
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def vectors(network: Sscd, queries: Queries, place: Path, progress: Progress | None = None) -> np.ndarray:
    """Vectors (n, d) of all images; parts that `place` holds are not redone."""
    place.mkdir(parents=True, exist_ok=True)
    parts = []
    for low in range(0, queries.n, PART):
        high, kept = min(low + PART, queries.n), place / f"{low}.npy"
        if not kept.exists():
            stream = io.BytesIO()
            np.save(stream, network.embed(queries.images(slice(low, high))))
            write_atomic(kept, stream.getvalue())
        parts.append(np.load(kept))
        if progress is not None:
            progress(high, queries.n)
    return np.concatenate(parts)


def sscd_scores(queries: np.ndarray, own: np.ndarray, train: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Similarity to the most alike training image outside a query's own group of twins, (q,)."""
    best = np.full(len(queries), -np.inf)
    for low in range(0, len(train), PART * 16):
        part = slice(low, low + PART * 16)
        for at in range(0, len(queries), PART * 16):
            some = slice(at, at + PART * 16)
            value = queries[some] @ train[part].T
            value[group[part] == own[some, None]] = -np.inf
            best[some] = np.maximum(best[some], value.max(axis=1))
    return best
