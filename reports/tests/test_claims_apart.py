"""The audit's test files hold claims and their controls and nothing else; a claim's test is short enough to be read."""

import ast
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / "audit"
LONGEST = 15  # lines of a claim's test, its signature included
KINDS = ("claim", "control", "splits")  # marks of tests; `splits` stands for claims of the user's own groups


def mentions(node: ast.AST, name: str) -> bool:
    """Whether an attribute of that name stands anywhere in a decorator."""
    return any(isinstance(part, ast.Attribute) and part.attr == name for part in ast.walk(node))


def faults(source: str) -> list[str]:
    """What stands at the top of a test file and is no import, claim, control or fixture; claims that are too long."""
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, (ast.Import | ast.ImportFrom, ast.Expr)):
            continue
        if not isinstance(node, ast.FunctionDef):
            found.append(f"line {node.lineno}: {ast.unparse(node).splitlines()[0]}")
            continue
        marks = {kind for mark in node.decorator_list for kind in (*KINDS, "fixture") if mentions(mark, kind)}
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if not marks:
            found.append(f"line {node.lineno}: {node.name}")
        elif "claim" in marks and length > LONGEST:
            found.append(f"line {node.lineno}: {node.name} judges a claim in {length} lines")
    return found


@pytest.mark.parametrize("path", sorted(AUDIT.glob("test_*.py")), ids=lambda path: path.name)
def test_a_test_file_holds_claims_and_controls(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert "pytest.mark." in source
    assert faults(source) == []


def test_whatever_else_stands_there_is_noticed() -> None:
    claim = '@pytest.mark.claim("T-x")\ndef test_x(evidence):\n' + "    evidence.add(1)\n" * LONGEST
    source = (
        f'"""A docstring."""\nimport pytest\nSEED = 0\ndef measure(): ...\ndef test_y(): ...\nclass Line: ...\n{claim}'
    )
    assert [fault.split(": ", 1)[1] for fault in faults(source)] == [
        "SEED = 0",
        "measure",
        "test_y",
        "class Line:",
        "test_x judges a claim in 16 lines",
    ]
    allowed = '@pytest.mark.control("T-x", "positive")\ndef test_z(): ...\n@pytest.fixture\ndef made_up(): ...\n'
    assert faults(allowed) == []
