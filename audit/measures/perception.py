"""What an order by LPIPS depends on besides the images, and whether it knows people: tables for the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.measures.record import SEED
from core.data.corpus import Corpus
from core.errors import InputError
from core.metrics.correlation import correlation_matrix
from core.metrics.lpips import Embedding, rerank
from core.metrics.lpips_weights import WeightsMissing
from core.metrics.retrieval import (
    IdentityRetrieval,
    identity_retrieval,
    nearest_change,
    rank_agreement,
    retrieval_difference,
)
from core.metrics.ssim import ssim_matrix
from core.stats import Interval
from fixtures.experiments.measured import measured

NETWORKS = {"vgg": "VGG", "alex": "AlexNet", "st-vgg": "ST-VGG", "st-alex": "ST-AlexNet"}
RETRIEVAL_SIZE = {"alex": 40, "st-alex": 40}  # AlexNet's pooling leaves nothing of less than 31 pixels
TRAP = 1.1  # the published notebooks divide what exceeds it by 255
# network, size to which images are resized, samples: a forward pass at 128 costs forty at 20
SETTINGS = (
    ("vgg", 40, 24),
    ("vgg", 64, 24),
    ("vgg", 128, 8),
    ("alex", 40, 24),
    ("alex", 64, 24),
    ("alex", 128, 24),
    ("alex", 224, 24),
    ("st-vgg", 40, 24),
    ("st-alex", 40, 24),
)


def embeddings(networks: Mapping[str, int | None]) -> tuple[dict[str, Embedding], list[str]]:
    """Embeddings by network, at a size (None: that of the images), and what says why the others are missing."""
    found: dict[str, Embedding] = {}
    missing: list[str] = []
    for net, size in networks.items():
        try:
            found[net] = Embedding(net, size=size)
        except WeightsMissing as error:
            missing.append(str(error))
    return found, missing


def kept_rerank(root: Path, embedding: Embedding, queries: Tensor, train: Tensor, candidates: Tensor) -> np.ndarray:
    """LPIPS of each query to its own candidates, (q, k), from the store at `root` where it was computed before."""

    def make() -> dict[str, Tensor]:
        return {"distance": rerank(embedding, queries, train, candidates)}

    about: dict[str, object] = {"queries": queries, "train": train, "candidates": candidates}
    return measured(root, "LPIPS of candidates", make, embedding=embedding.key, **about)["distance"].numpy()


def kept_matrix(root: Path, embedding: Embedding, images: Tensor) -> np.ndarray:
    """LPIPS of every image with every other, (n, n), from the store at `root` where it was computed before."""

    def make() -> dict[str, Tensor]:
        return {"distance": embedding.matrix(images, images)}

    return measured(root, "LPIPS of all pairs", make, embedding=embedding.key, images=images)["distance"].numpy()


def sensitivity_rows(
    root: Path, samples: Tensor, train: Tensor, candidates: Tensor, correlation: np.ndarray, native: np.ndarray
) -> tuple[list[dict[str, Any]], list[str]]:
    """How the order of the candidates moves with the size and the network that LPIPS is computed at.

    Args:
        root: the store that distances are kept in.
        samples: (n, 1, h, h) in [0, 1], one a seed.
        train: (m, 1, h, h) in [0, 1].
        candidates: indices (n, k) into `train`, nearest by correlation first.
        correlation: of the candidates, (n, k).
        native: LPIPS (VGG) of the candidates at the images' own size, (n, k).

    Returns:
        One row a setting, and what says which networks are missing and how they come.
    """
    side = samples.shape[-1]
    rows = [_setting("VGG", side, correlation, native, native)]
    missing: dict[str, None] = {}
    for net, size, count in SETTINGS:
        if size <= side:
            continue
        found, absent = embeddings({net: size})
        missing |= dict.fromkeys(absent)
        for embedding in found.values():
            few = slice(min(count, len(samples)))
            d = kept_rerank(root, embedding, samples[few], train, candidates[few])
            rows.append(_setting(NETWORKS[net], size, correlation[few], d, native[few]))
    return rows, list(missing)


def _setting(network: str, size: int, correlation: np.ndarray, d: np.ndarray, native: np.ndarray) -> dict[str, Any]:
    from_r, from_native = nearest_change(-correlation, d), nearest_change(native, d)
    order = rank_agreement(native, d, seed=SEED)
    return {
        "network": network,
        "size": size,
        "samples": len(d),
        "nearest is not that of correlation": from_r.share,
        "from": from_r.interval.low,
        "to": from_r.interval.high,
        "nearest is not that of VGG at its own size": from_native.share,
        "own from": from_native.interval.low,
        "own to": from_native.interval.high,
        "tau with VGG at its own size": order.mean_kendall,
        "tau from": order.kendall_interval.low,
        "tau to": order.kendall_interval.high,
        "chance": from_r.chance,
    }


def trapped(images: Tensor) -> Tensor:
    """Images as the published notebooks pass them on: divided by 255 where the maximum exceeds 1.1; else unchanged."""
    above = images.amax(dim=(1, 2, 3), keepdim=True) > TRAP
    return torch.where(above, images / 255, images)


def trap_measures(
    root: Path, embedding: Embedding, raw: Tensor, train: Tensor, candidates: Tensor, native: np.ndarray
) -> tuple[int, dict[str, tuple[float, Interval]]]:
    """How many of the samples `raw`, as the sampler gave them, fall into the trap, and what it does to their order.

    The second part divides every sample, so that it says what the trap does wherever it is stepped into.
    """
    count = int((trapped(raw) != raw).flatten(1).any(dim=1).sum())
    forced = (raw / 255).clamp(0, 1)
    d = kept_rerank(root, embedding, forced, train, candidates)
    change, order = nearest_change(native, d), rank_agreement(native, d, seed=SEED)
    return count, {
        "share whose LPIPS-nearest changes when the sample is divided by 255": (change.share, change.interval),
        "Kendall's tau of LPIPS with that of the sample divided by 255": (order.mean_kendall, order.kendall_interval),
    }


def people(corpus: Corpus, count: int, each: int) -> tuple[Tensor, np.ndarray]:
    """The first `each` images of the first `count` identities that have so many: images and identities."""
    if corpus.identities is None:
        raise InputError("corpus: found no identities, expected one an image")
    who = np.asarray(corpus.identities)
    names, sizes = np.unique(who, return_counts=True)
    chosen = [np.flatnonzero(who == name)[:each] for name in names[sizes >= each][:count]]
    place = np.concatenate(chosen)
    return corpus.images[torch.from_numpy(place)], who[place]


def distances_by_metric(root: Path, images: Tensor, lpips: Mapping[str, Embedding]) -> dict[str, np.ndarray]:
    """Distances of all images from each other, (n, n), by metric; one minus the value where it is a similarity."""
    flat = images.reshape(len(images), -1).double()
    return {
        "correlation": 1 - correlation_matrix(images, images).numpy(),
        "SSIM": 1 - ssim_matrix(images),
        "L2": torch.cdist(flat, flat).numpy(),
        **{f"LPIPS ({NETWORKS[net]})": kept_matrix(root, e, images) for net, e in lpips.items()},
    }


def identity_rows(
    distances: Mapping[str, np.ndarray], who: np.ndarray
) -> tuple[list[dict[str, Any]], dict[str, tuple[float, Interval]]]:
    """Same-identity retrieval among images, each asking for the others of its identity, by metric.

    Args:
        distances: (n, n) by metric, one of them `correlation`.
        who: (n,) identities.

    Returns:
        One row a metric, and the differences of SSIM and every LPIPS from correlation, paired over identities.
    """
    found = {name: identity_retrieval(d, who, who, seed=SEED, own=np.arange(len(who))) for name, d in distances.items()}
    differences = {
        f"{what}: {name} minus correlation": value
        for name, each in found.items()
        if name.startswith(("LPIPS", "SSIM"))
        for what, value in retrieval_difference(each, found["correlation"], seed=SEED).items()
    }
    return [_retrieval(name, each) for name, each in found.items()], differences


def _retrieval(name: str, found: IdentityRetrieval) -> dict[str, Any]:
    return {
        "metric": name,
        "precision at 1": found.precision_at_1,
        "from": found.precision_interval.low,
        "to": found.precision_interval.high,
        "by chance": found.chance,
        "mean average precision": found.mean_average_precision,
        "average from": found.map_interval.low,
        "average to": found.map_interval.high,
        "average by chance": found.map_chance,
    }
