"""This machine: memory limits as people write them, what is left, and the versions that can move last bits."""

import ctypes
import os
import platform
import re
import resource
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from core.errors import InputError

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # options of glibc's mallopt
_MAPPED_FROM, _KEPT = 2**25, 2**30  # bytes: the largest that glibc takes for the first, and what may stay at the end
_RETURNED_FROM = 2**18
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_memory(memory: int | str) -> int:
    """Bytes of a limit such as 256000000, "256MB" or "1GiB".

    Raises:
        InputError: if it cannot be read.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(memory))
    if not match or match[2].upper() not in _UNITS:
        raise InputError(f"memory: expected bytes or a size like 256MB, got {memory!r}")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def versions(packages: Iterable[str], *, missing: str | None = None) -> dict[str, str]:
    """Version of Python and of each package, by name; those not installed are `missing`, or left out."""
    from importlib import metadata  # longer than all else here, and most commands ask for no version

    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            if missing is not None:
                found[name] = missing
    return found


def peak_rss() -> int:
    """Largest resident set of this process so far, in bytes.

    Linux keeps the peak of the parent in `ru_maxrss` of a new process; VmHWM is the process's own.
    """
    status = Path("/proc/self/status")
    if status.exists():
        match = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if match:
            return int(match[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def available_memory() -> int | None:
    """Bytes that this process can still take without swapping; None where the system does not say (only Linux does)."""
    try:
        match = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        return None
    left = int(match[1]) * 1024 if match else None
    group = Path("/sys/fs/cgroup")  # the limit of a container or a batch job
    try:
        most, used = (group / "memory.max").read_text().strip(), (group / "memory.stat").read_text()
    except OSError:
        return left
    anonymous = re.search(r"^anon (\d+)", used, re.MULTILINE)
    if most.isdigit() and anonymous:
        inside = max(0, int(most) - int(anonymous[1]))
        left = inside if left is None else min(left, inside)
    return left


def cores() -> int:
    """Number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # macOS does not have it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold numpy's matrix products to one thread: small ones wait longer for a second than it saves."""
    with _blas().limit(limits=1, user_api="blas"):
        yield


@cache
def _blas() -> Any:
    import numpy  # noqa: F401 - what is not loaded cannot be held
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def keep_freed_memory() -> bool:
    """Keep memory that is freed for what is made next, where the C library is glibc; whether it is.

    By default the tensors of each step go back to the system and are fetched again page by page.
    """
    return _mallopt(_MAPPED_FROM, _KEPT)


def return_freed_memory(least: int = _RETURNED_FROM) -> bool:
    """Give pieces of `least` bytes and more back once they are freed, where the C library is glibc; whether it is.

    By default the size from which pieces go back grows to that of the largest freed so far, and smaller ones stay.
    """
    return _mallopt(least, least)


def _mallopt(mapped_from: int, kept: int) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or none that can be asked
        return False
    return bool(mallopt(_MMAP_THRESHOLD, mapped_from) and mallopt(_TRIM_THRESHOLD, kept))
