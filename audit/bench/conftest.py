"""Benchmarks run on request alone: `pytest audit/bench --benchmark-only`."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave benchmarks out of every other run, the claims check included."""
    if config.getoption("benchmark_only", default=False):
        return
    here = [item for item in items if item.path.parent == config.rootpath / "audit" / "bench"]
    if here:
        items[:] = [item for item in items if item not in set(here)]
        config.hook.pytest_deselected(items=here)
