"""Are samples copies of training images? From the folders that are named to everything that a page shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from core.copies import checks
from core.copies.criteria import carlini_count, criteria
from core.copies.judged import Judged, judge
from core.copies.options import SCHEMA, Options, StageProgress
from core.copies.planted import kinds
from core.copies.scored import Scored, score
from core.copies.sentences import answer, required, sight
from core.copies.sets import Facts, ImageSet, digests, find_sets, look, open_set
from core.copies.sscd import Sscd
from core.copies.twins import Twins, find_twins
from core.data.pictures import Fit
from core.dedup.on_disk.inputs import Input
from core.errors import InputError
from core.files import sha256_text
from core.machine import versions

FREE = (
    "at_most",
    "calibrated",
    "lpips",
    "sscd",
    "memory",
    "threads",
    "skip_bad",
)  # options that leave what is kept as it is
FEWEST_HELD_OUT = 100  # images of which one is the share of false alarms that a threshold may have
SHOWN = 24  # samples shown beside their nearest training image
PACKAGES = ("samenoise", "numpy", "torch", "pillow", "lpips", "onnxruntime")
SAMPLES, TRAIN, HELD_OUT = "samples", "train", "held_out"
CALLED = {SAMPLES: "samples", TRAIN: "training images", HELD_OUT: "held-out images"}


@dataclass(frozen=True, eq=False)
class Copies:
    """The answer.

    Attributes:
        result: everything that was counted, plain values as JSON holds them.
        pictures: of each entry of result["nearest"], the sample and its nearest training image, (c, h, w) in [0, 1].
    """

    result: dict[str, Any]
    pictures: list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Asked:
    """What was named: the sets by SAMPLES, TRAIN and HELD_OUT, and sentences for what was decided about them."""

    inputs: Mapping[str, Input]
    sentences: tuple[str, ...]

    @classmethod
    def of(cls, samples: Path, train: Path, held_out: Path | None, fit: Fit | None, axes: str | None = None) -> Asked:
        """Recognise what was named, and refuse sets that share files.

        Raises:
            InputError: naming what cannot be read, or what stands in two sets.
        """
        found, sentences = find_sets([samples, train, held_out], fit, axes=axes)
        named = {key: one for key, one in zip(CALLED, found, strict=True) if one is not None}
        for first, second in ((TRAIN, SAMPLES), (TRAIN, HELD_OUT), (HELD_OUT, SAMPLES)):
            if first in named and second in named:
                checks.check_files(named[first], named[second], CALLED[first], CALLED[second])
        return cls(named, tuple(sentences))

    def place(self, work: Path, options: Options) -> Path:
        """Where a run keeps what it finds along the way: a folder of `work`, the same for the same sets and options."""
        asked = {name: value for name, value in asdict(options).items() if name not in FREE}
        text = json.dumps([SCHEMA, asked, {key: one.signature for key, one in self.inputs.items()}])
        return work / sha256_text(text)[:16]


def find_copies(asked: Asked, options: Options, work: Path, progress: StageProgress | None = None) -> Copies:
    """Count the samples that each criterion calls copies, calibrated on planted copies of the training images.

    Stopped and called again with the same sets, it goes on from what `asked.place(work, options)` holds.

    Args:
        asked: the sets.
        options: how they are compared.
        work: folder of decoded pictures and of what is found along the way.
        progress: called with (stage, done, total).

    Raises:
        InputError: for sets that cannot be compared, or too few images to tell.
    """
    told = progress or (lambda stage, done, total: None)
    work = asked.place(work, options)
    network = None if options.sscd is None else Sscd(options.sscd)
    sets = _opened(asked, options, work, told)
    facts, equal, notes = _compared(sets, work, told)
    twins = find_twins(sets[TRAIN], work / "twins", options, told)
    count = carlini_count(twins.groups)
    scored = score(sets[SAMPLES], sets[TRAIN], sets.get(HELD_OUT), twins, count, work, options, network, told)
    judged = judge(scored, count, seed=options.seed, calibrated=options.calibrated)
    notes = [*asked.sentences, *notes, *twins.notes(options.twins)]
    result = _result(sets, facts, twins, scored, judged, count, options) | {"notes": notes}
    result["equal_to_a_training_image"] = int((equal >= 0).sum())
    result |= {"answer": answer(result), "sight": sight(result)}
    result |= required(result, options.at_most)
    order = worst_first(scored, judged)
    result["nearest"] = [_pair(k, sets, scored, judged) for k in order[:SHOWN].tolist()]
    called = np.logical_or.reduce(list(judged.flagged.values()))
    result["copies"] = [_pair(k, sets, scored, judged) for k in order.tolist() if called[k]]
    return Copies(result, [_pictures(k, sets, scored) for k in order[:SHOWN].tolist()])


def _opened(asked: Asked, options: Options, work: Path, progress: StageProgress) -> dict[str, ImageSet]:
    """The sets; too few samples or held-out images are refused before the training set, the largest, is read."""
    sets = {}
    for key in (SAMPLES, HELD_OUT, TRAIN):
        if key not in asked.inputs:
            continue
        sets[key] = one = open_set(asked.inputs[key], CALLED[key], work / key, options, progress)
        if key == SAMPLES:
            options.check_samples(len(one))
        elif key == HELD_OUT and len(one) < FEWEST_HELD_OUT:
            raise InputError(
                f"{one.given.path}: found {len(one)} held-out images, expected at least {FEWEST_HELD_OUT}, of which "
                "one called a copy is a false alarm in a hundred"
            )
    return {key: sets[key] for key in CALLED if key in sets}


def _compared(
    sets: Mapping[str, ImageSet], work: Path, progress: StageProgress
) -> tuple[dict[str, Facts], np.ndarray, list[str]]:
    """What one pass over each set tells, the training image equal to each sample (or -1), and notes.

    Raises:
        InputError: for sets between which a comparison means nothing.
    """
    for key in sets:
        checks.check_shapes(sets[TRAIN], sets[key])
    facts = {key: look(images, work / key, progress) for key, images in sets.items()}
    known = digests(work / TRAIN)
    equal = {key: checks.equal_images(digests(work / key), known) for key in sets if key != TRAIN}
    for key in equal:
        pair = (sets[TRAIN], facts[TRAIN]), (sets[key], facts[key])
        checks.check_ranges(*pair)
        checks.check_colours(*pair)
    if HELD_OUT in sets:
        checks.check_held_out(sets[HELD_OUT], sets[TRAIN], equal[HELD_OUT])
    notes = list(checks.notes((sets[TRAIN], facts[TRAIN]), (sets[SAMPLES], facts[SAMPLES])))
    if (same := int((equal[SAMPLES] >= 0).sum())) > 0:
        notes.append(
            f"{same:,} samples equal a training image pixel for pixel, which a sampler hardly brings about: does the "
            "training set hold the samples themselves?"
        )
    if (repeated := len(sets[SAMPLES]) - len(np.unique(digests(work / SAMPLES)))) > 0:
        notes.append(
            f"{repeated:,} samples repeat another one pixel for pixel: intervals take all samples for independent draws"
        )
    return facts, equal[SAMPLES], notes


def _result(
    sets: Mapping[str, ImageSet],
    facts: Mapping[str, Facts],
    twins: Twins,
    scored: Scored,
    judged: Judged,
    count: int,
    options: Options,
) -> dict[str, Any]:
    known = criteria(count)
    return {
        "schema": SCHEMA,
        "sets": {
            key: {
                "path": str(images.given.path),
                "images": len(images),
                "shape": list(images.shape),
                "read_as": None if images.given.fit is None else str(images.given.fit),
                "range": list(images.value_range),
                "left_out": len(images.left_out),
                "sha256_of_image_sha256s": facts[key].sha256,
            }
            for key, images in sets.items()
        },
        "twins": {
            "correlation_above": options.twins,
            "groups": twins.groups,
            "joined": twins.joined,
            "largest": twins.largest,
        },
        "planted_kinds": kinds(sets[TRAIN].shape),
        "criteria": judged.rows,
        "any": judged.any,
        "not_looked_at": {known[key].name: why for key, why in scored.not_looked_at.items()},
        "lpips_among": options.lpips,
        "lpips_passes": dict(scored.lpips_passes),
        "seed": options.seed,
        "versions": versions(PACKAGES, missing="not installed"),
    }


def worst_first(scored: Scored, judged: Judged) -> np.ndarray:
    """Samples in the order of how many criteria call them copies, then of their gap ratio: (n,) int."""
    criteria_that_call = np.sum(list(judged.flagged.values()), axis=0)
    return np.lexsort((-scored.scores["gap"]["samples"], -criteria_that_call))


def _pair(k: int, sets: Mapping[str, ImageSet], scored: Scored, judged: Judged) -> dict[str, Any]:
    """One sample and what stands nearest to it."""
    scores = {key: by_set["samples"][k] for key, by_set in scored.scores.items()}
    train = sets[TRAIN].names
    known = criteria(scored.found.groups.index.shape[1])
    return {
        "sample": sets[SAMPLES].names[k],
        "nearest": train[int(scored.found.groups.index[k, 0])],
        "most_alike": train[int(scored.found.like.index[k, 0])],
        "distance": float(scored.found.groups.value[k, 0]),
        **{key: float(known[key].unit * value) + 0.0 for key, value in scores.items()},
        "called_a_copy_by": [key for key, flagged in judged.flagged.items() if flagged[k]],
    }


def _pictures(k: int, sets: Mapping[str, ImageSet], scored: Scored) -> tuple[Tensor, Tensor]:
    nearest = np.array([int(scored.found.groups.index[k, 0])])
    return sets[SAMPLES].images(np.array([k]))[0], sets[TRAIN].images(nearest)[0]
