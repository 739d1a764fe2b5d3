"""What a duplicate search in files is asked for, and how it tells its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.dedup.definition import POOLED_SIZE
from core.dedup.join.budget import check_threads
from core.dedup.join.device import check_device
from core.dedup.pairs import RULES, THRESHOLD, check_threshold
from core.errors import InputError
from core.machine import cores, parse_memory
from core.progress import Progress

SCHEMA = "samenoise/dedup/3"
StageProgress = Callable[[str, int, int], None]  # stage, done, total
FREE = ("rule", "skip_bad", "confirm")  # options that may change when an interrupted run goes on


@dataclass(frozen=True)
class Options:
    """What is asked for; see `core.dedup.near_duplicates` for what each means.

    Raises:
        InputError: for a value out of its range.
    """

    threshold: float = THRESHOLD
    rule: str = "drop-later"
    size: int = POOLED_SIZE
    memory: str = "256MB"
    threads: int | None = None
    skip_bad: bool = False
    device: str | None = None
    tile: int | None = None
    confirm: bool = False  # keep only pairs that a second look at full size confirms

    def __post_init__(self) -> None:
        check_threshold(self.threshold)
        if self.rule not in RULES:
            raise InputError(f"rule: expected one of {', '.join(RULES)}, got {self.rule!r}")
        check_threads(self.threads)
        parse_memory(self.memory)
        if self.device is not None:
            check_device(self.device)

    @property
    def limit(self) -> int:
        """Bytes of scratch."""
        return parse_memory(self.memory)

    @property
    def workers(self) -> int:
        """Threads at work: as many as asked for, or one a core of the machine that asks."""
        return self.threads or cores()


def stage(progress: StageProgress, name: str) -> Progress:
    """Progress of one stage."""
    return lambda done, total: progress(name, done, total)
