"""What a search for copies is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from core.dedup.pairs import THRESHOLD, check_threshold
from core.errors import InputError
from core.machine import cores, parse_memory
from core.stats import clopper_pearson

SCHEMA = "samenoise/copies/1"
LpipsSearch = Literal["candidates", "all", "off"]
StageProgress = Callable[[str, int, int], None]  # stage, done, total


@dataclass(frozen=True)
class Options:
    """What is asked for.

    Attributes:
        at_most: share of samples that may be copies, in (0, 1); None where nothing is required.
        twins: absolute correlation above which two training images are near-duplicates and joined.
        calibrated: whether samples are judged at the calibrated thresholds instead of the published ones.
        clip: whether few numbers outside the range are clipped to it, and said, instead of refused.
        lpips: among which training images the nearest by LPIPS is looked for: the ten that correlate most, or all.
        sscd: an ONNX file of a copy detector that maps pictures to vectors; None to do without.
        value_range: what the floating-point arrays among the sets hold.
        memory: bytes of pictures and rows held at a time, like 256MB.
        threads: that read pictures and join near-duplicates; one a core unless given.
        skip_bad: whether images that cannot be used are left out and counted.
        seed: of the training images that are drawn as background and as originals of planted copies.

    Raises:
        InputError: for a value out of its range.
    """

    at_most: float | None = None
    twins: float = THRESHOLD
    calibrated: bool = False
    clip: bool = False
    lpips: LpipsSearch = "candidates"
    sscd: Path | None = None
    value_range: tuple[float, float] = (0.0, 1.0)
    memory: str = "256MB"
    threads: int | None = None
    skip_bad: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_threshold(self.twins)
        parse_memory(self.memory)
        if self.lpips not in get_args(LpipsSearch):
            raise InputError(f"--lpips: got {self.lpips!r}, expected one of {', '.join(get_args(LpipsSearch))}")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"--threads: got {self.threads}, expected at least one")
        if self.seed < 0:
            raise InputError(f"--seed: got {self.seed}, expected 0 or more")
        low, high = self.value_range
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(f"--range: got {low:g}:{high:g}, expected LOW:HIGH with LOW below HIGH, such as -1:1")
        if self.at_most is not None and not 0 < self.at_most < 1:
            raise InputError(
                f"--at-most: got {self.at_most:g}, expected a share above 0 and below 1, such as 0.01: no number "
                "of samples shows that none at all is a copy"
            )

    @property
    def limit(self) -> int:
        """Bytes held at a time."""
        return parse_memory(self.memory)

    @property
    def workers(self) -> int:
        """Threads at work."""
        return self.threads or cores()

    def check_samples(self, n: int) -> None:
        """InputError if so few samples could not show the required share even if none of them were a copy."""
        if self.at_most is None or clopper_pearson(0, n).high <= self.at_most:
            return
        raise InputError(
            f"--at-most {self.at_most:g}: found {n:,} samples, expected at least {fewest_samples(self.at_most):,}: "
            f"even without a copy among {n:,} the interval reaches {clopper_pearson(0, n).high:.2g}"
        )


def fewest_samples(share: float) -> int:
    """Samples of which none is a copy that it takes for the exact 95 % interval to stay at or below `share`."""
    n = max(1, math.ceil(math.log(0.025) / math.log1p(-share)))
    while clopper_pearson(0, n).high > share:  # rounding of the logarithms
        n += 1
    return n


def parse_range(text: str) -> tuple[float, float]:
    """Two numbers of a text like `-1:1`; an InputError where it is no such thing."""
    low, colon, high = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return float(low), float(high)
    except ValueError as error:
        raise InputError(f"--range: got {text!r}, expected LOW:HIGH, such as -1:1") from error
