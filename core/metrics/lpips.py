"""LPIPS (Zhang et al. 2018, version 0.1) as a squared Euclidean distance, and exact nearest neighbours by it.

LPIPS(x, y) = sum over layers of mean over places of sum over channels of w (u(x) - u(y))^2, with u the features of
unit length at each place and w >= 0 the linear head. So x -> u(x) sqrt(w / places), all layers in one vector, is an
embedding in which LPIPS is |e(x) - e(y)|^2: one forward pass an image serves any number of queries.

The values are those of the `lpips` package, whose epsilon is pinned: u = x / (|x| + 1e-10). Inputs are declared,
never guessed nor rescaled: the published notebooks divide by 255 whenever a maximum exceeds 1.1.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from core.errors import InputError
from core.files import write_atomic
from core.metrics.lpips_models import fingerprint, package_model
from core.metrics.neighbours import Neighbours, check_range, check_search, merge_top
from core.progress import Progress

EPSILON = 1e-10  # where the `lpips` package puts it: added to the norm, outside the root
SLICE = 2**14  # features whose float64 copies are held at once
QUERY_BYTES = 2**31  # embeddings of queries held at once; more queries take more passes over the training set


class Readable(Protocol):
    """Images (n, c, h, w) that are read a part at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Images, channels, height and width."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> Tensor: ...


