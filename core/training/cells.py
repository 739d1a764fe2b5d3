"""Names one model of an experiment: by its split, set size, group and which of several trainings."""

from dataclasses import dataclass

GROUPS = ("A", "B")
RANDOM = "random"  # halves by the definition of the scale; those by a named definition are protocols too
WITH_DUPLICATES = "random with duplicates"  # the same of a corpus from which none were removed


def training_seed(first: int, group: int, training: int = 0) -> int:
    """Seed of one training of group 0 (A) or 1 (B): the first, the next one, and two more for every training."""
    return first + group + len(GROUPS) * training


@dataclass(frozen=True)
class Cell:
    """One model of an experiment: how the corpus was split, how many images, which of the two groups.

    `training` counts the trainings on these images that differ in their seed alone, from 0.
    """

    protocol: str  # "random" or a definition of random halves, "identity", or the name of an attribute
    n: int
    group: str
    training: int = 0

    def __str__(self) -> str:
        said = self.protocol.endswith((f"N={self.n}", f"N = {self.n}"))  # some named sets differ in nothing else
        which = f", training {self.training + 1}" if self.training else ""
        return f"{self.protocol}{'' if said else f' N={self.n}'} {self.group}{which}"

    @property
    def label(self) -> dict[str, str | int]:
        """The same as entries of a store's label."""
        label: dict[str, str | int] = {"protocol": self.protocol, "n": self.n, "group": self.group}
        return {**label, "training": self.training} if self.training else label
