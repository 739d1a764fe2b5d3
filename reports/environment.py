"""Where a run took place: machine, libraries, the project's version, and the options of the scale."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from core.machine import versions
from core.training.presets import preset

PACKAGES = (
    "dask", "faiss-cpu", "great-expectations", "hypothesis", "lightning-fabric", "lpips", "matplotlib", "numba",
    "numpy", "pandas", "pillow", "pyarrow", "pytest", "pytest-benchmark", "safetensors", "scipy", "torch",
    "torchvision",
)  # fmt: skip
ROOT = Path(__file__).resolve().parent.parent


def resolved(scale: str) -> dict[str, Any]:
    """Every option of a scale by name, and how many parameters its network has."""
    from core.denoisers.unet import UNet, parameter_count

    chosen = preset(scale)
    network = UNet(chosen.train.base_channels, chosen.train.blocks, chosen.train.in_channels)
    return {**chosen.to_dict(), "parameters": parameter_count(network)}


def project() -> dict[str, Any]:
    """Version, commit and whether the tree differs from it; the last two None outside a checkout."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain")
    return {
        "version": metadata.version("samenoise"),
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if status is None else bool(status),
    }


def environment(device: str) -> dict[str, Any]:
    """Where the figures were computed, in pytest-benchmark's vocabulary where it has a word."""
    import torch

    packages = versions(PACKAGES)
    return {
        "python": packages.pop("python"),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device,
        "packages": packages,
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
