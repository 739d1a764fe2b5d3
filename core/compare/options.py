"""What a comparison of two denoisers is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite

from core.copies.options import Options as CopiesOptions
from core.denoisers.samplers import SAMPLERS
from core.errors import InputError

SCHEMA = "samenoise/compare/1"
SEEDS = 64
LEAST_SEEDS = 20  # below, the 95th percentile of mismatched seeds and intervals over seeds say too little
LEVELS = 40


@dataclass(frozen=True)
class Options:
    """What is asked for.

    Attributes:
        strong: same-noise correlation above which two samples are nearly identical.
        same_within: ceiling minus agreement, up to which both are equal.
        residual_within: the same of what one Gaussian does not explain.
        seeds: images that each denoiser draws.
        sampler: one of `core.denoisers.samplers.SAMPLERS`.
        levels: noise levels of the sampler.
        batch: images that a network sees at once.
        device: where the networks compute.
        at_least: agreement that is required; its interval's lower end decides. None where nothing is.
        copies: how copies are looked for; its `at_most` is required of both denoisers.

    Raises:
        InputError: for a value out of its range.
    """

    strong: float
    same_within: float
    residual_within: float
    seeds: int = SEEDS
    sampler: str = "heun"
    levels: int = LEVELS
    batch: int = 32
    device: str = "cpu"
    at_least: float | None = None
    copies: CopiesOptions = field(default_factory=CopiesOptions)

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise InputError(f"--sampler: got {self.sampler!r}, expected one of {', '.join(SAMPLERS)}")
        for name, least in (("seeds", 2), ("levels", 2), ("batch", 1)):
            if (value := getattr(self, name)) < least:
                raise InputError(f"--{name}: got {value}, expected at least {least}")
        if self.at_least is not None:
            if not (isfinite(self.at_least) and -1 < self.at_least < 1):
                raise InputError(f"--at-least: got {self.at_least:g}, expected a correlation between -1 and 1")
            if self.seeds < LEAST_SEEDS:
                raise InputError(
                    f"--seeds {self.seeds}: expected at least {LEAST_SEEDS} beside --at-least: with fewer no interval "
                    "is sure enough"
                )
        self.copies.check_samples(self.seeds)
