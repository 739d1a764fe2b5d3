"""A duplicate search on files: bounded in memory, stopped at any moment and resumed, written atomically."""

from __future__ import annotations

import errno
import io
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.dedup import RULES, THRESHOLD, as_pairs, check_threshold
from core.dedup_input import Input
from core.dedup_output import digest, refuse, versions, write_results
from core.dedup_pictures import Headers, check_decoding, gather, load_headers, read_headers, save_headers
from core.dedup_rows import POOLED_SIZE, pooled_dimension
from core.dedup_source import FileSource
from core.errors import InputError
from core.files import reserve, sha256_text, write_atomic
from core.join import Engine, Found, Join, Task, local_engine, new_side, order_rows, prepare
from core.join_budget import Budget, check_memory, check_threads, make_budget
from core.join_device import check_device
from core.join_plan import Plan, Side, make_plan
from core.machine import parse_memory, peak_rss

SCHEMA = "samenoise/dedup/2"
WORK = ".work"  # folder inside the output that an interrupted run leaves behind
_NOTE_EVERY = 2.0  # seconds between two notes of how far the rows are

Progress = Callable[[str, int, int], None]  # stage, done, total


@dataclass(frozen=True)
class Options:
    """What is asked for; see `core.dedup.near_duplicates` for what each means."""

    threshold: float = THRESHOLD
    rule: str = "drop-later"
    size: int = POOLED_SIZE
    memory: str = "256MB"
    threads: int | None = None
    skip_bad: bool = False
    device: str | None = None
    tile: int | None = None


_FREE = ("rule", "skip_bad")  # options that may change when an interrupted run goes on


def run(
    inputs: list[Input], out: Path, options: Options, *, engine: Engine = local_engine, progress: Progress | None = None
) -> dict[str, Any]:
    """Find near-duplicates in one set or across two and write all files to `out`; returns what dedup.json holds.

    Killed at any moment and called again with the same arguments, on whatever number of cores, it goes on where it was
    and writes the same files (only `measured` in dedup.json, the time and memory it took, differs).

    Raises:
        InputError: for bad input, bad options, more pairs than memory holds, or a full disk.
    """
    check_threshold(options.threshold)
    if options.rule not in RULES:
        raise InputError(f"rule: expected one of {', '.join(RULES)}, got {options.rule!r}")
    check_threads(options.threads)
    parse_memory(options.memory)
    if options.device is not None:
        check_device(options.device)
    try:
        return _run(inputs, out, options, engine, progress or (lambda stage, done, total: None))
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


