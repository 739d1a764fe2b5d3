"""LPIPS (Zhang et al. 2018, version 0.1) as a squared Euclidean distance.

LPIPS(x, y) = sum over layers of mean over places of sum over channels of w (u(x) - u(y))^2, with u the features of
unit length at each place and w >= 0 the linear head. So x -> u(x) sqrt(w / places), all layers in one vector, is an
embedding in which LPIPS is |e(x) - e(y)|^2: one forward pass an image serves any number of queries.

The values are those of the `lpips` package, whose epsilon is pinned: u = x / (|x| + 1e-10). Inputs are declared,
never guessed nor rescaled: the published notebooks divide by 255 whenever a maximum exceeds 1.1.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from core.errors import InputError
from core.metrics.lpips_models import fingerprint, package_model
from core.metrics.neighbours import check_range

EPSILON = 1e-10  # where the `lpips` package puts it: added to the norm, outside the root
SLICE = 2**14  # features whose float64 copies are held at once


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
    def embed(self, images: Tensor, what: str = "images", net: nn.Module | None = None) -> Tensor:
        """Vectors (n, d) float32 of one batch, in the features' full precision (no TF32).

        `net` stands in for the embedding's own network: the same layers in another precision.
        """
        x = self.prepare(images, what).contiguous(memory_format=torch.channels_last)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            features = (self.model.net if net is None else net)(self.model.scaling_layer(x))
        result = torch.empty(len(x), sum(f[0].numel() for f in features), device=x.device)
        end = 0
        for feature, scale in zip(features, self.scales, strict=True):
            rows = feature.permute(0, 2, 3, 1)  # channels last, as they lie in memory
            start, end = end, end + rows[0].numel()
            target = result[:, start:end].view(rows.shape).copy_(rows)
            length = torch.linalg.vector_norm(target, dim=3, keepdim=True).add_(EPSILON)
            place = 1 / (rows.shape[1] * rows.shape[2]) ** 0.5
            target.mul_(place / length).mul_(scale.flatten())
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
        if a is b:
            return squared_distances(columns, columns).cpu()
        return torch.cat([squared_distances(self.embed(part, "a"), columns) for part in a.split(batch)]).cpu()


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
        a = x.double()
        b = a if rows is columns else y.double()
        total += a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T
    return total.clamp_(min=0)


def squared_lengths(rows: Tensor) -> Tensor:
    """Squared Euclidean lengths of vectors (n, d) float32, summed pairwise: (n,) float64."""
    return rows.square().sum(1).double()


def rough_distances(rows: Tensor, lengths: Tensor, columns: Tensor, column_lengths: Tensor) -> Tensor:
    """Squared Euclidean distances of all pairs of rows, (n, d) and (m, d) float32 -> (n, m) float64.

    By one product in float32, given the squared lengths of both: off by what that product rounds.
    """
    return lengths[:, None] + column_lengths - 2 * (rows @ columns.T).double()


@contextmanager
def matmul_precision(setting: str) -> Iterator[None]:
    """Matrix products in torch's precision of that name within the block; the setting found is put back."""
    found = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(found)


def full_precision() -> AbstractContextManager[None]:
    """Matrix products in full float32 (no TF32, no bfloat16) within the block; the setting found is put back."""
    return matmul_precision("highest")