class Embedding:
    """Maps images (n, channels, h, w) to vectors (n, d) float32 whose squared distances are LPIPS.

    `net` is vgg, alex, st-vgg or st-alex (see `core.metrics.lpips_models`). `value_range` declares the images' range
    and is checked; `channels` declares 1 (repeated three times) or 3; `size`, when given, resizes bilinearly to
    (size, size) first.
    """

    def __init__(
        self,
        net: str = "vgg",
        *,
        channels: int = 1,
        value_range: tuple[float, float] = (0.0, 1.0),
        size: int | None = None,
        device: torch.device | str = "cpu",
        trunk: dict[str, Tensor] | None = None,
    ):
        if channels not in (1, 3):
            raise InputError(f"channels: found {channels}, expected 1 or 3")
        self.net, self.channels, self.value_range, self.size = net, channels, value_range, size
        self.device = torch.device(device)
        model = package_model(net, trunk).to(self.device)
        made = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = cast(Any, made)  # typed neither by its package nor by torch
        self.scales = [head.model[-1].weight.sqrt() for head in self.model.lins]

    @property
    def key(self) -> str:
        """What the vectors depend on besides the images."""
        how = f"channels {self.channels} range {self.value_range} size {self.size}"
        return f"lpips {self.net} {fingerprint(self.net)} {how}"

    def check(self, images: Tensor, what: str = "images") -> None:
        """Refuse images of another shape, channel count or range than declared, or with missing values."""
        if images.ndim != 4 or images.shape[1] != self.channels or len(images) == 0:
            raise InputError(
                f"{what}: found shape {tuple(images.shape)}, expected (n, {self.channels}, h, w) with n >= 1"
            )
        check_range(images, self.value_range, what)

    def prepare(self, images: Tensor, what: str = "images") -> Tensor:
        """Checked images as the network takes them: (n, 3, h, w) in [-1, 1] on the device."""
        self.check(images, what)
        low, high = self.value_range
        x = images.to(self.device, torch.float32)
        x = x if (low, high) == (-1.0, 1.0) else 2 * ((x - low) / (high - low)) - 1
        if self.size is not None:
            x = nn.functional.interpolate(x, (self.size, self.size), mode="bilinear", align_corners=False)
        return x.expand(-1, 3, -1, -1)

    @torch.no_grad()
    def embed(self, images: Tensor, what: str = "images") -> Tensor:
        """Vectors (n, d) float32 of one batch, in the features' full precision (no TF32)."""
        x = self.prepare(images, what).contiguous(memory_format=torch.channels_last)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            features = self.model.net(self.model.scaling_layer(x))
        result = torch.empty(len(x), sum(f[0].numel() for f in features), device=x.device)
        end = 0
        for feature, scale in zip(features, self.scales, strict=True):
            rows = feature.permute(0, 2, 3, 1)  # channels last, as they lie in memory
            start, end = end, end + rows[0].numel()
            length = torch.linalg.vector_norm(rows, dim=3, keepdim=True).add_(EPSILON)
            place = 1 / (rows.shape[1] * rows.shape[2]) ** 0.5
            target = result[:, start:end].view(rows.shape)
            torch.mul(rows, place / length, out=target).mul_(scale.flatten())
        return result

    def embed_all(self, images: Tensor, *, batch: int = 32, what: str = "images") -> Tensor:
        """Vectors (n, d) float32 of all images, by batches."""
        return torch.cat([self.embed(part, what) for part in images.split(batch)])

    def distance(self, a: Tensor, b: Tensor, *, batch: int = 32) -> Tensor:
        """LPIPS of image i of `a` and image i of `b`, (n,) float64."""
        if a.shape != b.shape:
            raise InputError(f"lpips: found shapes {tuple(a.shape)} and {tuple(b.shape)}, expected equal ones")
        pairs = zip(a.split(batch), b.split(batch), strict=True)
        return torch.cat([squared_distance(self.embed(x, "a"), self.embed(y, "b")) for x, y in pairs]).cpu()

    def matrix(self, a: Tensor, b: Tensor, *, batch: int = 32) -> Tensor:
        """LPIPS of every image of `a` with every image of `b`, (n, m) float64; holds the vectors of `b`."""
        columns = self.embed_all(b, batch=batch, what="b")
        rows = columns.split(batch) if a is b else (self.embed(part, "a") for part in a.split(batch))
        return torch.cat([squared_distances(part, columns) for part in rows]).cpu()


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances of rows, by direct difference (no cancellation): (..., d) -> (...) float64."""
    return (a - b).square_().sum(dim=-1, dtype=torch.float64)


def squared_distances(rows: Tensor, columns: Tensor) -> Tensor:
    """Squared Euclidean distances of all pairs of rows, (n, d) and (m, d) float32 -> (n, m) float64.

    By products in float64, where the cancellation in |a|^2 + |b|^2 - 2 ab costs 1e-15 of vectors of length about one,
    less than float32 loses in taking a difference. Features go by slices, so that the float64 copies stay small.
    """
    total = torch.zeros(len(rows), len(columns), dtype=torch.float64, device=rows.device)
    for x, y in zip(rows.split(SLICE, dim=1), columns.split(SLICE, dim=1), strict=True):
        a, b = x.double(), y.double()
        total += a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T
    return total.clamp_(min=0)


@contextmanager
def full_precision() -> Iterator[None]:
    """Matrix products in full float32 (no TF32, no bfloat16) within the block; the setting found is put back."""
    found = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(found)


def nearest_lpips(
    embedding: Embedding,
    queries: Tensor,
    train: Tensor | np.ndarray | Readable,
    k: int,
    *,
    batch: int = 32,
    state: Path | None = None,
    state_every: int = 64,
    progress: Progress | None = None,
) -> Neighbours:
    """The k training images nearest to each query by LPIPS, exactly, over the whole training set.

    Training images are embedded on the fly, a batch at a time, and never kept: memory is that of the queries'
    vectors (chunked above `QUERY_BYTES`) and one batch's. A matrix product screens a batch; whatever could belong to
    the k best within its rounding is measured again by direct difference, so that the values and their order do not
    suffer from the cancellation in |a|^2 + |b|^2 - 2 ab. `train` may be a memory-mapped array (np.load with mmap_mode,
    np.memmap) or anything that reads a slice of itself: a batch at a time is read, and the pages of the file are the
    system's to take back.

    `state` names a folder in which the search is saved every `state_every` batches; a later call with the same
    images continues there.
    """
    check_search(queries, train, k)
    embedding.check(queries, "queries")
    width = embedding.embed(queries[:1]).shape[1]
    chunks = queries.split(max(1, QUERY_BYTES // (4 * width)))
    total, found = len(chunks) * len(train), []
    for number, chunk in enumerate(chunks):
        checkpoint = None if state is None else _Checkpoint(state, embedding, chunk, train, k)
        start, best = (0, None) if checkpoint is None else checkpoint.load()
        rows = embedding.embed_all(chunk, batch=batch, what="queries")
        for step, offset in enumerate(range(start, len(train), batch)):
            columns = embedding.embed(_tensor(train[offset : offset + batch]), "train")
            with full_precision():
                best = _merge_batch(best, rows, columns, offset, k)
            end = min(offset + batch, len(train))
            if checkpoint is not None and (step % state_every == state_every - 1 or end == len(train)):
                checkpoint.save(end, best)
            if progress is not None:
                progress(number * len(train) + end, total)
        assert best is not None
        found.append(best)
    return Neighbours(torch.cat([f.index for f in found]).cpu(), torch.cat([f.value for f in found]).cpu())


def _tensor(images: Tensor | np.ndarray) -> Tensor:
    """A piece of a training set as a tensor of its own; what is read from a file is copied out of it."""
    return images if isinstance(images, Tensor) else torch.from_numpy(np.array(images))


def _merge_batch(best: Neighbours | None, rows: Tensor, columns: Tensor, offset: int, k: int) -> Neighbours:
    """Merge a batch of training vectors into the k nearest so far."""
    sizes = [v.square().sum(1, dtype=torch.float64) for v in (rows, columns)]
    rough = sizes[0][:, None] + sizes[1] - 2 * (rows @ columns.T).double()
    # rounding of a sum of d products in float32 grows like sqrt(d): sixteen standard deviations (Higham & Mary 2019)
    slack = 8 * rows.shape[1] ** 0.5 * torch.finfo(torch.float32).eps * (sizes[0][:, None] * sizes[1]).sqrt()
    known = rough + slack if best is None else torch.cat([rough + slack, best.value], 1)
    limit = known.sort(dim=1).values[:, min(k, known.shape[1]) - 1 :][:, :1]  # the k-th best is not above
    exact = torch.full_like(rough, torch.inf)
    for query, columns_in in enumerate(rough - slack <= limit):
        if columns_in.any():
            exact[query, columns_in] = squared_distance(columns[columns_in], rows[query])
    return merge_top(best, exact, offset, k, largest=False)


class _Checkpoint:
    """A search's k best so far, in one file whose name is the hash of everything they depend on."""

    def __init__(
        self, folder: Path, embedding: Embedding, queries: Tensor, train: Tensor | np.ndarray | Readable, k: int
    ):
        digest = hashlib.sha256(f"{embedding.key} k {k} {tuple(queries.shape)} {tuple(train.shape)}".encode())
        for part in (*_pieces(queries), *_pieces(train)):
            digest.update(part)
        self.path = Path(folder) / f"lpips-search-{digest.hexdigest()[:32]}.safetensors"
        self.shape, self.device = (len(queries), k), embedding.device

    def load(self) -> tuple[int, Neighbours | None]:
        if not self.path.is_file():
            return 0, None
        saved = safetensors.torch.load(self.path.read_bytes())
        if saved["index"].shape != saved["value"].shape or saved["index"].shape[0] != self.shape[0]:
            raise InputError(f"{self.path}: found a search of another shape, expected {self.shape}; delete it")
        return int(saved["end"]), Neighbours(saved["index"].to(self.device), saved["value"].to(self.device))

    def save(self, end: int, best: Neighbours) -> None:
        tensors = {"end": torch.tensor(end), "index": best.index.cpu(), "value": best.value.cpu()}
        write_atomic(self.path, safetensors.torch.save({name: t.contiguous() for name, t in tensors.items()}))


def _pieces(images: Tensor | np.ndarray | Readable) -> Iterator[bytes]:
    for start in range(0, len(images), 4096):
        yield np.ascontiguousarray(_tensor(images[start : start + 4096]).cpu().numpy(), dtype="<f4").tobytes()


def rerank(embedding: Embedding, queries: Tensor, train: Tensor, candidates: Tensor, *, batch: int = 32) -> Tensor:
    """LPIPS of each query to its own candidates: (q, ...), (n, ...), indices (q, k) -> (q, k) float64.

    The published protocol with candidates = the 10 nearest by correlation. Each candidate is embedded once.
    """
    if candidates.ndim != 2 or len(candidates) != len(queries):
        raise InputError(f"candidates: found shape {tuple(candidates.shape)}, expected ({len(queries)}, k)")
    rows = embedding.embed_all(queries, batch=batch, what="queries")
    unique = candidates.unique()
    result = torch.empty(candidates.shape, dtype=torch.float64)
    for part in unique.split(batch):
        columns = embedding.embed(train[part], "train")
        for query, place in torch.isin(candidates, part).nonzero().tolist():
            column = int(torch.searchsorted(part, candidates[query, place]))
            result[query, place] = squared_distance(columns[column], rows[query]).cpu()
    return result
