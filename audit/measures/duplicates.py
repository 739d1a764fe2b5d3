"""Which images near-duplicate removal takes out, and what attribute splits leave (Topeza 2025, section 3.3)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from core.data.celeba import read_celeba
from core.data.lists import read_list
from core.dedup.pairs import THRESHOLD, Pairs, kept
from core.dedup.published import published_rows, remove_repeats, remove_repeats_block
from core.dedup.search import near_duplicates
from core.splits.build import by_attribute
from core.stats import bootstrap_mean
from fixtures.faces.corpus import generate
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


def redundancy(pairs: Pairs, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Shares of the images of two halves (index arrays) that have a near-duplicate in their own, or the other, half."""
    side = np.zeros(1 + max(a.max(), b.max(), pairs.j.max(initial=0)), dtype=np.int8)
    side[a], side[b] = 1, 2
    left, right = side[pairs.i], side[pairs.j]
    inside, across = (left == right) & (left > 0), (left != right) & (left > 0) & (right > 0)
    touched = [len(np.union1d(pairs.i[which], pairs.j[which])) for which in (inside, across)]
    return dict(zip(("inside", "across"), (t / (len(a) + len(b)) for t in touched), strict=True))


ATTRIBUTES = ("Male", "Eyeglasses")


CORPORA = range(8)


CORPUS_SIZE = 2000


def one_corpus(seed: int, n: int = CORPUS_SIZE) -> dict[str, float]:
    """Redundancy of the attribute halves of one generated corpus, and of random halves of the same sizes."""
    corpus = generate(n, size=20, seed=seed, duplicates=0.03).corpus
    assert corpus.attributes is not None
    pairs = near_duplicates(corpus.images)
    place = {name: k for k, name in enumerate(corpus.names)}
    found = {"whole": len(np.union1d(pairs.i, pairs.j)) / n}
    for attribute in ATTRIBUTES:
        groups = by_attribute(corpus.names, corpus.attributes[attribute], seed, attribute=attribute).groups
        a, b = (np.array([place[name] for name in groups[group]]) for group in "AB")
        shuffled = np.random.default_rng(seed).permutation(n)
        halves, by_chance = redundancy(pairs, a, b), redundancy(pairs, shuffled[: len(a)], shuffled[-len(a) :])
        label = attribute.lower()
        found |= {f"{label}_{name}": value for name, value in halves.items()}
        found |= {f"{label}_{name}_random_halves": value for name, value in by_chance.items()}
        found[f"{label}_random_minus_across"] = by_chance["across"] - halves["across"]
    return found


def _exempt_on_celeba(evidence: ClaimRecord, celeba: Path, published: Published | None) -> None:
    """The published halves where they are at hand, else halves built here; random halves over 20 seeds."""
    corpus = read_celeba(celeba)
    assert corpus.attributes is not None
    pairs = near_duplicates(corpus.images)
    place = {name: k for k, name in enumerate(corpus.names)}
    evidence.add("whole", len(np.union1d(pairs.i, pairs.j)) / len(corpus), kind="celeba", n=len(corpus))
    for attribute in ATTRIBUTES:
        label = attribute.lower()
        groups = by_attribute(corpus.names, corpus.attributes[attribute], 0, attribute=attribute).groups
        lists = list(groups.values())
        if published is not None:
            order = read_list(published.root / "datasets" / f"list_{label}_yesno.txt")
            lists = [tuple(order[: len(order) // 2]), tuple(order[len(order) // 2 :])]
        a, b = (np.array([place[name] for name in names]) for names in lists)
        halves, differences = redundancy(pairs, a, b), []
        for seed in range(20):
            order_at_random = np.random.default_rng(seed).permutation(len(corpus))
            by_chance = redundancy(pairs, order_at_random[: len(a)], order_at_random[-len(b) :])
            differences.append(by_chance["across"] - halves["across"])
        for name, value in halves.items():
            evidence.add(f"{label}_{name}", value, kind="celeba", n=2 * len(a), unit="share of the images")
        evidence.add(
            f"{label}_random_minus_across",
            float(np.mean(differences)),
            kind="celeba",
            n=len(differences),
            interval=bootstrap_mean(differences, seed=0, over="random halves"),
            seeds="0:20",
            varies="random halves",
            unit="share of the images",
        )


def exempt_measures(random_minus_across: list[float]) -> dict[str, object]:
    """Evidence for both attributes from differences, one a corpus."""
    interval = bootstrap_mean(random_minus_across, seed=0)
    value = (float(np.mean(random_minus_across)), (interval.low, interval.high))
    return {f"{attribute}_random_minus_across": value for attribute in ("male", "eyeglasses")}
