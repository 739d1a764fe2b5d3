"""A duplicate search on files: bounded in memory, stopped at any moment and resumed, written atomically."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.dedup import RULES, THRESHOLD, Pairs, as_pairs, check_threshold, kept
from core.dedup_input import FileSource, Input, gather
from core.dedup_page import render
from core.dedup_rows import POOLED_SIZE
from core.errors import InputError
from core.files import sha256_bytes, sha256_text, write_atomic
from core.join import Budget, Found, Join, Task, in_threads, make_budget, new_side, order_rows, prepare
from core.join_plan import Plan, Side, make_plan
from core.memory import parse_memory, peak_rss

SCHEMA = "samenoise/dedup/1"
WORK = ".work"  # folder inside the output that an interrupted run leaves behind
_NOTE_EVERY = 2.0  # seconds between two notes of how far the rows are

Progress = Callable[[str, int, int], None]  # stage, done, total
Engine = Callable[[Join, Iterable[Task]], Iterable[tuple[Task, Found]]]


@dataclass(frozen=True)
class Options:
    """What is asked for; everything but the rule decides whether an interrupted run can go on."""

    threshold: float = THRESHOLD
    rule: str = "drop-later"
    size: int = POOLED_SIZE
    memory: str = "256MB"
    threads: int | None = None
    skip_bad: bool = False
    device: str | None = None


def local_engine(join: Join, tasks: Iterable[Task]) -> Iterator[tuple[Task, Found]]:
    """The tasks on this machine's threads."""
    return in_threads(lambda task: (task, join.run(task)), tasks, join.budget.threads)


def run(
    inputs: list[Input], out: Path, options: Options, *, engine: Engine = local_engine, progress: Progress | None = None
) -> dict[str, Any]:
    """Find near-duplicates in one set or across two and write all files to `out`; returns what dedup.json holds.

    Killed at any moment and called again with the same arguments, it goes on where it was and writes the same files
    (only `measured` in dedup.json, the time and memory it took, differs).

    Raises:
        InputError: for bad input, bad options, or a full disk.
    """
    check_threshold(options.threshold)
    if options.rule not in RULES:
        raise InputError(f"rule: expected one of {', '.join(RULES)}, got {options.rule!r}")
    try:
        return _run(inputs, out, options, engine, progress or (lambda stage, done, total: None))
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise InputError(f"{error.filename or out}: {error.strerror}; cannot go on") from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = f"{out}: no space left on the disk; free some and run the same command again, it goes on from here"
        raise InputError(message) from error


def _run(inputs: list[Input], out: Path, options: Options, engine: Engine, progress: Progress) -> dict[str, Any]:
    begun = time.monotonic()
    work = out / WORK
    resumed = _open_work(work, inputs, options)
    limit = parse_memory(options.memory)
    sources, names, skipped = [], [], []
    for k, given in enumerate(inputs):
        place = work / str(k)
        place.mkdir(exist_ok=True)
        file, called, left_out = given.file, given.names, dict[str, str]()
        if file is None:
            threads = options.threads or len(os.sched_getaffinity(0))
            report = _stage(progress, f"reading {given.path.name}")
            file, called, left_out = gather(given, place, skip_bad=options.skip_bad, threads=threads, progress=report)
        source = FileSource(file, options.size, options.skip_bad, str(given.path))
        if called is not None and len(called) != len(source):
            raise InputError(f"{given.path}: found {len(called)} names for {len(source)} images")
        sources.append(source)
        names.append(called or tuple(map(str, range(len(source)))))
        skipped.append(left_out)
    join = _prepared(sources, work, limit, options, progress)
    for source, called, left_out in zip(sources, names, skipped, strict=True):
        left_out |= {called[k]: "a pixel is NaN or infinite" for k in sorted(source.bad)}
    found = list(_search(join, work / "parts", engine, _stage(progress, "comparing")))
    result = _write(as_pairs(found, join), inputs, sources, names, skipped, out, options)
    result["measured"] = {"seconds": round(time.monotonic() - begun, 2), "peak_rss": peak_rss(), "resumed": resumed}
    write_atomic(out / "dedup.json", json.dumps(result, indent=1) + "\n")
    (work / "key").unlink()  # first, so that what a killed removal leaves behind is never taken up again
    shutil.rmtree(work)
    return result


def _stage(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)


