"""Names one model of an experiment: by its split, set size and group."""

from dataclasses import dataclass

GROUPS = ("A", "B")
RANDOM = "random"  # halves by the definition of the scale; those by a named definition are protocols too


@dataclass(frozen=True)
class Cell:
    """One model of an experiment: how the corpus was split, how many images, which of the two groups."""

    protocol: str  # "random" or a definition of random halves, "identity", or the name of an attribute
    n: int
    group: str

    def __str__(self) -> str:
        said = self.protocol.endswith((f"N={self.n}", f"N = {self.n}"))  # some named sets differ in nothing else
        return f"{self.protocol}{'' if said else f' N={self.n}'} {self.group}"

    @property
    def label(self) -> dict[str, str | int]:
        """The same as entries of a store's label."""
        return {"protocol": self.protocol, "n": self.n, "group": self.group}
