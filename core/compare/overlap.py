"""What two training sets share: images, near-duplicates with a second look, people where identities are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.compare.training_sets import GROUPS, TrainingSets
from core.copies.checks import equal_images
from core.copies.options import Options, StageProgress
from core.copies.sets import digests
from core.dedup.on_disk.options import Options as JoinOptions
from core.dedup.on_disk.run import run
from core.errors import InputError
from core.splits.known import read_identities_of
from core.splits.leakage import count_leakage
from core.splits.membership import from_lists

EXAMPLES = 5
NONE_FOUND, OVERLAP, UNKNOWN = "none found", "overlap", "cannot be told"


def overlap(
    sets: TrainingSets, identities: Sequence[Path], work: Path, options: Options, progress: StageProgress
) -> dict[str, Any]:
    """What is in both training sets, plain values as JSON holds them.

    `verdict` is `overlap` where an image, a confirmed near-duplicate or a person is in both; `cannot be told` where
    near-duplicates were found that no second look could settle; `none found` otherwise.

    Args:
        sets: of A and B.
        identities: none, one file for both sets, or A's and B's.
        work: folder of what is found along the way.
        options: threshold, memory and threads.
        progress: called with (stage, done, total).

    Raises:
        InputError: for files of identities that do not name the images.
    """
    images = _shared_images(sets)
    near = _near_duplicates(sets, work, options, progress)
    people = _people(sets, identities, images.pop("equal"))
    found = bool(images["images_of_b"] or near["confirmed"] or (people and people["shared_identities"]))
    verdict = OVERLAP if found else UNKNOWN if near["unsettled"] else NONE_FOUND
    return {"verdict": verdict, "images": images, "near_duplicates": near, "identities": people}


def _shared_images(sets: TrainingSets) -> dict[str, Any]:
    known, other = (digests(sets.places[group]) for group in GROUPS)
    equal = equal_images(other, known)
    in_b = np.flatnonzero(equal >= 0)
    names = [sets.images[group].names for group in GROUPS]
    return {
        "images_of_b": len(in_b),
        "of_b": len(other),
        "images_of_a": int((equal_images(known, other) >= 0).sum()),
        "of_a": len(known),
        "examples": [[names[0][int(equal[k])], names[1][int(k)]] for k in in_b[:EXAMPLES]],
        "equal": equal,
    }


def _near_duplicates(sets: TrainingSets, work: Path, options: Options, progress: StageProgress) -> dict[str, Any]:
    """Pairs across both sets that correlate above the threshold, and what a second look at full size says of them."""
    place = work / "between"
    asked = JoinOptions(options.twins, memory=options.memory, threads=options.threads, skip_bad=options.skip_bad)
    result = run([sets.inputs[group] for group in GROUPS], place, asked, progress=progress)
    pairs = pd.read_parquet(place / "pairs.parquet")
    look = result["second_look"]
    looked = look.get("looked_at", 0)
    confirmed, doubtful = look.get("confirmed", 0), look.get("in_doubt", 0)
    alike = int(result["counts"]["pairs"])
    first = pairs.sort_values("correlation", ascending=False).head(EXAMPLES)
    return {
        "correlation_above": options.twins,
        "pairs": alike,
        "images_of_a": int(pairs["i"].nunique()),
        "images_of_b": int(pairs["j"].nunique()),
        "looked_at": looked,
        "confirmed": confirmed,
        "unsettled": max(alike - looked, 0) + doubtful,
        "not_looked": look.get("not_looked"),
        "examples": first[["name_i", "name_j"]].to_numpy().tolist(),
    }


def _people(sets: TrainingSets, files: Sequence[Path], equal: np.ndarray) -> dict[str, Any] | None:
    if not files:
        return None
    if len(files) > 2:
        raise InputError(f"--identities: got {len(files)} files, expected one for both sets, or A's and B's")
    names = {group: sets.images[group].names for group in GROUPS}
    if len(files) == 1:
        _check_names(names["A"], names["B"], equal, files[0])
    known = []
    for group, file in zip(GROUPS, [files[0], files[-1]], strict=True):
        who, _ = read_identities_of(file, np.array(names[group], dtype=object))
        known.append(who.set_axis([f"{group}/{name}" for name in who.index]))
    groups = {group: [f"{group}/{name}" for name in named] for group, named in names.items()}
    found = count_leakage(from_lists(groups, pd.concat(known).astype(str))).pairs[0]
    return {
        "shared_identities": found.shared_identities,
        "images_of_a": found.images_of_a_with_identity_in_b,
        "images_of_b": found.images_of_b_with_identity_in_a,
        "examples": list(found.examples["identities"]),
    }


def _check_names(first: Sequence[str], second: Sequence[str], equal: np.ndarray, file: Path) -> None:
    """One file of identities serves two sets only where a name means one image."""
    place = {name: k for k, name in enumerate(first)}
    for k, name in enumerate(second):
        if name in place and first[int(equal[k])] != name:
            raise InputError(
                f"{file}: image {name} is in both sets and is not the same image; expected a file of identities for "
                "each: --identities A's --identities B's"
            )