def _open_work(work: Path, inputs: list[Input], options: Options) -> bool:
    """Make the work folder, or keep it if it was left by the same command on the same files."""
    asked = {name: value for name, value in asdict(options).items() if name != "rule"}
    key = sha256_text(json.dumps([SCHEMA, asked, [given.signature for given in inputs]]))
    note = work / "key"
    if note.exists() and note.read_text() == key:
        return True
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    write_atomic(note, key)
    return False


def _prepared(sources: list[FileSource], work: Path, limit: int, options: Options, progress: Progress) -> Join:
    """The join with its rows in files of the work folder, read from the sources as far as they are not there yet."""
    if sources[-1].dimension != sources[0].dimension:
        wanted, found = sources[0].dimension, sources[-1].dimension
        raise InputError(f"{sources[-1].label}: found {found} pooled values an image, expected {wanted}")
    plan = _plan(sources, work / "plan.npz", limit, options)
    image_bytes = max(source.image_bytes for source in sources)
    longest = max(len(source) for source in sources)
    budget = make_budget(limit, options.threads, image_bytes, longest, plan)
    sides = [_filled(source, work / str(k), plan, budget, progress) for k, source in enumerate(sources)]
    return Join(sources[0], sources[1] if len(sources) > 1 else None, sides[0], sides[-1], plan, budget)


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
            os.posix_fallocate(stream.fileno(), 0, stream.tell() + int(np.prod(shape)) * np.dtype(dtype).itemsize)
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


def _write(
    pairs: Pairs,
    inputs: list[Input],
    sources: list[FileSource],
    names: list[tuple[str, ...]],
    skipped: list[dict[str, str]],
    out: Path,
    options: Options,
) -> dict[str, Any]:
    """pairs.parquet, kept.txt, removed.txt, skipped.txt and index.html; returns dedup.json without what was measured.

    Across two sets it is the second that loses images: those that are like one of the first.
    """
    across = len(inputs) == 2
    first, last = names[0], names[-1]
    offset = len(first) if across else 0
    table = {
        "i": pairs.i,
        "j": pairs.j,
        "name_i": np.array(first, dtype=object)[pairs.i],
        "name_j": np.array(last, dtype=object)[pairs.j],
        "correlation": pairs.correlation,
    }
    write_atomic(out / "pairs.parquet", pd.DataFrame(table).to_parquet(index=False))
    shifted = Pairs(pairs.i, pairs.j + offset, pairs.correlation, pairs.threshold)
    result = kept(shifted, offset + len(last), options.rule)
    stays = [last[k] for k in (result.kept[result.kept >= offset] - offset).tolist() if last[k] not in skipped[-1]]
    wide = offset + len(last)
    at = np.searchsorted(shifted.i * wide + shifted.j, result.because[:, 0] * wide + result.because[:, 1])
    why = zip(result.because.tolist(), pairs.correlation[at].tolist(), strict=True)
    because = [(first[i], last[j - offset], c) for (i, j), c in why]
    write_atomic(out / "kept.txt", "".join(f"{name}\n" for name in stays))
    write_atomic(out / "removed.txt", "".join(f"{j}\t{i}\t{c:.17g}\n" for i, j, c in because))
    bad = {name: reason for left_out in skipped for name, reason in left_out.items()}
    if options.skip_bad:
        write_atomic(out / "skipped.txt", "".join(f"{name}\t{reason}\n" for name, reason in bad.items()))
    counts = {
        "images": [len(source) for source in sources],
        "pairs": len(pairs),
        "removed": len(result.removed),
        "removed_without_a_kept_likeness": result.orphans,
        "kept": len(stays),
        "skipped": len(bad),
    }
    where = "between the two sets" if across else f"among {len(last):,} images"
    summary = f"{len(pairs):,} pairs {where} correlate above {pairs.threshold} in absolute value."
    pictures = [lambda k, s=source: s.pixels(np.array([k]))[0] for source in (sources[0], sources[-1])]
    write_atomic(out / "index.html", render(pairs, (first, last), (pictures[0], pictures[1]), summary))
    return {
        "schema": SCHEMA,
        "inputs": [
            {"path": str(given.path), "shape": list(source.shape), "sha256_of_image_sha256s": _digest(source)}
            for given, source in zip(inputs, sources, strict=True)
        ],
        "parameters": asdict(options),
        "counts": counts,
        "search": pairs.statistics,
    }


def _digest(source: FileSource) -> str:
    assert source.digests is not None
    return sha256_bytes(np.ascontiguousarray(source.digests).tobytes())
