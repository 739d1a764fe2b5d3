"""The `samenoise` program: each command is a module of `audit.commands`, a few lines around one function."""

import ast
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import typer

from audit.commands.once import OnceCommand
from core.errors import InputError, Missing
from reports.text import one_line

COMMANDS = {
    "compare": "audit.commands.compare",
    "copies": "audit.commands.copies",
    "dedup": "audit.commands.dedup",
    "diff": "audit.commands.diff",
    "import": "audit.commands.import_checkpoints",
    "photographs": "audit.commands.photographs",
    "prepare": "audit.commands.prepare",
    "published": "audit.commands.published",
    "report": "audit.commands.report",
    "runs": "audit.commands.runs",
    "sample": "audit.commands.sample",
    "split": "audit.commands.split",
    "train": "audit.commands.train",
    "verify": "audit.commands.verify",
    "weights": "audit.commands.weights",
}
# Threads that wait must not spin, as another process may need their core: read when a command loads OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # of numpy: sleep after 2^4 turns
TRACEBACK = "SAMENOISE_TRACEBACK"  # set: an unexpected error shows where it happened
_MISUSE: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def build(name: str | None) -> typer.Typer:
    """The program with one command imported; with None, every command by the first line of its help alone."""
    app = typer.Typer(
        name="samenoise",
        help="Do two denoisers, given one noise, draw one image? Data, training and checks behind the audit.",
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(lambda: None)
    for known, module in COMMANDS.items():
        if known == name:
            app.command(known, cls=OnceCommand)(importlib.import_module(module).command)
        elif name is None:
            app.command(known, help=first_help_line(module))(lambda: None)
    return app


def first_help_line(module: str) -> str:
    """First line of the docstring of a module's function `command`, read from its source without importing it."""
    found = importlib.util.find_spec(module)
    assert found is not None and found.origin is not None
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "command")
    return (ast.get_docstring(function) or "").split("\n")[0]


def main(arguments: list[str] | None = None) -> None:
    """Run one command; whatever goes wrong ends with one line on standard error and exit code 2.

    Exit code 1 is a command's own: what was required does not hold. An interrupt from the keyboard gives 130.
    """
    words = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    raise SystemExit(_run(words or ["--help"]) or (0 if words else 2))


def _run(words: list[str]) -> int:
    try:
        app = typer.main.get_command(build(words[0] if words[0] in COMMANDS else None))
        code: Any = app.main(args=words, prog_name="samenoise", standalone_mode=False)
        return int(code or 0)
    except (InputError, Missing) as error:
        told = str(error)
    except _MISUSE as error:
        known = ["samenoise", *(words[:1] if words[0] in COMMANDS else []), "--help"]
        told = f"{error.format_message()} (`{' '.join(known)}` says more)"
    except typer.Abort:
        told = "stopped before it was done"
    except OSError as error:
        told = f"{error.filename or 'input or output'}: {error.strerror or error}"
    except MemoryError as error:
        told = f"the memory is not enough ({error})"
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        told = f"unexpected {type(error).__name__}: {error} (a defect of samenoise; {TRACEBACK}=1 shows where)"
    print(f"samenoise: {one_line(told)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
