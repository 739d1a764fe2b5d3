"""Which network behind LPIPS is the more stable one for faces: people found again, orders after a shift (T 2.3)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.measures.perception import NETWORKS, embeddings
from audit.measures.record import SEED
from core.data.celeba import read_celeba, read_identities, require_file
from core.data.corpus import Corpus
from core.dedup.pairs import kept
from core.dedup.search import near_duplicates
from core.errors import InputError, Missing
from core.metrics.correlation import normalise
from core.metrics.lpips import squared_distances
from core.metrics.retrieval import IdentityRetrieval, identity_retrieval, retrieval_difference
from core.stats import CORRELATION, row_kendall
from core.stats.clustered import clustered_mean, clustered_share
from reports.record import ClaimRecord

Vectors = Callable[[Tensor], Tensor]  # (n, 1, h, w) -> (n, d), whose squared distances are what is compared
TAU = "rank correlation of the order after a one-pixel shift, VGG minus AlexNet"
FIRST = "nearest is the same person, VGG minus AlexNet"
PEOPLE, EACH = 80, 5  # of CelebA: as many photographs as ORL has


@dataclass(frozen=True)
class Backbone:
    """What one distance does with photographs of known people."""

    retrieval: IdentityRetrieval
    tau: np.ndarray  # (n,) Kendall's tau of each photograph's order of all others, before and after the shift
    stays: np.ndarray  # (n,) whether the nearest stays


def one_pixel(images: Tensor) -> tuple[Tensor, Tensor]:
    """Images (n, c, h, w) without their border, and the same seen one pixel further right: nothing is made up."""
    return images[..., 1:-1, 1:-1], images[..., 1:-1, 2:]


def backbone(vectors: Vectors, images: Tensor, identities: np.ndarray) -> Backbone:
    """Identity retrieval by a distance, and what a shift of the query by one pixel does to its order of the others."""
    still, moved = (vectors(x) for x in one_pixel(images))
    before, after = (squared_distances(x, still).cpu().numpy() for x in (still, moved))
    n = len(images)
    others = ~np.eye(n, dtype=bool)
    a, b = (d[others].reshape(n, n - 1) for d in (before, after))
    retrieval = identity_retrieval(before, identities, identities, seed=SEED, own=np.arange(n))
    return Backbone(retrieval, row_kendall(a, b), a.argmin(axis=1) == b.argmin(axis=1))


def backbones(images: Tensor, identities: np.ndarray) -> tuple[dict[str, Backbone], list[str]]:
    """Every network whose weights are at hand, and pixel correlation; with what says why the others are missing."""
    found, missing = embeddings(dict.fromkeys(NETWORKS))
    vectors: dict[str, Vectors] = {NETWORKS[net]: embedding.embed_all for net, embedding in found.items()}
    vectors["correlation"] = lambda x: normalise(x.double()).flatten(1)
    return {name: backbone(each, images, identities) for name, each in vectors.items()}, missing


def difference_measures(first: Backbone, second: Backbone, identities: np.ndarray) -> dict[str, Any]:
    """What is judged: the first minus the second, paired over photographs, intervals over people."""
    tau = clustered_mean(first.tau - second.tau, identities, seed=SEED, over="people")
    return {TAU: tau, FIRST: retrieval_difference(first.retrieval, second.retrieval, seed=SEED)["precision at 1"]}


def faces_of_celeba(directory: Path, size: int = 40) -> Corpus:
    """Five photographs each of eighty people drawn once, near-duplicates removed by the published rule."""
    links = read_identities(require_file(directory, "identity_CelebA.txt"))
    present = {path.name for path in require_file(directory, "img_align_celeba").iterdir()}
    links = links[[name in present for name in links.index]].sort_index()
    counts = links.value_counts()
    several = np.sort(counts.index[counts >= EACH].to_numpy())
    if len(several) < 2:
        raise InputError(f"{directory}: found {len(several)} people with {EACH} photographs, expected at least 2")
    people = np.random.default_rng(SEED).permutation(several)[:PEOPLE]
    names = [name for who in people for name in links.index[links == who][:EACH]]
    corpus = read_celeba(directory, size=size, order=names)
    return corpus.select(kept(near_duplicates(corpus.images), len(corpus)).kept)


def record_backbones(evidence: ClaimRecord, corpus: Corpus, kind: str) -> None:
    """The difference of VGG and AlexNet, which is judged, and beside it each network and pixel correlation."""
    assert corpus.identities is not None
    who = corpus.identities
    found, missing = backbones(corpus.images, who)
    if not {"VGG", "AlexNet"} <= set(found):
        raise Missing(f"weights of both networks ({missing[0]})", "samenoise weights --net vgg (and --net alex)")
    about: Mapping[str, Any] = {
        "kind": kind,
        "n": len(corpus),
        "counted": "photographs",
        "varies": "person",
        "note": f"{len(np.unique(who))} people; 38x38 grays, the query seen one pixel to the right; SqueezeNet, which "
        "the document names too, is left out: no package carries its weights by a pinned hash"
        + (f"; not here: {'; '.join(missing)}" if missing else ""),
    }
    for name, (value, interval) in difference_measures(found["VGG"], found["AlexNet"], who).items():
        evidence.add(name, value, interval=interval, **about)
    for name, each in found.items():
        r = each.retrieval
        beside = {
            "nearest is the same person": (r.precision_at_1, r.precision_interval),
            "rank correlation after a one-pixel shift": clustered_mean(
                each.tau, who, seed=SEED, over="people", possible=CORRELATION
            ),
            "nearest stays after a one-pixel shift": clustered_share(each.stays, who),
        }
        for what, (value, interval) in beside.items():
            evidence.add(f"{what}, {name}", value, interval=interval, **about)
    chance = f"a random order finds the same person at {found['VGG'].retrieval.chance:.1%}"
    evidence.add("people", len(np.unique(who)), kind=kind, note=chance)


def shuffled(identities: np.ndarray, seed: int) -> np.ndarray:
    """Identities dealt anew: what is planted in a control, after which no network can find a person again."""
    return np.random.default_rng(seed).permutation(identities)


def marks(x: Tensor) -> Tensor:
    """Eight numbers of each image that jump at the slightest change: no person is found, no order outlives a shift."""
    generator = torch.Generator().manual_seed(SEED)
    weights = torch.randn(x[0].numel(), 8, generator=generator, dtype=torch.float64)
    return torch.frac(1e4 * (x.flatten(1).double() @ weights))
