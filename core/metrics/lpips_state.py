"""The state of an LPIPS search on disk, from which a search that was stopped goes on."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from core.errors import InputError
from core.files import write_atomic
from core.metrics.lpips_embedding import Embedding
from core.metrics.lpips_first_pass import FLOAT32, Images, as_tensor
from core.metrics.neighbours import Neighbours


class Checkpoint:
    """The best so far of a search, in one file whose name is the hash of everything they depend on.

    Without a folder nothing is found and nothing kept. `first` is the precision of the pass, `width` the number of
    neighbours kept for each query.
    """

    def __init__(
        self, folder: Path | None, embedding: Embedding, queries: Tensor, train: Images, width: int, first: str
    ):
        self.shape, self.device, self.path = (len(queries), width), embedding.device, None
        if folder is None:
            return
        how = "" if first == FLOAT32 else f" {first}"
        about = f"{embedding.key} k {width} {tuple(queries.shape)} {tuple(train.shape)}{how}"
        digest = hashlib.sha256(about.encode())
        for part in (*_pieces(queries), *_pieces(train)):
            digest.update(part)
        self.path = Path(folder) / f"lpips-search-{digest.hexdigest()[:32]}.safetensors"

    def load(self) -> tuple[int, Neighbours | None, Tensor | None]:
        """Images done, the best of them, and those distances that were measured again; (0, None, None) at first."""
        if self.path is None or not self.path.is_file():
            return 0, None, None
        saved = {name: t.to(self.device) for name, t in safetensors.torch.load(self.path.read_bytes()).items()}
        if saved["index"].shape != saved["value"].shape or saved["index"].shape[0] != self.shape[0]:
            raise InputError(f"{self.path}: found a search of another shape, expected {self.shape}; delete it")
        return int(saved["end"]), Neighbours(saved["index"], saved["value"]), saved.get("exact")

    def save(self, end: int, best: Neighbours, exact: Tensor | None = None) -> None:
        """Keep what `load` returns, atomically."""
        if self.path is None:
            return
        tensors = {"end": torch.tensor(end), "index": best.index, "value": best.value}
        if exact is not None:
            tensors["exact"] = exact
        write_atomic(self.path, safetensors.torch.save({name: t.cpu().contiguous() for name, t in tensors.items()}))


def _pieces(images: Images) -> Iterator[bytes]:
    for start in range(0, len(images), 4096):
        yield np.ascontiguousarray(as_tensor(images[start : start + 4096]).cpu().numpy(), dtype="<f4").tobytes()
