"""The `samenoise` program: each command is a module of `audit.commands`, a few lines around one function."""

import importlib
import sys

import typer

from audit.commands.once import OnceCommand
from core.errors import InputError

COMMANDS = {
    "dedup": "audit.commands.dedup",
    "import": "audit.commands.import_checkpoints",
    "prepare": "audit.commands.prepare",
    "published": "audit.commands.published",
    "runs": "audit.commands.runs",
    "sample": "audit.commands.sample",
    "split": "audit.commands.split",
    "train": "audit.commands.train",
    "verify": "audit.commands.verify",
    "weights": "audit.commands.weights",
}


def build(names: list[str]) -> typer.Typer:
    """A program of the named commands; a command's libraries are imported only with it."""
    app = typer.Typer(
        name="samenoise",
        help="Do two denoisers, given one noise, draw one image? Data, training and checks behind the audit.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(lambda: None)
    for name in names:
        app.command(name, cls=OnceCommand)(importlib.import_module(COMMANDS[name]).command)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run one command; bad input ends with one line on standard error and exit code 2."""
    words = sys.argv[1:] if arguments is None else arguments
    names = [words[0]] if words and words[0] in COMMANDS else sorted(COMMANDS)
    try:
        build(names)(args=words)
    except InputError as error:
        print(f"samenoise: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except OSError as error:  # a path that cannot be read or written where nothing looked before
        if error.filename is None:
            raise
        print(f"samenoise: {error.filename}: {error.strerror}", file=sys.stderr)
        raise SystemExit(2) from error
