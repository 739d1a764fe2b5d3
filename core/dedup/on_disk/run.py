"""A duplicate search on files: bounded in memory, stopped at any moment and resumed, written atomically."""

from __future__ import annotations

import errno
import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.data.gather import Headers, gather
from core.data.pictures import read_picture
from core.data.unusable import refuse
from core.dedup.confirmed import Seen
from core.dedup.join.tiles import Engine, local_engine
from core.dedup.on_disk.inputs import Input
from core.dedup.on_disk.looked_at import pictures_looked_at, same_images
from core.dedup.on_disk.options import SCHEMA, Options, StageProgress, stage
from core.dedup.on_disk.results import PACKAGES, Page, Results, digest
from core.dedup.on_disk.second import full_pictures, looked_again, second_look
from core.dedup.on_disk.sets import check_before_reading, look
from core.dedup.on_disk.work import WORK, open_work, prepared, search
from core.dedup.search import as_pairs
from core.dedup.sources import FileSource
from core.errors import InputError
from core.files import write_atomic
from core.machine import peak_rss, versions


def run(
    inputs: list[Input],
    out: Path,
    options: Options,
    *,
    engine: Engine = local_engine,
    progress: StageProgress | None = None,
    page: Page | None = None,
) -> dict[str, Any]:
    """Find near-duplicates in one set or across two and write all files to `out`; returns what dedup.json holds.

    Killed at any moment and called again with the same arguments, on whatever number of cores, it goes on where it was
    and writes the same files (only `measured` in dedup.json, the time and memory it took, differs).

    Args:
        inputs: one set or two.
        out: folder of the results.
        options: how to search.
        engine: where the tasks run.
        progress: called with (stage, done, total).
        page: makes the text of index.html; without it there is none.

    Raises:
        InputError: for bad input, more pairs than memory holds, or a full disk.
    """
    try:
        return _run(inputs, out, options, engine, progress or (lambda stage, done, total: None), page)
    except MemoryError as error:
        raise InputError(
            f"memory: this machine has no more ({error}); fewer pairs take less: raise threshold"
        ) from error
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise InputError(f"{error.filename or out}: {error.strerror}; cannot go on") from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = f"{out}: no space left on the disk; free some and run the same command again, it goes on from here"
        raise InputError(message) from error


def _run(
    inputs: list[Input], out: Path, options: Options, engine: Engine, progress: StageProgress, page: Page | None
) -> dict[str, Any]:
    begun, libraries = time.monotonic(), peak_rss()
    work = out / WORK
    resumed = open_work(work, inputs, options)
    limit = options.limit
    places = [work / str(k) for k in range(len(inputs))]
    for place in places:
        place.mkdir(exist_ok=True)
    sets = [look(given, place, options, progress) for given, place in zip(inputs, places, strict=True)]
    check_before_reading(inputs, sets, limit, options)
    bad = [dict(found.trouble) if isinstance(found, Headers) else {} for found in sets]
    if not options.skip_bad:
        refuse(bad, out)
    sources: list[FileSource] = []
    names: list[tuple[str, ...]] = []
    for k, (given, found, place) in enumerate(zip(inputs, sets, places, strict=True)):
        if isinstance(found, Headers):
            report = stage(progress, f"reading {given.path.name}")
            assert given.pictures is not None and given.fit is not None
            file, bad[k] = gather(
                given.pictures,
                found,
                lambda stored, fit=given.fit: read_picture(stored, fit),  # type: ignore[misc]
                place,
                memory=limit // 2,
                threads=options.workers,
                progress=report,
            )
            found = FileSource(file, options.size, str(given.path), levels=True, axes="nchw")
        called = given.names and tuple(name for name in given.names if name not in bad[k])
        if called is not None and len(called) != len(found):
            raise InputError(f"{given.path}: found {len(called)} names for {len(found)} images")
        sources.append(found)
        names.append(called or tuple(map(str, range(len(found)))))
    if not options.skip_bad:
        refuse(bad, out)
    join = prepared(sources, work, limit, options, progress)
    for source, called, left_out in zip(sources, names, bad, strict=True):
        for k in sorted(source.bad):
            left_out[called[k]] = f"{source.label}: image {called[k]} has a pixel that is NaN or infinite"
    if not options.skip_bad:
        refuse(bad, out)
    twins = same_images(inputs, names)
    found_pairs = search(join, work / "parts", engine, stage(progress, "comparing"))
    pairs = as_pairs(found_pairs, join, twins)
    again = second_look(inputs, names, pairs, work, options, progress)
    seen = None if again is None else Seen(again, pairs, full_pictures(inputs, names))
    kept_pairs = again.only_confirmed(pairs) if again is not None and options.confirm else pairs
    results = Results(kept_pairs, sources, names, bad, join.equal or (), twins, [given.same for given in inputs], seen)
    counts = results.write(out, options.rule, stage(progress, "writing"), page)
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "inputs": [
            {"path": str(given.path), "shape": list(source.shape), "sha256_of_image_sha256s": digest(source)}
            for given, source in zip(inputs, sources, strict=True)
        ],
        "parameters": {
            **asdict(options),
            "resize": None if inputs[0].fit is None else inputs[0].fit.side,
            "fit": None if inputs[0].fit is None else str(inputs[0].fit),
            "engine": "local" if engine is local_engine else getattr(engine, "name", type(engine).__name__),
            "versions": versions(PACKAGES, missing="not installed"),
        },
        "counts": counts,
        "second_look": looked_again(again, pairs, confirm=options.confirm),
        "looked_at": pictures_looked_at(
            inputs, [found if isinstance(found, Headers) else None for found in sets], sources, join.equal or (), twins
        ),
        "search": pairs.statistics,
    }
    result["measured"] = {
        "seconds": round(time.monotonic() - begun, 2),
        "peak_rss": peak_rss(),
        "peak_rss_before": libraries,
        "resumed": resumed,
    }
    write_atomic(out / "dedup.json", json.dumps(result, indent=1) + "\n")
    (work / "key").unlink()  # first, so that what a killed removal leaves behind is never taken up again
    shutil.rmtree(work)
    return result
