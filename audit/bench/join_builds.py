"""The exact join of this build against that of an earlier one, in turns, on drawn rows and on real photographs.

`python -m audit.bench.join_builds --before DIR [--celeba DIR] [--rows N ...]`. DIR is a check-out of the earlier
commit. Each run is a process of its own; medians of seconds and processor seconds are printed for every kind of rows,
number of rows and threshold, and both builds must find the same pairs. With `--command` it is `samenoise dedup` on
images of 40x40 with the drawn rows as their content, imports and files included.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from audit.bench.photographs import photograph_rows
from audit.bench.spectrum import face_like
from audit.bench.verify_rows import PROGRAM, measured

ROOT = Path(__file__).resolve().parents[2]
_JOIN = """
import hashlib, json, sys, time
import numpy as np
from core.dedup.search import near_duplicates
rows, threshold = np.load(sys.argv[1]), float(sys.argv[2])
for prune in (True, False):
    near_duplicates(rows[:3000], prune=prune)  # compiled before the clock starts
wall, cpu = time.perf_counter(), time.process_time()
found = near_duplicates(rows, threshold=threshold)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
what = hashlib.sha256(found.i.tobytes() + found.j.tobytes() + found.correlation.tobytes()).hexdigest()[:8]
opened = found.statistics["tiles_compared"] / found.statistics["tiles_tested"]
said = "{} pairs {}".format(len(found), what)
print(json.dumps([wall, cpu, said, found.statistics["strategy"] + " {:.0%}".format(opened)]))
"""


def joined(build: Path, rows: Path, threshold: float) -> tuple[float, float, str, str]:
    """Seconds, processor seconds, pairs and strategy of one build's join in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(build)}
    command = [sys.executable, "-c", _JOIN, str(rows), str(threshold)]
    found = subprocess.run(command, env=environment, cwd="/", check=True, stdout=subprocess.PIPE, text=True).stdout
    return tuple(json.loads(found))


def commanded(build: Path, images: Path, threshold: float) -> tuple[float, float, str, str]:
    """The same of `samenoise dedup` in two threads."""
    out = images.parent / "out"
    words = ["dedup", str(images), "--out", str(out), "--threads", "2", "--threshold", str(threshold)]
    wall, cpu, *_ = measured([sys.executable, "-c", PROGRAM, *words], {**os.environ, "PYTHONPATH": str(build)})
    counts = json.loads((out / "dedup.json").read_text())["counts"]
    return wall, cpu, f"{counts['pairs']} pairs, {counts['kept']} kept", ""


def main(arguments: list[str] | None = None) -> None:
    """Run both builds in turns and print a table; an error where their pairs differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="check-out of the earlier commit")
    parser.add_argument("--celeba", type=Path, help="CelebA's photographs; without it, drawn rows alone")
    parser.add_argument("--rows", type=int, nargs="+", default=[46_715])
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.95, 0.9, 0.8])
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--command", action="store_true", help="the whole command on files")
    options = parser.parse_args(arguments)
    builds = {"before": options.before.resolve()} if options.before else {}
    builds["now"] = ROOT
    kinds: dict[str, Callable[[int], np.ndarray]] = {"drawn": face_like}
    if options.celeba and not options.command:
        kinds["real"] = partial(photograph_rows, options.celeba)
    run = commanded if options.command else joined
    with tempfile.TemporaryDirectory() as place:
        for kind, n in [(kind, n) for kind in kinds for n in options.rows]:
            path = Path(place) / "rows.npy"
            rows = kinds[kind](n)
            np.save(path, np.kron(rows.reshape(-1, 1, 20, 20), np.ones((2, 2), "f4")) if options.command else rows)
            for threshold in options.thresholds:
                found: dict[str, list[tuple[float, float, str, str]]] = {name: [] for name in builds}
                for _ in range(options.times):
                    for name, build in builds.items():
                        found[name].append(run(build, path, threshold))
                for name, runs in found.items():
                    wall, cpu = (statistics.median(part) for part in list(zip(*runs, strict=True))[:2])
                    print(
                        f"{kind} {len(rows):,} at {threshold} {name:7} {wall:6.2f} s {cpu:6.2f} processor s ",
                        runs[-1][2:],
                        flush=True,
                    )
                if len({said for runs in found.values() for *_, said, _ in runs}) > 1:
                    raise SystemExit(f"{kind} at {threshold}: pairs differ")


if __name__ == "__main__":
    main()
