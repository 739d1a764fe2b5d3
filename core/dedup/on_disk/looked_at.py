"""What a duplicate search has looked at, and what it has passed over: for dedup.json and for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from core.data.collections.collection import file_of
from core.data.gather import Headers
from core.data.pictures import BACKGROUND, NOTES
from core.dedup.equal import Equal
from core.dedup.on_disk.inputs import Input
from core.dedup.sources import FileSource, Grid


def same_images(inputs: Sequence[Input], names: Sequence[tuple[str, ...]]) -> np.ndarray | None:
    """Across two sets, for each image of the second that of the first which is the very same file, or -1.

    Of one tensor or corpus given twice all images are the same. None for one set, or where no file stands in both.
    """
    if len(inputs) < 2:
        return None
    a, b = inputs
    if a.pictures is None or b.pictures is None:
        twice = a.file is not None and b.file is not None and file_of(a.file) == file_of(b.file)
        return np.arange(len(names[1])) if twice else None
    places = [dict(zip(pictures.names, pictures.places(), strict=True)) for pictures in (a.pictures, b.pictures)]
    there = {places[0][name]: k for k, name in enumerate(names[0])}
    twins = np.array([there.get(places[1][name], -1) for name in names[1]], dtype=np.int64)
    return twins if (twins >= 0).any() else None


def pictures_looked_at(
    inputs: Sequence[Input],
    headers: Sequence[Headers | None],
    sources: Sequence[FileSource],
    equal: Sequence[Equal],
    twins: np.ndarray | None,
) -> dict[str, Any]:
    """How the images of each set were read, and how many of them are of each kind that a reader should know of.

    Args:
        inputs: the sets.
        headers: of those that are folders of pictures.
        sources: of the images.
        equal: the equal images of each set.
        twins: from `same_images`.
    """
    sets = []
    for given, found, source, groups in zip(inputs, headers, sources, equal, strict=True):
        grid = Grid(source.shape, source.size)
        sets.append(
            {
                "images": len(source),
                "fit": None if given.fit is None else str(given.fit),
                "transparency_on": None if given.fit is None else BACKGROUND,
                "axes": source.axes if found is None else None,
                "remark": source.remark if given.pictures is None else given.pictures.remark,
                "values": str(np.dtype(source.dtype)),
                "pooled": None if source.axes == "nd" else str(grid),
                "passed_over": dict(given.passed_over),
                "same_files": len(given.same),
                "pictures": {} if found is None else dict(found.notes),
                "constant": int(groups.constant.sum()),
                "equal_to_an_earlier_one": int((groups.first != np.arange(len(groups.first))).sum()),
            }
        )
    return {"sets": sets, "same_file_in_both_sets": 0 if twins is None else int((twins >= 0).sum())}


def told(result: dict[str, Any]) -> Iterator[str]:
    """How images were read and what was passed over, a line each, for a reader at a terminal."""
    for label, found in _sets(result):
        if found["fit"] is not None:
            yield f"{label}{found['images']:,} pictures read as {found['fit']}, pooled to {found['pooled']}"
        for kind, count in found["pictures"].items():
            yield f"{label}{count:,} pictures {NOTES[kind]}"
        if found["constant"]:
            yield (
                f"{label}{found['constant']:,} images are of one value (once pooled), which has no correlation: "
                "compared by their pixels"
            )
        if found["passed_over"]:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in found["passed_over"].items())
            yield f"{label}passed over: {kinds}"


def warnings(result: dict[str, Any]) -> Iterator[str]:
    """What a reader at a terminal should know before the counts are believed, a line each."""
    for label, found in _sets(result):
        if found["remark"]:
            yield f"{label}{found['remark']}; --axes nchw or nhwc says otherwise"
        if found["same_files"]:
            yield f"{label}warning: {found['same_files']:,} names lead to a file that has another name, read once"
    if both := result["looked_at"]["same_file_in_both_sets"]:
        yield (
            f"warning: the very same file is in both sets, for {both:,} images: not removed as duplicates of "
            "themselves; all are listed in same_files.txt"
        )


def _sets(result: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What was looked at in each set, with its path in front where there are two."""
    several = len(result["inputs"]) > 1
    for given, found in zip(result["inputs"], result["looked_at"]["sets"], strict=True):
        yield f"{given['path']}: " if several else "", found
