"""Holds what is written as `audit.json` against the JSON Schema that stands beside this module."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

SHOWN = 160  # characters of a message


@cache
def validator() -> Any:
    """A validator of the schema, which is itself checked against the meta-schema."""
    from jsonschema import Draft202012Validator  # a tenth of a second that only a run which writes needs

    schema = json.loads(Path(__file__).with_name("audit.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def faults(audit: Mapping[str, Any]) -> list[str]:
    """Where an audit departs from the schema: a line each, with the place in the file; empty if nowhere."""
    found = sorted(validator().iter_errors(audit), key=lambda error: error.json_path)
    return [f"{error.json_path}: {_short(error.message)}" for error in found]


def _short(message: str) -> str:
    return message if len(message) <= SHOWN else f"{message[: SHOWN // 2]} … {message[-SHOWN // 2 :]}"
