"""Which images near-duplicate removal takes out, and what attribute splits leave (Topeza 2025, section 3.3)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from audit.measures.record import mean_over, record
from core.data.celeba import read_celeba
from core.data.lists import read_list
from core.dedup.pairs import THRESHOLD, Pairs, kept
from core.dedup.published import BLOCK, published_rows, remove_repeats, remove_repeats_block
from core.dedup.search import near_duplicates
from fixtures.published.files import Published
from reports.record import ClaimRecord


def noise_images(n: int, pairs: list[tuple[int, int]], seed: int, side: int = 20) -> torch.Tensor:
    """Images (n, 1, side, side) of noise among which exactly `pairs` (i, j) are copies, every other one a negative."""
    images = torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(seed))
    for k, (i, j) in enumerate(pairs):
        images[j] = images[i] if k % 2 else 1 - images[i]
    return images


def planted_pairs(n: int, block: int, seed: int) -> list[tuple[int, int]]:
    """Disjoint pairs with the gaps that a loop over blocks can trip over: 1, next to and at block edges, arbitrary."""
    rng = np.random.default_rng(seed)
    gaps = [1, block - 1, block, block + 1, 2 * block, *rng.integers(1, n, 5).tolist()]
    free, pairs = set(range(n)), []
    for gap in gaps:
        starts = sorted(i for i in free if i + gap in free)
        if starts:
            i = starts[int(rng.integers(len(starts)))]
            pairs.append((i, i + gap))
            free -= {i, i + gap}
    return pairs


def compare_procedures(
    corpora: list[tuple[torch.Tensor, int]], blockwise: Callable[[torch.Tensor, float, int], list[int]]
) -> dict[str, int]:
    """On how many corpora (images, block size) the two procedures differ, and by how many images."""
    differ = missed = extra = 0
    for images, block in corpora:
        rows = published_rows(images)
        dense, loop = set(remove_repeats(rows, THRESHOLD)), set(blockwise(rows, THRESHOLD, block))
        differ += dense != loop
        missed += len(dense - loop)
        extra += len(loop - dense)
    return {"corpora_that_differ": differ, "images_missed": missed, "images_removed_only_blockwise": extra}


def _missed_at_random(seed: int, n: int = 400, block: int = 20, copies: int = 150) -> float:
    """Share of randomly placed copies that the loop misses, times the block size."""
    places = np.random.default_rng(seed).permutation(n)[: 2 * copies].reshape(copies, 2)
    pairs = [(int(min(p)), int(max(p))) for p in places]
    rows = published_rows(noise_images(n, pairs, seed))
    return (copies - len(remove_repeats_block(rows, THRESHOLD, block))) / copies * block


def dedup_counts(pairs: Pairs, n: int) -> dict[str, int]:
    """Images before, removed and kept under the published rule."""
    result = kept(pairs, n)
    return {"before": n, "removed": len(result.removed), "kept": len(result.kept)}


def count_on_celeba(celeba: Path, published: Published | None) -> tuple[dict[str, int], str]:
    """The three counts on CelebA's images, and in which order they were taken."""
    order = read_list(published.root / "datasets" / "train_filenames.txt") if published else None
    corpus = read_celeba(celeba, order=order)
    note = "in the order of the published list of training images"
    if order is None:
        note = (
            "in CelebA's own order: the published list, which --published brings, fixes another; in chains of "
            "near-duplicates the order decides how many images have an earlier one that they are like"
        )
    return dedup_counts(near_duplicates(corpus.images), len(corpus)), note


def record_equivalence(evidence: ClaimRecord) -> None:
    """The blockwise procedure against the dense one on planted copies (T-dedup-equivalence)."""
    blocks = [
        (n, block, seed) for seed, (n, block) in enumerate([(40, 7), (300, 50), (300, 100), (300, 300), (99, 100)])
    ]
    corpora = [(noise_images(n, planted_pairs(n, block, seed), seed), block) for n, block, seed in blocks]
    published = noise_images(BLOCK + 50, planted_pairs(BLOCK + 50, BLOCK, 9), 9)
    found = compare_procedures([*corpora, (published, BLOCK)], remove_repeats_block)
    ours = kept(near_duplicates(published), len(published)).removed.tolist()
    assert ours == remove_repeats(published_rows(published))  # the exact join sides with the dense procedure
    note = (
        "every missed image lies a multiple of the block size after the one it copies: the loop means to skip an image "
        "met with itself, but compares places inside the blocks"
    )
    record(evidence, found, kind="property", n=len(corpora) + 1, seeds="0:5, 9", note=note)
    rate = [_missed_at_random(seed) for seed in range(12)]
    record(
        evidence,
        {"share_of_pairs_missed_times_block": mean_over(rate, "corpora")},
        kind="property",
        n=len(rate),
        seeds="0:12",
        varies="which images are copies",
        note="copies at random places, 20 blocks of 20: about one pair in as many as a block has images is missed",
    )
