"""A cheaper first pass of the exhaustive LPIPS search, and its list measured again in float32.

Convolutions take inputs and weights rounded to bfloat16 and add up in float32; only the first one, which sees the
pixels, is left in float32, for a fifteenth of whose cost the error halves. On processors that multiply bfloat16 a pass
takes about half the time. Its distances are a little off, by how much is measured and not proven: on `SAMPLE` images
spread evenly over the training set before the search, and on every pair measured again in float32. The bound is
`MARGIN` times the largest difference seen so far, it widens as soon as a larger one is seen, and whatever first-pass
distance lies within it of the k-th best float32 distance is measured again. So the answer is that of float32 unless an
image is off by more than `MARGIN` times every difference seen, and outside the list because of it.
"""

import copy
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from core.metrics.lpips_embedding import (
    Embedding,
    full_precision,
    matmul_precision,
    rough_distances,
    squared_distance,
    squared_lengths,
)
from core.metrics.neighbours import Neighbours

BFLOAT16, FLOAT32 = "bfloat16", "float32"
SAMPLE = 256  # training images whose distances are compared in both precisions before the search
MARGIN = 4.0  # times the largest difference seen is the bound
NETS = ("vgg",)  # those for which it was measured to pay
INSTRUCTIONS = ("avx512_bf16", "amx_bf16")  # of the processor, by torch's names


class Readable(Protocol):
    """Images (n, c, h, w) that are read a part at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Images, channels, height and width."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> Tensor: ...


Images = Tensor | np.ndarray | Readable


def as_tensor(images: Tensor | np.ndarray) -> Tensor:
    """A piece of a training set as a tensor of its own; what is read from a file is copied out of it."""
    return images if isinstance(images, Tensor) else torch.from_numpy(np.array(images))


def picked(train: Images, places: Tensor) -> Tensor:
    """The images at `places` (m,) of a training set, in that order."""
    return torch.cat([as_tensor(train[i : i + 1]) for i in places.tolist()])


def processor_rounds() -> bool:
    """Whether this processor multiplies bfloat16 by itself; False where torch does not say."""
    ask = getattr(torch.cpu, "get_capabilities", None)
    found = {} if ask is None else ask()
    return any(found.get(name, False) for name in INSTRUCTIONS)


def listed(k: int) -> int:
    """Training images that the first pass keeps for each query, of which k are wanted."""
    return 4 * k + 60


def choose(embedding: Embedding, queries: int, train: int, k: int) -> str:
    """The precision of the first pass: bfloat16 where it pays, else float32, which needs no second pass.

    It pays if the images measured again, some multiple of k for each query, are few of the training set.
    """
    pays = train >= 4 * SAMPLE + 8 * k * queries
    able = embedding.device.type == "cpu" and embedding.net in NETS and processor_rounds()
    return BFLOAT16 if pays and able else FLOAT32


class _Unrounded(nn.Module):
    """A layer that computes in float32 and hands bfloat16 on."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layer(x)).bfloat16()


class FirstPass:
    """Distances (q, n) of images to the queries' vectors (q, d) float32, with rounded convolutions and products."""

    def __init__(self, embedding: Embedding, rows: Tensor):
        self.embedding, self.rows, self.sizes = embedding, rows, squared_lengths(rows)
        net = embedding.model.net
        self.net: Any = copy.deepcopy(net).to(torch.bfloat16)
        self.net.slice1[0] = _Unrounded(net.slice1[0])

    def distances(self, images: Tensor) -> Tensor:
        """Squared distances (q, n) float64, off by what the first pass loses."""
        with matmul_precision("medium"):
            return self._distances(self.embedding.embed(images, "train", self.net))

    def difference(self, train: Images, batch: int) -> float:
        """Largest difference of a distance from its value in float32, over all queries and a sample of images."""
        places = torch.linspace(0, len(train) - 1, min(SAMPLE, len(train)), dtype=torch.float64).round().long()
        largest = 0.0
        for part in places.split(batch):
            images = picked(train, part)
            with full_precision():
                exact = self._distances(self.embedding.embed(images, "train"))
            largest = max(largest, float((self.distances(images) - exact).abs().max()))
        return largest

    def _distances(self, columns: Tensor) -> Tensor:
        return rough_distances(self.rows, self.sizes, columns, squared_lengths(columns))


class Ranking:
    """The list of a first pass, (q, m) with m >= k, measured again in float32 as far as the bound asks for.

    Args:
        first: indices and distances of the m nearest of the first pass.
        difference: the largest difference from float32 seen so far.
        k: neighbours wanted.
        whole: whether the list holds the whole training set.
        exact: distances in float32, infinite where none was measured yet; by default nowhere.
    """

    def __init__(self, first: Neighbours, difference: float, k: int, *, whole: bool, exact: Tensor | None = None):
        self.first, self.k, self.whole = first, k, whole
        self.exact = torch.full_like(first.value, torch.inf) if exact is None else exact
        self.exceeded = 0  # distances that were off by more than the bound of their time
        off = (self.exact - first.value).abs()[self.exact.isfinite()]
        self.difference = max(difference, float(off.max())) if len(off) else difference

    @property
    def bound(self) -> float:
        """What a first-pass distance is taken to be off at most."""
        return MARGIN * self.difference

    @property
    def measured(self) -> int:
        """Images measured in float32."""
        return len(self.first.index[self.exact.isfinite()].unique())

    def _reach(self) -> Tensor:
        """First-pass distances up to which an image may be among the k nearest, (q, 1)."""
        best = self.exact.topk(self.k, dim=1, largest=False).values[:, -1:]
        return torch.where(best.isinf(), self.first.value[:, self.k - 1 : self.k], best) + self.bound

    def due(self) -> Tensor:
        """What is to be measured next, (q, m) bool."""
        return self.exact.isinf() & (self.first.value <= self._reach())

    def settled(self) -> Tensor:
        """Queries of which no image outside the list is in reach, (q,) bool; once nothing is due, they are answered."""
        return ((self.first.value[:, -1:] > self._reach()) | self.whole).flatten()

    def measure(self, columns: Tensor, places: Tensor, rows: Tensor, due: Tensor) -> None:
        """Measure what is due (q, m) of the images `places`, ascending, by their vectors and those of the queries."""
        here, bound = due & torch.isin(self.first.index, places), self.bound
        for query in here.any(dim=1).nonzero().flatten().tolist():
            slots = here[query].nonzero().flatten()
            which = torch.searchsorted(places, self.first.index[query, slots])
            exact = squared_distance(columns[which], rows[query])
            off = (exact - self.first.value[query, slots]).abs()
            self.exact[query, slots] = exact
            self.difference = max(self.difference, float(off.max()))
            self.exceeded += int((off > bound).sum())

    def best(self) -> Neighbours:
        """The k nearest of those measured; equal distances stand in the order of the set."""
        order = self.first.index.argsort(dim=1)
        index, value = self.first.index.gather(1, order), self.exact.gather(1, order)
        order = value.argsort(dim=1, stable=True)[:, : self.k]
        return Neighbours(index.gather(1, order), value.gather(1, order))
