"""The published nearest images and their printed scores, measured: pure functions of tiles and transcribed tables."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from audit.published_measures import SEED, Measured
from core.errors import InputError
from core.metrics.correlation import correlation
from core.metrics.lpips import Embedding, squared_distance
from core.stats import bootstrap_statistic, row_kendall
from fixtures.tiles import Tiles

COPY = 0.99  # a sample that correlates more with a training image is that image


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
        copy=r[:, 0] > COPY,
        changed=d[:, 0] > d.min(axis=1),
        lpips_rank=d.argmin(axis=1) + 1,
        tau=row_kendall(r, -d),
        tau_control=row_kendall(control, -d),
    )


def lpips_of(embedding: Embedding, samples: Tensor, candidates: Tensor) -> np.ndarray:
    """LPIPS of each sample with its candidates, (n, 10)."""
    rows = []
    for sample, ten in zip(samples, candidates, strict=True):
        vectors = embedding.embed(torch.cat([sample[None], ten]))
        rows.append(squared_distance(vectors[1:], vectors[0]).cpu())
    return torch.stack(rows).numpy()


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
