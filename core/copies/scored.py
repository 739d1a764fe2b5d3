"""Every image that is judged, scored by every criterion: samples, training and held-out images, planted copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.copies.criteria import pixel_scores
from core.copies.lpips import lpips_scores, passes_of, why_not
from core.copies.options import Options, StageProgress
from core.copies.planted import ORIGINALS, drawn, kinds, plant
from core.copies.search import Nearest, Queries, search
from core.copies.sets import ImageSet
from core.copies.sscd import Sscd, sscd_scores, vectors
from core.copies.twins import Twins
from core.files import sha256_file
from core.progress import Progress
from core.seeds import derived_seed

BACKGROUND = 1000  # training images whose nearest other training image is looked for
SAMPLES, TRAINING, HELD_OUT, PLANTED = "samples", "training images", "held-out images", "planted copies"


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores by criterion and set, and what they were made of.

    Attributes:
        scores: criterion -> set -> (n,): larger is more alike.
        found: of the samples.
        planted: kind -> where its copies stand among the planted ones.
        originals: (p,) the training image that each planted copy is one of.
        every_planted: whether those are all training images.
        not_looked_at: criterion -> why.
        lpips_passes: set -> how all training images were searched by LPIPS; empty where they were not.
    """

    scores: Mapping[str, Mapping[str, np.ndarray]]
    found: Nearest
    planted: Mapping[str, slice]
    originals: np.ndarray
    every_planted: bool
    not_looked_at: Mapping[str, str]
    lpips_passes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def score(
    samples: ImageSet,
    train: ImageSet,
    held_out: ImageSet | None,
    twins: Twins,
    count: int,
    work: Path,
    options: Options,
    network: Sscd | None,
    progress: StageProgress,
) -> Scored:
    """Score samples, a background of training images, held-out images and planted copies against the training set.

    Args:
        samples: what is judged.
        train: the training set.
        held_out: images of the same kind that nobody trained on, if there are any.
        twins: the training images in groups; a training image leaves out its own.
        count: number of nearest groups that are looked for.
        work: folder from which a stopped run goes on.
        options: what is asked for.
        network: of copy detection, where one is given.
        progress: called with (stage, done, total).
    """
    asked, planted, originals = _queries(samples, train, held_out, twins, options)
    found = {
        name: search(
            queries, train, twins.group, count, work / "nearest" / _slug(name), _told(progress, f"comparing {name}")
        )
        for name, queries in asked.items()
    }
    by_set = {name: pixel_scores(near, count) for name, near in found.items()}
    scores = {key: {name: by_set[name][key] for name in asked} for key in ("gap", "carlini", "correlation")}
    left = {"sscd": "no network of copy detection is given (--sscd FILE.onnx)"}
    if network is not None:
        scores["sscd"], left = _sscd(network, asked, train, twins, work, progress), {}
    passes: dict[str, dict[str, Any]] = {}
    off = "left out as asked for (--lpips off)" if options.lpips == "off" else None
    if (why := off or why_not(train.shape, held_out is not None)) is not None:
        left["lpips"] = why
    else:
        scores["lpips"], passes = _lpips(asked, found, train, work, options, progress)
    return Scored(scores, found[SAMPLES], planted, originals, len(train) <= ORIGINALS, left, passes)


def _lpips(
    asked: Mapping[str, Queries],
    found: Mapping[str, Nearest],
    train: ImageSet,
    work: Path,
    options: Options,
    progress: StageProgress,
) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
    """By set, without the training images, each of which is its own nearest: scores, and how all were searched."""
    place, every = work / f"lpips-{options.lpips}", options.lpips == "all"
    told = {name: _told(progress, f"LPIPS of {name}") for name in asked}
    scores = {
        name: lpips_scores(queries, found[name], train, place / _slug(name), every=every, progress=told[name])
        for name, queries in asked.items()
        if name != TRAINING
    }
    passes = {name: passes_of(place / _slug(name)) for name in scores}
    return scores, {name: made for name, made in passes.items() if made is not None}


def _queries(
    samples: ImageSet, train: ImageSet, held_out: ImageSet | None, twins: Twins, options: Options
) -> tuple[dict[str, Queries], dict[str, slice], np.ndarray]:
    """What is looked for by set; where each kind of planted copy stands; the original of each."""
    some = drawn(len(train), BACKGROUND, derived_seed(options.seed, "background"))
    chosen = drawn(len(train), ORIGINALS, derived_seed(options.seed, "planted"))
    known = list(kinds(train.shape))
    seed = derived_seed(options.seed, "changes") % 2**32
    copies = torch.cat([plant(train.images(chosen).clamp(0, 1), kind, seed=seed) for kind in known])
    asked = {
        SAMPLES: _all(samples),
        TRAINING: Queries(lambda part: train.images(some[part]), len(some), twins.group[some]),
    }
    if held_out is not None:
        asked[HELD_OUT] = _all(held_out)
    asked[PLANTED] = Queries(lambda part: copies[part], len(copies), np.full(len(copies), -1))
    n = len(chosen)
    return asked, {kind: slice(n * k, n * (k + 1)) for k, kind in enumerate(known)}, np.tile(chosen, len(known))


def _all(images: ImageSet) -> Queries:
    return Queries(images.images, len(images), np.full(len(images), -1))


def _sscd(
    network: Sscd, asked: Mapping[str, Queries], train: ImageSet, twins: Twins, work: Path, progress: StageProgress
) -> dict[str, np.ndarray]:
    work = work / f"sscd-{sha256_file(network.path)[:16]}"
    every = vectors(network, _all(train), work / "train", _told(progress, "SSCD of the training set"))
    found = {}
    for name, queries in asked.items():
        own = vectors(network, queries, work / _slug(name), _told(progress, f"SSCD of {name}"))
        found[name] = sscd_scores(own, queries.own, every, twins.group)
    return found


def _slug(name: str) -> str:
    return name.replace(" ", "-")


def _told(progress: StageProgress, stage: str) -> Progress:
    return lambda done, total: progress(stage, done, total)
