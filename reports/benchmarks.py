"""The benchmarks of a run (`--benchmark-json`) as one HTML page, with the versions of what they are held against."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InputError
from reports.pictures import Figures
from reports.render import template

STATS = ("median", "rounds")  # what the page shows of a benchmark's statistics


def is_benchmarks(path: Path) -> bool:
    """Whether a file is what pytest-benchmark writes, and not an audit."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "benchmarks" in found and "schema" not in found


def load_benchmarks(path: Path) -> dict[str, Any]:
    """The content of a file that `--benchmark-json` wrote, checked so far that a page can be made of it.

    Raises:
        InputError: naming the file, what was found and what was expected.
    """
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    wanted = {"benchmarks": list, "machine_info": dict, "commit_info": dict, "datetime": str}
    for name, kind in wanted.items():
        if not isinstance(found.get(name), kind):
            raise InputError(
                f"{path}: {name}: found {found.get(name)!r}; expected {kind.__name__}, as --benchmark-json"
            )
    for k, one in enumerate(found["benchmarks"]):
        told = isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(one.get("extra_info"), dict)
        stats = one.get("stats") if told else None
        if not isinstance(stats, dict) or not all(isinstance(stats.get(name), int | float) for name in STATS):
            raise InputError(f"{path}: benchmark {k + 1}: expected name, extra_info, and stats with {', '.join(STATS)}")
    if not found["benchmarks"]:
        raise InputError(f"{path}: found no benchmark; expected those of `pytest audit/bench --benchmark-only`")
    return found


def benchmarks_page(found: Mapping[str, Any]) -> str:
    """The page: by group a line a benchmark, then the machine and the versions of all packages that took part."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in found["benchmarks"]:
        groups.setdefault(one.get("group") or "without a group", []).append(one)
    machine = found["machine_info"]
    cpu = machine.get("cpu") if isinstance(machine.get("cpu"), dict) else {}
    about = {name: machine[name] for name in ("python_version", "machine", "system") if name in machine}
    about |= {name: cpu[key] for key, name in (("brand_raw", "processor"), ("count", "cores")) if cpu and key in cpu}
    packages = machine.get("packages")
    return template("benchmarks.html", Figures(Path(), 0, 0)).render(
        found=found, groups=groups, machine=about, packages=packages if isinstance(packages, dict) else {}
    )
