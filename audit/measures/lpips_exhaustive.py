"""LPIPS over the whole training set, not over ten candidates (Topeza 2025, section 5.4)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.measures.lpips_neighbours import lpips_neighbours
from audit.measures.rank_inversion import candidates
from audit.measures.record import Measures
from audit.plots.shared import plot_rows
from core.metrics.lpips import Embedding
from core.metrics.retrieval import recall_by_k
from core.stats import clopper_pearson
from fixtures.experiments.desk import Cell
from fixtures.experiments.experiment import Experiment
from reports.record import ClaimRecord

DIFFERENCE = "largest relative difference from the lpips package"


def by_package(embedding: Embedding, a: Tensor, b: Tensor) -> Tensor:
    """LPIPS of image i of `a` and image i of `b` as the `lpips` package computes it, (n,)."""
    with torch.no_grad():
        return embedding.model(embedding.prepare(a), embedding.prepare(b)).flatten().double()


def outside_ten(correlation_index: np.ndarray, lpips_nearest: np.ndarray) -> Measures:
    """How often the LPIPS-nearest training image is not among the ten nearest by correlation."""
    missed = ~(correlation_index == lpips_nearest[:, None]).any(axis=1)
    share = (float(missed.mean()), clopper_pearson(int(missed.sum()), len(missed)))
    return {"share whose LPIPS-nearest is outside the ten": share}


def record_exhaustive(evidence: ClaimRecord, desk: Experiment, kind: str, *, lpips: Embedding) -> None:
    """The LPIPS-nearest of all training images, against the ten nearest by correlation (T-lpips-exhaustive)."""
    cell = Cell("random", desk.sizes[-1], "A")
    samples, train = desk.samples(cell).clamp(0, 1), desk.images(cell)
    true = lpips_neighbours(desk, lpips, cell).samples
    _, index = candidates(samples, train)
    about: dict[str, Any] = {"kind": kind, "n": len(samples), "seeds": f"0:{len(samples)}", "varies": "sample"}
    package = by_package(lpips, samples[:16], train[true.index[:16, 0]])
    difference = float(((true.value[:16, 0] - package) / package).abs().max())
    evidence.add(DIFFERENCE, difference, kind=kind, n=16, note=f"{len(train)} training images ranked")
    recall = [
        {"k": k, "recall": value, "from": interval.low, "to": interval.high}
        for k, (value, interval) in enumerate(recall_by_k(true.index[:, 0], index), start=1)
    ]
    evidence.add("LPIPS-nearest among the first k by correlation", recall, note="Clopper-Pearson", **about)
    rows = [
        ("samples", samples[:12]),
        ("nearest by r", train[index[:12, 0]]),
        ("by LPIPS, all", train[true.index[:12, 0]]),
    ]
    figures = [evidence.figure(f"nearest-{kind}", plot_rows(rows))]
    for name, (value, interval) in outside_ten(index.numpy(), true.index[:, 0].numpy()).items():
        evidence.add(name, value, interval=interval, figures=figures, **about)
