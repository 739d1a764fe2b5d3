"""Imports run one way: audit -> reports, fixtures -> core, and inside core from theory down to the basics."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOPS = ("audit", "reports", "fixtures", "core")
PACKAGES = (
    "theory",
    "training",
    "compare",
    "splits",
    "copies",
    "dedup",
    "denoisers",
    "metrics",
    "data",
    "stats",
    "basics",
)
BASICS = ("cache", "errors", "files", "machine", "package_index", "packages", "progress", "seeds", "tensors")


def layer(module: str) -> tuple[int, str]:
    """Where a module stands, from 0 at the top; reports and fixtures stand side by side."""
    top, *rest = module.split(".")
    if top != "core":
        return (0 if top == "audit" else 1), top
    package = rest[0] if rest and rest[0] in PACKAGES else "basics"
    return 2 + PACKAGES.index(package), package


def modules(root: Path) -> dict[str, Path]:
    """Every module of the project but tests, by dotted name."""
    found = {}
    for top in TOPS:
        for path in sorted((root / top).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            if "tests" not in path.parts and path.name != "conftest.py":
                found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[tuple[str, bool]]:
    """Modules of the project that a file imports, and whether it does so while it is itself imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    later = {node for outer in ast.walk(tree) if isinstance(outer, ast.FunctionDef) for node in ast.walk(outer)}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in known else node.module for name in inside]
        for name in names:
            if name in known:
                yield name, node not in later


def arrows_up(root: Path) -> list[str]:
    """Imports that run against the order of the layers, wherever in a file they stand."""
    known, wrong = modules(root), []
    for name, path in known.items():
        for imported, _ in imports(path, known):
            (here, mine), (there, its) = layer(name), layer(imported)
            if there < here or (there == here and mine != its):
                wrong.append(f"{name} imports {imported}")
    return wrong


def circle(root: Path) -> list[str]:
    """Modules that import each other in a circle while they are imported, or none."""
    known = modules(root)
    graph = {name: {other for other, now in imports(path, known) if now} - {name} for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_module_of_core_has_its_place() -> None:
    named = {name.split(".")[1] for name in modules(ROOT) if name.startswith("core.")}
    assert named <= {*PACKAGES, *BASICS}


def test_imports_run_one_way() -> None:
    assert len(modules(ROOT)) > 150
    assert arrows_up(ROOT) == []


def test_no_module_imports_itself_round_a_circle() -> None:
    assert circle(ROOT) == []


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("core/metrics/psnr.py", "from core.training import train", ["core.metrics.psnr imports core.training.train"]),
        ("core/data/a.py", "def f():\n    import reports.page", ["core.data.a imports reports.page"]),
        ("fixtures/a.py", "from reports.page import x", ["fixtures.a imports reports.page"]),
        ("core/errors.py", "from core.stats import x", ["core.errors imports core.stats"]),
        ("core/theory/a.py", "from core.training import train\nimport core.errors", []),
    ],
)
def test_an_arrow_that_runs_up_is_named(tmp_path: Path, path: str, text: str, found: list[str]) -> None:
    for name in ("core/training/train.py", "core/errors.py", "core/stats/__init__.py", "reports/page.py", path):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / path).write_text(text + "\n", encoding="utf-8")
    assert arrows_up(tmp_path) == found


def test_a_circle_is_named(tmp_path: Path) -> None:
    (tmp_path / "core" / "data").mkdir(parents=True)
    for name, text in {
        "a": "import core.data.b",
        "b": "from core.data import c",
        "c": "from core.data.a import x",
    }.items():
        (tmp_path / "core" / "data" / f"{name}.py").write_text(text + "\n", encoding="utf-8")
    assert set(circle(tmp_path)) == {"core.data.a", "core.data.b", "core.data.c"}
