"""Words of the command line as numbers and options."""

import json
from collections.abc import Sequence
from typing import Any

from core.errors import InputError
from core.training.config import CHOICES, TrainConfig


def options(config: TrainConfig, assignments: Sequence[str]) -> TrainConfig:
    """A configuration with some options set by `KEY=VALUE`, values as in JSON or bare words.

    Raises:
        InputError: for an assignment of another form, an unknown key or a value out of range.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise InputError(f"--set: got {assignment!r}, expected KEY=VALUE")
        try:
            changes[key] = value if key in CHOICES else json.loads(value)
        except json.JSONDecodeError as error:
            raise InputError(f"--set {key}: got {value!r}, expected a number, true or false") from error
    return config.replace(**changes)


def number_list(text: str, what: str) -> list[int]:
    """Whole numbers from `0:64`, `3,5,8` or both: ranges stop before their end.

    Raises:
        InputError: naming `what` and the part that is neither.
    """
    numbers: list[int] = []
    for part in text.replace("_", "").split(","):
        first, colon, last = part.partition(":")
        try:
            numbers += range(int(first), int(last)) if colon else [int(first)]
        except ValueError as error:
            raise InputError(f"{what}: got {part!r}, expected whole numbers such as 10,100 or 0:64") from error
    if not numbers:
        raise InputError(f"{what}: got {text!r}, expected at least one number")
    return numbers
