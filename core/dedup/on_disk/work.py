"""The work folder of a duplicate search: plan, rows and finished strips, from which an interrupted run goes on."""

from __future__ import annotations

import io
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from core.dedup.equal import KEY_BYTES, Equal, Keys, find_equal, worth_collapsing
from core.dedup.join.budget import Budget, make_budget
from core.dedup.join.plan import Plan, Side, make_plan
from core.dedup.join.rows import collapse, new_side, order_rows, prepare
from core.dedup.join.tiles import Engine, Found, Join, Task
from core.dedup.on_disk.inputs import Input
from core.dedup.on_disk.options import FREE, SCHEMA, Options, StageProgress
from core.dedup.sources import FileSource
from core.files import reserve, sha256_text, write_atomic

WORK = ".work"  # folder inside the output that an interrupted run leaves behind
FORM = 2  # of what lies in it: levels of remainders, kind of hash

_NOTE_EVERY = 2.0  # seconds between two notes of how far the rows are


def open_work(work: Path, inputs: list[Input], options: Options) -> bool:
    """Make the work folder, or keep it if it was left by the same command on the same files."""
    asked = {name: value for name, value in asdict(options).items() if name not in FREE}
    key = sha256_text(json.dumps([SCHEMA, FORM, asked, [given.signature for given in inputs]]))
    note = work / "key"
    if note.exists() and note.read_text() == key:
        return True
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    write_atomic(note, key)
    return False


def prepared(sources: list[FileSource], work: Path, limit: int, options: Options, progress: StageProgress) -> Join:
    """The join with its rows in files of the work folder, read from the sources as far as they are not there yet."""
    plan = _plan(sources, work / "plan.npz", limit, options)
    budget = _budget(sources, work / "budget.json", limit, options, plan)
    places = [work / str(k) for k in range(len(sources))]
    sides = [_filled(source, place, plan, budget, progress) for source, place in zip(sources, places, strict=True)]
    found = tuple(
        _equal(source, place, limit // 2, budget.decided) for source, place in zip(sources, places, strict=True)
    )
    many = worth_collapsing(found, plan.threshold, plan.dimension)
    sides = [
        _ordered(source, place, side, equal.representatives if many else None, budget)
        for source, place, side, equal in zip(sources, places, sides, found, strict=True)
    ]
    return Join(sources[0], sources[1] if len(sources) > 1 else None, sides[0], sides[-1], plan, budget, found)


def _budget(sources: list[FileSource], path: Path, limit: int, options: Options, plan: Plan) -> Budget:
    """The budget of this run; its tile is that of the strips which an earlier one has finished, on whatever cores."""
    image_bytes = max(source.image_bytes for source in sources)
    longest = max(len(source) for source in sources)
    threads, tile = options.workers, options.tile
    if path.exists():
        earlier = json.loads(path.read_text())
        threads, tile = min(threads, earlier["threads"]), earlier["tile"]  # more threads might not hold the tile
    budget = make_budget(limit, threads, image_bytes, longest, plan, tile)
    if not path.exists():
        write_atomic(path, json.dumps({"threads": budget.threads, "tile": budget.block}))
    return budget


def _filled(source: FileSource, place: Path, plan: Plan, budget: Budget, progress: StageProgress) -> Side:
    """The rows of one source in files of `place`; how far they stand is noted every few seconds."""
    state = _state(place)
    n = len(source)
    side = new_side(n, plan, lambda name, shape, dtype: _array(place, name, shape, dtype))
    source.digests = _array(place, "digests", (n, 32), "|u1")
    source.bad |= set(state["bad"])
    last = time.monotonic()

    def stands(done: int, total: int) -> None:
        nonlocal last
        progress(f"pooling {Path(source.label).name}", done, total)
        if done == total or time.monotonic() - last > _NOTE_EVERY:
            _note(place, source, done)
            last = time.monotonic()

    if not state["ordered"]:
        prepare(source, plan, budget, side, start=state["rows"], note=_keys(source, place).note, progress=stands)
    return side


def _keys(source: FileSource, place: Path) -> Keys:
    n = len(source)
    return Keys(_array(place, "keys", (n, KEY_BYTES), "|u1"), _array(place, "zero", (n,), "|b1"))


def _equal(source: FileSource, place: Path, memory: int, at_once: int) -> Equal:
    """The equal images of a source whose rows have all been read; kept in a file of `place`."""
    path = place / "first.npy"
    keys = _keys(source, place)
    if not path.exists():
        found = find_equal(source, keys, memory, at_once)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as stream:
            np.save(stream, found.first)
        partial.replace(path)
    zero = np.array(keys.zero)
    zero[sorted(source.bad)] = False
    return Equal(np.load(path), zero)


def _ordered(source: FileSource, place: Path, side: Side, index: np.ndarray | None, budget: Budget) -> Side:
    """A side in its final order; where there is an `index`, of those images alone, whose rows move to the front."""
    if index is None:
        if not _state(place)["ordered"]:
            order_rows(side, budget.segment)
            _note(place, source, len(source), ordered=True)
        return side
    kept = _array(place, "index", index.shape, "<i8")
    if _state(place)["ordered"]:
        return side.part(kept)
    kept[:] = index
    _note(place, source, 0)  # rows that move are to be read again if this is killed
    side = collapse(side, kept, budget.segment)
    order_rows(side, budget.segment)
    _note(place, source, len(source), ordered=True)
    return side


def _state(place: Path) -> dict[str, Any]:
    """How far the rows in `place` stand."""
    note = place / "rows.json"
    return json.loads(note.read_text()) if note.exists() else {"rows": 0, "ordered": False, "bad": []}


def _note(place: Path, source: FileSource, rows: int, *, ordered: bool = False) -> None:
    state = {"rows": rows, "ordered": ordered, "bad": sorted(source.bad)}
    write_atomic(place / "rows.json", json.dumps(state))


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


def search(join: Join, parts: Path, engine: Engine, progress: Callable[[int, int], None]) -> Iterator[Found]:
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
