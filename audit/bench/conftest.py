"""Benchmarks run on request alone: `pytest audit/bench --benchmark-only`."""

from typing import Any

import pytest

from core.machine import versions

PEERS = ("faiss-cpu", "lpips", "diffusers", "scipy", "numpy", "numba", "torch", "torchvision")


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Say which versions took part, for whoever reads `--benchmark-json`."""
    machine_info["packages"] = versions((*PEERS, "samenoise"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave benchmarks out of every other run, the claims check included."""
    if config.getoption("benchmark_only", default=False):
        return
    here = [item for item in items if item.path.parent == config.rootpath / "audit" / "bench"]
    if here:
        items[:] = [item for item in items if item not in set(here)]
        config.hook.pytest_deselected(items=here)
