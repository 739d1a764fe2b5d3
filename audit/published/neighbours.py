"""The published nearest images and their printed scores, measured: pure functions of tiles and transcribed tables."""

from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from audit.measures.rules import LEFT_OUT
from audit.published.measures import SEED, Measured
from core.errors import InputError
from core.metrics.correlation import correlation
from core.metrics.lpips import Embedding, squared_distance
from core.metrics.lpips_weights import WeightsMissing
from core.metrics.retrieval import nearest_change, rank_agreement
from core.stats import bootstrap_statistic, row_kendall
from fixtures.published.tiles import SIDE, Tiles


def neighbour_pairs(tiles: Tiles, rows: pd.DataFrame) -> tuple[Tensor, Tensor]:
    """Samples (30, 1, 40, 40) and their candidates (30, 10, 1, 40, 40) of cell 28, in the order of the table's rows."""
    ranked = rows.rank_by_correlation.to_numpy().reshape(-1, 10)
    if not (ranked == np.arange(1, 11)).all():
        raise InputError("neighbours: found ranks out of order, expected 1 to 10 for each sample")
    samples, candidates = [], []
    for row in rows.iloc[::10].itertuples():
        place = {"experiment": row.experiment, "cell": 28, "group": row.group, "set_size": row.n_label}
        samples.append(tiles.where(**place, role="sample").tensor()[0])
        nearest = tiles.where(**place, role="nearest")
        order = np.argsort(nearest.table["rank"].to_numpy())
        candidates.append(nearest.tensor()[torch.from_numpy(order)])
    return torch.stack(samples), torch.stack(candidates)


def recomputed(samples: Tensor, candidates: Tensor) -> np.ndarray:
    """Correlation of each sample with its ten candidates, (n, 10)."""
    return torch.stack([correlation(s.expand_as(c), c) for s, c in zip(samples, candidates, strict=True)]).numpy()


def reranking(rows: pd.DataFrame, control: np.ndarray) -> pd.DataFrame:
    """One row a sample: is it a copy, does LPIPS put another candidate first, and two rank correlations.

    `tau` is Kendall's of LPIPS with correlation, `tau_control` of LPIPS with the similarity `control` (n, 10); both
    positive where the metrics agree.
    """
    first = rows.iloc[::10].reset_index(drop=True)
    r, d = (rows[name].to_numpy().reshape(-1, 10) for name in ("correlation", "lpips_vgg"))
    return first[["experiment", "group", "n_label", "n_images"]].assign(
        copy=r[:, 0] > LEFT_OUT,
        changed=d[:, 0] > d.min(axis=1),
        lpips_rank=d.argmin(axis=1) + 1,
        tau=row_kendall(r, -d),
        tau_control=row_kendall(control, -d),
    )


@lru_cache(maxsize=8)
def embedding(net: str, size: int | None = None) -> Embedding:
    """LPIPS of one gray channel in [0, 1]; `size` resizes first. Made once."""
    return Embedding(net, channels=1, value_range=(0.0, 1.0), size=size)


# Sizes as published, 64, 128 and 224; the last with the cheapest network, VGG-16 would take thirty times the forward
# passes of 40x40. The shift-tolerant network is optional.
VARIANTS: tuple[tuple[str, int | None], ...] = (
    ("vgg", None), ("vgg", 64), ("vgg", 128), ("alex", None), ("alex", 64), ("alex", 224), ("st-alex", None),
)  # fmt: skip


def backbones(
    rows: pd.DataFrame, samples: Tensor, candidates: Tensor, control: np.ndarray
) -> tuple[pd.DataFrame, list[str]]:
    """Rank inversion by backbone and image size, from the tiles, samples that are copies left out.

    First come the printed values, then the control metric itself, whose order correlation's own is compared with.
    Returns the table and, in words, which networks are missing here.
    """
    r = rows.correlation.to_numpy().reshape(-1, 10)
    fresh = r[:, 0] <= LEFT_OUT
    distances = {("printed (VGG)", SIDE): rows.lpips_vgg.to_numpy().reshape(-1, 10)}
    distances["structural similarity", SIDE] = -control
    missing = []
    for net, size in VARIANTS:
        try:
            distances[net, size or SIDE] = lpips_of(embedding(net, size), samples, candidates)
        except WeightsMissing as error:
            missing.append(f"{net}: {error}")
    table = []
    for (net, side), d in distances.items():
        change = nearest_change(-r[fresh], d[fresh])
        with_r, with_control = (rank_agreement(-x[fresh], d[fresh], seed=SEED) for x in (r, control))
        table.append(
            {
                "network": net,
                "size": side,
                "n": change.n,
                "nearest changes": change.share,
                "from": change.interval.low,
                "to": change.interval.high,
                "chance": change.chance,
                "Kendall, correlation": with_r.mean_kendall,
                "Spearman, correlation": with_r.mean_spearman,
                "Kendall, control": with_control.mean_kendall,
                "Spearman, control": with_control.mean_spearman,
            }
        )
    return pd.DataFrame(table), sorted(set(missing))


