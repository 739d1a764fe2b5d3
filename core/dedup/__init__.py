"""Near-duplicates, exactly: the published rule (T 3.3), the join that finds every pair, and the search in files.

`near_duplicates` gives the pairs, `kept` applies the rule to them; both are loaded when they are first asked for.
"""

from typing import Any

_FACE = {
    "near_duplicates": "core.dedup.search",
    "kept": "core.dedup.pairs",
    "Pairs": "core.dedup.pairs",
    "Kept": "core.dedup.pairs",
    "THRESHOLD": "core.dedup.pairs",
    "RULES": "core.dedup.pairs",
}


def __getattr__(name: str) -> Any:
    """What users import from here, from the module that has it."""
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_FACE[name]), name)
