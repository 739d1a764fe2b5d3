"""The one way in which a page is made of a template: all text escaped, what is missing an error."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).with_name("templates")


def environment() -> Environment:
    """The templates of this package, and how they are filled."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def style() -> str:
    """The style sheet that a page carries inside it."""
    return (TEMPLATES / "report.css").read_text(encoding="utf-8")


def filled(name: str, **values: Any) -> str:
    """A page: one of the templates with these values and the style sheet."""
    return environment().get_template(name).render(css=style(), **values)
