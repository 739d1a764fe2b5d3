"""Two denoisers compared: from what is named to everything that a page shows."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from core.compare import verdicts
from core.compare.drawn import TRAINED_ON, Drawn, admitted, check_alike, draw
from core.compare.measured import Measured, measure, table
from core.compare.options import SCHEMA, Options
from core.compare.overlap import overlap
from core.compare.training_sets import GROUPS, TrainingSets, find_training_sets, open_training_sets
from core.copies.options import StageProgress
from core.copies.run import PACKAGES, Asked, Copies, find_copies
from core.data.pictures import Fit
from core.dedup.on_disk.inputs import Input
from core.denoisers.protocol import SigmaDenoiser
from core.errors import InputError
from core.files import sha256_text, write_atomic
from core.machine import versions
from core.stats.crossed import Crossed

SHOWN = 12  # seeds whose images are shown


@dataclass(frozen=True, eq=False)
class Comparison:
    """The answer.

    Attributes:
        result: everything that was counted and measured, plain values as JSON holds them.
        drawn: the samples; None where a denoiser was refused.
        measured: their similarities, seed by seed; None where a denoiser was refused.
        copies: of A and of B, with the nearest training images.
    """

    result: dict[str, Any]
    drawn: Drawn | None
    measured: Measured | None
    copies: Mapping[str, Copies]


@dataclass(frozen=True, eq=False)
class Pair:
    """What is compared.

    Attributes:
        denoisers: `A`, `B` and, where there is one, `ceiling`: a second training on A's images.
        names: how each was named.
        train: training set of A and of B, whatever `core.data` reads.
        held_out: images of the same kind that nobody trained on; None without.
        identities: no file, one for both sets, or A's and B's.
        fit: how pictures become the networks' images; squares cropped to the centre unless given.
        axes: of arrays, where their order is not clear.
    """

    denoisers: Mapping[str, SigmaDenoiser]
    names: Mapping[str, str]
    train: Mapping[str, Path]
    held_out: Path | None = None
    identities: tuple[Path, ...] = ()
    fit: Fit | None = None
    axes: str | None = None


def compare(pair: Pair, options: Options, work: Path, progress: StageProgress | None = None) -> Comparison:
    """Compare two denoisers from the same noise, and look for copies and for what their training sets share.

    Args:
        pair: the denoisers and what each was trained on.
        options: how they are compared.
        work: folder of decoded pictures, samples and what is found along the way.
        progress: called with (stage, done, total).

    Raises:
        InputError: for denoisers or sets that cannot be compared.
    """
    told = progress or (lambda stage, done, total: None)
    check_alike(pair.denoisers)
    shape = pair.denoisers["A"].shape
    inputs = find_training_sets(pair.train, shape, pair.fit, pair.axes)
    work = _place(work, inputs, options)
    sets = open_training_sets(inputs, shape, work, options.copies, told)
    shared = overlap(sets, pair.identities, work, options.copies, told)
    admission = admitted(pair.denoisers, sets, seed=options.copies.seed)
    problems = verdicts.refused(admission)
    drawn = None if problems else draw(pair.denoisers, sets, options, told)
    copies = {} if drawn is None else _copies(pair, drawn, sets, options, work, told)
    found = None if drawn is None else measure(drawn)
    return Comparison(_result(pair, sets, shared, found, drawn, copies, problems, options), drawn, found, copies)


def _place(work: Path, inputs: Mapping[str, Input], options: Options) -> Path:
    """A folder of `work` for these sets, read in this way: what is kept of others is not taken for theirs."""
    text = json.dumps([SCHEMA, asdict(options), {group: one.signature for group, one in inputs.items()}], default=str)
    return work / sha256_text(text)[:16]


def _copies(
    pair: Pair, drawn: Drawn, sets: TrainingSets, options: Options, work: Path, progress: StageProgress
) -> dict[str, Copies]:
    """Whether A's samples are copies of A's images, and B's of B's."""
    found, asked = {}, replace(options.copies, at_most=None)
    low, high = options.copies.value_range
    for name in GROUPS:
        file = work / f"samples-{name}.npy"
        stream = io.BytesIO()
        samples = drawn.samples[name].clamp(0, 1).numpy()
        np.save(stream, (samples * (high - low) + low).clip(low, high).astype(np.float32))
        write_atomic(file, stream.getvalue())
        fit = sets.inputs[name].fit if sets.inputs[name].pictures is not None else pair.fit
        which = Asked.of(file, pair.train[name], pair.held_out, fit, pair.axes)
        try:
            found[name] = find_copies(which, asked, work / f"copies-{name}", partial(_told, progress, name))
        except InputError as error:
            raise InputError(str(error).replace(str(file), f"samples of {name}")) from error
    return found


def _told(progress: StageProgress, name: str, stage: str, done: int, total: int) -> None:
    progress(f"{name}: {stage}", done, total)


def _result(
    pair: Pair,
    sets: TrainingSets,
    shared: Mapping[str, Any],
    found: Measured | None,
    drawn: Drawn | None,
    copies: Mapping[str, Copies],
    problems: list[str],
    options: Options,
) -> dict[str, Any]:
    by_name = {name: one.result for name, one in copies.items()}
    rows = [] if found is None else table(found)
    outside = {} if drawn is None else {name: drawn.outside(name) for name in drawn.samples}
    copy = verdicts.copying(by_name)
    same, first = verdicts.headline(verdicts.same_function(found, options), copy, shared, problems)
    asked = verdicts.requirements(rows[0] if rows else None, same, by_name, options)
    questions = [same, copy, verdicts.overlapping(shared), verdicts.how_sure(found, by_name, outside, options)]
    return {
        "schema": SCHEMA,
        "answer": first,
        "questions": [one.as_json() for one in questions],
        "required": asked,
        "holds": all(one["holds"] for one in asked) if asked else None,
        "not_admitted": problems,
        "notes": _notes(sets, drawn, by_name),
        "agreement": rows,
        **_differences(found),
        "pixels_far_outside": outside,
        "overlap": dict(shared),
        "copies": by_name,
        "denoisers": {
            name: {
                "named": pair.names[name],
                "trained_on": str(pair.train[TRAINED_ON[name]]),
                "shape": list(one.shape),
                "range": list(one.data_range),
                "sigma": [one.sigma_min, one.sigma_max],
            }
            for name, one in pair.denoisers.items()
        },
        "training_sets": {
            group: {
                "path": str(one.given.path),
                "images": len(one),
                "read_as": None if one.given.fit is None else str(one.given.fit),
                "sha256_of_image_sha256s": sets.facts[group].sha256,
            }
            for group, one in sets.images.items()
        },
        "sigmas": [] if drawn is None else list(drawn.sigmas),
        "fitted": {} if drawn is None else dict(drawn.fitted),
        "options": json.loads(json.dumps(asdict(options), default=str)),
        "versions": versions((*PACKAGES, "diffusers"), missing="not installed"),
    }


def _differences(found: Measured | None) -> dict[str, Any]:
    """The ceiling and the agreement beside each other, and the agreement and the floor."""
    values: dict[str, Crossed | None] = {}
    if found is not None:
        values = {
            "ceiling_minus_agreement": found.gap,
            "residual_ceiling_minus_agreement": found.residual_gap,
            "agreement_minus_floor": found.above_floor,
        }
    return {
        name: None if one is None else {"value": one.estimate, "low": one.interval().low, "high": one.interval().high}
        for name, one in values.items()
    }


def _notes(sets: TrainingSets, drawn: Drawn | None, copies: Mapping[str, Mapping[str, Any]]) -> list[str]:
    notes = list(sets.notes)
    if drawn is not None:
        for group, fitted in drawn.fitted.items():
            if fitted < len(sets.images[group]):
                notes.append(f"the linear denoiser of {group} is fitted to {fitted:,} of {len(sets.images[group]):,}")
    for name, result in copies.items():
        notes += [f"{name}, copies: {note}" for note in result["notes"]]
    return list(dict.fromkeys(notes))