def _run(inputs: list[Input], out: Path, options: Options, engine: Engine, progress: Progress) -> dict[str, Any]:
    begun, libraries = time.monotonic(), peak_rss()
    work = out / WORK
    resumed = _open_work(work, inputs, options)
    limit = parse_memory(options.memory)
    places = [work / str(k) for k in range(len(inputs))]
    for place in places:
        place.mkdir(exist_ok=True)
    sets = [_look(given, place, options, progress) for given, place in zip(inputs, places, strict=True)]
    _check_before_reading(inputs, sets, limit, options)
    bad = [dict(found.trouble) if isinstance(found, Headers) else {} for found in sets]
    if not options.skip_bad:
        refuse(bad, out)
    sources, names = [], []
    for k, (given, found, place) in enumerate(zip(inputs, sets, places, strict=True)):
        if isinstance(found, Headers):
            report = _stage(progress, f"reading {given.path.name}")
            threads = check_threads(options.threads)
            file, bad[k] = gather(given, found, place, memory=limit // 2, threads=threads, progress=report)
            found = FileSource(file, options.size, str(given.path), levels=True)
        called = given.names and tuple(name for name in given.names if name not in bad[k])
        if called is not None and len(called) != len(found):
            raise InputError(f"{given.path}: found {len(called)} names for {len(found)} images")
        sources.append(found)
        names.append(called or tuple(map(str, range(len(found)))))
    if not options.skip_bad:
        refuse(bad, out)
    join = _prepared(sources, work, limit, options, progress)
    for source, called, left_out in zip(sources, names, bad, strict=True):
        for k in sorted(source.bad):
            left_out[called[k]] = f"{source.label}: image {called[k]} has a pixel that is NaN or infinite"
    if not options.skip_bad:
        refuse(bad, out)
    pairs = as_pairs(_search(join, work / "parts", engine, _stage(progress, "comparing")), join)
    counts = write_results(pairs, sources, names, bad, out, options.rule, _stage(progress, "writing"))
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "inputs": [
            {"path": str(given.path), "shape": list(source.shape), "sha256_of_image_sha256s": digest(source)}
            for given, source in zip(inputs, sources, strict=True)
        ],
        "parameters": {
            **asdict(options),
            "resize": inputs[0].resize,
            "engine": "local" if engine is local_engine else getattr(engine, "name", type(engine).__name__),
            "versions": versions(),
        },
        "counts": counts,
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


def _stage(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)


def _open_work(work: Path, inputs: list[Input], options: Options) -> bool:
    """Make the work folder, or keep it if it was left by the same command on the same files."""
    asked = {name: value for name, value in asdict(options).items() if name not in _FREE}
    key = sha256_text(json.dumps([SCHEMA, asked, [given.signature for given in inputs]]))
    note = work / "key"
    if note.exists() and note.read_text() == key:
        return True
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    write_atomic(note, key)
    return False


def _look(given: Input, place: Path, options: Options, progress: Progress) -> Headers | FileSource:
    """What can be known of a set without reading its pixels."""
    if given.file is not None:
        try:
            return FileSource(given.file, options.size, str(given.path))
        except InputError as error:
            raise _with_hint(error, "--pooled-size N pools to N rows") from error
    kept = place / "headers.npz"
    if not kept.exists():
        report = _stage(progress, f"looking at {given.path.name}")
        save_headers(read_headers(given, threads=check_threads(options.threads), progress=report), kept)
    return load_headers(kept)


def _with_hint(error: InputError, hint: str) -> InputError:
    return InputError(f"{error}; {hint}") if "cannot be pooled" in str(error) else error


def _check_before_reading(inputs: list[Input], sets: list[Headers | FileSource], limit: int, options: Options) -> None:
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


def _prepared(sources: list[FileSource], work: Path, limit: int, options: Options, progress: Progress) -> Join:
    """The join with its rows in files of the work folder, read from the sources as far as they are not there yet."""
    plan = _plan(sources, work / "plan.npz", limit, options)
    budget = _budget(sources, work / "budget.json", limit, options, plan)
    sides = [_filled(source, work / str(k), plan, budget, progress) for k, source in enumerate(sources)]
    return Join(sources[0], sources[1] if len(sources) > 1 else None, sides[0], sides[-1], plan, budget)


def _budget(sources: list[FileSource], path: Path, limit: int, options: Options, plan: Plan) -> Budget:
    """The budget of this run; its tile is that of the strips which an earlier one has finished, on whatever cores."""
    image_bytes = max(source.image_bytes for source in sources)
    longest = max(len(source) for source in sources)
    threads, tile = check_threads(options.threads), options.tile
    if path.exists():
        earlier = json.loads(path.read_text())
        threads, tile = min(threads, earlier["threads"]), earlier["tile"]  # more threads might not hold the tile
    budget = make_budget(limit, threads, image_bytes, longest, plan, tile)
    if not path.exists():
        write_atomic(path, json.dumps({"threads": budget.threads, "tile": budget.block}))
    return budget


def _filled(source: FileSource, place: Path, plan: Plan, budget: Budget, progress: Progress) -> Side:
    """The rows of one source in files of `place`; how far they stand is noted every few seconds."""
    note = place / "rows.json"
    state: dict[str, Any] = {"rows": 0, "ordered": False, "bad": []}
    if note.exists():
        state = json.loads(note.read_text())
    side = new_side(len(source), plan, lambda name, shape, dtype: _array(place, name, shape, dtype))
    source.digests = _array(place, "digests", (len(source), 32), "|u1")
    source.bad |= set(state["bad"])
    last = time.monotonic()

    def stands(done: int, total: int) -> None:
        nonlocal last
        progress(f"pooling {Path(source.label).name}", done, total)
        if done == total or time.monotonic() - last > _NOTE_EVERY:
            write_atomic(note, json.dumps({"rows": done, "ordered": False, "bad": sorted(source.bad)}))
            last = time.monotonic()

    if not state["ordered"]:
        prepare(source, plan, budget, side, start=state["rows"], progress=stands)
        order_rows(side, budget.segment)
        write_atomic(note, json.dumps({"rows": len(source), "ordered": True, "bad": sorted(source.bad)}))
    return side


def _plan(sources: list[FileSource], path: Path, limit: int, options: Options) -> Plan:
    """The plan of an earlier run, bit for bit, or a new one."""
    if not path.exists():
        plan = make_plan(sources, options.threshold, limit // 2, device=options.device)
        fields = {name: value for name, value in vars(plan).items() if value is not None}
        stream = io.BytesIO()
        np.savez(stream, **fields)
        write_atomic(path, stream.getvalue())
    with np.load(path, allow_pickle=False) as saved:
        fields = {name: saved[name] if saved[name].ndim == 2 else saved[name].tolist() for name in saved.files}
    return Plan(**{"rotation": None, **fields, "ends": tuple(fields["ends"])})


def _array(place: Path, name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An array mapped to a file whose space is reserved before anything is written to it."""
    path = place / f"{name}.npy"
    if not path.exists():
        partial = path.with_suffix(".partial")
        with partial.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
            # A mapped page that finds no space kills the process; asking first gives an error instead.
            stream.flush()
            reserve(stream, stream.tell() + math.prod(shape) * np.dtype(dtype).itemsize)
        partial.replace(path)
    return np.load(path, mmap_mode="r+")


def _search(join: Join, parts: Path, engine: Engine, progress: Callable[[int, int], None]) -> Iterator[Found]:
    """What each strip of tasks found, from its file or from the engine; a strip is kept as soon as it is complete."""
    parts.mkdir(exist_ok=True)
    open_strips = [i for i in range(join.strips) if not (parts / f"{i}.npz").exists()]
    total = join.total
    done = total - sum(map(join.length, open_strips))
    progress(done, total)
    pending: dict[int, list[tuple[Task, Found]]] = {}
    for task, found in engine(join, (task for i in open_strips for task in join.strip(i))):
        pending.setdefault(task[0], []).append((task, found))
        if len(pending[task[0]]) == join.length(task[0]):
            whole = Found.merge((f for _, f in sorted(pending.pop(task[0]), key=lambda item: item[0])), ordered=True)
            stream = io.BytesIO()
            np.savez(stream, i=whole.i, j=whole.j, correlation=whole.correlation, counts=json.dumps(whole.counts))
            write_atomic(parts / f"{task[0]}.npz", stream.getvalue())
        done += 1
        progress(done, total)
    for strip in range(join.strips):
        with np.load(parts / f"{strip}.npz", allow_pickle=False) as saved:
            yield Found(saved["i"], saved["j"], saved["correlation"], json.loads(str(saved["counts"])))
