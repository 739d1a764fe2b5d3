"""`samenoise verify` on a made-up table of many rows: today's build, an earlier one, polars and duckdb in turns.

`python -m audit.bench.verify_rows --before DIR [--rows N]`. DIR is a check-out of the earlier commit. Each is a process
of its own, three times; medians of seconds and of peak resident memory are printed, and the counts that all must share.
polars and duckdb are taken where the interpreter `--peers` has them; they are no part of the project.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

ROOT = Path(__file__).resolve().parents[2]
FORMS = ("csv", "parquet", "lists")
PROGRAM = "import sys; from audit.cli import main; main(sys.argv[1:])"
_SQL = """select count(*), count(distinct name), count(distinct identity),
(select count(*) from (select identity from t group by 1 having count(distinct split) > 1)),
(select count(*) from (select name from t group by 1 having count(distinct split) > 1)) from t"""
PEERS = {
    "duckdb": f"""
import duckdb, json, sys
duckdb.sql("set enable_progress_bar = false")
many = ["read_{{}}('{{}}')".format(sys.argv[1], path) for path in sys.argv[2:]]
print(json.dumps(duckdb.sql('''{_SQL}'''.replace("from t", "from " + many[0])).fetchall()[0]))
""",
    "polars": """
import json, sys, polars as pl
t = getattr(pl, "scan_" + sys.argv[1])(sys.argv[2])
both = lambda key: t.group_by(key).agg(pl.col("split").n_unique()).filter(pl.col("split") > 1).select(pl.len())
parts = [t.select(pl.len()), t.select(pl.col("name").n_unique()), t.select(pl.col("identity").n_unique())]
print(json.dumps([part.collect(engine="streaming").item() for part in (*parts, both("identity"), both("name"))]))
""",
}


def made_up(rows: int, folder: Path, padded: bool) -> None:
    """Write one table as CSV and parquet, and its names as lists of three groups that share a few of them.

    Args:
        rows: of the table; one name in a thousand stands twice, an identity has twenty rows.
        folder: where `table.csv`, `table.parquet` and `train.txt`, `val.txt`, `test.txt` are written.
        padded: whether the numbers in names have leading zeros, so that all names are equally long.
    """
    rng = np.random.default_rng(0)
    numbers = np.arange(rows)
    again = rng.choice(rows, rows // 1000, replace=False)
    numbers[again[1::2]] = numbers[again[: 2 * (len(again) // 2) : 2]]
    names = [f"images/{number:08d}.jpg" if padded else f"images/{number}.jpg" for number in numbers.tolist()]
    who = rng.integers(0, rows // 20, rows)
    who[again[1::2]] = who[again[: 2 * (len(again) // 2) : 2]]  # one image is of one identity
    group = np.where((who < rows * 0.045) ^ (rng.random(rows) < 0.001), "train", "test")
    columns = {"name": names, "identity": [f"p{one:07d}" for one in who.tolist()], "split": group.tolist()}
    table = pa.table(columns)
    pyarrow.csv.write_csv(table, folder / "table.csv", pyarrow.csv.WriteOptions(quoting_style="none"))
    pyarrow.parquet.write_table(table, folder / "table.parquet")
    each = list(dict.fromkeys(names))
    first, second = int(len(each) * 0.7), int(len(each) * 0.9)
    for name, part in (("train", each[:first]), ("val", each[first - 5 : second]), ("test", each[second - 5 :])):
        (folder / f"{name}.txt").write_text("\n".join(part) + "\n")


def measured(command: list[str], environment: Mapping[str, str]) -> tuple[float, float, float, str]:
    """Seconds, processor seconds and peak resident MB of one process, and what it printed."""
    began = time.perf_counter()
    child = subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE, text=True, cwd="/")
    assert child.stdout is not None
    said = child.stdout.read()
    _, _, used = os.wait4(child.pid, 0)
    child.returncode = 0
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3, said


def counted(form: str, folder: Path, build: Path, python: str) -> tuple[float, float, float, str]:
    """One run of a build's `verify`; what it said is the counts as the peers give them."""
    out = folder / "counts.json"
    lists = [part for name in ("train", "val", "test") for part in ("--group", f"{name}={folder / name}.txt")]
    columns = "--name-column name --identity-column identity --group-column split --require image,identity"
    words = lists if form == "lists" else ["--table", str(folder / f"table.{form}"), *columns.split()]
    command = [python, "-c", PROGRAM, "verify", *words, "--json", str(out)]
    *figures, _ = measured(command, {**os.environ, "PYTHONPATH": str(build)})
    told = json.loads(out.read_text())
    looked, pairs = told["looked_at"], told["pairs"]
    shared = [sum(pair[key] or 0 for pair in pairs) for key in ("shared_identities", "shared_images")]
    return *figures, json.dumps([looked["rows"], looked["images"], looked.get("identities", 0), *shared])  # type: ignore[return-value]


def main(arguments: list[str] | None = None) -> None:
    """Run all in turns, three times over, and print a table; an error where counts differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="check-out of the earlier commit")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--unpadded", action="store_true", help="names of unequal lengths")
    parser.add_argument("--peers", help="an interpreter that has polars and duckdb")
    options = parser.parse_args(arguments)
    builds = {"before": options.before.resolve()} if options.before else {}
    builds["now"] = ROOT
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        # in a process of its own: a child's peak memory is never below what its parent held
        make = (
            f"from audit.bench.verify_rows import *; made_up({options.rows}, Path({place!r}), {not options.unpadded})"
        )
        subprocess.run([sys.executable, "-c", make], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        for form in options.forms:
            peers = PEERS if options.peers and form != "lists" else {}
            found: dict[str, list[tuple[float, float, float, str]]] = {name: [] for name in (*builds, *peers)}
            for _ in range(options.times):
                for name, build in builds.items():
                    found[name].append(counted(form, folder, build, sys.executable))
                for name, code in peers.items():
                    command = [options.peers, "-c", code, form, str(folder / f"table.{form}")]
                    found[name].append(measured(command, os.environ))
            for name, runs in found.items():
                middle = [statistics.median(column) for column in zip(*(run[:3] for run in runs), strict=True)]
                counts = {run[3].strip() for run in runs}
                print(
                    f"{form:8} {name:8} {middle[0]:7.1f} s {middle[1]:7.1f} processor s {middle[2]:7.0f} MB  {counts}"
                )
            if len({run[3].strip() for runs in found.values() for run in runs}) > 1:
                raise SystemExit(f"{form}: counts differ")


if __name__ == "__main__":
    main()
