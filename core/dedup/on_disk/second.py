"""The second look at the pairs of a search in files: resumable, and of folders of pictures only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.data.collections.collection import full_pictures as collected
from core.dedup.confirmed import Picture, SecondLook, chosen_pairs, look_at, parting
from core.dedup.on_disk.inputs import Input
from core.dedup.on_disk.options import Options, StageProgress
from core.dedup.on_disk.parquet import as_parquet
from core.dedup.pairs import Pairs
from core.errors import InputError

NOT_LOOKED = "no full-size pictures: an array or a corpus holds the small images only"
_PART = 256  # pairs between two notes of progress


def full_pictures(inputs: Sequence[Input], names: Sequence[tuple[str, ...]]) -> tuple[Picture, Picture] | None:
    """What reads the full-size pictures of the first and of the last set; None where a set is an array."""
    readers = [
        None if given.pictures is None else collected(given.pictures, called, given.fit)
        for given, called in zip(inputs, names, strict=True)
    ]
    first, last = readers[0], readers[-1]
    return (first, last) if first and last else None


def second_look(
    inputs: Sequence[Input],
    names: Sequence[tuple[str, ...]],
    pairs: Pairs,
    work: Path,
    options: Options,
    progress: StageProgress,
) -> SecondLook | None:
    """Look again at the pairs that were found; where an earlier run was stopped, go on from there.

    Returns None where there are no full-size pictures to look at.

    Raises:
        InputError: if only confirmed pairs are wanted and not all of them can be looked at.
    """
    pictures = full_pictures(inputs, names)
    if options.confirm and pictures is None:
        raise InputError(f"--confirm: {NOT_LOOKED}; expected folders of pictures")
    if options.confirm and pairs.total != len(pairs.i):
        raise InputError(
            f"--confirm: {pairs.total:,} pairs, of which one stands for many equal images; expected every pair listed: "
            "remove the equal images first (a run without --confirm names them in equal.parquet)"
        )
    if pictures is None:
        return None
    index = chosen_pairs(pairs, every=options.confirm)
    place = work / f"second-{len(index)}"
    place.mkdir(exist_ok=True)
    values = []
    for low in range(0, len(index), _PART):
        kept = place / f"{low}.npy"
        if not kept.exists():
            found = look_at(pairs, index[low : low + _PART], *pictures, threads=options.workers)
            partial_file = kept.with_suffix(".partial")
            with partial_file.open("wb") as stream:
                np.save(stream, found)
            partial_file.replace(kept)
        values.append(np.load(kept))
        progress("second look", min(low + _PART, len(index)), len(index))
    every = np.concatenate(values) if values else np.empty(0)
    return SecondLook(index, every, parting(every))


def looked_again(look: SecondLook | None, pairs: Pairs, *, confirm: bool) -> dict[str, Any]:
    """What dedup.json says of the second look at the pairs of the rule."""
    if look is None:
        return {"not_looked": NOT_LOOKED}
    return {**look.counts(pairs), "only_confirmed_kept": confirm}


def look_table(look: SecondLook, pairs: Pairs, names: Sequence[tuple[str, ...]]) -> bytes:
    """second_look.parquet: a row a pair that was looked at."""
    i, j = pairs.i[look.index], pairs.j[look.index]
    table = {
        "i": i,
        "j": j,
        "name_i": np.array(names[0], dtype=object)[i],
        "name_j": np.array(names[-1], dtype=object)[j],
        "correlation": pairs.correlation[look.index],
        "second_look": look.value,
        "confirmed": look.confirms,
    }
    return as_parquet(table)