def correlation_by_size(rows: pd.DataFrame, printed: np.ndarray, computed: np.ndarray, use: np.ndarray) -> pd.DataFrame:
    """Correlation of printed and computed values (n, 10) by set size, where `use`: all six samples, least and most."""
    label = rows.n_label.to_numpy().reshape(-1, 10)[:, 0]
    table = []
    for size in sorted(set(label.tolist())):
        at = label == size
        each = [np.corrcoef(p[u], c[u])[0, 1] for p, c, u in zip(printed[at], computed[at], use[at], strict=True)]
        both = np.corrcoef(printed[at][use[at]], computed[at][use[at]])[0, 1]
        table.append({"set_size": size, "values": int(use[at].sum()), "together": float(both),
                      "least of a sample": float(min(each)), "most of a sample": float(max(each))})  # fmt: skip
    return pd.DataFrame(table)


def nearer_to(printed: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Samples whose printed values (n, 10) lie nearer to `first` than to `second` on average, (n,) bool."""
    off = [np.abs(printed - x).mean(axis=1) for x in (first, second)]
    return off[0] < off[1]


def package_difference(embedding: Embedding, a: Tensor, b: Tensor, computed: Tensor) -> float:
    """Largest relative difference of `computed` (n,) from what the `lpips` package gives for image i of a and b."""
    with torch.no_grad():
        package = embedding.model(embedding.prepare(a), embedding.prepare(b)).flatten().double()
    return float(((computed - package) / package.clamp(min=1e-9)).abs().max())


def lpips_of(embedding: Embedding, samples: Tensor, candidates: Tensor) -> np.ndarray:
    """LPIPS of each sample with its candidates, (n, 10)."""
    rows = []
    for sample, ten in zip(samples, candidates, strict=True):
        vectors = embedding.embed(torch.cat([sample[None], ten]))
        rows.append(squared_distance(vectors[1:], vectors[0]).cpu())
    return torch.stack(rows).numpy()


def by_protocol(embedding: Embedding, samples: Tensor, candidates: Tensor) -> dict[str, np.ndarray]:
    """LPIPS (VGG) of each sample with its candidates, (n, 10), as stated and in two ways that are not stated."""
    return {
        "stated: [-1, 1], ImageNet trunk": lpips_of(embedding, samples, candidates),
        # declared [0, 1], so that (x + 1) / 2 reaches the network as x
        "[0, 1] taken for [-1, 1]": lpips_of(embedding, (samples + 1) / 2, (candidates + 1) / 2),
        "random trunk": lpips_of(with_random_trunk(Embedding("vgg"), SEED), samples, candidates),
    }


def with_random_trunk(embedding: Embedding, seed: int) -> Embedding:
    """The same embedding with its trunk drawn afresh as torch initialises it; the linear heads stay."""
    source = torch.Generator().manual_seed(seed)
    for layer in embedding.model.net.modules():
        if isinstance(layer, nn.Conv2d):
            bound = 1 / layer.weight[0].numel() ** 0.5
            for parameter in (layer.weight, layer.bias):
                assert parameter is not None
                nn.init.uniform_(parameter, -bound, bound, generator=source)
    return embedding


def follows(printed: np.ndarray, computed: np.ndarray, other: np.ndarray, use: np.ndarray) -> dict[str, Measured]:
    """Correlation with the printed values (n, 10) of `computed` and of `other`, and the difference, where `use`.

    Intervals resample the samples, each with its candidates.
    """

    def sums(x: np.ndarray) -> np.ndarray:
        parts = [use, x * use, printed * use, x * x * use, printed**2 * use, x * printed * use]
        return np.stack([part.sum(axis=1) for part in parts])

    def pearson(total: np.ndarray) -> np.ndarray:
        n, x, y, xx, yy, xy = total
        return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))

    a, b = sums(computed), sums(other)

    def statistic(which: str) -> Measured:
        def value(index: np.ndarray, axis: int = -1) -> np.ndarray:
            i = index.astype(np.intp)
            first, second = pearson(a[:, i].sum(-1)), pearson(b[:, i].sum(-1))
            return {"computed": first, "other": second, "difference": first - second}[which]

        index = np.arange(len(printed))
        interval = bootstrap_statistic([index], value, seed=SEED, over="samples, each with its candidates")
        return float(value(index)), interval

    return {which: statistic(which) for which in ("computed", "other", "difference")}
