"""The exact join's whole products on an accelerator: rows of TF32, uploaded once; float64 decides what they leave.

The filter's margin is proven from one assumption, the precision in which the device adds (`core.dedup.join.rounding`).
torch is loaded when a device is first used: a search on the processor does without it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from core.dedup.join.rounding import TENSOR_UNIT, gamma
from core.errors import InputError

if TYPE_CHECKING:
    import torch


def check_device(device: str, dimension: int = 400) -> str:
    """`device` itself, or InputError if torch cannot multiply there as precisely as the margin assumes."""
    import torch

    rows = np.random.default_rng(0).standard_normal((256, dimension)) ** 5  # a few large values and many small ones
    x = cut_to_tf32(torch.from_numpy((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)))
    try:
        there = x.to(device)
        with tensor_cores():
            fast = (there @ there.T).cpu().double()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"device: cannot use {device!r} ({reason}); expected one like cuda, or none") from error
    x = x.double()
    if bool(((fast - x @ x.T).abs() > gamma(dimension, TENSOR_UNIT) * (x.abs() @ x.abs().T)).any()):
        raise InputError(f"device: products on {device!r} are less precise than TF32 with float32 sums; use none")
    return device


@contextmanager
def tensor_cores() -> Iterator[None]:
    """Let float32 products use TF32, which rows cut to it lose nothing by: a setting of the whole process."""
    import torch

    settings = torch.backends.cuda.matmul
    saved = settings.allow_tf32
    settings.allow_tf32 = True
    try:
        yield
    finally:
        settings.allow_tf32 = saved


def cut_to_tf32(rows: torch.Tensor) -> torch.Tensor:
    """float32 rows rounded to nearest in TF32's eleven significant bits, so that the hardware has nothing to round."""
    import torch

    bits = rows.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


def device_tile(device: str, columns: int, share: int) -> int:
    """Rows on either side of a product whose temporaries (9 bytes an entry) fit.

    Into an eighth of an accelerator's free memory, half of which is for rows; or into `share` bytes, rows and all,
    where the device is this processor.
    """
    if (free := _free_memory(device)) is None:
        return min(int((share / 18) ** 0.5), share // (32 * columns))
    return int((free / 72) ** 0.5)


def _free_memory(device: str) -> int | None:
    import torch

    return torch.cuda.mem_get_info(device)[0] if torch.device(device).type == "cuda" else None


class DeviceRows:
    """Blocks of rows on a device, cut to TF32; each is uploaded once where all fit into half of its free memory.

    Where they do not, those longest unused go; where the device is this processor, all but two. Not meant for more
    than one thread; a copy sent to another process starts empty.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[int, int], torch.Tensor] = OrderedDict()
        self._room: int | None = None
        self.uploads = 0

    def __reduce__(self) -> tuple[type[DeviceRows], tuple[()]]:
        return DeviceRows, ()

    def block(self, matrix: np.ndarray, low: int, high: int, device: str) -> torch.Tensor:
        """Rows low..high of a matrix (n, columns) float32, on the device."""
        import torch

        key = (id(matrix), low)
        if key not in self._held:
            if self._room is None:
                self._room = (_free_memory(device) or 0) // 2
            self._held[key] = cut_to_tf32(torch.from_numpy(matrix[low:high]).to(device))
            self.uploads += 1
            while len(self._held) > 2 and sum(block.nbytes for block in self._held.values()) > self._room:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]


def pairs_above(
    x: torch.Tensor, y: torch.Tensor, tau: float, diagonal: bool, most: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places (k, 2) where |x @ y.T| > tau, and the absolute products there, by row.

    All at once if there are at most `most` (or in one row); on the diagonal only places above it.
    """
    product = (x @ y.T).abs_()
    mask = product > tau
    if diagonal:
        mask.triu_(1)
    ends = np.cumsum(mask.sum(1).cpu().numpy())
    low = 0
    while low < len(ends):
        before = int(ends[low - 1]) if low else 0
        high = max(low + 1, int(np.searchsorted(ends, before + most, side="right")))
        hits = mask[low:high].nonzero()
        values = product[low:high][hits[:, 0], hits[:, 1]].cpu().numpy()
        yield hits.cpu().numpy() + np.array([low, 0]), values
        low = high
