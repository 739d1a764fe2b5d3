"""What can be known of the sets of a duplicate search before their pixels are read, and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.data.gather import Headers, check_decoding, load_headers, read_headers, save_headers
from core.dedup.join.budget import check_memory
from core.dedup.on_disk.inputs import Input
from core.dedup.on_disk.options import Options, StageProgress, stage
from core.dedup.sources import FileSource, Grid, bytes_of_image, check_same_grid


def look(given: Input, place: Path, options: Options, progress: StageProgress) -> Headers | FileSource:
    """What can be known of a set without reading its pixels."""
    if given.file is not None:
        return FileSource(given.file, options.size, str(given.path), axes=given.axes)
    kept = place / "headers.npz"
    if not kept.exists():
        report = stage(progress, f"looking at {given.path.name}")
        assert given.pictures is not None and given.fit is not None
        memory = options.limit // 4
        headers = read_headers(given.pictures, given.fit, threads=options.workers, memory=memory, progress=report)
        save_headers(headers, kept)
    return load_headers(kept)


def check_before_reading(inputs: list[Input], sets: list[Headers | FileSource], limit: int, options: Options) -> None:
    """Refuse what cannot work before the hours that reading may take."""
    grids = []
    for given, found in zip(inputs, sets, strict=True):
        if isinstance(found, FileSource):
            image_bytes, shape, size = found.image_bytes, found.shape, found.size
        else:
            assert given.pictures is not None
            check_decoding(given.pictures, found, limit // 2)
            shape, size = (0, *found.shape), options.size
            image_bytes = bytes_of_image(shape, np.dtype(found.dtype))
        grids.append(Grid(shape, size))
        check_memory(limit, options.threads, grids[-1].dimension, image_bytes)
    check_same_grid(grids[0], grids[-1], str(inputs[-1].path))
