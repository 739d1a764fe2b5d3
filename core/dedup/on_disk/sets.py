"""What can be known of the sets of a duplicate search before their pixels are read, and refused."""

from __future__ import annotations

import math
from pathlib import Path

from core.dedup.definition import pooled_dimension
from core.dedup.join.budget import check_memory, check_threads
from core.dedup.on_disk.inputs import Input
from core.dedup.on_disk.options import Options, Progress, stage
from core.dedup.on_disk.pictures import Headers, check_decoding, load_headers, read_headers, save_headers
from core.dedup.sources import FileSource
from core.errors import InputError


def look(given: Input, place: Path, options: Options, progress: Progress) -> Headers | FileSource:
    """What can be known of a set without reading its pixels."""
    if given.file is not None:
        try:
            return FileSource(given.file, options.size, str(given.path))
        except InputError as error:
            raise _with_hint(error, "--pooled-size N pools to N rows") from error
    kept = place / "headers.npz"
    if not kept.exists():
        report = stage(progress, f"looking at {given.path.name}")
        save_headers(read_headers(given, threads=check_threads(options.threads), progress=report), kept)
    return load_headers(kept)


def _with_hint(error: InputError, hint: str) -> InputError:
    return InputError(f"{error}; {hint}") if "cannot be pooled" in str(error) else error


def check_before_reading(inputs: list[Input], sets: list[Headers | FileSource], limit: int, options: Options) -> None:
    """Refuse what cannot work before the hours that reading may take."""
    dimensions = []
    for given, found in zip(inputs, sets, strict=True):
        if isinstance(found, FileSource):
            dimensions.append(found.dimension)
            image_bytes = found.image_bytes
        else:
            check_decoding(given, found, limit // 2)
            try:
                dimensions.append(pooled_dimension(found.shape, options.size, str(given.path)))
            except InputError as error:
                hint = "--resize N makes all pictures squares of N pixels, --pooled-size N pools to N rows"
                raise _with_hint(error, hint) from error
            image_bytes = (4 if found.dtype == "<f4" else 5) * math.prod(found.shape)
        check_memory(limit, options.threads, dimensions[-1], image_bytes)
    if dimensions[0] != dimensions[-1]:
        raise InputError(f"{inputs[-1].path}: found {dimensions[-1]} pooled values an image, expected {dimensions[0]}")
