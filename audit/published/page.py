"""What the published notebooks and figures show, as one page: every recovered tile and every finding.

Made so that the original author can check both: the tiles are embedded at their own size and gray levels.
"""

import base64
import io
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from audit.published.figures import PUBLISHED, published_convergence
from audit.published.measures import ORDER, SEED, agreements
from core.data.corpus import Corpus
from core.errors import InputError
from fixtures.experiments.desk import TrainedExperiment
from fixtures.published.notebooks import (
    CELLS,
    EXPERIMENTS,
    FIGURES,
    HasRoot,
    figure_tiles,
    notebook_tiles,
    published_samples,
    recovered_faces,
)
from fixtures.published.tiles import Tiles
from reports.environment import ROOT
from reports.judge import judge_claim
from reports.ledger import load_ledger
from reports.multiplicity import holm_over
from reports.pictures import Figures
from reports.record import ClaimRecord
from reports.render import template

GAP = 4  # white pixels between tiles
ACROSS = 20  # tiles of a gallery's row
ROLES = {"train": "training images", "sample": "samples", "nearest": "nearest training images"}


LIMITS = (
    "Below the largest set size one seed a size is printed. How agreement varies from seed to seed there, and any "
    "comparison of two experiments at one of these sizes, cannot be known from it.",
    "Every network was trained once. No interval below holds what another training of the same network on the same "
    "images would change.",
    "The samples for which nearest images and LPIPS are printed all start from one seed, 0: they stand for thirty "
    "networks, not for thirty draws of noise.",
    "Drawing stretched every image to the whole range of grays. Correlation does not notice; brightness, contrast and "
    "LPIPS of the tiles are not those of the tensors.",
    "The training faces in print are mostly there because they were nearest to a sample. They are no random sample of "
    "the data set, and a search among them is easier than among all of it.",
    "PSNR is read off drawn curves. The intervals hold the error of reading, not that of images or trainings.",
)


def published_page(
    published: HasRoot, desk: TrainedExperiment | None = None, progress: Callable[[int, int], None] | None = None
) -> str:
    """The page as HTML; it needs nothing but itself.

    With a `desk`, pairs of its networks on the recovered faces are part of it, trained where its store lacks them.
    """
    ledger = load_ledger(ROOT / "audit" / "claims.toml")
    claims, judged = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, (claim, measure) in enumerate(PUBLISHED.items()):
            record = ClaimRecord(ledger[claim], folder, {})
            (partial(published_convergence, desk=desk) if claim == "T-convergence" else measure)(record, published)
            if record.evidence:
                record.judgement = judge_claim(record.claim, record.evidence)
            judged.append((record.claim, record.evidence, record.judgement))
            shown = record.as_json()
            # the page has no sections of several claims' evidence: all of it stands with its claim
            claims.append({**shown, "evidence": [{**item, "section": None} for item in shown["evidence"]]})
            if progress is not None:
                progress(number + 1, len(PUBLISHED))
        return template("published.html", Figures(folder, limit=20_000_000)).render(
            claims=claims,
            limits=LIMITS,
            audit={"claims": claims, "multiplicity": holm_over(judged)},
            galleries=[
                gallery("Training faces", recovered_faces(published)),
                gallery("Generated images", published_samples(published)),
            ],
            experiments=[experiment(published, name) for name in ORDER],
            figures=[figure(published, file) for file in FIGURES],
            faces=len(recovered_faces(published)),
            samples=len(published_samples(published)),
            tiles=len(notebook_tiles(published).images) + len(figure_tiles(published).images),
        )


def experiment(published: HasRoot, name: str) -> dict[str, Any]:
    """One notebook: its cells as sheets of tiles, and the agreement of every seed."""
    about, tiles = EXPERIMENTS[name], notebook_tiles(published).where(experiment=name)
    found = agreements(notebook_tiles(published))[name]
    mean, interval = found.mean(seed=SEED)
    cells = []
    for cell, plan in CELLS.items():
        if cell in about.cleared:
            cells.append({"cell": cell, "note": "published without output", "uri": None, "rows": []})
            continue
        parts = [(g, role, rank, tiles.where(cell=cell, group=g, role=role, rank=rank)) for g, role, rank in plan]
        rows = [f"{g}: {ROLES[role]}" + (f", rank {rank}" if rank else "") for g, role, rank, _ in parts]
        cells.append({"cell": cell, "note": "", "uri": sheet([part[-1] for part in parts]), "rows": rows})
    return {
        "title": about.title,
        "notebook": about.notebook,
        "images": about.images,
        "group_a": about.group_a,
        "group_b": about.group_b,
        "cells": cells,
        "mean": mean,
        "interval": [interval.low, interval.high],
        "method": interval.method,
        "threshold": found.weak_threshold,
        "seeds": [{"seed": k, "agreement": float(value)} for k, value in enumerate(found.same)],
    }


def gallery(title: str, corpus: Corpus) -> dict[str, Any]:
    """All distinct images of one kind as a sheet, in the order in which they were found."""
    images = (255 * corpus.images[:, 0]).round().to(torch.uint8).numpy()
    rows = [Tiles(pd.DataFrame(), images[k : k + ACROSS]) for k in range(0, len(images), ACROSS)]
    return {"title": title, "n": len(images), "uri": sheet(rows)}


def figure(published: HasRoot, file: str) -> dict[str, Any]:
    """One figure of the report as a sheet of tiles."""
    number, name, plan = FIGURES[file]
    tiles = figure_tiles(published).where(figure=file)
    rows = [tiles.where(group=g, role=role) for g, role, _ in plan]
    return {"number": number, "file": file, "experiment": EXPERIMENTS[name].title, "uri": sheet(rows)}


def sheet(rows: list[Tiles]) -> str:
    """Rows of tiles as a PNG data URI, one image pixel a screen pixel, gray levels as recovered."""
    width = max(len(row.images) for row in rows)
    step = 40 + GAP
    canvas = np.full((len(rows) * step - GAP, width * step - GAP), 255, dtype=np.uint8)
    for k, row in enumerate(rows):
        for j, image in enumerate(row.images):
            canvas[k * step : k * step + 40, j * step : j * step + 40] = image
    stream = io.BytesIO()
    Image.fromarray(canvas).save(stream, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def require_folder(directory: Path) -> None:
    """Refuse what is no checkout of the published repository before anything is measured."""
    for name in ("notebooks", "results"):
        if not (directory / name).is_dir():
            raise InputError(
                f"{directory}: found no folder {name}/, expected a checkout of Sylvain-Topeza/inria-internship"
            )
