"""Implements the two published removal procedures as printed: `remove_repeats` and `remove_repeats_block` (T 3.3, 8).

They are what the exact join is held against, in result, memory and time; nothing else uses them. Quirks are kept:
float32 throughout, a Python list of tensors searched for every pair, and, in the blockwise loop, row and column
numbers that are compared inside their blocks, so that a pair exactly a multiple of the block size apart counts as an
image met with itself and is passed over.
"""

import torch
from torch import Tensor

BLOCK = 5000


def published_rows(dataset: Tensor) -> Tensor:
    """Pooled, centred, normalised float32 rows (n, d) of (n, c, h, w), statement by statement as printed."""
    pool = torch.nn.AvgPool2d(int(dataset.shape[2] / 20))
    down = pool(dataset)
    down = down - down.mean(dim=(1, 2, 3), keepdim=True)
    norms = down.norm(dim=(2, 3), keepdim=True).norm(dim=1, keepdim=True)
    norms[norms == 0] = 0.001
    return (down / norms).flatten(start_dim=1)


def remove_repeats(rows: Tensor, threshold: float = 0.95) -> list[int]:
    """Numbers of the images that the dense procedure removes, given their rows (n, d): one n x n matrix."""
    below = torch.tril(rows @ rows.T, diagonal=-1)
    later, _ = torch.where(below.abs() > threshold)
    return torch.unique(later).tolist()


def remove_repeats_block(
    rows: Tensor, threshold: float = 0.95, block: int = BLOCK, products: int | None = None
) -> list[int]:
    """Numbers of the images that the blockwise procedure removes, given their rows (n, d), in the order it meets them.

    Args:
        rows: from `published_rows`.
        threshold: absolute correlation above which a pair counts.
        block: images a block; 5,000 as published.
        products: stop after so many block products (to time or measure a part).
    """
    n = len(rows)
    to_remove: list[Tensor] = []
    done = 0
    for i in range(0, n, block):
        for j in range(0, i + 1, block):
            if done == products:
                return [int(m) for m in to_remove]
            done += 1
            corrs = torch.matmul(rows[i : i + block], rows[j : j + block].T)
            ids_1, ids_2 = torch.where(torch.abs(corrs) > threshold)
            for k in range(len(ids_1)):
                if ids_1[k] != ids_2[k]:
                    m = max(ids_1[k] + i, ids_2[k] + j)
                    if m not in to_remove:
                        to_remove.append(m)
    return [int(m) for m in to_remove]
